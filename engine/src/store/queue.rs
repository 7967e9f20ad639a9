//! The order of the messages in a store: which is due, which waits, which is leased. In memory for every kind of store; a durable one
//! makes it anew from its file when it opens, which is why leases and pauses die with the process.
//!
//! Messages of one key form a line of which only the head can be due. Everything is logarithmic in the number of messages.

use super::{Fill, MessageState, Settlement, Stage, StoredMessage};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How many messages that left are remembered with how they ended.
const ENDED_MAX: usize = 100_000;

/// The limits of a store.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most messages.
    pub messages_max: u64,
    /// Most bytes.
    pub bytes_max: u64,
}

/// A message in the queue.
#[derive(Debug)]
pub struct Slot {
    /// Its id, which no other message has.
    pub id: Arc<str>,
    /// The line it stands in.
    pub key: Option<Arc<str>>,
    /// Milliseconds since 1970.
    pub stored_at: i64,
    /// How often its delivery was tried and failed.
    pub attempts: u32,
    /// What it counts for `bytes_max`.
    pub size: u64,
    /// The message itself, where it is kept in memory.
    pub message: Option<Arc<StoredMessage>>,
}

/// A message as the queue hands it out.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its place in the order.
    pub sequence: u64,
    /// Its id.
    pub id: Arc<str>,
    /// How often its delivery was tried and failed.
    pub attempts: u32,
    /// The message itself, where it is kept in memory.
    pub message: Option<Arc<StoredMessage>>,
}

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
    arrived: Notify,
    /// Most bytes of messages kept in memory.
    memory_max: u64,
}

#[derive(Default)]
struct Inner {
    slots: BTreeMap<u64, (Slot, Status)>,
    by_id: HashMap<Arc<str>, u64>,
    lines: HashMap<Arc<str>, BTreeSet<u64>>,
    due: BTreeSet<u64>,
    paused: BTreeSet<(Instant, u64)>,
    /// With what is being written.
    fill: Fill,
    in_memory: u64,
    next: u64,
    ended: HashMap<Arc<str>, MessageState>,
    ended_order: VecDeque<Arc<str>>,
}

impl Queue {
    /// An empty queue that keeps at most so many bytes of messages in memory.
    #[must_use]
    pub fn new(memory_max: u64) -> Self {
        Self {
            inner: Mutex::default(),
            arrived: Notify::new(),
            memory_max,
        }
    }

    /// Takes room for a message and gives it its place in the order.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn reserve(&self, size: u64, limits: Limits) -> Result<u64, String> {
        let mut inner = self.inner.lock();
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

    /// Puts a message in the place that was reserved for it.
    pub fn insert(&self, sequence: u64, slot: Slot) {
        let mut inner = self.inner.lock();
        inner.insert(sequence, slot, self.memory_max);
        drop(inner);
        self.arrived.notify_waiters();
    }

    /// Puts a message in that was in the file already.
    pub(super) fn restore(&self, sequence: u64, slot: Slot) {
        let mut inner = self.inner.lock();
        inner.fill.messages += 1;
        inner.fill.bytes += slot.size;
        inner.next = inner.next.max(sequence);
        inner.insert(sequence, slot, self.memory_max);
    }

    /// Leases what is due; waits for it.
    pub async fn take(&self, max: usize) -> Vec<Found> {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let next = {
                let mut inner = self.inner.lock();
                inner.wake();
                let found = inner.lease(max);
                if !found.is_empty() {
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

    /// Ends a lease. Says which message it was and its attempts, where it still is there.
    pub fn settle(&self, id: &str, how: Settlement) -> Option<(u64, u32)> {
        let mut inner = self.inner.lock();
        let sequence = *inner.by_id.get(id)?;
        let settled = match how {
            Settlement::Done => inner.end(sequence, Stage::Done),
            Settlement::Failed => inner.end(sequence, Stage::Failed),
            Settlement::Retry { pause, counted } => inner.pause(sequence, Instant::now() + pause, counted),
        };
        drop(inner);
        self.arrived.notify_waiters();
        settled.map(|attempts| (sequence, attempts))
    }

    /// Ends a lease as if it had never been.
    pub fn release(&self, id: &str) {
        let mut inner = self.inner.lock();
        if let Some(sequence) = inner.by_id.get(id).copied() {
            inner.make_due(sequence, Status::Leased);
        }
        drop(inner);
        self.arrived.notify_waiters();
    }

    /// Removes a message that was not processed. Says its place in the order, where it was there.
    pub fn remove(&self, id: &str) -> Option<u64> {
        let mut inner = self.inner.lock();
        let sequence = *inner.by_id.get(id)?;
        inner.take_out(sequence)?;
        drop(inner);
        self.arrived.notify_waiters();
        Some(sequence)
    }

    /// A message, whoever has it.
    #[must_use]
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

    /// Where a message is; `None` for one that never was here or was forgotten.
    #[must_use]
    pub fn state(&self, id: &str) -> Option<MessageState> {
        let inner = self.inner.lock();
        let Some(sequence) = inner.by_id.get(id) else {
            return inner.ended.get(id).copied();
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
    fn insert(&mut self, sequence: u64, mut slot: Slot, memory_max: u64) {
        if slot.message.is_some() && self.in_memory.saturating_add(slot.size) > memory_max {
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
        let status = if head { Status::Due } else { Status::Behind };
        if head {
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

    fn lease(&mut self, max: usize) -> Vec<Found> {
        let mut leased = Vec::new();
        while leased.len() < max {
            let Some(sequence) = self.due.pop_first() else {
                break;
            };
            if let Some((slot, status)) = self.slots.get_mut(&sequence) {
                *status = Status::Leased;
                leased.push(found(sequence, slot));
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

    fn end(&mut self, sequence: u64, stage: Stage) -> Option<u32> {
        let slot = self.take_out(sequence)?;
        let attempts = slot.attempts;
        let state = MessageState { stage, attempts };
        self.ended_order.push_back(Arc::clone(&slot.id));
        self.ended.insert(slot.id, state);
        if self.ended_order.len() > ENDED_MAX
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
        Some(attempts)
    }
}
