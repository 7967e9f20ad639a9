//! The log: text on a terminal, JSON lines elsewhere, on standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// What is not logged unless the filter names it: the AMQP client reports as an error what is none here, such as a queue that is
/// made because it does not exist yet; what matters of it is in our own lines.
const QUIET: &str = "lapin=off";

/// Starts logging with a level (`info`) or a filter (`info,mediary_engine=debug`).
///
/// # Errors
/// Why the filter cannot be read.
pub fn start(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::builder()
        .parse(format!("{QUIET},{filter}"))
        .map_err(|error| format!("`{filter}` is no log filter: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        builder.with_target(false).finish().try_init()
    } else {
        builder.json().flatten_event(true).finish().try_init()
    };
    started.map_err(|error| format!("the log cannot be started: {error}"))
}
