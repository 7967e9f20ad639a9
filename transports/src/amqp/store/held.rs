//! The messages of a store that are here, not acknowledged: which delivery each belongs to, and which have left.
//!
//! A message that a processor has stays its own when the connection is lost: when the broker delivers it again it is recognised by its
//! id and not handed out twice. Only messages that a gateway stored have ids that are good for that.

use super::record;
use crate::amqp::mapping;
use engine::store::queue::{Found, Queue, Slot};
use engine::store::{Settlement, Stage, StoredMessage};
use lapin::message::Delivery;
use lapin::{BasicProperties, Channel};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How many messages that left are remembered.
const GONE_MAX: usize = 10_000;
/// The longest pause that is believed: clocks differ.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);
/// The pause of a message whose older copy is about to be acknowledged.
const COPY_PAUSE: Duration = Duration::from_millis(50);

/// Messages that are here.
pub(super) struct Held {
    pub(super) queue: Queue,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Of the connection that there is.
    channel: Option<Channel>,
    entries: HashMap<Arc<str>, Entry>,
    gone: HashSet<Arc<str>>,
    gone_order: VecDeque<Arc<str>>,
}

struct Entry {
    /// `None` where its connection is lost: it comes again.
    tag: Option<u64>,
    /// As they came.
    properties: BasicProperties,
    /// A copy with another count is being published.
    superseded: bool,
}

/// What is to be done with a delivery.
pub(super) enum Arrival {
    /// It is here.
    Held,
    /// It is here or was done with: this delivery is to be acknowledged.
    Known,
    /// It is to be looked at again after this time.
    Later(Duration, Box<Delivery>),
}

/// A delivery to acknowledge.
pub(super) struct Receipt {
    pub(super) channel: Channel,
    pub(super) tag: u64,
}

impl Held {
    pub(super) fn new() -> Self {
        Self {
            queue: Queue::unlimited(),
            inner: Mutex::default(),
        }
    }

    /// Starts with a new connection.
    pub(super) fn begin(&self, channel: Channel) {
        self.inner.lock().channel = Some(channel);
    }

    /// Takes a delivery in.
    pub(super) fn arrive(&self, delivery: Box<Delivery>) -> Arrival {
        let ours = record::is_ours(&delivery.properties);
        let mut inner = self.inner.lock();
        if ours
            && let Some(id) = delivery
                .properties
                .message_id()
                .as_ref()
                .map(lapin::types::ShortString::as_str)
        {
            if inner.gone.contains(id) {
                return Arrival::Known;
            }
            if let Some(entry) = inner.entries.get_mut(id) {
                return match entry {
                    Entry { superseded: true, .. } => Arrival::Later(COPY_PAUSE, delivery),
                    Entry { tag: Some(_), .. } => Arrival::Known,
                    Entry { tag, .. } => {
                        *tag = Some(delivery.delivery_tag);
                        Arrival::Held
                    }
                };
            }
        }
        let pause = mapping::pause(&delivery.properties).min(PAUSE_MAX);
        if !pause.is_zero() {
            return Arrival::Later(pause, delivery);
        }
        let message = record::decode(&delivery.properties, delivery.data);
        let entry = Entry {
            tag: Some(delivery.delivery_tag),
            properties: delivery.properties,
            superseded: false,
        };
        let id: Arc<str> = message.id.as_str().into();
        inner.entries.insert(id, entry);
        let size = message.body.len() as u64;
        self.queue.admit(Slot::new(message, size));
        Arrival::Held
    }

    /// The messages that the queue handed out, without those that were taken away meanwhile.
    pub(super) fn leased(&self, found: Vec<Found>) -> Vec<StoredMessage> {
        let inner = self.inner.lock();
        let here = found
            .into_iter()
            .filter(|found| inner.entries.contains_key(&found.id));
        let messages = here.filter_map(|found| {
            let mut message = StoredMessage::clone(&*found.message?);
            message.attempts = found.attempts;
            Some(message)
        });
        messages.collect()
    }

    /// Ends the stay of a message, which is remembered.
    pub(super) fn leave(&self, id: &str, how: Settlement) -> Option<Receipt> {
        let mut inner = self.inner.lock();
        self.queue.finish(id, how);
        let (id, entry) = inner.entries.remove_entry(id)?;
        if record::is_ours(&entry.properties) {
            inner.remember(id);
        }
        inner.receipt(entry.tag)
    }

    /// Keeps a message for another attempt after a pause. One whose connection is lost comes again anyway.
    pub(super) fn pause(&self, id: &str, how: Settlement) {
        let mut inner = self.inner.lock();
        if inner.forget_lost(id) {
            self.queue.remove(id);
            return;
        }
        if let Some(entry) = inner.entries.get_mut(id) {
            entry.superseded = false;
        }
        self.queue.finish(id, how);
    }

    /// Gives a message back as if it had never been taken.
    pub(super) fn release(&self, id: &str) {
        let mut inner = self.inner.lock();
        if inner.forget_lost(id) {
            self.queue.remove(id);
        } else {
            self.queue.release(id);
        }
    }

    /// Announces a copy of a message; its copy is not taken in as long as the message is here. `None` where the message is gone, or
    /// has to stay where it is, because others of its key are behind it.
    pub(super) fn supersede(&self, id: &str) -> Option<(BasicProperties, Arc<StoredMessage>, u32)> {
        let mut inner = self.inner.lock();
        let found = self.queue.find(id)?;
        let message = found.message.filter(|message| message.key.is_none())?;
        let entry = inner.entries.get_mut(id)?;
        entry.superseded = true;
        Some((entry.properties.clone(), message, found.attempts))
    }

    /// Ends the stay of a message whose copy is in the queue.
    pub(super) fn superseded(&self, id: &str) -> Option<Receipt> {
        let mut inner = self.inner.lock();
        self.queue.remove(id);
        let entry = inner.entries.remove(id)?;
        inner.receipt(entry.tag)
    }

    /// The connection is lost: what nobody has comes again.
    pub(super) fn withdraw(&self) {
        let mut inner = self.inner.lock();
        inner.channel = None;
        inner.entries.retain(|id, entry| {
            entry.tag = None;
            let kept = self.is_leased(id);
            if !kept {
                self.queue.remove(id);
            }
            kept
        });
    }

    /// Whether a processor has any of the messages.
    pub(super) fn any_leased(&self) -> bool {
        let inner = self.inner.lock();
        inner.entries.keys().any(|id| self.is_leased(id))
    }

    fn is_leased(&self, id: &str) -> bool {
        let state = self.queue.state(id);
        state.is_some_and(|state| state.stage == Stage::Processing)
    }
}

impl Inner {
    fn receipt(&self, tag: Option<u64>) -> Option<Receipt> {
        let channel = self.channel.clone()?;
        tag.map(|tag| Receipt { channel, tag })
    }

    /// Forgets a message whose connection is lost. `false` where it is not.
    fn forget_lost(&mut self, id: &str) -> bool {
        let lost = self.entries.get(id).is_some_and(|entry| entry.tag.is_none());
        lost && self.entries.remove(id).is_some()
    }

    fn remember(&mut self, id: Arc<str>) {
        self.gone_order.push_back(Arc::clone(&id));
        self.gone.insert(id);
        if self.gone_order.len() > GONE_MAX
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }
}
