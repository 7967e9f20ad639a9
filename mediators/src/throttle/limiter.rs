//! The generic cell rate algorithm, for any number of keys with a limit on how many are remembered.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// Keys that are remembered. Past it those that have come to rest are forgotten, then half of the others, those nearest to rest first.
const KEYS_MAX: usize = 100_000;

const SHARDS: usize = 16;

/// The rate of every key.
pub(super) struct Limiter {
    /// Time that one message takes up.
    interval: Duration,
    /// Time that may be taken up in advance.
    tolerance: Duration,
    burst: u32,
    hasher: RandomState,
    /// For each key the time at which everything that came will have been paid for.
    shards: [Mutex<HashMap<Box<str>, Instant>>; SHARDS],
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It may pass, after this wait.
    Pass {
        wait: Duration,
        remaining: u32,
        reset: Duration,
    },
    /// It may not, before this time has passed.
    Refuse { retry_after: Duration, reset: Duration },
}

impl Limiter {
    pub(super) fn new(count: u32, per: Duration, burst: u32) -> Self {
        let interval = (per / count).max(Duration::from_nanos(1));
        Self {
            interval,
            tolerance: interval.saturating_mul(burst),
            burst,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// How many may come at once.
    pub(super) fn burst(&self) -> u32 {
        self.burst
    }

    /// Decides about a message that comes now and can wait for `patience`.
    pub(super) fn decide(&self, key: &str, now: Instant, patience: Duration) -> Decision {
        let shard = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        let mut paid = self.shards[shard].lock();
        let before = paid.get(key).copied().unwrap_or(now).max(now);
        let after = before + self.interval;
        let taken = after - now;
        let wait = taken.saturating_sub(self.tolerance);
        if wait > patience {
            return Decision::Refuse {
                retry_after: wait,
                reset: before - now,
            };
        }
        match paid.get_mut(key) {
            Some(time) => *time = after,
            None => {
                make_room(&mut paid, now);
                paid.insert(key.into(), after);
            }
        }
        let left = self.tolerance.saturating_sub(taken).as_nanos() / self.interval.as_nanos();
        Decision::Pass {
            wait,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: taken,
        }
    }
}

fn make_room(paid: &mut HashMap<Box<str>, Instant>, now: Instant) {
    if paid.len() < KEYS_MAX / SHARDS {
        return;
    }
    paid.retain(|_, time| *time > now);
    if paid.len() >= KEYS_MAX / SHARDS {
        let mut times: Vec<Instant> = paid.values().copied().collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        paid.retain(|_, time| *time > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(limiter: &Limiter, key: &str, now: Instant) -> bool {
        matches!(limiter.decide(key, now, Duration::ZERO), Decision::Pass { .. })
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let limiter = Limiter::new(10, Duration::from_secs(1), 3);
        let start = Instant::now();
        assert_eq!((0..5).filter(|_| passes(&limiter, "a", start)).count(), 3);
        assert!(passes(&limiter, "b", start), "another key has its own rate");
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!(!passes(&limiter, "a", at(99)));
        assert!(passes(&limiter, "a", at(100)) && !passes(&limiter, "a", at(100)));
        assert_eq!((0..9).filter(|_| passes(&limiter, "a", at(10_000))).count(), 3);
        let passed = (0..10_000)
            .filter(|millisecond| passes(&limiter, "c", at(*millisecond)))
            .count();
        assert!((100..=103).contains(&passed), "{passed}");
    }

    #[test]
    fn waiting_takes_its_turn() {
        let limiter = Limiter::new(1, Duration::from_secs(1), 1);
        let now = Instant::now();
        let patience = Duration::from_secs(2);
        let wait = |decision| match decision {
            Decision::Pass { wait, .. } => wait.as_secs(),
            Decision::Refuse { retry_after, .. } => 100 + retry_after.as_secs(),
        };
        let waits: Vec<u64> = (0..4).map(|_| wait(limiter.decide("", now, patience))).collect();
        assert_eq!(waits, [0, 1, 2, 103]);
    }

    #[test]
    fn the_number_of_keys_is_limited() {
        let limiter = Limiter::new(1, Duration::from_secs(1000), 1);
        let now = Instant::now();
        for key in 0..300_000 {
            passes(&limiter, &key.to_string(), now);
        }
        let remembered: usize = limiter.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!(remembered <= KEYS_MAX, "{remembered}");
    }
}
