//! `amqp: ...` of a store.

use super::connection::choose;
use super::consumer::KindConfig;
use super::name;
use crate::amqp::store::{AmqpStore, Settings, Shared};
use crate::amqp::topology::{Declare, QueueKind};
use engine::build::Build;
use engine::config::{Duration, Node, Spanned, Text};
use engine::store::Store;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Messages in a queue of a broker. The broker has confirmed a message before the step that stores it goes on; it survives a restart of
/// both. Other clients can read the queue: the body is as it was, the headers are entries of the header table, and `x-mediary-*` tells
/// the rest. What is in a queue cannot be listed or looked up by its id.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::amqp) struct StoreConfig {
    /// The name of an entry of `connections`.
    #[serde(default)]
    pub connection: Option<Spanned<String>>,
    /// The broker, where it is no shared connection.
    #[serde(default)]
    pub url: Option<Text>,
    /// The queue.
    pub queue: Spanned<String>,
    /// What to do where the queue does not exist.
    #[serde(default)]
    pub declare: StoreDeclareConfig,
    /// How many messages are here at once, being processed or waiting for another attempt.
    #[serde(default = "prefetch")]
    #[schemars(range(min = 1))]
    pub prefetch: u16,
    /// How long to wait for the broker's confirm. Then the message counts as not stored.
    #[serde(default = "timeout")]
    pub timeout: Duration,
}

/// What to do where the queue of a store does not exist. A queue that exists is used as it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::amqp) struct StoreDeclareConfig {
    /// Never makes a queue: messages are refused until somebody else does.
    pub passive: bool,
    /// The kind of queue to make. It is durable.
    #[serde(rename = "type")]
    pub kind: KindConfig,
    /// Whether several gateways process the messages of the queue at once. Without it one of them does and another takes over when
    /// that one is gone, as only so the order of messages with the same key is kept.
    pub competing: bool,
}

fn prefetch() -> u16 {
    256
}

fn timeout() -> Duration {
    Duration::from_secs(5)
}

/// Builds the store of this name.
pub(in crate::amqp) fn build(store: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Store>> {
    let config: StoreConfig = cx.read(node)?;
    let broker = choose(config.connection.as_ref(), config.url.clone(), node.span, cx);
    let queue = name(&config.queue, cx);
    let declare = Declare {
        kind: match config.declare.kind {
            KindConfig::Quorum => QueueKind::Quorum,
            KindConfig::Classic => QueueKind::Classic {
                durable: true,
                auto_delete: false,
            },
        },
        single_active: !config.declare.competing,
    };
    let settings = Settings {
        queue: queue?,
        declare: (!config.declare.passive).then_some(declare),
        prefetch: config.prefetch.max(1),
        timeout: config.timeout.get(),
    };
    let broker = broker?;
    let key = format!("amqp.store:{} {settings:?}", broker.key);
    let state = cx.state;
    let shared = state.get_or_insert(key, || Shared::new(broker, settings));
    Some(Arc::new(AmqpStore::new(Arc::clone(store), shared)))
}
