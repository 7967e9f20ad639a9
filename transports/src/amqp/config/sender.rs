//! `amqp: ...` of an endpoint.

use super::connection::choose;
use crate::amqp::sender::{AmqpSender, PROPERTIES, Settings};
use engine::build::Build;
use engine::config::{Node, Size, Spanned, Text};
use engine::expression::{Escape, Template};
use engine::transport::Sender;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// An exchange to publish to. The broker confirms each message before the step goes on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::amqp) struct SenderConfig {
    /// The name of an entry of `connections`.
    #[serde(default)]
    pub connection: Option<Spanned<String>>,
    /// The broker, where it is no shared connection.
    #[serde(default)]
    pub url: Option<Text>,
    /// The exchange, which may have `${ ... }`. Without it the default exchange, whose routing keys are the names of queues.
    #[serde(default)]
    pub exchange: Option<Text>,
    /// The routing key, which may have `${ ... }`.
    #[serde(default)]
    pub routing_key: Option<Text>,
    /// Whether a message that no queue gets is a fault (`backend.unroutable`).
    #[serde(default = "yes")]
    pub mandatory: bool,
    /// Whether the message survives a restart of the broker.
    #[serde(default = "yes")]
    pub persistent: bool,
    /// Properties of the message.
    #[serde(default)]
    pub properties: PropertiesConfig,
    /// Waits for a reply, which comes to a queue of our own, and goes on with it. The endpoint's `timeout` limits the wait.
    #[serde(default)]
    pub reply: bool,
    /// The largest body that is published.
    #[serde(default = "body_max")]
    pub body_max: Size,
}

fn yes() -> bool {
    true
}

fn body_max() -> Size {
    Size::from_mib(16)
}

/// Properties of a message. Each may have `${ ... }`; an empty one is left out. `content_type` and `content_encoding` come from
/// the message's headers; its other headers become the headers of AMQP.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::amqp) struct PropertiesConfig {
    /// An id of the message; the exchange's correlation id by default.
    pub message_id: Option<Text>,
    /// What the message belongs to. With `reply: true` it is ours.
    pub correlation_id: Option<Text>,
    /// The queue for replies that somebody else waits for.
    pub reply_to: Option<Text>,
    /// A number from 0 to 255.
    pub priority: Option<Text>,
    /// After how many milliseconds the broker drops the message from a queue.
    pub expiration: Option<Text>,
    /// Seconds since 1970.
    pub timestamp: Option<Text>,
    /// The kind of message.
    #[serde(rename = "type")]
    pub kind: Option<Text>,
    /// The publishing application.
    pub app_id: Option<Text>,
    /// The user of the connection; the broker checks it.
    pub user_id: Option<Text>,
}

impl PropertiesConfig {
    /// In the order of [`PROPERTIES`].
    fn all(&self) -> [Option<&Text>; PROPERTIES.len()] {
        [
            self.message_id.as_ref(),
            self.correlation_id.as_ref(),
            self.reply_to.as_ref(),
            self.priority.as_ref(),
            self.expiration.as_ref(),
            self.timestamp.as_ref(),
            self.kind.as_ref(),
            self.app_id.as_ref(),
            self.user_id.as_ref(),
        ]
    }
}

/// Builds the sender.
pub(in crate::amqp) fn build(node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Sender>> {
    let config: SenderConfig = cx.read(node)?;
    if config.exchange.is_none() && config.routing_key.is_none() {
        let help = Some("`routing_key: QUEUE` alone sends to a queue".to_owned());
        cx.error(
            "config.bad_value",
            node.span,
            "it is not said where to publish",
            help,
        );
        return None;
    }
    let broker = choose(config.connection.as_ref(), config.url.clone(), node.span, cx);
    let exchange = template(config.exchange.as_ref(), cx);
    let routing_key = template(config.routing_key.as_ref(), cx);
    let mut properties = Vec::new();
    for (name, text) in PROPERTIES.iter().zip(config.properties.all()) {
        if let Some(text) = text {
            properties.push((*name, cx.template(text, Escape::None)?));
        }
    }
    Some(Arc::new(AmqpSender::new(
        broker?,
        Settings {
            exchange: exchange?,
            routing_key: routing_key?,
            properties,
            mandatory: config.mandatory,
            persistent: config.persistent,
            reply: config.reply,
            body_max: config.body_max.bytes(),
        },
    )))
}

fn template(text: Option<&Text>, cx: &mut Build<'_>) -> Option<Template> {
    match text {
        Some(text) => cx.template(text, Escape::None),
        None => Some(Template::literal("")),
    }
}
