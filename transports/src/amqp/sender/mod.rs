//! The sending half: publishes with confirms, and waits for replies where asked to.

mod address;
mod link;

pub(super) use link::Link;

use super::broker::{Backoff, Broker};
use super::channels::PublishError;
use super::mapping;
use address::Target;
use engine::exchange::Exchange;
use engine::expression::Template;
use engine::fault::{Fault, FaultCode};
use engine::mediator::{BoxFuture, Needs};
use engine::message::{Message, StartLine};
use engine::payload::Payload;
use engine::transport::{CallOptions, SendContext, SendError, Sender};
use http::StatusCode;
use lapin::BasicProperties;
use lapin::types::ShortString;
use std::sync::Arc;
use tokio::time::Instant;

/// Properties that an endpoint sets, by name.
pub(super) const PROPERTIES: [&str; 9] = [
    "message_id",
    "correlation_id",
    "reply_to",
    "priority",
    "expiration",
    "timestamp",
    "type",
    "app_id",
    "user_id",
];

/// The settings of an endpoint.
pub(super) struct Settings {
    pub(super) exchange: Template,
    pub(super) routing_key: Template,
    pub(super) properties: Vec<(&'static str, Template)>,
    pub(super) mandatory: bool,
    pub(super) persistent: bool,
    pub(super) reply: bool,
    /// Bytes.
    pub(super) body_max: u64,
}

/// Publishes to one configured exchange.
pub(super) struct AmqpSender {
    broker: Arc<Broker>,
    settings: Settings,
}

impl AmqpSender {
    pub(super) fn new(broker: Arc<Broker>, settings: Settings) -> Self {
        Self { broker, settings }
    }

    async fn exchange(&self, mut message: Message, context: &SendContext) -> Result<Message, SendError> {
        message.payload.buffer(self.settings.body_max).await?;
        let StartLine::Request { uri, .. } = &message.start else {
            return Err(Fault::internal("no address was made for this message").into());
        };
        let target = Target::from_uri(uri)?;
        let size = message.payload.as_bytes().map_or(0, |bytes| bytes.len() as u64);
        if size > self.settings.body_max {
            let problem = format!("The body exceeds {} bytes.", self.settings.body_max);
            return Err(Fault::new(FaultCode::BodyTooLarge, problem).into());
        }
        let properties = self.properties(&message, &target, context)?;
        if self.settings.reply {
            self.request(&target, properties, message, context).await
        } else {
            self.publish(&target, &properties, message, context)
                .await
                .map(|()| confirmed(&target))
        }
    }

    fn properties(
        &self,
        message: &Message,
        target: &Target,
        context: &SendContext,
    ) -> Result<BasicProperties, Fault> {
        let mut properties = mapping::from_headers(&message.headers);
        if let Ok(id) = ShortString::try_new(&*context.id) {
            properties = properties.with_message_id(id);
        }
        let mode = if self.settings.persistent { 2 } else { 1 };
        target.apply(properties.with_delivery_mode(mode))
    }

    /// Publishes until the broker has confirmed. A message whose confirm was lost with the connection is published again.
    async fn publish(
        &self,
        target: &Target,
        properties: &BasicProperties,
        message: Message,
        context: &SendContext,
    ) -> Result<(), SendError> {
        let mut backoff = Backoff::default();
        let mut sent = false;
        loop {
            let problem = match self.broker.link().await {
                Err(problem) => problem,
                Ok(link) => match link.publish(self.parcel(target, properties, &message)).await {
                    Ok(()) => return Ok(()),
                    Err(PublishError::Unsent(problem)) => problem,
                    Err(PublishError::Lost(problem)) => {
                        sent = true;
                        problem
                    }
                    Err(error) => return Err(refused(&error).with_subject(self.label()).into()),
                },
            };
            if !sent {
                let fault = Fault::new(FaultCode::Connect, "The broker cannot be reached.");
                return Err(SendError {
                    fault: fault.with_detail(problem),
                    unsent: Some(Box::new(message)),
                });
            }
            let pause = backoff.next();
            if Instant::now() + pause >= context.deadline {
                let fault = Fault::new(
                    FaultCode::ConnectionLost,
                    "The connection was lost before the broker confirmed the message.",
                );
                return Err(fault.with_detail(problem).into());
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn parcel<'a>(
        &self,
        target: &Target,
        properties: &BasicProperties,
        message: &'a Message,
    ) -> super::channels::Publish<'a> {
        super::channels::Publish {
            exchange: target.exchange.clone(),
            routing_key: target.routing_key.clone(),
            mandatory: self.settings.mandatory,
            properties: properties.clone(),
            body: message.payload.as_bytes().map_or(&[][..], |bytes| &bytes[..]),
        }
    }

    /// Publishes once and waits for the reply. A request is not repeated: whoever answers may have acted on it.
    async fn request(
        &self,
        target: &Target,
        properties: BasicProperties,
        message: Message,
        context: &SendContext,
    ) -> Result<Message, SendError> {
        let unsent = |problem: String, message: Message| SendError {
            fault: Fault::new(FaultCode::Connect, "The broker cannot be reached.").with_detail(problem),
            unsent: Some(Box::new(message)),
        };
        let link = match self.broker.link().await {
            Ok(link) => link,
            Err(problem) => return Err(unsent(problem, message)),
        };
        let replies = match link.replies().await {
            Ok(replies) => replies,
            Err(error) => return Err(unsent(error.to_string(), message)),
        };
        let waiting = replies.expect()?;
        let properties = properties
            .with_correlation_id(waiting.id.clone())
            .with_reply_to(replies.queue.clone());
        match link.publish(self.parcel(target, &properties, &message)).await {
            Ok(()) => {}
            Err(PublishError::Unsent(problem)) => return Err(unsent(problem, message)),
            Err(PublishError::Lost(problem)) => return Err(lost(problem).into()),
            Err(error) => return Err(refused(&error).with_subject(self.label()).into()),
        }
        let reply = tokio::time::timeout_at(context.deadline, waiting.reply()).await;
        match reply {
            Ok(Some(delivery)) => Ok(answer(delivery)),
            Ok(None) => Err(lost("the reply queue is gone".to_owned()).into()),
            Err(_) => Err(Fault::new(FaultCode::Timeout, "Nobody answered in time.")
                .with_subject(self.label())
                .into()),
        }
    }
}

impl Sender for AmqpSender {
    fn needs(&self) -> Needs {
        let templates = self.settings.properties.iter().map(|(_, template)| template);
        let fixed = [&self.settings.exchange, &self.settings.routing_key];
        let needs = templates.chain(fixed).map(Template::needs);
        needs.fold(Needs::Headers, Ord::max)
    }

    fn address(&self, exchange: &Exchange, _: &CallOptions) -> Result<StartLine, Fault> {
        address::start(&self.settings, exchange)
    }

    fn send<'a>(
        &'a self,
        message: Message,
        context: &'a SendContext,
    ) -> BoxFuture<'a, Result<Message, SendError>> {
        Box::pin(self.exchange(message, context))
    }

    fn label(&self) -> &str {
        &self.broker.label
    }
}

fn refused(error: &PublishError) -> Fault {
    let fault = match error {
        PublishError::Unroutable(_) => {
            Fault::new(FaultCode::Unroutable, "The broker has no queue for the message.")
        }
        _ => Fault::new(FaultCode::BackendStatus, "The broker does not take the message.")
            .with_status(StatusCode::SERVICE_UNAVAILABLE),
    };
    fault.with_detail(error.text())
}

fn lost(problem: String) -> Fault {
    let fault = Fault::new(
        FaultCode::ConnectionLost,
        "The connection to the broker was lost before the reply.",
    );
    fault.with_detail(problem)
}

/// The reply of a message that nobody answers: what the broker has confirmed.
fn confirmed(target: &Target) -> Message {
    let facts = serde_json::json!({
        "exchange": target.exchange.as_str(),
        "routing_key": target.routing_key.as_str(),
        "confirmed": true,
    });
    let mut reply = Message::response(StatusCode::OK);
    reply.set_content_type("application/json");
    reply.payload = Payload::bytes(facts.to_string());
    reply
}

fn answer(delivery: lapin::message::Delivery) -> Message {
    let status = mapping::count(&delivery.properties, mapping::STATUS);
    let status = u16::try_from(status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok());
    let mut reply = Message::response(status.unwrap_or(StatusCode::OK));
    reply.headers = mapping::to_headers(&delivery.properties);
    reply.payload = Payload::bytes(delivery.data);
    reply
}
