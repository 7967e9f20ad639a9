//! How fast a backlog drains: files, queued messages and stored messages on their way to an HTTP backend. The gateway
//! has core 0 for itself. The figure is the CPU time of its whole process, from start to end, per message.

mod source;

use crate::process::Child;
use crate::{Outcome, say};
use source::Source;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const GATEWAY_CORE: u8 = 0;
const BACKEND_CORE: u8 = 1;
/// The longest a backlog may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(300);

/// Settings of a run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the messages come from
    #[arg(value_enum)]
    source: Source,
    /// Messages
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    messages: u64,
    /// Bytes of each message
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    bytes: u64,
    /// Rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=50))]
    rounds: u64,
    /// The broker, for `amqp`: an empty virtual host on loopback
    #[arg(long, default_value = "amqp://guest:guest@127.0.0.1:5672")]
    broker: String,
    /// The `mediary` binary; the one beside this harness when left out
    #[arg(long)]
    mediary: Option<PathBuf>,
    /// The folder `bench` of the repository
    #[arg(long, default_value = "bench")]
    folder: PathBuf,
}

/// One round's figures.
struct Round {
    cpu_us_per_message: f64,
    messages_per_second: f64,
    peak_memory_bytes: u64,
}

/// Runs all rounds and prints a line for each and one with the medians.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        let round = measure(options)?;
        say(&format!("round {number}  {}", line(&round)))?;
        rounds.push(round);
    }
    let median = |of: fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    say(&format!(
        "median   {:7.2} us/message  {:7.0} messages/s on one core",
        median(|round| round.cpu_us_per_message),
        median(|round| round.messages_per_second),
    ))
}

fn line(round: &Round) -> String {
    format!(
        "{:7.2} us/message  {:7.0} messages/s  peak {} MiB",
        round.cpu_us_per_message,
        round.messages_per_second,
        round.peak_memory_bytes >> 20
    )
}

/// From a full backlog to the backend's word that all of it has come.
fn measure(options: &Options) -> Outcome<Round> {
    let folder = tempfile::TempDir::with_prefix("mediary-bench-")?;
    let mediary = crate::beside_this_binary(options.mediary.as_deref())?;
    let (mut backend, address) = start_backend(options.messages)?;
    let port = crate::free_address()?;
    configure(options, folder.path(), address, port)?;
    options
        .source
        .fill(folder.path(), &options.broker, options.messages, options.bytes)?;
    let command = [
        mediary.display().to_string(),
        "run".to_owned(),
        folder.path().display().to_string(),
    ];
    let started = Instant::now();
    let gateway = Child::start(&command, GATEWAY_CORE, Stdio::null())?;
    let mut begun = options.source.send(port, options.messages, options.bytes)?;
    let first = backend.next_line(DRAIN_LIMIT)?;
    if first != "first" {
        return Err(format!("the backend said {first:?}").into());
    }
    let flowing = *begun.get_or_insert_with(Instant::now);
    let last = backend.next_line(DRAIN_LIMIT)?;
    let took = flowing.elapsed();
    if last != "all" {
        return Err(format!("the backend said {last:?} after {:?}", started.elapsed()).into());
    }
    options.source.settled(folder.path())?;
    let usage = gateway.usage()?;
    gateway.stop()?;
    backend.stop()?;
    let messages = options.messages as f64;
    Ok(Round {
        cpu_us_per_message: usage.cpu_time.as_secs_f64() * 1e6 / messages,
        messages_per_second: messages / took.as_secs_f64(),
        peak_memory_bytes: usage.peak_memory_bytes,
    })
}

fn start_backend(messages: u64) -> Outcome<(Child, SocketAddr)> {
    let command = [
        std::env::current_exe()?.display().to_string(),
        "echo".to_owned(),
        "--size=2".to_owned(),
        format!("--until={messages}"),
    ];
    let mut backend = Child::start(&command, BACKEND_CORE, Stdio::piped())?;
    let line = backend.next_line(DRAIN_LIMIT)?;
    let address = line
        .strip_prefix("listening http://")
        .ok_or_else(|| format!("the backend said {line:?}"))?;
    Ok((backend, address.parse()?))
}

fn configure(options: &Options, folder: &Path, backend: SocketAddr, port: SocketAddr) -> Outcome<()> {
    let template = options.folder.join("peers").join(options.source.template());
    let text = std::fs::read_to_string(&template).map_err(|error| {
        format!(
            "{}: {error} (run from the root of the repository)",
            template.display()
        )
    })?;
    let text = text
        .replace("@BACKEND@", &backend.to_string())
        .replace("@BROKER@", &options.broker)
        .replace("@PORT@", &port.port().to_string());
    Ok(std::fs::write(folder.join("mediary.yaml"), text)?)
}
