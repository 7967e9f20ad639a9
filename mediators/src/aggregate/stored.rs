//! Groups in a store. In memory are only the ids of their messages; the messages are read when the group goes on.
//!
//! Messages of one group are dealt with one after the other. A complete group is taken out; where its exchange fails it is put back, before
//! what has come meanwhile.

use super::rules::{Rules, collected};
use crate::place::set_model;
use crate::slots::Slots;
use engine::completion::Completion;
use engine::deployment::{Deployment, Startup};
use engine::exchange::Exchange;
use engine::fault::{Fault, FaultCode};
use engine::gateway::Gateway;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs};
use engine::model::Model;
use engine::sequence::Sequence;
use engine::store::{Store, StoredMessage};
use futures_util::future::join_all;
use indexmap::IndexMap;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use tokio::sync::{Notify, OnceCell, OwnedSemaphorePermit};

/// How many messages are read from the store at once.
const PAGE: usize = 500;

/// The groups in one store. They live as long as a deployment has a step that uses the store.
pub(super) struct StoredGroups {
    pub(super) store: Arc<dyn Store>,
    read: OnceCell<()>,
    /// Unfinished groups by key, oldest first.
    groups: Mutex<IndexMap<String, Group>>,
    turns: Slots,
    /// Who runs the steps of a group whose time is up: the step of the deployment that serves.
    server: Mutex<Option<(Weak<InStore>, Weak<Gateway>)>>,
    /// Told when there is a new group or a new server.
    pub(super) changed: Arc<Notify>,
}

/// An unfinished group.
#[derive(Clone, Default)]
pub(super) struct Group {
    /// The ids of its messages, in the order in which they came.
    pub(super) ids: Vec<String>,
    /// When its first message was stored, in milliseconds since 1970.
    pub(super) since: i64,
    /// Its time is up, and somebody sees to it.
    pub(super) overdue: bool,
}

impl StoredGroups {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            read: OnceCell::new(),
            groups: Mutex::default(),
            turns: Slots::new(1),
            server: Mutex::default(),
            changed: Arc::default(),
        }
    }

    /// Reads the store, where that has not been done. Every message in it belongs to the group of its key.
    pub(super) async fn ready(&self) -> Result<(), Fault> {
        self.read.get_or_try_init(|| self.read()).await.map(drop)
    }

    async fn read(&self) -> Result<(), Fault> {
        let mut found: IndexMap<String, Group> = IndexMap::new();
        let mut known = HashSet::new();
        let mut after: Option<String> = None;
        loop {
            let mut page = self.store.list(after.as_deref(), PAGE).await?;
            // Where a message leaves the store meanwhile, a page may begin anew.
            page.retain(|message| known.insert(message.id.clone()));
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for message in page {
                let group = found.entry(message.key.unwrap_or_default()).or_default();
                if group.ids.is_empty() {
                    group.since = message.stored_at;
                }
                group.ids.push(message.id);
            }
        }
        *self.groups.lock() = found;
        self.changed.notify_one();
        Ok(())
    }

    /// The right to deal with a group.
    pub(super) async fn turn(&self, key: &str) -> Result<OwnedSemaphorePermit, Fault> {
        let turn = self.turns.of(key).acquire_owned().await;
        turn.map_err(|_| Fault::internal("the turns of a group were closed"))
    }

    pub(super) fn server(&self) -> Option<(Arc<InStore>, Arc<Gateway>)> {
        let server = self.server.lock();
        let (step, gateway) = server.as_ref()?;
        Some((step.upgrade()?, gateway.upgrade()?))
    }

    /// Takes a group out whose time is up, where it is still there.
    pub(super) fn take(&self, key: &str, since: i64) -> Option<Group> {
        let mut groups = self.groups.lock();
        groups.get(key).filter(|group| group.since == since)?;
        groups.shift_remove(key)
    }

    /// Puts a group back that could not go on, before what has come since.
    pub(super) fn put_back(&self, key: &str, mut group: Group) {
        let mut groups = self.groups.lock();
        let newer = groups.shift_remove(key).unwrap_or_default();
        group.ids.extend(newer.ids);
        group.overdue = false;
        groups.insert(key.to_owned(), group);
    }

    /// The groups whose time is up, marked as such, and the time of the next one.
    pub(super) fn overdue(&self, before: i64) -> (Vec<(String, i64)>, Option<i64>) {
        let mut groups = self.groups.lock();
        let mut due = Vec::new();
        let mut next: Option<i64> = None;
        for (key, group) in groups.iter_mut().filter(|(_, group)| !group.overdue) {
            if group.since <= before {
                group.overdue = true;
                due.push((key.clone(), group.since));
            } else {
                next = Some(next.map_or(group.since, |next| next.min(group.since)));
            }
        }
        (due, next)
    }

    /// The messages of a group; those that somebody has removed from the store are left out.
    pub(super) async fn messages(&self, ids: &[String]) -> Result<Vec<StoredMessage>, Fault> {
        let read = join_all(ids.iter().map(|id| self.store.get(id))).await;
        read.into_iter().filter_map(Result::transpose).collect()
    }

    /// Removes what is done from the store, which goes on trying where its disk fails.
    pub(super) async fn leave(&self, ids: &[String]) {
        if let Err(fault) = self.store.remove_all(ids).await {
            tracing::error!(store = %self.store.name(), %fault, "a group that has gone on cannot be removed now; it may come again after a restart");
        }
    }
}

/// The models of stored messages.
pub(super) fn models(messages: &[StoredMessage], deployment: &Deployment) -> Result<Vec<Arc<Model>>, Fault> {
    let model = |stored: &StoredMessage| {
        let mut message = stored.to_message();
        message.parse(deployment)?;
        Ok(collected(message.payload.as_model()))
    };
    messages.iter().map(model).collect()
}

/// The step of one deployment.
pub(super) struct InStore {
    pub(super) rules: Rules,
    pub(super) groups: Arc<StoredGroups>,
}

pub(super) struct Step(pub(super) Arc<InStore>);

impl AsyncMediator for Step {
    fn needs(&self) -> Needs {
        Needs::Model
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(self.0.collect(exchange))
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        vec![("steps".to_owned(), &self.0.rules.steps)]
    }
}

impl Startup for InStore {
    fn start(self: Arc<Self>, gateway: &Arc<Gateway>) {
        let server = (Arc::downgrade(&self), Arc::downgrade(gateway));
        let first = self.groups.server.lock().replace(server).is_none();
        self.groups.changed.notify_one();
        if first {
            gateway
                .workers
                .spawn(super::overdue::watch(Arc::downgrade(&self.groups)));
        }
    }
}

impl InStore {
    async fn collect(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let groups = &self.groups;
        groups.ready().await?;
        let key = self.rules.key(exchange)?;
        let completes = self.rules.completes(exchange)?;
        // The deadline of the exchange bounds the wait.
        let turn = groups.turn(&key).await?;
        let before = groups.groups.lock().get(&key).map(|group| group.ids.len());
        if completes.at(before.unwrap_or(0) + 1) {
            let group = groups.groups.lock().shift_remove(&key).unwrap_or_default();
            drop(turn);
            return self.complete(key, group, exchange).await;
        }
        self.rules.admit(groups.groups.lock().len(), before)?;
        self.store(&key, exchange).await?;
        Ok(Flow::Drop)
    }

    async fn store(&self, key: &str, exchange: &mut Exchange) -> Result<(), Fault> {
        let formats = Arc::clone(&exchange.deployment.formats);
        exchange.message.format(&formats)?;
        let copy = exchange.copy_message().await?;
        let entry = &exchange.entry;
        let source =
            json!({ "artifact": &*entry.artifact, "route": &*entry.route, "source": entry.source.get() });
        let mut stored = StoredMessage::new(copy, &entry.id, Some(Arc::new(source)));
        stored.key = Some(key.to_owned()).filter(|key| !key.is_empty());
        let (id, stored_at) = (stored.id.clone(), stored.stored_at);
        self.groups.store.put(stored).await?;
        let mut groups = self.groups.groups.lock();
        let group = groups.entry(key.to_owned()).or_default();
        group.ids.push(id);
        if group.ids.len() == 1 {
            group.since = stored_at;
            drop(groups);
            self.groups.changed.notify_one();
        }
        Ok(())
    }

    /// Goes on with the whole group. It leaves the store once the exchange has ended well.
    async fn complete(&self, key: String, group: Group, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let groups = Arc::clone(&self.groups);
        let leave = Leave { groups, key, group };
        let messages = self.groups.messages(&leave.group.ids).await?;
        let mut models = models(&messages, &exchange.deployment)?;
        models.push(collected(exchange.model()));
        let merged = self.rules.merge(&models)?;
        set_model(&mut exchange.message, Arc::new(merged), None);
        exchange.completions.add(leave);
        self.rules.steps.run(exchange).await
    }
}

/// A complete group that leaves the store. If its exchange fails it is put back.
struct Leave {
    groups: Arc<StoredGroups>,
    key: String,
    /// Without messages once they have left.
    group: Group,
}

impl Completion for Leave {
    fn complete<'a>(mut self: Box<Self>, _: &'a mut Exchange) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let ids = std::mem::take(&mut self.group.ids);
            self.groups.leave(&ids).await;
            Ok(())
        })
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let group = std::mem::take(&mut self.group);
        if !group.ids.is_empty() {
            self.groups.put_back(&self.key, group);
            self.groups.changed.notify_one();
        }
    }
}

/// The fault of a group none of whose messages is left in the store.
pub(super) fn nothing_left() -> Fault {
    Fault::new(
        FaultCode::NotFound,
        "The messages of the group are not in the store any more.",
    )
}
