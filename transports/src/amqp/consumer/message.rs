//! A received message: as the gateway sees it, and as it is published again.

use crate::amqp::mapping;
use bytes::Bytes;
use engine::facts::Facts;
use engine::fault::Fault;
use engine::message::{Message, StartLine};
use engine::payload::Payload;
use engine::transport::Delivery;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

/// The longest id of a client's that becomes the exchange's.
const ID_MAX: usize = 128;

/// A message from a queue. Its body is shared, not copied, by all attempts.
pub(super) struct Received {
    pub(super) tag: u64,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
    exchange: ShortString,
    routing_key: ShortString,
    redelivered: bool,
    /// How often it has been delivered in vain: what we counted and what the broker counted (quorum queues).
    pub(super) attempts: u64,
}

impl Received {
    pub(super) fn new(delivery: lapin::message::Delivery) -> Self {
        let ours = mapping::count(&delivery.properties, mapping::ATTEMPTS);
        let brokers = mapping::count(&delivery.properties, "x-delivery-count");
        Self {
            attempts: ours.saturating_add(brokers),
            tag: delivery.delivery_tag,
            properties: delivery.properties,
            body: delivery.data.into(),
            exchange: delivery.exchange,
            routing_key: delivery.routing_key,
            redelivered: delivery.redelivered,
        }
    }

    /// Whether it may have been seen before.
    fn redelivered(&self) -> bool {
        self.redelivered || self.attempts > 0
    }

    /// What the gateway is given.
    pub(super) fn delivery(
        self: &Arc<Self>,
        artifact: &Arc<str>,
        queue: &ShortString,
        redelivers: bool,
    ) -> Delivery {
        let (received, queue) = (Arc::clone(self), queue.clone());
        let headers = mapping::to_headers(&self.properties);
        let traceparent = headers.get("traceparent");
        let traceparent = traceparent
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        Delivery {
            artifact: Arc::clone(artifact),
            message: Message {
                start: StartLine::Event,
                headers,
                payload: Payload::bytes(self.body.clone()),
            },
            id: self.id(),
            source: Facts::when_read(move || received.source(queue.as_str())),
            traceparent,
            redelivers,
        }
    }

    /// What it belongs to, where that is an id that logs can show: the exchange of another gateway that published it, or what its
    /// publisher says.
    fn id(&self) -> String {
        let exchange = mapping::text(&self.properties, "x-correlation-id");
        let ids = [self.properties.correlation_id(), self.properties.message_id()];
        let usable = |id: &&str| {
            let shown = id.bytes().all(|byte| byte.is_ascii_graphic());
            shown && !id.is_empty() && id.len() <= ID_MAX
        };
        let ids = ids.into_iter().flatten().map(ShortString::as_str);
        let mut ids = exchange.as_deref().into_iter().chain(ids);
        ids.find(usable).unwrap_or_default().to_owned()
    }

    fn source(&self, queue: &str) -> Json {
        let headers = self.properties.headers().as_ref();
        json!({
            "transport": "amqp",
            "queue": queue,
            "exchange": self.first(mapping::EXCHANGE).unwrap_or_else(|| self.exchange.to_string()),
            "routing_key": self.first(mapping::ROUTING_KEY).unwrap_or_else(|| self.routing_key.to_string()),
            "redelivered": self.redelivered(),
            "attempts": self.attempts,
            "delivery_tag": self.tag,
            "properties": mapping::properties_json(&self.properties),
            "headers": headers.map_or_else(|| json!({}), mapping::table_json),
        })
    }

    fn first(&self, name: &str) -> Option<String> {
        mapping::text(&self.properties, name)
    }

    /// Its properties for the next attempt, which is not before a pause is over; one attempt more where it is `counted`.
    pub(super) fn again(&self, pause: Duration, counted: bool) -> BasicProperties {
        let (properties, mut table) = mapping::republished(&self.properties, true);
        self.set_attempts(&mut table, counted);
        self.add_origin(&mut table);
        mapping::set_pause(&mut table, pause);
        properties.with_headers(table)
    }

    fn set_attempts(&self, table: &mut FieldTable, counted: bool) {
        let attempts = self.attempts.saturating_add(u64::from(counted));
        let attempts = AMQPValue::LongLongInt(i64::try_from(attempts).unwrap_or(i64::MAX));
        table.insert(mapping::ATTEMPTS.into(), attempts);
    }

    /// Its properties as a dead letter, with what went wrong.
    pub(super) fn dead(&self, artifact: &str, queue: &str, fault: &Fault) -> BasicProperties {
        let (properties, mut table) = mapping::republished(&self.properties, false);
        self.set_attempts(&mut table, true);
        self.add_origin(&mut table);
        mapping::set(&mut table, "x-mediary-artifact", artifact);
        mapping::set(&mut table, "x-mediary-queue", queue);
        mapping::set(&mut table, "x-mediary-fault", fault.name());
        mapping::set(&mut table, "x-mediary-fault-message", fault.message());
        if let Some(step) = fault.step() {
            mapping::set(&mut table, "x-mediary-fault-step", step);
        }
        properties.with_headers(table)
    }

    fn add_origin(&self, table: &mut FieldTable) {
        // The first time only: later on it comes from the default exchange.
        if !table.contains_key(mapping::EXCHANGE) {
            mapping::set(table, mapping::EXCHANGE, self.exchange.as_str());
            mapping::set(table, mapping::ROUTING_KEY, self.routing_key.as_str());
        }
        // The broker counts anew in the queue that it goes to, and its own count is in ours.
        if table.contains_key("x-delivery-count") {
            *table = table
                .inner()
                .iter()
                .filter(|(name, _)| name.as_str() != "x-delivery-count")
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<std::collections::BTreeMap<_, _>>()
                .into();
        }
    }

    /// What a reply to it is sent with: the requester's correlation id, or else the message's id.
    pub(super) fn correlation(&self) -> Option<ShortString> {
        let id = self.properties.correlation_id().as_ref();
        id.or(self.properties.message_id().as_ref()).cloned()
    }
}
