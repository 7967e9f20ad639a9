//! The benchmark harness: an echo backend, a load generator, and a comparison of gateways under the same
//! load. The primary metric is CPU time per message, which holds on a noisy machine where requests per
//! second do not. Everything stays on loopback and is bounded in time, count and connections.

mod compare;
mod drain;
mod echo;
mod histogram;
mod load;
mod message;
mod process;
mod store;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What every command returns: failures are texts for the person at the terminal.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(
    name = "mediary-bench",
    about = "Measures gateways: CPU time per message, latency, memory, start"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a small fast backend until it is killed
    Echo(echo::Options),
    /// Sends requests over keep-alive connections and reports what came back
    Load(load::Options),
    /// Measures contestants against each other, interleaved and pinned to cores
    Compare(compare::Options),
    /// Measures a message store: put, take, deliver, settle
    Store(store::Options),
    /// Measures how fast a backlog of files, queued or stored messages drains
    Drain(drain::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Echo(options) => echo::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Store(options) => store::run(&options),
        Command::Drain(options) => drain::run(&options),
    };
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "mediary-bench: {error}");
    ExitCode::FAILURE
}

/// Prints one line at once, so that a parent process sees it.
fn say(line: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// A runtime on the calling thread alone: one process, one core.
fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// A port that is free now.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The `mediary` binary: the one that was named, or the one beside this harness.
fn beside_this_binary(named: Option<&Path>) -> Outcome<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(named.map_or_else(|| own.with_file_name("mediary"), Path::to_owned))
}
