//! A sliding window of counts. Nothing runs in the background: what is too old is left out when somebody looks.

use std::time::Duration;
use tokio::time::Instant;

/// The window moves in steps of a tenth of its length.
const BUCKETS: usize = 10;

/// Two counts over the last `length`.
#[derive(Debug)]
pub(super) struct Window {
    step: Duration,
    start: Instant,
    buckets: [Bucket; BUCKETS],
}

/// What was counted in one step of the window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    tick: u64,
    /// All events.
    pub(super) all: u64,
    /// Those of them that are marked: failures, retries.
    pub(super) marked: u64,
}

impl Window {
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        let step = (length / BUCKETS as u32).max(Duration::from_millis(1));
        Self {
            step,
            start: now,
            buckets: [Bucket::default(); BUCKETS],
        }
    }

    fn tick(&self, now: Instant) -> u64 {
        let ticks = now.saturating_duration_since(self.start).as_nanos() / self.step.as_nanos();
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// The counts of this moment, for adding to.
    pub(super) fn now(&mut self, now: Instant) -> &mut Bucket {
        let tick = self.tick(now);
        let bucket = &mut self.buckets[(tick % BUCKETS as u64) as usize];
        if bucket.tick != tick {
            *bucket = Bucket {
                tick,
                ..Bucket::default()
            };
        }
        bucket
    }

    /// The sums over the window.
    pub(super) fn sum(&self, now: Instant) -> Bucket {
        let tick = self.tick(now);
        let recent = self
            .buckets
            .iter()
            .filter(|bucket| bucket.tick + BUCKETS as u64 > tick);
        recent.fold(
            Bucket {
                tick,
                ..Bucket::default()
            },
            |sum, bucket| Bucket {
                all: sum.all + bucket.all,
                marked: sum.marked + bucket.marked,
                ..sum
            },
        )
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.buckets = [Bucket::default(); BUCKETS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::new(Duration::from_secs(10), start);
        window.now(at(0)).all += 3;
        window.now(at(5)).all += 2;
        window.now(at(5)).marked += 1;
        assert_eq!((window.sum(at(9)).all, window.sum(at(9)).marked), (5, 1));
        assert_eq!(window.sum(at(10)).all, 2);
        assert_eq!(window.sum(at(15)).all, 0);
        window.now(at(25)).all += 1;
        assert_eq!(window.sum(at(25)).all, 1);
    }
}
