//! Runs a schedule: waits until it is due, starts a run, skips what comes too early, and ends what is going when it is told to.

use super::schedule::Schedule;
use jiff::Timestamp;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Most runs at once where they may overlap.
const OVERLAP_MAX: usize = 16;
/// The wall clock is looked at this often, so that a clock that was set and a machine that slept are noticed.
const GLANCE: Duration = Duration::from_secs(20);

/// What a timer does.
pub(super) struct Plan {
    pub(super) schedule: Schedule,
    pub(super) run_at_start: bool,
    pub(super) overlap: bool,
    pub(super) jitter: Duration,
}

/// One time that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    /// When it was due.
    pub(super) scheduled: Timestamp,
    /// Counted from 1, those that were skipped included.
    pub(super) number: u64,
    /// How many were skipped so far.
    pub(super) skipped: u64,
}

/// What the owner of a timer wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Run.
    Running,
    /// Start nothing, let what is going end.
    Draining,
    /// End now.
    Stopped,
}

/// Runs the plan until `phase` says otherwise. `wall` is the wall clock, `deliver` one run.
pub(super) async fn run<D, F>(
    plan: &Plan,
    name: &str,
    wall: impl Fn() -> Timestamp,
    mut phase: watch::Receiver<Phase>,
    deliver: D,
) where
    D: Fn(Tick) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut runs = Runs {
        running: JoinSet::new(),
        ticks: 0,
        skipped: 0,
    };
    let mut due = Due {
        interval_at: Instant::now(),
        last: wall(),
    };
    if plan.run_at_start {
        runs.tick(plan, name, due.last, &phase, &deliver);
    }
    loop {
        tokio::select! {
            biased;
            () = reached(&mut phase, Phase::Draining) => break,
            scheduled = due.next(&plan.schedule, &wall) => runs.tick(plan, name, scheduled, &phase, &deliver),
        }
    }
    tokio::select! {
        () = reached(&mut phase, Phase::Stopped) => {}
        () = runs.end() => {}
    }
}

/// Waits until the phase has come; an owner that is gone wants nothing any more.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// What is going.
struct Runs {
    running: JoinSet<()>,
    ticks: u64,
    skipped: u64,
}

impl Runs {
    fn tick<D, F>(
        &mut self,
        plan: &Plan,
        name: &str,
        scheduled: Timestamp,
        phase: &watch::Receiver<Phase>,
        deliver: &D,
    ) where
        D: Fn(Tick) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        self.ticks += 1;
        while self.running.try_join_next().is_some() {}
        if self.running.len() >= if plan.overlap { OVERLAP_MAX } else { 1 } {
            self.skipped += 1;
            tracing::debug!(listener = %name, %scheduled, skipped = self.skipped, "skipped, as the last run is still going");
            return;
        }
        let run = deliver(Tick {
            scheduled,
            number: self.ticks,
            skipped: self.skipped,
        });
        let delay = delay(plan.jitter);
        let mut phase = phase.clone();
        self.running.spawn(async move {
            tokio::select! {
                () = reached(&mut phase, Phase::Draining), if !delay.is_zero() => return,
                () = sleep(delay) => {}
            }
            run.await;
        });
    }

    async fn end(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

fn delay(jitter: Duration) -> Duration {
    jitter.mul_f64(rand::random::<f64>())
}

/// Where a schedule stands.
struct Due {
    /// When the interval was due last.
    interval_at: Instant,
    /// When the wall clock was due last.
    last: Timestamp,
}

impl Due {
    /// Waits for the next time that is due. Cancelling it loses nothing: what is due is remembered only when it has come.
    async fn next(&mut self, schedule: &Schedule, wall: &impl Fn() -> Timestamp) -> Timestamp {
        match schedule {
            Schedule::Every(interval) => self.interval(*interval, wall).await,
            Schedule::Cron { .. } => self.wall_clock(schedule, wall).await,
        }
    }

    async fn interval(&mut self, interval: Duration, wall: &impl Fn() -> Timestamp) -> Timestamp {
        let Some(next) = self.interval_at.checked_add(interval) else {
            return std::future::pending().await;
        };
        sleep_until(next).await;
        // What is due already again was missed: the beat stays.
        let missed = next.elapsed().as_nanos() / interval.as_nanos();
        let missed = u32::try_from(missed).unwrap_or(u32::MAX);
        self.interval_at = next + interval.saturating_mul(missed);
        wall()
    }

    async fn wall_clock(&mut self, schedule: &Schedule, wall: &impl Fn() -> Timestamp) -> Timestamp {
        let Some(next) = schedule.next_after(self.last) else {
            return std::future::pending().await;
        };
        loop {
            let now = wall();
            let left = Duration::try_from(now.duration_until(next)).unwrap_or_default();
            if left.is_zero() {
                self.last = now.max(next);
                return next;
            }
            sleep(left.min(GLANCE)).await;
        }
    }
}
