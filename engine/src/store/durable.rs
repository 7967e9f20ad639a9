//! `durable`: a store in a file. What is stored survives a crash of the process and of the machine.

use super::finished::Memory;
use super::slot::{Found, Limits, Order, Settled, Slot};
use super::writer::{Operation, StoreFile, Written};
use super::{
    Fill, MessageState, Place, Settlement, Store, StoredMessage, record, store_fault, stored_already,
};
use crate::build::Build;
use crate::config::{self, Duration, Node, Size, Spanned};
use crate::fault::{Fault, FaultCode};
use crate::mediator::BoxFuture;
use crate::registry::StoreSpec;
use prometheus_client::metrics::counter::Counter;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use std::sync::{Arc, Weak};
use std::time;
use tokio::sync::oneshot;

/// The registration.
pub(super) const SPEC: StoreSpec = StoreSpec {
    schema: SchemaGenerator::subschema_for::<DurableConfig>,
    build,
};

/// How many expired messages are dealt with at once.
const EXPIRED_MAX: usize = 100;

/// Messages in a file. A message is on the disk before the step that stores it goes on; many messages that come at once share one
/// write. One process at a time has the file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DurableConfig {
    /// The file; default `data/NAME.redb` below the folder of this YAML file.
    pub path: Option<Spanned<String>>,
    /// Most messages; one more is refused with `gateway.store`.
    pub messages_max: u64,
    /// Most bytes of all messages together, headers included. The file itself may be larger.
    pub bytes_max: Size,
    /// How long a message may wait. Older ones are logged, counted in the metric `mediary_store_expired` and removed.
    pub age_max: Option<Duration>,
    /// The store that messages go to when they get too old, instead of being removed.
    pub expired: Option<Spanned<String>>,
    /// How many messages that left are remembered with how they ended, for the step `store_state`; they survive a restart.
    pub finished_max: u64,
    /// How long they are remembered at most.
    pub finished_age_max: Duration,
}

impl Default for DurableConfig {
    fn default() -> Self {
        Self {
            path: None,
            messages_max: 1_000_000,
            bytes_max: Size::from_mib(1024),
            age_max: None,
            expired: None,
            finished_max: 100_000,
            finished_age_max: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

fn build(name: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Store>> {
    let config: DurableConfig = cx.read(node)?;
    let expired = config.expired.as_ref().map(|name| cx.store(name));
    let span = config.path.as_ref().map_or(node.span, |path| path.span);
    let file = config
        .path
        .map_or_else(|| format!("{}/{name}.redb", config::DATA), |path| path.value);
    let path = config::one_spelling(&cx.folder(span).join(file));
    let key = format!("store.durable:{}", path.display());
    let file = cx.state.get_or_insert(key, || StoreFile::new(path));
    Some(Arc::new(DurableStore(Arc::new(Inner {
        name: Arc::clone(name),
        limits: Limits {
            messages_max: config.messages_max,
            bytes_max: config.bytes_max.bytes(),
            finished: Memory {
                messages_max: config.finished_max,
                age_max: config.finished_age_max.get(),
            },
        },
        expirations: cx.metrics.store_expired(name),
        age_max: config.age_max.map(Duration::get),
        expired: match expired {
            Some(store) => Some(store?),
            None => None,
        },
        file,
    }))))
}

struct DurableStore(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    limits: Limits,
    age_max: Option<time::Duration>,
    expired: Option<Arc<dyn Store>>,
    /// Counts messages that got too old.
    expirations: Counter,
    file: Arc<StoreFile>,
}

impl Inner {
    fn fault(&self, detail: impl std::fmt::Display) -> Fault {
        store_fault(&self.name, detail)
    }

    async fn put(&self, message: StoredMessage) -> Result<(), Fault> {
        if self.file.queue.contains(&message.id) {
            return Err(stored_already(&self.name, &message.id));
        }
        let id = message.id.clone();
        let record = record::encode(&message);
        let size = record.len() as u64;
        let reserved = self.file.queue.reserve(size);
        let sequence = reserved.map_err(|problem| self.fault(problem))?;
        let slot = Slot::new(message, size);
        let (done, answer) = oneshot::channel();
        let written = self.file.write(Operation::Put {
            sequence,
            record,
            slot,
            done,
        });
        if let Err(problem) = written {
            self.file.queue.unreserve(size);
            return Err(self.fault(problem));
        }
        match self.answer(answer).await? {
            Written::Yes => Ok(()),
            Written::IdIsThere => Err(stored_already(&self.name, &id)),
        }
    }

    async fn answer(&self, answer: oneshot::Receiver<Result<Written, String>>) -> Result<Written, Fault> {
        let answer = answer
            .await
            .unwrap_or_else(|_| Err("its writer has ended".to_owned()));
        answer.map_err(|problem| self.fault(problem))
    }

    /// The message, from memory or the file. `None` where it is gone or cannot be read, which the log tells.
    fn message(&self, found: &mut Found) -> Result<Option<StoredMessage>, Fault> {
        let mut message = match found.message.take() {
            Some(message) => Arc::unwrap_or_clone(message),
            None => {
                let record = self.file.read(found.sequence);
                let Some(record) = record.map_err(|problem| self.fault(problem))? else {
                    return Ok(None);
                };
                let Some(message) = record::decode(record) else {
                    tracing::error!(store = %self.name, message = %found.id, "a stored message cannot be read; it stays in the file");
                    return Ok(None);
                };
                message
            }
        };
        message.attempts = found.attempts;
        Ok(Some(message))
    }

    fn messages(&self, found: &mut [Found]) -> Result<Vec<StoredMessage>, Fault> {
        found
            .iter_mut()
            .filter_map(|found| self.message(found).transpose())
            .collect()
    }

    fn settle(&self, id: &str, how: Settlement, place: Option<Place<'_>>) -> Result<(), Fault> {
        let Some(settled) = self.file.queue.settle(id, how, place) else {
            return Ok(());
        };
        let Settled {
            sequence,
            attempts,
            ended,
            moved,
        } = settled;
        let operation = match how {
            Settlement::Done | Settlement::Failed => Operation::Remove {
                sequence,
                attempts,
                ended,
                moved,
                done: None,
            },
            Settlement::Retry { counted: true, .. } => Operation::Attempts { sequence, attempts },
            Settlement::Retry { .. } => return Ok(()),
        };
        self.file.write(operation).map_err(|problem| self.fault(problem))
    }

    async fn take(&self, max: usize, order: Order) -> Result<Vec<StoredMessage>, Fault> {
        loop {
            let mut found = self.file.queue.take(max, order).await;
            match self.messages(&mut found) {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => return Ok(messages),
                Err(fault) => {
                    for found in &found {
                        self.file.queue.release(&found.id);
                    }
                    return Err(fault);
                }
            }
        }
    }

    async fn remove(&self, id: &str) -> Result<bool, Fault> {
        self.remove_all(&[id.to_owned()]).await.map(|removed| removed > 0)
    }

    async fn remove_all(&self, ids: &[String]) -> Result<usize, Fault> {
        let found = ids.iter().filter_map(|id| self.file.queue.remove(id));
        let (operations, answers): (Vec<_>, Vec<_>) = found.map(removal).unzip();
        if operations.is_empty() {
            return Ok(0);
        }
        let written = self.file.write_all(operations);
        written.map_err(|problem| self.fault(problem))?;
        let removed = answers.len();
        for answer in answers {
            self.answer(answer).await?;
        }
        Ok(removed)
    }

    /// Deals with all that has waited too long.
    async fn expire(&self, age_max: time::Duration) {
        let age = i64::try_from(age_max.as_millis()).unwrap_or(i64::MAX);
        let before = jiff::Timestamp::now().as_millisecond().saturating_sub(age);
        loop {
            let expired = self.file.queue.older_than(before, EXPIRED_MAX);
            let Some(first) = expired.first().map(|found| Arc::clone(&found.id)) else {
                return;
            };
            let count = expired.len();
            for mut found in expired {
                if let Err(fault) = self.expire_one(&mut found).await {
                    tracing::error!(store = %self.name, message = %found.id, %fault, "a message that is too old cannot be moved");
                    return;
                }
                self.expirations.inc();
                tracing::debug!(store = %self.name, message = %found.id, "a message was too old");
            }
            let moved_to = self.expired.as_ref().map(|store| &**store.name());
            tracing::warn!(store = %self.name, count, %first, moved_to, "messages were too old");
        }
    }

    async fn expire_one(&self, found: &mut Found) -> Result<(), Fault> {
        if let (Some(store), Some(message)) = (&self.expired, self.message(found)?) {
            match store.put(message).await {
                // It was moved just before a crash.
                Err(fault) if fault.code() == FaultCode::StoredAlready => {}
                other => other?,
            }
        }
        self.settle(&found.id, Settlement::Failed, None)
    }
}

/// The removal of a message that was not processed, and its answer.
fn removal(sequence: u64) -> (Operation, oneshot::Receiver<Result<Written, String>>) {
    let (done, answer) = oneshot::channel();
    let operation = Operation::Remove {
        sequence,
        attempts: u32::MAX,
        ended: None,
        moved: None,
        done: Some(done),
    };
    (operation, answer)
}

/// Looks for messages that are too old as long as the store is there.
async fn sweep(store: Weak<Inner>, age_max: time::Duration) {
    let period = (age_max / 10).clamp(time::Duration::from_millis(50), time::Duration::from_secs(30));
    while let Some(store) = store.upgrade() {
        store.expire(age_max).await;
        drop(store);
        tokio::time::sleep(period).await;
    }
}

impl Store for DurableStore {
    fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    fn identity(&self) -> String {
        format!("durable:{}", self.0.file.path().display())
    }

    fn open(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async {
            self.0.file.queue.limit(self.0.limits);
            self.0.file.open().map_err(|problem| self.0.fault(problem))?;
            if let Some(age_max) = self.0.age_max {
                drop(tokio::spawn(sweep(Arc::downgrade(&self.0), age_max)));
            }
            Ok(())
        })
    }

    fn put(&self, message: StoredMessage) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(self.0.put(message))
    }

    fn take(&self, max: usize) -> BoxFuture<'_, Result<Vec<StoredMessage>, Fault>> {
        Box::pin(self.0.take(max, Order::ByKey))
    }

    fn take_unordered(&self, max: usize) -> BoxFuture<'_, Result<Vec<StoredMessage>, Fault>> {
        Box::pin(self.0.take(max, Order::Any))
    }

    fn settle<'a>(&'a self, id: &'a str, how: Settlement) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.0.settle(id, how, None) })
    }

    fn settle_at<'a>(
        &'a self,
        id: &'a str,
        how: Settlement,
        place: Place<'a>,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.0.settle(id, how, Some(place)) })
    }

    fn delivered_after_all(&self, id: &str) {
        if let Some(ended) = self.0.file.queue.delivered_after_all(id)
            && let Err(problem) = self.0.file.write(Operation::Ended { ended })
        {
            tracing::error!(store = %self.0.name, message = id, problem, "that a message was delivered cannot be written");
        }
    }

    fn place(&self, stream: &str) -> Option<i64> {
        self.0.file.queue.place(stream)
    }

    fn release(&self, id: &str) {
        self.0.file.queue.release(id);
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<StoredMessage>, Fault>> {
        Box::pin(async move {
            let found = self.0.file.queue.find(id);
            found.map_or(Ok(None), |mut found| self.0.message(&mut found))
        })
    }

    fn list<'a>(
        &'a self,
        after: Option<&'a str>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredMessage>, Fault>> {
        Box::pin(async move { self.0.messages(&mut self.0.file.queue.page(after, max)) })
    }

    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(self.0.remove(id))
    }

    fn remove_all<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<usize, Fault>> {
        Box::pin(self.0.remove_all(ids))
    }

    fn state(&self, id: &str) -> Option<MessageState> {
        self.0.file.queue.state(id)
    }

    fn addressable(&self) -> bool {
        true
    }

    fn fill(&self) -> Option<Fill> {
        Some(self.0.file.queue.fill())
    }
}
