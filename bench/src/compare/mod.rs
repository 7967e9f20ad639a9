//! Contestants under the same load, one after the other in interleaved rounds (A B, A B, ...), so that a
//! change of the machine's mood hits all of them. The contestant has core 0 for itself; backend and load
//! generator share core 1.

mod idle;
mod report;
mod scenario;

use crate::load::Report as LoadReport;
use crate::process::{Child, run_to_end};
use crate::{Outcome, beside_this_binary, free_address, say};
use report::{Round, Standing};
use scenario::{Contestant, Places, Scenario};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const CONTESTANT_CORE: u8 = 0;
const LOAD_CORE: u8 = 1;
/// From the start of a contestant to its first reply with status 200. Generous for those on a JVM.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What a load may take on top of its seconds.
const LOAD_GRACE: Duration = Duration::from_secs(45);
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Settings of a comparison.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Scenario: a name in `bench/scenarios` or the path of such a file
    #[arg(long, default_value = "p1")]
    scenario: String,
    /// Contestants to run, by name; all of the scenario when left out
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=50))]
    rounds: u64,
    /// Seconds to warm up
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=120))]
    warm_up: u64,
    /// Seconds to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    seconds: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    connections: u64,
    /// Idle connections to measure memory with, after the load; none when left out
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    idle: Option<u64>,
    /// The `mediary` binary; the one beside this harness when left out
    #[arg(long)]
    mediary: Option<PathBuf>,
    /// The folder `bench` of the repository
    #[arg(long, default_value = "bench")]
    folder: PathBuf,
    /// Do not write `bench/results`
    #[arg(long)]
    dry_run: bool,
}

/// Runs all rounds, prints the table and writes the results. Fails, and writes nothing, when a
/// contestant gave wrong replies.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let scenario = Scenario::load(&options.folder, &options.scenario)?;
    let contestants = scenario.selected(&options.only)?;
    options.idle.map_or(Ok(()), idle::allow_open_files)?;
    let (backend, backend_address) = start_backend(&scenario)?;
    let mut standings: Vec<_> = contestants
        .iter()
        .map(|contestant| Standing::new(&contestant.name))
        .collect();
    for round in 1..=options.rounds {
        for (contestant, standing) in contestants.iter().zip(&mut standings) {
            let result = measure(options, &scenario, contestant, backend_address)
                .map_err(|error| format!("{} in round {round}: {error}", contestant.name))?;
            say(&format!(
                "round {round}  {:12} {}",
                contestant.name,
                result.line()
            ))?;
            standing.rounds.push(result);
        }
    }
    backend.stop()?;
    let report = report::build(&scenario, options, standings);
    say(&report.markdown())?;
    report.verdict()?;
    if options.dry_run {
        Ok(())
    } else {
        report.write(&options.folder.join("results"))
    }
}

/// One contestant, from its start to its end.
fn measure(
    options: &Options,
    scenario: &Scenario,
    contestant: &Contestant,
    backend: SocketAddr,
) -> Outcome<Round> {
    let folder = tempfile::TempDir::with_prefix("mediary-bench-")?;
    let address = free_address()?;
    let mediary = beside_this_binary(options.mediary.as_deref())?;
    let places = Places {
        folder: folder.path(),
        address,
        backend,
        mediary: &mediary,
    };
    let command = contestant.prepare(&options.folder, &places)?;
    if command
        .first()
        .is_some_and(|program| Path::new(program) == mediary && !mediary.is_file())
    {
        return Err(format!(
            "{} is missing: cargo build --release -p mediary",
            mediary.display()
        )
        .into());
    }

    let started = Instant::now();
    let mut process = Child::start(&command, CONTESTANT_CORE, Stdio::null())?;
    let start_time = wait_for_reply(&mut process, address, scenario, started)?;
    load(options, scenario, address, options.warm_up)?;
    let before = process.usage()?;
    let load = load(options, scenario, address, options.seconds)?;
    let after = process.usage()?;
    let idle = options
        .idle
        .map(|count| idle::bytes_per_connection(&process, address, scenario, count))
        .transpose()?;
    process.stop()?;

    let cpu = after.cpu_time.saturating_sub(before.cpu_time);
    Ok(Round::new(&load, cpu, start_time).with_memory(after.peak_memory_bytes, idle))
}

fn start_backend(scenario: &Scenario) -> Outcome<(Child, SocketAddr)> {
    let mut command = vec![std::env::current_exe()?.display().to_string(), "echo".to_owned()];
    command.extend(scenario.backend.iter().cloned());
    let mut backend = Child::start(&command, LOAD_CORE, Stdio::piped())?;
    let line = backend.next_line(START_LIMIT)?;
    let address = line
        .strip_prefix("listening http://")
        .ok_or_else(|| format!("the backend said {line:?}"))?;
    Ok((backend, address.trim().parse()?))
}

/// Runs the load generator in a process of its own, so that its CPU time is nobody else's.
fn load(options: &Options, scenario: &Scenario, address: SocketAddr, seconds: u64) -> Outcome<LoadReport> {
    let mut command = vec![std::env::current_exe()?.display().to_string(), "load".to_owned()];
    command.push(format!("http://{address}{}", scenario.path));
    command.extend(["--connections".to_owned(), options.connections.to_string()]);
    command.extend(["--seconds".to_owned(), seconds.to_string()]);
    command.extend(scenario.load.iter().cloned());
    let output = run_to_end(&command, LOAD_CORE, Duration::from_secs(seconds) + LOAD_GRACE)?;
    Ok(serde_json::from_str(&output)?)
}

/// Asks until the scenario's path is answered with status 200; returns the time since the start.
fn wait_for_reply(
    process: &mut Child,
    address: SocketAddr,
    scenario: &Scenario,
    started: Instant,
) -> Outcome<Duration> {
    loop {
        match first_reply(address, scenario) {
            Ok(status) if status.starts_with("HTTP/1.1 200") => return Ok(started.elapsed()),
            Ok(status) => return Err(format!("the first reply was {:?}", status.trim_end()).into()),
            Err(_) if started.elapsed() < START_LIMIT => process.check_running()?,
            Err(error) => return Err(format!("no reply within {START_LIMIT:?}: {error}").into()),
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// The beginning of the reply to a small message.
fn first_reply(address: SocketAddr, scenario: &Scenario) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(scenario.first_request(address, "close").as_bytes())?;
    let mut reply = [0; 17];
    stream.read_exact(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
