//! Retry: which outcomes, how often, how long to wait, and a budget, so that retries never become the storm that keeps a backend down.

use super::trigger::Triggers;
use super::window::Window;
use parking_lot::Mutex;
use rand::Rng;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Retries of an endpoint.
pub(super) struct Retry {
    /// Attempts beyond the first.
    pub(super) attempts: u32,
    pub(super) on: Triggers,
    pub(super) backoff: Duration,
    pub(super) backoff_max: Duration,
    pub(super) jitter: bool,
    pub(super) non_idempotent: bool,
    /// Absent for the members of a group: each is tried once anyway.
    pub(super) budget: Option<Arc<Budget>>,
}

impl Retry {
    /// How long to wait before attempt number `attempt` (1 is the first retry): doubles each time; with jitter somewhere between
    /// half of it and all, so that clients that failed together do not come back together.
    pub(super) fn delay(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let full = self.backoff.saturating_mul(factor).min(self.backoff_max);
        if self.jitter {
            full.mul_f64(rand::rng().random_range(0.5..=1.0))
        } else {
            full
        }
    }
}

/// The window over which a budget counts.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// Retries per window that are always allowed, so that an endpoint with little traffic can retry at all.
const BUDGET_FLOOR: u64 = 10;

/// The share of calls that may be retries.
pub(super) struct Budget {
    ratio: f64,
    window: Mutex<Window>,
}

impl Budget {
    pub(super) fn new(ratio: f64) -> Self {
        Self {
            ratio,
            window: Mutex::new(Window::new(BUDGET_WINDOW, Instant::now())),
        }
    }

    /// Notes a call, which earns its share of a retry.
    pub(super) fn deposit(&self) {
        self.window.lock().now(Instant::now()).all += 1;
    }

    /// Takes a retry out, if there is one left.
    pub(super) fn withdraw(&self) -> bool {
        let now = Instant::now();
        let mut window = self.window.lock();
        let sum = window.sum(now);
        let earned = sum.all as f64 * self.ratio;
        let allowed = sum.marked < BUDGET_FLOOR || (sum.marked as f64) < earned.floor();
        window.now(now).marked += u64::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_budget_allows_a_floor_and_then_a_share() {
        let budget = Budget::new(0.2);
        let taken = || (0..1000).filter(|_| budget.withdraw()).count();
        assert_eq!(taken(), 10);
        (0..100).for_each(|_| budget.deposit());
        assert_eq!(taken(), 10);
        (0..100).for_each(|_| budget.deposit());
        assert_eq!(taken(), 20);
        tokio::time::advance(BUDGET_WINDOW).await;
        assert_eq!(taken(), 10);
    }

    #[test]
    fn the_delay_doubles_up_to_its_limit() {
        let mut retry = Retry {
            attempts: 10,
            on: Triggers::default(),
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
            jitter: false,
            non_idempotent: false,
            budget: None,
        };
        let delays: Vec<u128> = (1..=6).map(|attempt| retry.delay(attempt).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(retry.delay(40).as_millis(), 1000);
        retry.jitter = true;
        for _ in 0..100 {
            let delay = retry.delay(2).as_millis();
            assert!((100..=200).contains(&delay), "{delay}");
        }
    }
}
