//! Messages that can be counted: each has a number, which its body tells, and the far end keeps a ledger of the numbers that arrived.

use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The body of a message: its number, filled up with dots to exactly `bytes`.
pub(super) fn body(number: usize, bytes: usize) -> String {
    let mut body = format!("n{number}");
    let dots = bytes.saturating_sub(body.len());
    body.extend(std::iter::repeat_n('.', dots));
    body
}

/// The number of a whole body; `None` where a byte of it is missing or wrong.
pub(super) fn number(body: &[u8], bytes: usize) -> Option<usize> {
    let text = std::str::from_utf8(body).ok()?;
    let number = text.trim_end_matches('.').strip_prefix('n')?;
    (text.len() == bytes).then(|| number.parse().ok())?
}

/// What arrived at the far end.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    bytes: usize,
    shared: Arc<(Mutex<Arrived>, Condvar)>,
}

#[derive(Debug, Default)]
struct Arrived {
    times: HashMap<usize, usize>,
    damaged: usize,
}

impl Ledger {
    /// For messages of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            shared: Arc::default(),
        }
    }

    /// Enters a message that arrived.
    pub(super) fn enter(&self, body: &[u8]) {
        let mut arrived = self.shared.0.lock();
        match number(body, self.bytes) {
            Some(number) => *arrived.times.entry(number).or_default() += 1,
            None => arrived.damaged += 1,
        }
        self.shared.1.notify_all();
    }

    /// How many different messages arrived.
    pub(super) fn different(&self) -> usize {
        self.shared.0.lock().times.len()
    }

    /// Waits until so many different messages arrived; false when the time is up first.
    pub(super) fn reaches(&self, count: usize, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut arrived = self.shared.0.lock();
        while arrived.times.len() < count {
            if self.shared.1.wait_until(&mut arrived, deadline).timed_out() {
                return false;
            }
        }
        true
    }

    /// Those of `sent` that did not arrive.
    pub(super) fn missing(&self, sent: &HashSet<usize>) -> Vec<usize> {
        let arrived = self.shared.0.lock();
        let mut missing: Vec<_> = sent
            .iter()
            .filter(|number| !arrived.times.contains_key(number))
            .copied()
            .collect();
        missing.sort_unstable();
        missing
    }

    /// How often messages arrived beyond the first time.
    pub(super) fn duplicates(&self) -> usize {
        let arrived = self.shared.0.lock();
        arrived.times.values().map(|times| times - 1).sum()
    }

    /// How many bodies were not whole.
    pub(super) fn damaged(&self) -> usize {
        self.shared.0.lock().damaged
    }
}

#[test]
fn the_ledger_finds_what_is_lost_double_and_damaged() {
    let ledger = Ledger::new(10);
    for number in [0, 1, 1, 1, 12] {
        ledger.enter(body(number, 10).as_bytes());
    }
    for damaged in ["n1.......", "n1.....x..", "", "n........."] {
        ledger.enter(damaged.as_bytes());
    }
    assert_eq!(ledger.missing(&HashSet::from([0, 1, 2, 12, 13])), [2, 13]);
    assert_eq!((ledger.duplicates(), ledger.damaged()), (2, 4));
    assert!(ledger.reaches(3, Duration::ZERO) && !ledger.reaches(4, Duration::ZERO));
}
