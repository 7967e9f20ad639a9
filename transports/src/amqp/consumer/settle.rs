//! What becomes of one received message, until the broker can be told.

use super::acks::Verdict;
use super::message::Received;
use super::{OnFault, Shared};
use crate::amqp::broker::Backoff;
use crate::amqp::channels::{Channels, Publish, PublishError};
use crate::amqp::mapping;
use engine::fault::{Fault, FaultCode};
use engine::format::FaultStyle;
use engine::message::Message;
use engine::payload::Payload;
use engine::transport::Settled;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Connection};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Channels for replies, retries and dead letters of a consumer.
const CHANNELS_MAX: usize = 32;

/// How long a message rests that has to wait while many others wait.
const SHORT_REST: Duration = Duration::from_secs(1);

/// Delivers the messages of one connection.
pub(super) struct Deliverer<'a> {
    pub(super) shared: &'a Shared,
    connection: &'a Connection,
    channels: Channels,
    /// Messages that may be processed at once. `None` where the prefetch is the limit.
    slots: Option<Semaphore>,
    /// Messages that wait for their next attempt.
    waiting: AtomicUsize,
}

impl<'a> Deliverer<'a> {
    pub(super) fn new(shared: &'a Shared, connection: &'a Connection) -> Self {
        let settings = &shared.settings;
        let limited = settings.concurrency < settings.prefetch;
        Self {
            shared,
            connection,
            channels: Channels::new(CHANNELS_MAX),
            slots: limited.then(|| Semaphore::new(settings.concurrency.into())),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Serves one message; only then may the broker forget it.
    pub(super) async fn deliver(&self, delivery: lapin::message::Delivery) -> (u64, Verdict) {
        let received = Arc::new(Received::new(delivery));
        (received.tag, self.settle(&received).await)
    }

    async fn settle(&self, received: &Arc<Received>) -> Verdict {
        let settings = &self.shared.settings;
        if received.body.len() > settings.body_max {
            let fault = Fault::new(
                FaultCode::BodyTooLarge,
                format!("The body exceeds {} bytes.", settings.body_max),
            );
            return self.give_up(received, &fault).await;
        }
        if let Some(verdict) = self.hold(received).await {
            return verdict;
        }
        let redelivers = received.attempts < settings.redeliveries;
        let mut backoff = Backoff::default();
        loop {
            match self.attempt(received, redelivers).await {
                Settled::Done(reply) => {
                    self.reply(received, reply).await;
                    return Verdict::Ack;
                }
                Settled::DeadLettered(fault) => {
                    self.reply_fault(received, &fault).await;
                    return Verdict::Ack;
                }
                Settled::Failed(fault) if redelivers && fault.worth_redelivery() => {
                    return self.retry(received, &fault).await;
                }
                Settled::Failed(fault) => return self.give_up(received, &fault).await,
                Settled::Later(_) => {
                    if !self.shared.rest(backoff.next()).await {
                        return Verdict::Requeue;
                    }
                }
            }
        }
    }

    async fn attempt(&self, received: &Arc<Received>, redelivers: bool) -> Settled {
        let _slot = match &self.slots {
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        let queue = &self.shared.settings.queue;
        let delivery = received.delivery(&self.shared.name, queue, redelivers);
        self.shared.gateway.deliver(delivery).await
    }

    /// Puts a message that failed at the end of its queue, with its count and the time of its next attempt. What a circuit breaker
    /// refused was no attempt.
    async fn retry(&self, received: &Received, fault: &Fault) -> Verdict {
        let settings = &self.shared.settings;
        let counted = fault.code() != FaultCode::CircuitOpen;
        let attempts = received.attempts + u64::from(counted);
        let pause = Backoff::after(settings.backoff, settings.backoff_max, attempts);
        self.again(received, pause, counted).await
    }

    /// Holds a message until the time of its next attempt. At most half of what the broker sends ahead is held for long; of the others
    /// each takes a short rest and goes to the end of the queue again, so that messages that failed neither keep others from coming
    /// nor use up their attempts early.
    async fn hold(&self, received: &Received) -> Option<Verdict> {
        let settings = &self.shared.settings;
        let pause = mapping::pause(&received.properties).min(settings.backoff_max);
        if pause.is_zero() {
            return None;
        }
        let waiting = Waiting::new(&self.waiting);
        let long = waiting.before < usize::from(settings.prefetch / 2).max(1);
        let rest = if long { pause } else { pause.min(SHORT_REST) };
        if !self.shared.rest(rest).await {
            return Some(Verdict::Requeue);
        }
        match pause.saturating_sub(rest) {
            Duration::ZERO => None,
            left => Some(self.again(received, left, false).await),
        }
    }

    async fn again(&self, received: &Received, pause: Duration, counted: bool) -> Verdict {
        let settings = &self.shared.settings;
        let properties = received.again(pause, counted);
        match self
            .publish(&settings.queue, properties, &received.body, true)
            .await
        {
            Ok(()) => Verdict::Ack,
            Err(problem) => {
                self.warn(
                    problem.text(),
                    "the message cannot be published again; it goes back as it is",
                );
                self.shared.rest(settings.backoff).await;
                Verdict::Requeue
            }
        }
    }

    /// Does with the message what the configuration says about those that failed for good. It is not lost while the dead-letter
    /// queue cannot take it.
    async fn give_up(&self, received: &Received, fault: &Fault) -> Verdict {
        let settings = &self.shared.settings;
        if settings.on_fault == OnFault::Reject {
            self.reply_fault(received, fault).await;
            return Verdict::Reject;
        }
        let mut backoff = Backoff::default();
        let dead = &settings.dead_letter_queue;
        loop {
            let properties = received.dead(&self.shared.name, settings.queue.as_str(), fault);
            match self.publish(dead, properties, &received.body, true).await {
                Ok(()) => break,
                Err(problem) => self.warn(problem.text(), "the dead-letter queue does not take a message"),
            }
            if !self.shared.rest(backoff.next()).await {
                return Verdict::Requeue;
            }
        }
        tracing::warn!(artifact = %self.shared.name, queue = %dead, fault = fault.name(), "dead letter");
        self.reply_fault(received, fault).await;
        Verdict::Ack
    }

    /// Answers the requester, where there is one who waits.
    async fn reply(&self, received: &Received, mut reply: Message) {
        let limit = self.shared.gateway.deployment().settings.limits.body_bytes;
        let buffered = reply.payload.buffer(limit).await;
        let Some(reply_to) = received.properties.reply_to() else {
            return;
        };
        if let Err(fault) = buffered {
            return self.reply_fault(received, &fault).await;
        }
        let mut properties = mapping::from_headers(&reply.headers);
        if let Some(status) = reply.status().filter(|status| status.as_u16() >= 400) {
            let mut table: FieldTable = properties.headers().clone().unwrap_or_default();
            table.insert(mapping::STATUS.into(), AMQPValue::LongInt(status.as_u16().into()));
            properties = properties.with_headers(table);
        }
        if let Some(id) = received.correlation() {
            properties = properties.with_correlation_id(id);
        }
        let body = reply.payload.as_bytes().map_or(&[][..], |bytes| &bytes[..]);
        // Whether the requester still waits is its own matter.
        if let Err(problem) = self.publish(reply_to, properties, body, false).await {
            self.warn(problem.text(), "a reply cannot be sent");
        }
    }

    async fn reply_fault(&self, received: &Received, fault: &Fault) {
        if received.properties.reply_to().is_none() {
            return;
        }
        let id = received.correlation();
        let id = id.as_ref().map_or("", ShortString::as_str);
        let formats = &self.shared.gateway.deployment().formats;
        let rendered = formats.render_fault(fault, id, FaultStyle::Problem);
        let mut message = Message::response(rendered.status);
        message.set_content_type(rendered.media_type);
        message.payload = Payload::bytes(rendered.bytes);
        Box::pin(self.reply(received, message)).await;
    }

    async fn publish(
        &self,
        queue: &ShortString,
        properties: BasicProperties,
        body: &[u8],
        mandatory: bool,
    ) -> Result<(), PublishError> {
        let message = Publish {
            exchange: ShortString::default(),
            routing_key: queue.clone(),
            mandatory,
            properties,
            body,
        };
        self.channels.publish(self.connection, message).await
    }

    fn warn(&self, problem: &str, what: &str) {
        tracing::warn!(artifact = %self.shared.name, problem, "{what}");
    }
}

/// Counts a waiting message until it is dropped.
struct Waiting<'a> {
    counter: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        let before = counter.fetch_add(1, Ordering::Relaxed);
        Self { counter, before }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Ordering::Relaxed);
    }
}
