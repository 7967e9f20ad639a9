//! The keys that have been seen and those that are under way. All keys are in memory, in the order in which they came; a store has them
//! as well where they have to survive, and is read once when the step begins to work.

use engine::deployment::Startup;
use engine::fault::{Fault, FaultCode};
use engine::gateway::Gateway;
use engine::store::{Store, StoredMessage};
use futures_util::future::{join, join_all};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};

/// Most keys that are forgotten when one is added: more than one, so that expired ones do not pile up.
const FORGET_MAX: usize = 16;
/// How many messages are read from the store at once.
const PAGE: usize = 500;
/// How often at most the log tells that keys had to be forgotten.
const WARN_PAUSE_MS: i64 = 60_000;

/// What a step says about its keys.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) window: Duration,
    pub(super) keys_max: usize,
}

/// A set of keys.
pub(super) struct Seen {
    store: Option<Arc<dyn Store>>,
    /// What the ids of its messages in the store begin with.
    prefix: String,
    read: OnceCell<()>,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    /// When each was kept, in milliseconds since 1970.
    kept_at: HashMap<Arc<str>, i64>,
    /// The same, oldest first. One that was kept anew is there twice, and counts with its later time.
    order: VecDeque<(Arc<str>, i64)>,
    under_way: HashMap<Arc<str>, UnderWay>,
    warned_at: i64,
}

struct UnderWay {
    exchange: usize,
    /// Closed when it has ended.
    end: Arc<Semaphore>,
}

/// What a message is to the set.
pub(super) enum Entered {
    /// The first of its key, or the first again.
    First(Turn),
    /// One too many.
    Duplicate,
}

/// The right to be the one message of a key. Whoever waits for it goes on when it is dropped.
pub(super) struct Turn {
    seen: Arc<Seen>,
    key: Arc<str>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(under_way) = self.seen.keys.lock().under_way.remove(&self.key) {
            under_way.end.close();
        }
    }
}

fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, milliseconds)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Seen {
    pub(super) fn in_memory() -> Self {
        Self {
            store: None,
            prefix: String::new(),
            read: OnceCell::new(),
            keys: Mutex::default(),
        }
    }

    pub(super) fn in_store(store: Arc<dyn Store>, scope: &str) -> Self {
        let scope: String = form_urlencoded::byte_serialize(scope.as_bytes()).collect();
        Self {
            store: Some(store),
            prefix: format!("key.{scope}."),
            ..Self::in_memory()
        }
    }

    /// The id of a key's message in the store: readable, and without what an address could not hold.
    fn id(&self, key: &str) -> String {
        let key = form_urlencoded::byte_serialize(key.as_bytes());
        let mut id = self.prefix.clone();
        id.extend(key);
        id
    }

    fn key_of<'a>(&self, id: &'a str) -> Option<Arc<str>> {
        let encoded: &'a str = id.strip_prefix(&self.prefix)?;
        let (key, _) = form_urlencoded::parse(encoded.as_bytes()).next()?;
        Some(key.as_ref().into())
    }

    /// Reads the store, where that has not been done.
    async fn ready(&self) -> Result<(), Fault> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        self.read.get_or_try_init(|| self.read(&**store)).await.map(drop)
    }

    async fn read(&self, store: &dyn Store) -> Result<(), Fault> {
        let mut after: Option<String> = None;
        loop {
            let page = store.list(after.as_deref(), PAGE).await?;
            let mut keys = self.keys.lock();
            for message in &page {
                if let Some(key) = self.key_of(&message.id) {
                    keys.insert(key, message.stored_at);
                }
            }
            drop(keys);
            match page.into_iter().next_back() {
                Some(last) => after = Some(last.id),
                None => return Ok(()),
            }
        }
    }

    /// Says whether the message may go on; waits for the end of another one of its key. Within one exchange the second is a duplicate.
    pub(super) async fn enter(
        self: &Arc<Self>,
        key: &str,
        exchange: usize,
        window: Duration,
    ) -> Result<Entered, Fault> {
        self.ready().await?;
        loop {
            let end = {
                let mut keys = self.keys.lock();
                let other = keys
                    .under_way
                    .get(key)
                    .map(|it| (it.exchange, Arc::clone(&it.end)));
                match other {
                    Some((other, _)) if other == exchange => return Ok(Entered::Duplicate),
                    Some((_, end)) => end,
                    None if self.knows(&mut keys, key, window) => return Ok(Entered::Duplicate),
                    None => return Ok(Entered::First(self.begin(&mut keys, key, exchange))),
                }
            };
            // It is only ever closed. The deadline of the exchange bounds the wait.
            drop(end.acquire().await);
        }
    }

    fn begin(self: &Arc<Self>, keys: &mut Keys, key: &str, exchange: usize) -> Turn {
        let key: Arc<str> = key.into();
        let end = Arc::new(Semaphore::new(0));
        keys.under_way
            .insert(Arc::clone(&key), UnderWay { exchange, end });
        Turn {
            seen: Arc::clone(self),
            key,
        }
    }

    /// Whether the key was kept within the window, and nobody has removed it from the store since.
    fn knows(&self, keys: &mut Keys, key: &str, window: Duration) -> bool {
        let since = now().saturating_sub(milliseconds(window));
        if keys.kept_at.get(key).is_none_or(|at| *at <= since) {
            return false;
        }
        let there = self.store.as_ref().is_none_or(|store| self.is_in(&**store, key));
        if !there {
            keys.kept_at.remove(key);
        }
        there
    }

    fn is_in(&self, store: &dyn Store, key: &str) -> bool {
        let state = store.state(&self.id(key));
        state.is_some_and(|state| state.stage.in_store())
    }

    /// The message that was stored with a key.
    pub(super) async fn stored(&self, key: &str) -> Result<Option<StoredMessage>, Fault> {
        match &self.store {
            Some(store) => store.get(&self.id(key)).await,
            None => Ok(None),
        }
    }

    /// Removes keys from the store. One that stays there is dealt with after the next start.
    async fn remove(&self, store: &dyn Store, keys: &[Arc<str>]) {
        let ids: Vec<String> = keys.iter().map(|key| self.id(key)).collect();
        for removed in join_all(ids.iter().map(|id| store.remove(id))).await {
            if let Err(fault) = removed {
                tracing::debug!(store = %store.name(), %fault, "an old key cannot be removed");
            }
        }
    }
}

impl Turn {
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Keeps the key. Says how many others were forgotten before their time.
    pub(super) async fn keep(&self, mut record: StoredMessage, limits: Limits) -> Result<u64, Fault> {
        let seen = &self.seen;
        let (mut old, forgotten) = seen.keys.lock().make_room(limits);
        if let Some(store) = &seen.store {
            record.id = seen.id(&self.key);
            record.stored_at = now();
            if seen.is_in(&**store, &self.key) {
                // Kept longer ago than the window: its place is needed before it can be kept anew.
                seen.remove(&**store, &[Arc::clone(&self.key)]).await;
            }
            old.retain(|key| **key != *self.key);
            let (_, put) = join(seen.remove(&**store, &old), store.put(record)).await;
            // One that is there already is the same key.
            put.or_else(|fault| match fault.code() {
                FaultCode::StoredAlready => Ok(()),
                _ => Err(fault),
            })?;
        }
        seen.keys.lock().insert(Arc::clone(&self.key), now());
        Ok(forgotten)
    }
}

impl Keys {
    fn insert(&mut self, key: Arc<str>, at: i64) {
        self.kept_at.insert(Arc::clone(&key), at);
        self.order.push_back((key, at));
    }

    /// Forgets what is older than the window and, as there is one more to come, what is too much. Says what, and how many of it were
    /// too much.
    fn make_room(&mut self, limits: Limits) -> (Vec<Arc<str>>, u64) {
        let since = now().saturating_sub(milliseconds(limits.window));
        let (mut old, mut forgotten) = (Vec::new(), 0);
        for _ in 0..FORGET_MAX {
            let Some((key, at)) = self.order.front() else {
                break;
            };
            let current = self.kept_at.get(key) == Some(at);
            let (expired, too_many) = (*at <= since, self.kept_at.len() >= limits.keys_max);
            if current && !expired && !too_many {
                break;
            }
            let Some((key, _)) = self.order.pop_front() else {
                break;
            };
            if current {
                self.kept_at.remove(&key);
                forgotten += u64::from(!expired);
                old.push(key);
            }
        }
        if forgotten > 0 {
            self.warn(limits.keys_max);
        }
        (old, forgotten)
    }

    fn warn(&mut self, keys_max: usize) {
        if now() - self.warned_at >= WARN_PAUSE_MS {
            self.warned_at = now();
            tracing::warn!(
                keys_max,
                "keys are forgotten before their time, as `idempotent` has as many as it may"
            );
        }
    }
}

impl Startup for Seen {
    fn start(self: Arc<Self>, gateway: &Arc<Gateway>) {
        gateway.workers.spawn(async move {
            if let Err(fault) = self.ready().await {
                // The first message tries again, and fails with the same fault.
                tracing::error!(%fault, "the keys of `idempotent` cannot be read");
            }
        });
    }
}
