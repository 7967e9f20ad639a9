//! Circuit breaker: after too many failures calls are refused at once, until a probe succeeds.
//!
//! ```text
//!          too many failures            open_for is over
//!  closed ───────────────────▶ open ───────────────────▶ half open ──▶ closed (every probe succeeded)
//!                                ▲                            │
//!                                └──── a probe failed ────────┘ (open_for doubles)
//! ```
//! The state outlives deployments. Nothing runs in the background: an open circuit becomes half open when somebody asks.

use super::window::Window;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// When a circuit opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BreakerSettings {
    pub(super) failure_ratio: f64,
    pub(super) window: Duration,
    pub(super) requests_min: u32,
    pub(super) consecutive_failures: Option<u32>,
    pub(super) open_for: Duration,
    pub(super) open_for_max: Duration,
    pub(super) half_open_probes: u32,
}

/// The circuit of one endpoint.
pub(super) struct Breaker {
    settings: BreakerSettings,
    /// Whether the circuit is closed, so that the usual case takes no lock.
    closed: AtomicBool,
    core: Mutex<Core>,
    /// 0 closed, 1 half open, 2 open.
    gauge: Gauge,
}

struct Core {
    mode: Mode,
    /// Counts the changes of mode. A result that belongs to an earlier one says nothing about the present.
    generation: u64,
    window: Window,
    consecutive_failures: u32,
    /// How often it opened since it was closed last.
    openings: u32,
}

#[derive(Clone, Copy)]
enum Mode {
    Closed,
    Open { until: Instant },
    HalfOpen { in_flight: u32, succeeded: u32 },
}

/// Leave for one attempt. Dropped without a result (the client went away) it counts for nothing.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    generation: u64,
    probe: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings, gauge: Gauge) -> Self {
        let window = Window::new(settings.window, Instant::now());
        let core = Core {
            mode: Mode::Closed,
            generation: 0,
            window,
            consecutive_failures: 0,
            openings: 0,
        };
        gauge.set(0);
        Self {
            settings,
            closed: AtomicBool::new(true),
            core: Mutex::new(core),
            gauge,
        }
    }

    /// Leave to send, or how long the circuit stays open.
    pub(super) fn admit(&self) -> Result<Permit<'_>, Duration> {
        let mut core = self.core.lock();
        self.half_open_if_due(&mut core);
        let generation = core.generation;
        match &mut core.mode {
            Mode::Closed => Ok(Permit {
                breaker: self,
                generation,
                probe: false,
            }),
            Mode::Open { until } => Err(until.saturating_duration_since(Instant::now())),
            Mode::HalfOpen { in_flight, succeeded }
                if *in_flight + *succeeded < self.settings.half_open_probes =>
            {
                *in_flight += 1;
                Ok(Permit {
                    breaker: self,
                    generation,
                    probe: true,
                })
            }
            Mode::HalfOpen { .. } => Err(Duration::from_secs(1)),
        }
    }

    /// Whether [`Breaker::admit`] would give leave now. Changes nothing.
    pub(super) fn available(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.wait().is_none()
    }

    /// How long until an attempt may be admitted; `None` where it would be now.
    pub(super) fn wait(&self) -> Option<Duration> {
        let now = Instant::now();
        match self.core.lock().mode {
            Mode::Open { until } if now < until => Some(until - now),
            Mode::HalfOpen { in_flight, succeeded }
                if in_flight + succeeded >= self.settings.half_open_probes =>
            {
                Some(Duration::from_secs(1))
            }
            _ => None,
        }
    }

    fn half_open_if_due(&self, core: &mut Core) {
        if matches!(core.mode, Mode::Open { until } if Instant::now() >= until) {
            self.change(
                core,
                Mode::HalfOpen {
                    in_flight: 0,
                    succeeded: 0,
                },
            );
        }
    }

    fn change(&self, core: &mut Core, mode: Mode) {
        core.mode = mode;
        core.generation += 1;
        core.consecutive_failures = 0;
        core.window.clear();
        self.closed.store(matches!(mode, Mode::Closed), Ordering::Relaxed);
        self.gauge.set(match mode {
            Mode::Closed => 0,
            Mode::HalfOpen { .. } => 1,
            Mode::Open { .. } => 2,
        });
    }

    fn open(&self, core: &mut Core) {
        let factor = 1_u32.checked_shl(core.openings).unwrap_or(u32::MAX);
        let open_for = self
            .settings
            .open_for
            .saturating_mul(factor)
            .min(self.settings.open_for_max);
        core.openings = core.openings.saturating_add(1).min(31);
        self.change(
            core,
            Mode::Open {
                until: Instant::now() + open_for,
            },
        );
    }

    fn record(&self, generation: u64, failed: bool) {
        let mut guard = self.core.lock();
        let core = &mut *guard;
        if core.generation != generation {
            return;
        }
        match &mut core.mode {
            Mode::Open { .. } => {}
            Mode::HalfOpen { .. } if failed => self.open(core),
            Mode::HalfOpen { in_flight, succeeded } => {
                *in_flight = in_flight.saturating_sub(1);
                *succeeded += 1;
                if *succeeded >= self.settings.half_open_probes {
                    core.openings = 0;
                    self.change(core, Mode::Closed);
                }
            }
            Mode::Closed => {
                if self.count(core, failed) {
                    self.open(core);
                }
            }
        }
    }

    /// Counts a result of the closed circuit. Whether it has to open now.
    fn count(&self, core: &mut Core, failed: bool) -> bool {
        let now = Instant::now();
        let bucket = core.window.now(now);
        bucket.all += 1;
        if !failed {
            core.consecutive_failures = 0;
            return false;
        }
        bucket.marked += 1;
        core.consecutive_failures = core.consecutive_failures.saturating_add(1);
        let sum = core.window.sum(now);
        let enough = sum.all >= u64::from(self.settings.requests_min);
        let ratio = sum.marked as f64 / sum.all as f64;
        let in_a_row = self
            .settings
            .consecutive_failures
            .is_some_and(|limit| core.consecutive_failures >= limit);
        in_a_row || (enough && ratio >= self.settings.failure_ratio)
    }

    fn release_probe(&self, generation: u64) {
        let mut core = self.core.lock();
        if core.generation != generation {
            return;
        }
        if let Mode::HalfOpen { in_flight, .. } = &mut core.mode {
            *in_flight = in_flight.saturating_sub(1);
        }
    }
}

impl Permit<'_> {
    /// Says how the attempt ended.
    pub(super) fn record(mut self, failed: bool) {
        self.probe = false;
        self.breaker.record(self.generation, failed);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.release_probe(self.generation);
        }
    }
}
