//! Latencies in buckets at most 3 % wide: constant memory however many requests are counted.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Values below this have a bucket each; above, each power of two is cut into half as many buckets.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Up to 2^36 microseconds, which is 19 hours.
const POWERS: u64 = 30;

/// Counts by latency.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_us: u64,
}

/// What a report says about latencies, in microseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        let buckets = usize::try_from((POWERS + 1) * STEPS).unwrap_or(0);
        Self {
            counts: vec![0; buckets],
            total: 0,
            max_us: 0,
        }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let index = bucket_of(us).min(self.counts.len() - 1);
        self.counts[index] += 1;
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    pub(crate) fn latency(&self) -> Latency {
        Latency {
            p50_us: self.quantile(500),
            p90_us: self.quantile(900),
            p99_us: self.quantile(990),
            p999_us: self.quantile(999),
            max_us: self.max_us,
        }
    }

    /// The latency that this many of a thousand requests did not exceed.
    fn quantile(&self, thousandths: u64) -> u64 {
        let wanted = (self.total * thousandths).div_ceil(1000);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return upper_bound(index as u64).min(self.max_us);
            }
        }
        self.max_us
    }
}

fn bucket_of(us: u64) -> usize {
    let power = us.checked_ilog2().unwrap_or(0).saturating_sub(STEP_BITS - 1);
    let within = us >> power;
    usize::try_from(u64::from(power) * (STEPS / 2) + within).unwrap_or(usize::MAX)
}

/// The largest value of a bucket.
fn upper_bound(index: u64) -> u64 {
    if index < STEPS {
        return index;
    }
    let power = index / (STEPS / 2) - 1;
    let within = index - power * (STEPS / 2);
    ((within + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_in_order() {
        let mut last = 0;
        for us in (0..2_000).chain((1..400).map(|step| step * 104_729)) {
            let index = bucket_of(us);
            let upper = upper_bound(index as u64);
            assert!(upper >= us, "{us} is above its bucket's bound {upper}");
            assert!(
                upper - us <= us / 32 + 1,
                "{us} is far below its bucket's bound {upper}"
            );
            assert!(us < 2_000 || index >= last, "{us} is out of order");
            last = index;
        }
    }

    #[test]
    fn quantiles_come_from_the_counts() {
        let mut histogram = Histogram::new();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        let latency = histogram.latency();
        for (found, wanted) in [
            (latency.p50_us, 500_000),
            (latency.p99_us, 990_000),
            (latency.max_us, 1_000_000),
        ] {
            assert!(
                found.abs_diff(wanted) <= wanted / 30,
                "{found} is not about {wanted}"
            );
        }
        assert_eq!(Histogram::new().latency().p99_us, 0);
    }
}
