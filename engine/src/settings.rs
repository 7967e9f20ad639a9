//! Server-wide settings as the engine uses them at run time.

use crate::format::FormatLimits;
use std::time::Duration;

/// Settings of a deployment.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Limits of messages and exchanges.
    pub limits: Limits,
    /// Limits of builders.
    pub format_limits: FormatLimits,
    /// Number of single-threaded data-plane runtimes; 0 stands for one per core.
    pub workers: usize,
    /// How long a drain waits for what is in flight.
    pub shutdown_grace: Duration,
    /// Whether each exchange writes a line to the access log.
    pub access_log: bool,
}

/// Limits of messages and exchanges.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of one body, streamed or buffered.
    pub body_bytes: u64,
    /// Most exchanges at once.
    pub in_flight: usize,
    /// Most time from entry to the reply's last byte.
    pub exchange_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 10 << 20,
            in_flight: 10_000,
            exchange_timeout: Duration::from_mins(1),
        }
    }
}
