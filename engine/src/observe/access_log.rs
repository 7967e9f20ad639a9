//! The access log: one line per exchange, for those who ask for it.

use crate::exchange::Entry;
use crate::fault::Fault;
use http::StatusCode;
use std::time::Duration;

/// Writes the line of one exchange.
pub fn log_access(
    entry: &Entry,
    status: StatusCode,
    total: Duration,
    backend: Duration,
    fault: Option<&Fault>,
) {
    tracing::info!(
        target: "access",
        method = %entry.method,
        path = %entry.path,
        route = %entry.route,
        status = status.as_u16(),
        duration_us = u64::try_from(total.as_micros()).unwrap_or(u64::MAX),
        backend_us = u64::try_from(backend.as_micros()).unwrap_or(u64::MAX),
        client = entry.client_address.map(tracing::field::display),
        fault = fault.map(Fault::name),
        id = %entry.id,
        "exchange"
    );
}
