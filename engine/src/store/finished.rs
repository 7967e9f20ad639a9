//! What a store remembers of messages that left it. In the file of a durable one that is one record for all that ended with the same
//! commit; the oldest records go when there are more messages than asked for, or they get too old.

use super::record::{Reader, number, text};
use super::{MessageState, Stage};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The version this program writes.
const VERSION: u8 = 1;

/// A message that left, and how.
pub(super) type Ended = (Arc<str>, MessageState);

/// Writes a record.
pub(super) fn encode(ended_at: i64, ended: &[Ended]) -> Vec<u8> {
    let mut out = Vec::with_capacity(ended.len() * 40 + 16);
    out.push(VERSION);
    out.extend_from_slice(&ended_at.to_be_bytes());
    number(&mut out, ended.len() as u64);
    for (id, state) in ended {
        text(&mut out, id);
        out.push(u8::from(state.stage == Stage::Done));
        number(&mut out, u64::from(state.attempts));
    }
    out
}

/// Reads a record; `None` where it is none of a known version.
pub(super) fn decode(record: &[u8]) -> Option<(i64, Vec<Ended>)> {
    let mut reader = Reader(Bytes::copy_from_slice(record));
    if reader.byte()? != VERSION {
        return None;
    }
    let ended_at = reader.time()?;
    let count = reader.number()?;
    let mut ended = Vec::new();
    for _ in 0..count {
        let id = reader.text()?.into();
        let stage = if reader.byte()? == 1 {
            Stage::Done
        } else {
            Stage::Failed
        };
        let attempts = u32::try_from(reader.number()?).ok()?;
        ended.push((id, MessageState { stage, attempts }));
    }
    Some((ended_at, ended))
}

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) messages_max: u64,
    pub(super) age_max: Duration,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            messages_max: 100_000,
            age_max: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

impl Memory {
    /// What ended before this time is forgotten.
    pub(super) fn oldest(self, now: i64) -> i64 {
        now.saturating_sub(i64::try_from(self.age_max.as_millis()).unwrap_or(i64::MAX))
    }
}

/// What is remembered, in memory: for every kind of store.
#[derive(Default)]
pub(super) struct Recent {
    ended: HashMap<Arc<str>, (i64, MessageState)>,
    order: VecDeque<(i64, Arc<str>)>,
}

impl Recent {
    pub(super) fn add(&mut self, ended_at: i64, (id, state): Ended, memory: Memory) {
        self.order.push_back((ended_at, Arc::clone(&id)));
        self.ended.insert(id, (ended_at, state));
        let oldest = memory.oldest(ended_at);
        while let Some((at, id)) = self.order.front()
            && (self.order.len() as u64 > memory.messages_max || *at < oldest)
        {
            // An id that was used again has a later entry.
            if self.ended.get(id).is_some_and(|(kept, _)| kept == at) {
                self.ended.remove(id);
            }
            self.order.pop_front();
        }
    }

    /// How a message ended, not before `oldest`.
    pub(super) fn state(&self, id: &str, oldest: i64) -> Option<MessageState> {
        let (ended_at, state) = *self.ended.get(id)?;
        (ended_at >= oldest).then_some(state)
    }
}

/// The records in the file, oldest first.
#[derive(Default)]
pub(super) struct Records {
    records: VecDeque<Written>,
    messages: u64,
    next: u64,
}

struct Written {
    key: u64,
    messages: u64,
    ended_at: i64,
}

impl Records {
    /// Takes note of a record.
    pub(super) fn add(&mut self, key: u64, messages: usize, ended_at: i64) {
        let messages = messages as u64;
        self.messages += messages;
        self.next = self.next.max(key + 1);
        self.records.push_back(Written {
            key,
            messages,
            ended_at,
        });
    }

    /// The key of the next record.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The keys of records that need not be kept.
    pub(super) fn outdated(&mut self, memory: Memory, now: i64) -> Vec<u64> {
        let oldest = memory.oldest(now);
        let mut keys = Vec::new();
        while let Some(first) = self.records.front()
            && (self.messages - first.messages >= memory.messages_max || first.ended_at < oldest)
        {
            self.messages -= first.messages;
            keys.push(first.key);
            self.records.pop_front();
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_written_and_the_oldest_go() {
        let state = |stage, attempts| MessageState { stage, attempts };
        let ended: Vec<Ended> = vec![
            ("a".into(), state(Stage::Done, 0)),
            ("b".into(), state(Stage::Failed, 300)),
        ];
        let record = encode(77, &ended);
        assert_eq!(decode(&record), Some((77, ended)));
        for length in 0..record.len() {
            assert_eq!(decode(&record[..length]), None);
        }
        let memory = Memory {
            messages_max: 10,
            age_max: Duration::from_millis(100),
        };
        let mut records = Records::default();
        for key in 0..5 {
            records.add(key, 3, i64::try_from(key).unwrap() * 10);
        }
        assert_eq!(
            records.outdated(memory, 50),
            [0],
            "12 remain, as 9 would be too few"
        );
        assert_eq!(records.outdated(memory, 125), [1, 2], "older than 25");
        assert_eq!(records.next(), 5);
    }
}
