//! What is running can be seen: metrics, the access log, the trace of single exchanges.

mod access_log;
mod health;
mod mask;
mod metrics;
mod trace;

pub use access_log::log_access;
pub use health::{Health, HealthHandle};
pub use mask::{MASK, is_masked};
pub use metrics::{BackendMetrics, Metrics, RouteMetrics};
pub use prometheus_client::metrics::counter::Counter;
pub use trace::{Trace, TraceEvent};
