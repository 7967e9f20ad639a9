//! The order of the messages in a store: which is due, which waits, which is leased. In memory for every kind of store; a durable one
//! makes it anew from its file when it opens, which is why leases and pauses die with the process.
//!
//! Messages of one key form a line of which only the head can be due. Everything is logarithmic in the number of messages.

use super::finished::{Ended, Memory, Recent};
use super::places::Places;
pub use super::slot::{Found, Order, Slot};
use super::slot::{Limits, Settled};
use super::{Fill, MessageState, Place, Settlement, Stage};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Instant;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Behind another message of its key.
    Behind,
    Due,
    Paused(Instant),
    Leased,
}

/// The queue of one store.
pub struct Queue {
    inner: Mutex<Inner>,
    /// Something became due, or will sooner than it was. One waiter at a time looks; it wakes the next where it leaves something.
    arrived: Notify,
    /// Most bytes of messages kept in memory; `None` keeps all, as there is no file to read them from.
    memory_max: Option<u64>,
}

#[derive(Default)]
struct Inner {
    limits: Option<Limits>,
    slots: BTreeMap<u64, (Slot, Status)>,
    by_id: HashMap<Arc<str>, u64>,
    lines: HashMap<Arc<str>, BTreeSet<u64>>,
    due: BTreeSet<u64>,
    paused: BTreeSet<(Instant, u64)>,
    /// With what is being written.
    fill: Fill,
    in_memory: u64,
    next: u64,
    recent: Recent,
    places: Places,
    /// Whether messages wait for others of their key no more.
    keys_ignored: bool,
}

impl Queue {
    /// A queue without limits that keeps all messages in memory, for a kind of store whose server has the limits.
    #[must_use]
    pub fn unlimited() -> Self {
        let queue = Self::new(None);
        queue.limit(Limits {
            messages_max: u64::MAX,
            bytes_max: u64::MAX,
            finished: Memory::default(),
        });
        queue
    }

    /// Puts a message in, unless one of its id is there.
    pub fn admit(&self, slot: Slot) {
        if let Ok(sequence) = self.reserve(slot.size) {
            self.insert(sequence, slot);
        }
    }

    /// Ends a lease.
    pub fn finish(&self, id: &str, how: Settlement) {
        self.settle(id, how, None);
    }

    pub(super) fn new(memory_max: Option<u64>) -> Self {
        Self {
            inner: Mutex::default(),
            arrived: Notify::new(),
            memory_max,
        }
    }

    /// Sets the limits, those of the newest deployment.
    pub(super) fn limit(&self, limits: Limits) {
        self.inner.lock().limits = Some(limits);
    }

    /// Sets the limits where there are none yet.
    pub(super) fn limit_first(&self, limits: Limits) {
        self.inner.lock().limits.get_or_insert(limits);
    }

    /// How much is remembered of messages that left.
    pub(super) fn finished(&self) -> Option<Memory> {
        self.inner.lock().finished()
    }

    /// Takes room for a message and gives it its place in the order.
    pub(super) fn reserve(&self, size: u64) -> Result<u64, String> {
        let mut inner = self.inner.lock();
        let Some(limits) = inner.limits else {
            return Err("it is not open".to_owned());
        };
        if inner.fill.messages >= limits.messages_max {
            return Err(format!("it is full: {} messages", inner.fill.messages));
        }
        if inner.fill.bytes.saturating_add(size) > limits.bytes_max {
            return Err(format!("it is full: {} bytes", inner.fill.bytes));
        }
        inner.fill.messages += 1;
        inner.fill.bytes += size;
        inner.next += 1;
        Ok(inner.next)
    }

    /// Gives room back that no message came to use.
    pub(super) fn unreserve(&self, size: u64) {
        self.inner.lock().fill.subtract(size);
    }

    /// Whether a message of this id is there.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.inner.lock().by_id.contains_key(id)
    }

    /// Puts a message in the place that was reserved for it. Where its id is there already the place is given back: `false`.
    pub(super) fn insert(&self, sequence: u64, slot: Slot) -> bool {
        let mut inner = self.inner.lock();
        if inner.by_id.contains_key(&slot.id) {
            inner.fill.subtract(slot.size);
            return false;
        }
        inner.insert(sequence, slot, self.memory_max);
        drop(inner);
        self.arrived.notify_one();
        true
    }

    /// Puts many in, whose ids are known to be new.
    pub(super) fn insert_all(&self, slots: impl Iterator<Item = (u64, Slot)>) {
        let mut inner = self.inner.lock();
        for (sequence, slot) in slots {
            inner.insert(sequence, slot, self.memory_max);
        }
        drop(inner);
        self.arrived.notify_one();
    }

    /// Puts a message in that was in the file already.
    pub(super) fn restore(&self, sequence: u64, slot: Slot) {
        let mut inner = self.inner.lock();
        inner.fill.messages += 1;
        inner.fill.bytes += slot.size;
        inner.next = inner.next.max(sequence);
        inner.insert(sequence, slot, self.memory_max);
    }

    /// Notes what left before the process began.
    pub(super) fn restore_ended(&self, ended_at: i64, ended: Vec<Ended>) {
        let mut inner = self.inner.lock();
        let Some(memory) = inner.finished() else { return };
        for one in ended {
            inner.recent.add(ended_at, one, memory);
        }
    }

    /// Notes a place that was written before the process began.
    pub(super) fn restore_place(&self, stream: &str, number: i64, moved: u64) {
        self.inner.lock().places.restore(stream.into(), number, moved);
    }

    /// How far a stream has come.
    pub(super) fn place(&self, stream: &str) -> Option<i64> {
        self.inner.lock().places.number(stream)
    }

    /// Leases what is due; waits for it.
    pub async fn take(&self, max: usize, order: Order) -> Vec<Found> {
        loop {
            let arrived = self.arrived.notified();
            let next = {
                let mut inner = self.inner.lock();
                inner.order(order);
                inner.wake();
                let found = inner.lease(max, self.memory_max.is_some());
                if !found.is_empty() {
                    let more = !inner.due.is_empty();
                    drop(inner);
                    if more {
                        self.arrived.notify_one();
                    }
                    return found;
                }
                inner.paused.first().map(|(at, _)| *at)
            };
            match next {
                None => arrived.await,
                // Whichever came first, the queue is looked at again.
                Some(at) => drop(tokio::time::timeout_at(at, arrived).await),
            }
        }
    }

    /// Ends a lease, and notes how far a stream has come. Says what has to be written, where the message still is there.
    pub(super) fn settle(&self, id: &str, how: Settlement, place: Option<Place<'_>>) -> Option<Settled> {
        let mut inner = self.inner.lock();
        let sequence = *inner.by_id.get(id)?;
        let (attempts, ended) = match how {
            Settlement::Done => inner.end(sequence, Stage::Done)?,
            Settlement::Failed => {
                inner.count_attempt(sequence);
                inner.end(sequence, Stage::Failed)?
            }
            Settlement::Retry { pause, counted } => {
                (inner.pause(sequence, Instant::now() + pause, counted)?, None)
            }
        };
        let moved = place.map(|place| inner.places.advance(place.stream, place.number));
        // What became due, or the time until something does, is for a waiter to see.
        let look = !inner.due.is_empty() || ended.is_none();
        drop(inner);
        if look {
            self.arrived.notify_one();
        }
        Some(Settled {
            sequence,
            attempts,
            ended,
            moved,
        })
    }

    /// Remembers a message as done of which it remembers that it failed.
    pub(super) fn delivered_after_all(&self, id: &str) -> Option<Ended> {
        let mut inner = self.inner.lock();
        let memory = inner.finished()?;
        let state = inner.recent.state(id, memory.oldest(now()))?;
        if state.stage != Stage::Failed {
            return None;
        }
        let stage = Stage::Done;
        let ended: Ended = (id.into(), MessageState { stage, ..state });
        inner.recent.add(now(), ended.clone(), memory);
        Some(ended)
    }

    /// Ends a lease as if it had never been.
    pub fn release(&self, id: &str) {
        let mut inner = self.inner.lock();
        if let Some(sequence) = inner.by_id.get(id).copied() {
            inner.make_due(sequence, Status::Leased);
        }
        drop(inner);
        self.arrived.notify_one();
    }

    /// Removes a message that was not processed. Returns its place in the order.
    pub fn remove(&self, id: &str) -> Option<u64> {
        let mut inner = self.inner.lock();
        let sequence = *inner.by_id.get(id)?;
        inner.take_out(sequence)?;
        drop(inner);
        self.arrived.notify_one();
        Some(sequence)
    }

    /// One message.
    pub fn find(&self, id: &str) -> Option<Found> {
        let inner = self.inner.lock();
        let sequence = *inner.by_id.get(id)?;
        inner.slots.get(&sequence).map(|(slot, _)| found(sequence, slot))
    }

    /// A page of messages behind the one named; an unknown one is the beginning.
    pub(super) fn page(&self, after: Option<&str>, max: usize) -> Vec<Found> {
        let inner = self.inner.lock();
        let after = after.and_then(|id| inner.by_id.get(id)).copied().unwrap_or(0);
        let behind = inner.slots.range(after + 1..).take(max);
        behind
            .map(|(sequence, (slot, _))| found(*sequence, slot))
            .collect()
    }

    /// The messages stored before this time that nobody is processing, at most `max`.
    pub(super) fn older_than(&self, stored_before: i64, max: usize) -> Vec<Found> {
        let inner = self.inner.lock();
        let old = inner
            .slots
            .iter()
            .take_while(|(_, (slot, _))| slot.stored_at < stored_before);
        let free = old.filter(|(_, (_, status))| *status != Status::Leased);
        free.take(max)
            .map(|(sequence, (slot, _))| found(*sequence, slot))
            .collect()
    }

    /// Where a message is in its life.
    pub fn state(&self, id: &str) -> Option<MessageState> {
        let inner = self.inner.lock();
        let Some(sequence) = inner.by_id.get(id) else {
            return inner.recent.state(id, inner.finished()?.oldest(now()));
        };
        let (slot, status) = inner.slots.get(sequence)?;
        let stage = match status {
            Status::Leased => Stage::Processing,
            _ => Stage::Waiting,
        };
        let attempts = slot.attempts;
        Some(MessageState { stage, attempts })
    }

    pub(super) fn fill(&self) -> Fill {
        self.inner.lock().fill
    }
}

impl Fill {
    fn subtract(&mut self, size: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
    }
}

fn found(sequence: u64, slot: &Slot) -> Found {
    Found {
        sequence,
        id: Arc::clone(&slot.id),
        attempts: slot.attempts,
        message: slot.message.clone(),
    }
}

impl Inner {
    fn insert(&mut self, sequence: u64, mut slot: Slot, memory_max: Option<u64>) {
        let full = memory_max.is_some_and(|max| self.in_memory.saturating_add(slot.size) > max);
        if full {
            slot.message = None;
        }
        if slot.message.is_some() {
            self.in_memory += slot.size;
        }
        self.by_id.insert(Arc::clone(&slot.id), sequence);
        let head = slot.key.as_ref().is_none_or(|key| {
            let line = self.lines.entry(Arc::clone(key)).or_default();
            line.insert(sequence);
            line.len() == 1
        });
        let due = head || self.keys_ignored;
        let status = if due { Status::Due } else { Status::Behind };
        if due {
            self.due.insert(sequence);
        }
        self.slots.insert(sequence, (slot, status));
    }

    /// Makes due whose pause is over.
    fn wake(&mut self) {
        let now = Instant::now();
        while let Some((at, sequence)) = self.paused.first().copied().filter(|(at, _)| *at <= now) {
            self.make_due(sequence, Status::Paused(at));
        }
    }

    /// Whether messages wait for others of their key.
    fn order(&mut self, order: Order) {
        let ignored = order == Order::Any;
        if self.keys_ignored == ignored {
            return;
        }
        self.keys_ignored = ignored;
        let behind = self.lines.values().flat_map(|line| line.iter().skip(1));
        for sequence in behind.copied().collect::<Vec<_>>() {
            match self.slots.get_mut(&sequence) {
                Some((_, status @ Status::Due)) if !ignored => {
                    *status = Status::Behind;
                    self.due.remove(&sequence);
                }
                _ if ignored => self.make_due(sequence, Status::Behind),
                _ => {}
            }
        }
    }

    /// Leases what is due. A message that can be read from the file moves out of memory: it is seldom needed again.
    fn lease(&mut self, max: usize, readable: bool) -> Vec<Found> {
        let mut leased = Vec::new();
        while leased.len() < max {
            let Some(sequence) = self.due.pop_first() else {
                break;
            };
            if let Some((slot, status)) = self.slots.get_mut(&sequence) {
                *status = Status::Leased;
                leased.push(found(sequence, slot));
                if readable && slot.message.take().is_some() {
                    self.in_memory = self.in_memory.saturating_sub(slot.size);
                }
            }
        }
        leased
    }

    /// Makes a message due that has this status.
    fn make_due(&mut self, sequence: u64, expected: Status) {
        if let Status::Paused(at) = expected {
            self.paused.remove(&(at, sequence));
        }
        if let Some((_, status)) = self.slots.get_mut(&sequence).filter(|(_, it)| *it == expected) {
            *status = Status::Due;
            self.due.insert(sequence);
        }
    }

    fn pause(&mut self, sequence: u64, until: Instant, counted: bool) -> Option<u32> {
        let (slot, status) = self.slots.get_mut(&sequence)?;
        slot.attempts += u32::from(counted);
        let attempts = slot.attempts;
        let before = std::mem::replace(status, Status::Paused(until));
        if let Status::Behind = before {
            *status = before;
            return Some(attempts);
        }
        self.unlink(sequence, before);
        self.paused.insert((until, sequence));
        Some(attempts)
    }

    fn unlink(&mut self, sequence: u64, status: Status) {
        match status {
            Status::Due => drop(self.due.remove(&sequence)),
            Status::Paused(at) => drop(self.paused.remove(&(at, sequence))),
            Status::Leased | Status::Behind => {}
        }
    }

    /// Takes a message out and lets the next of its key come forward.
    fn take_out(&mut self, sequence: u64) -> Option<Slot> {
        let (slot, status) = self.slots.remove(&sequence)?;
        self.unlink(sequence, status);
        self.by_id.remove(&slot.id);
        self.fill.subtract(slot.size);
        if slot.message.is_some() {
            self.in_memory = self.in_memory.saturating_sub(slot.size);
        }
        if let Some(line) = slot.key.as_ref().and_then(|key| self.lines.get_mut(key)) {
            line.remove(&sequence);
            match line.first().copied() {
                Some(next) => self.make_due(next, Status::Behind),
                None => drop(slot.key.as_ref().map(|key| self.lines.remove(key))),
            }
        }
        Some(slot)
    }

    /// Counts the attempt that a leased message fails with. One that is too old fails without.
    fn count_attempt(&mut self, sequence: u64) {
        if let Some((slot, Status::Leased)) = self.slots.get_mut(&sequence) {
            slot.attempts += 1;
        }
    }

    fn end(&mut self, sequence: u64, stage: Stage) -> Option<(u32, Option<Ended>)> {
        let slot = self.take_out(sequence)?;
        let attempts = slot.attempts;
        let ended = (slot.id, MessageState { stage, attempts });
        if let Some(memory) = self.finished() {
            self.recent.add(now(), ended.clone(), memory);
        }
        Some((attempts, Some(ended)))
    }

    fn finished(&self) -> Option<Memory> {
        self.limits.map(|limits| limits.finished)
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
