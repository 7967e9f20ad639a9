//! `from: { amqp: ... }`.

use super::connection::choose;
use super::name;
use crate::amqp::consumer::{AmqpListener, Binding, OnFault, Settings};
use crate::amqp::topology::QueueKind;
use engine::build::Build;
use engine::config::{Duration, Node, OneOrMany, Size, Spanned, Text};
use engine::registry::EntryPoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A queue to receive from. A message is acknowledged when its exchange has ended.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::amqp) struct ConsumerConfig {
    /// The name of an entry of `connections`.
    #[serde(default)]
    pub connection: Option<Spanned<String>>,
    /// The broker, where it is no shared connection.
    #[serde(default)]
    pub url: Option<Text>,
    /// The queue.
    pub queue: Spanned<String>,
    /// How many messages the broker sends ahead to each consumer before they are acknowledged.
    #[serde(default = "prefetch")]
    #[schemars(range(min = 1))]
    pub prefetch: u16,
    /// How many messages of each consumer are processed at once; without it as many as `prefetch`. `1` keeps the queue's order
    /// as long as nothing fails.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub concurrency: Option<u16>,
    /// Competing consumers, each with a connection of its own; they are spread over the data plane's threads.
    #[serde(default = "consumers")]
    #[schemars(range(min = 1, max = 256))]
    pub consumers: u16,
    /// What to do where the queue does not exist.
    #[serde(default)]
    pub declare: DeclareConfig,
    /// Exchanges that the queue is bound to. They must exist.
    #[serde(default)]
    pub bind: OneOrMany<BindConfig>,
    /// How often a failed message is delivered again before it is given up. The count stays with the message.
    #[serde(default = "redeliveries")]
    pub redeliveries: u32,
    /// The pause before the first redelivery. It doubles with each one.
    #[serde(default = "backoff")]
    pub backoff: Duration,
    /// The longest pause.
    #[serde(default = "backoff_max")]
    pub backoff_max: Duration,
    /// What becomes of a message that is given up, where the artifact has no `dead_letter` store.
    #[serde(default)]
    pub on_fault: OnFaultConfig,
    /// The queue for messages that are given up; `QUEUE.dead` by default. It is declared durable where it does not exist.
    #[serde(default)]
    pub dead_letter_queue: Option<Spanned<String>>,
    /// The largest body that is processed. Larger messages are given up.
    #[serde(default = "body_max")]
    pub body_max: Size,
}

fn prefetch() -> u16 {
    64
}

fn consumers() -> u16 {
    1
}

fn redeliveries() -> u32 {
    5
}

fn backoff() -> Duration {
    Duration::from_secs(1)
}

fn backoff_max() -> Duration {
    Duration::from_secs(30)
}

fn body_max() -> Size {
    Size::from_mib(16)
}

/// What to do where a queue does not exist. A queue that exists is used as it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::amqp) struct DeclareConfig {
    /// Never makes a queue: the listener is down until somebody else does.
    pub passive: bool,
    /// The kind of queue to make.
    #[serde(rename = "type")]
    pub kind: KindConfig,
    /// Whether a classic queue survives a restart of the broker; yes by default. Quorum queues always do.
    pub durable: Option<bool>,
    /// Whether a classic queue goes with its last consumer.
    pub auto_delete: bool,
}

/// Kinds of queues.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::amqp) enum KindConfig {
    /// Replicated, and counts deliveries by itself.
    #[default]
    Quorum,
    /// On one node.
    Classic,
}

/// What becomes of a message that is given up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::amqp) enum OnFaultConfig {
    /// It goes to the dead-letter queue, with the fault in its headers.
    #[default]
    DeadLetter,
    /// It is rejected: the broker hands it to the queue's dead-letter exchange, or drops it where there is none.
    Reject,
}

/// A binding of the queue.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::amqp) struct BindConfig {
    /// The exchange.
    pub exchange: Spanned<String>,
    /// The routing key; none by default.
    #[serde(default)]
    pub key: Option<Spanned<String>>,
}

/// Builds the entry.
pub(in crate::amqp) fn build(artifact: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<EntryPoint> {
    let config: ConsumerConfig = cx.read(node)?;
    let broker = choose(config.connection.as_ref(), config.url.clone(), node.span, cx);
    let queue = name(&config.queue, cx);
    let dead = match &config.dead_letter_queue {
        Some(dead) => name(dead, cx),
        None => {
            let dead = Spanned::new(format!("{}.dead", config.queue.value), config.queue.span);
            name(&dead, cx)
        }
    };
    let bind: Vec<Option<Binding>> = config.bind.iter().map(|bind| binding(bind, cx)).collect();
    let declare = &config.declare;
    let settings = Settings {
        queue: queue?,
        dead_letter_queue: dead?,
        prefetch: config.prefetch.max(1),
        concurrency: config.concurrency.unwrap_or(config.prefetch).max(1),
        consumers: config.consumers.clamp(1, 256),
        declare: (!declare.passive).then_some(match declare.kind {
            KindConfig::Quorum => QueueKind::Quorum,
            KindConfig::Classic => QueueKind::Classic {
                durable: declare.durable.unwrap_or(true),
                auto_delete: declare.auto_delete,
            },
        }),
        bind: bind.into_iter().collect::<Option<_>>()?,
        redeliveries: config.redeliveries.into(),
        backoff: config.backoff.get(),
        backoff_max: config.backoff_max.get(),
        on_fault: match config.on_fault {
            OnFaultConfig::DeadLetter => OnFault::DeadLetter,
            OnFaultConfig::Reject => OnFault::Reject,
        },
        body_max: config.body_max.as_usize(),
    };
    let listener = AmqpListener::new(Arc::clone(artifact), broker?, settings);
    Some(EntryPoint::Listener(Arc::new(listener)))
}

fn binding(config: &BindConfig, cx: &mut Build<'_>) -> Option<Binding> {
    let exchange = name(&config.exchange, cx);
    let key = match &config.key {
        Some(key) => name(key, cx)?,
        None => Default::default(),
    };
    Some(Binding {
        exchange: exchange?,
        key,
    })
}
