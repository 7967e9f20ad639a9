//! The log: text on a terminal, JSON lines elsewhere, on standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// What libraries may say unless the operator asks for more. That of AMQP writes whole messages at `warn`, and calls it an error that a
/// queue has to be declared; what it has to say about connections the listeners tell. That of file watching tells at `info` of folders
/// that went while they were watched.
const DEFAULTS: &str = "lapin=off,notify=warn";

/// Starts logging with a level (`info`) or a filter (`info,mediary_engine=debug`).
///
/// # Errors
/// Why the filter cannot be read.
pub fn start(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::builder()
        .parse(format!("{DEFAULTS},{filter}"))
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
