//! Which parts of a file are settled, and how much of that is on the disk. Parts may be settled in any order; what counts is the first one
//! that is not.

use super::checkpoint::Checkpoint;
use super::parts::{Part, Place};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A checkpoint is written after this time, where parts were settled.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far a file has come.
pub(super) struct Progress {
    /// Parts that are worked on.
    open: BTreeMap<u64, Place>,
    /// The first part that is not worked on yet.
    next: Option<(u64, Place)>,
    /// How many parts were set aside.
    pub(super) set_aside: u64,
    /// The number in the last checkpoint.
    written: u64,
    written_at: Instant,
    /// Whether there is a checkpoint on the disk.
    pub(super) stored: bool,
}

impl Progress {
    /// Begins at a checkpoint, or where there is none at the beginning.
    pub(super) fn new(checkpoint: Option<&Checkpoint>) -> Self {
        Self {
            open: BTreeMap::new(),
            next: None,
            set_aside: checkpoint.map_or(0, |checkpoint| checkpoint.set_aside),
            written: checkpoint.map_or(0, |checkpoint| checkpoint.index),
            written_at: Instant::now(),
            stored: checkpoint.is_some(),
        }
    }

    /// This part is the next one.
    pub(super) fn comes(&mut self, part: &Part) {
        self.next = Some((part.index, part.place.clone()));
    }

    /// The next part is worked on.
    pub(super) fn begins(&mut self) {
        self.open.extend(self.next.take());
    }

    /// A part is settled.
    pub(super) fn ends(&mut self, index: u64) {
        self.open.remove(&index);
    }

    /// The checkpoint as it is now; `None` where nothing is open.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        let first = self.open.first_key_value().map(|(index, place)| (*index, place));
        let (index, place) = first.or(self.next.as_ref().map(|(index, place)| (*index, place)))?;
        Some(Checkpoint {
            index,
            place: place.clone(),
            set_aside: self.set_aside,
        })
    }

    /// The checkpoint, where it should be written: every so many parts, and from time to time.
    pub(super) fn due(&self, every: u64) -> Option<Checkpoint> {
        let now = self.checkpoint()?;
        let settled = now.index - self.written;
        let due = settled >= every || (settled > 0 && self.written_at.elapsed() >= INTERVAL);
        due.then_some(now)
    }

    /// A checkpoint is on the disk.
    pub(super) fn wrote(&mut self, checkpoint: &Checkpoint) {
        (self.written, self.written_at, self.stored) = (checkpoint.index, Instant::now(), true);
    }

    /// How many parts there are from the last checkpoint to this one: so many would come again.
    pub(super) fn ahead(&self, index: u64) -> u64 {
        index - self.written
    }
}
