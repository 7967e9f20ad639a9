//! `memory`: a store that a restart empties. For tests, for bursts, and where a message is not worth a disk.

use super::finished::Memory;
use super::queue::Queue;
use super::slot::{Found, Limits, Order, Slot};
use super::{Fill, MessageState, Place, Settlement, Store, StoredMessage, store_fault, stored_already};
use crate::build::Build;
use crate::config::{Duration, Node, Size};
use crate::fault::Fault;
use crate::mediator::BoxFuture;
use crate::registry::StoreSpec;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use std::sync::Arc;

/// The registration.
pub(super) const SPEC: StoreSpec = StoreSpec {
    schema: SchemaGenerator::subschema_for::<MemoryConfig>,
    build,
};

/// Messages in memory: fast, and gone with the process. A reload keeps them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {
    /// Most messages; one more is refused with `gateway.store`.
    pub messages_max: u64,
    /// Most bytes of all messages together, headers included.
    pub bytes_max: Size,
    /// How many messages that left are remembered with how they ended, for the step `store_state`.
    pub finished_max: u64,
    /// How long they are remembered at most.
    pub finished_age_max: Duration,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            messages_max: 100_000,
            bytes_max: Size::from_mib(64),
            finished_max: 100_000,
            finished_age_max: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

fn build(name: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Store>> {
    let config: MemoryConfig = cx.read(node)?;
    let limits = Limits {
        messages_max: config.messages_max,
        bytes_max: config.bytes_max.bytes(),
        finished: Memory {
            messages_max: config.finished_max,
            age_max: config.finished_age_max.get(),
        },
    };
    let key = format!("store.memory:{name}");
    let queue = cx.state.get_or_insert(key, || Queue::new(None));
    // A store that no deployment has yet has them at once; others get them when the new deployment opens it.
    queue.limit_first(limits);
    let name = Arc::clone(name);
    Some(Arc::new(MemoryStore { name, limits, queue }))
}

struct MemoryStore {
    name: Arc<str>,
    limits: Limits,
    queue: Arc<Queue>,
}

/// Roughly what a message takes in memory.
fn size(message: &StoredMessage) -> u64 {
    let headers: usize = message
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    (message.body.len() + headers + 512) as u64
}

fn message(found: Found) -> Option<StoredMessage> {
    let mut message = StoredMessage::clone(&*found.message?);
    message.attempts = found.attempts;
    Some(message)
}

impl Store for MemoryStore {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn identity(&self) -> String {
        format!("memory:{}", self.name)
    }

    fn survives(&self) -> bool {
        false
    }

    fn open(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async {
            self.queue.limit(self.limits);
            Ok(())
        })
    }

    fn put(&self, message: StoredMessage) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let size = size(&message);
            let reserved = self.queue.reserve(size);
            let sequence = reserved.map_err(|problem| store_fault(&self.name, problem))?;
            let slot = Slot::new(message, size);
            let id = Arc::clone(&slot.id);
            match self.queue.insert(sequence, slot) {
                true => Ok(()),
                false => Err(stored_already(&self.name, &id)),
            }
        })
    }

    fn take(&self, max: usize) -> BoxFuture<'_, Result<Vec<StoredMessage>, Fault>> {
        Box::pin(async move {
            let found = self.queue.take(max, Order::ByKey).await;
            Ok(found.into_iter().filter_map(message).collect())
        })
    }

    fn take_unordered(&self, max: usize) -> BoxFuture<'_, Result<Vec<StoredMessage>, Fault>> {
        Box::pin(async move {
            let found = self.queue.take(max, Order::Any).await;
            Ok(found.into_iter().filter_map(message).collect())
        })
    }

    fn settle<'a>(&'a self, id: &'a str, how: Settlement) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            self.queue.settle(id, how, None);
            Ok(())
        })
    }

    fn settle_at<'a>(
        &'a self,
        id: &'a str,
        how: Settlement,
        place: Place<'a>,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            self.queue.settle(id, how, Some(place));
            Ok(())
        })
    }

    fn delivered_after_all(&self, id: &str) {
        self.queue.delivered_after_all(id);
    }

    fn place(&self, stream: &str) -> Option<i64> {
        self.queue.place(stream)
    }

    fn release(&self, id: &str) {
        self.queue.release(id);
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<StoredMessage>, Fault>> {
        Box::pin(async move { Ok(self.queue.find(id).and_then(message)) })
    }

    fn list<'a>(
        &'a self,
        after: Option<&'a str>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredMessage>, Fault>> {
        Box::pin(async move {
            let page = self.queue.page(after, max);
            Ok(page.into_iter().filter_map(message).collect())
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move { Ok(self.queue.remove(id).is_some()) })
    }

    fn state(&self, id: &str) -> Option<MessageState> {
        self.queue.state(id)
    }

    fn addressable(&self) -> bool {
        true
    }

    fn fill(&self) -> Option<Fill> {
        Some(self.queue.fill())
    }
}
