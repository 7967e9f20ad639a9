//! What an idle keep-alive connection costs: the growth of the contestant's resident memory over many
//! connections that each had one reply and then stay quiet.

use super::scenario::Scenario;
use crate::Outcome;
use crate::process::Child;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

/// Descriptors beside the connections.
const SPARE_FILES: u64 = 200;
const READ_LIMIT: Duration = Duration::from_secs(10);
/// The longest line of a reply's head.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// Lets this process and its later children open so many connections. Goes through `prlimit` of util-linux:
/// std has no call for it, and unsafe code is forbidden.
pub(super) fn allow_open_files(connections: u64) -> Outcome<()> {
    let limit = format!("--nofile={}:", connections * 2 + SPARE_FILES);
    let status = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), &limit])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err("the limit of open files cannot be raised (ulimit -Hn)".into())
    }
}

/// Bytes of resident memory per idle connection.
pub(super) fn bytes_per_connection(
    process: &Child,
    address: SocketAddr,
    scenario: &Scenario,
    connections: u64,
) -> Outcome<f64> {
    // The first connection pays for what is set up once.
    let _first = idle_connection(address, scenario)?;
    let before = process.usage()?.resident_memory_bytes;
    let held: Outcome<Vec<_>> = (0..connections)
        .map(|_| idle_connection(address, scenario))
        .collect();
    let held = held?;
    let after = process.usage()?.resident_memory_bytes;
    drop(held);
    Ok(after.saturating_sub(before) as f64 / connections as f64)
}

/// A connection that has had one reply.
fn idle_connection(address: SocketAddr, scenario: &Scenario) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(READ_LIMIT))?;
    stream.write_all(scenario.first_request(address, "keep-alive").as_bytes())?;
    let mut reader = BufReader::new(&mut stream);
    let mut body_bytes = None;
    loop {
        let mut line = String::new();
        reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            body_bytes = Some(value.trim().parse::<u64>()?);
        }
        if line.is_empty() {
            break;
        }
    }
    let body_bytes = body_bytes.ok_or("idle connections are measured with replies that tell their length")?;
    std::io::copy(&mut reader.take(body_bytes), &mut std::io::sink())?;
    Ok(stream)
}
