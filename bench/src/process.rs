//! Child processes on one core, and what their whole process tree has used (proc(5)).

use crate::Outcome;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Linux reports CPU time to user space in ticks of this length (USER_HZ is 100).
const TICK: Duration = Duration::from_millis(10);
/// How long a process may take to end after SIGTERM.
const END_LIMIT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
const PATH_OF_SERVERS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// A process pinned to a core; it and its descendants end with this value.
pub(crate) struct Child {
    name: String,
    child: std::process::Child,
    /// What it prints, where that is piped. A thread reads it, so that the pipe never fills.
    lines: Option<mpsc::Receiver<String>>,
}

/// What a process tree has used.
pub(crate) struct Usage {
    /// User and system time since the start, of ended children too.
    pub(crate) cpu_time: Duration,
    /// The sum of the highest resident sizes.
    pub(crate) peak_memory_bytes: u64,
    /// The sum of the resident sizes now.
    pub(crate) resident_memory_bytes: u64,
}

impl Child {
    /// Starts a command on one core. `taskset` replaces itself with it, so the process id is the command's.
    pub(crate) fn start(command: &[String], core: u8, stdout: Stdio) -> Outcome<Self> {
        let name = command.first().ok_or("an empty command")?.clone();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .args(command)
            .env("PATH", format!("{path}:{PATH_OF_SERVERS}"))
            .stdin(Stdio::null())
            .stdout(stdout)
            .spawn()
            .map_err(|error| format!("taskset: {error}"))?;
        let lines = child.stdout.take().map(lines);
        Ok(Self { name, child, lines })
    }

    /// The next line of standard output, which has to come within `limit`.
    pub(crate) fn next_line(&mut self, limit: Duration) -> Outcome<String> {
        let lines = self.lines.as_ref().ok_or("standard output is not piped")?;
        lines
            .recv_timeout(limit)
            .map_err(|_| format!("{} printed nothing within {limit:?}", self.name).into())
    }

    /// Fails when the process has ended.
    pub(crate) fn check_running(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("{} ended: {status}", self.name).into()),
        }
    }

    /// What the process and its descendants have used so far.
    pub(crate) fn usage(&self) -> Outcome<Usage> {
        let tree = self.tree()?;
        let ticks: u32 = tree.values().sum();
        let sum = |field| tree.keys().map(|id| memory_bytes(*id, field)).sum();
        Ok(Usage {
            cpu_time: TICK * ticks,
            peak_memory_bytes: sum("VmHWM:"),
            resident_memory_bytes: sum("VmRSS:"),
        })
    }

    /// Ends the process in order, or by force when it does not follow, and with it its descendants.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        let tree: Vec<_> = self.tree()?.into_keys().collect();
        signal("TERM", &[self.child.id()]);
        let deadline = Instant::now() + END_LIMIT;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        signal("KILL", &tree);
        self.child.wait()?;
        Err(format!("{} did not end within {END_LIMIT:?} of SIGTERM", self.name).into())
    }

    /// The process ids of the tree with the ticks that each has used.
    fn tree(&self) -> Outcome<BTreeMap<u32, u32>> {
        let all = all_processes()?;
        let mut tree = BTreeMap::new();
        let mut open = vec![self.child.id()];
        while let Some(id) = open.pop() {
            let Some(process) = all.get(&id) else { continue };
            if tree.insert(id, process.ticks).is_none() {
                open.extend(
                    all.iter()
                        .filter(|(_, child)| child.parent == id)
                        .map(|(child, _)| *child),
                );
            }
        }
        if tree.is_empty() {
            Err(format!("{} has ended", self.name).into())
        } else {
            Ok(tree)
        }
    }
}

/// The lines of a pipe, as they come.
fn lines(pipe: std::process::ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // When nobody reads any more the rest is dropped, but read.
            let _ = sender.send(line);
        }
    });
    receiver
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        if let Ok(tree) = self.tree() {
            signal("KILL", &tree.into_keys().collect::<Vec<_>>());
        }
        let _ = self.child.wait();
    }
}

/// Runs a command on one core to its end and returns its standard output.
pub(crate) fn run_to_end(command: &[String], core: u8, limit: Duration) -> Outcome<String> {
    let mut process = Child::start(command, core, Stdio::piped())?;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = process.child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            return Err(format!("{} took longer than {limit:?}", process.name).into());
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    if !status.success() {
        return Err(format!("{}: {status}", process.name).into());
    }
    let lines = process.lines.take().ok_or("standard output is piped")?;
    Ok(lines.iter().collect::<Vec<_>>().join("\n"))
}

struct Process {
    parent: u32,
    /// User and system time, and that of children that have ended.
    ticks: u32,
}

fn all_processes() -> Outcome<BTreeMap<u32, Process>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between the listing and the reading.
        if let Some(process) = std::fs::read_to_string(format!("/proc/{id}/stat"))
            .ok()
            .and_then(|stat| parse(&stat))
        {
            all.insert(id, process);
        }
    }
    Ok(all)
}

/// Fields of `/proc/PID/stat`: 4 is the parent, 14 to 17 are utime, stime, cutime, cstime. They are counted
/// from after the command (field 2), which stands in parentheses and may hold anything.
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let ticks = fields
        .get(11..15)?
        .iter()
        .filter_map(|ticks| ticks.parse::<u32>().ok())
        .sum();
    Some(Process { parent, ticks })
}

fn memory_bytes(id: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// Signals processes by id. Goes through the shell's `kill`: std has no call for it, and unsafe code is
/// forbidden. A process that has ended is no error.
fn signal(name: &str, ids: &[u32]) {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let command = format!("kill -s {name} {} 2>/dev/null", ids.join(" "));
    let _ = Command::new("sh").args(["-c", &command]).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_line_is_read_whatever_the_command_is_called() {
        let stat = "42 (a b) c) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 6 7";
        let process = parse(stat).unwrap();
        assert_eq!((process.parent, process.ticks), (7, 110));
    }

    #[test]
    fn a_tree_is_measured_and_ended() {
        let command: Vec<_> = ["sh", "-c", "sh -c 'echo up; while :; do :; done' & wait"]
            .map(str::to_owned)
            .into();
        let mut process = Child::start(&command, 0, Stdio::piped()).unwrap();
        assert_eq!(process.next_line(Duration::from_secs(5)).unwrap(), "up");
        let deadline = Instant::now() + Duration::from_secs(20);
        while process.usage().unwrap().cpu_time < TICK * 3 {
            assert!(Instant::now() < deadline, "the busy grandchild uses no time");
            std::thread::sleep(POLL_INTERVAL);
        }
        let ids: Vec<_> = process.tree().unwrap().into_keys().collect();
        assert!(ids.len() >= 2, "{ids:?}");
        assert!(process.usage().unwrap().peak_memory_bytes > 100_000);
        drop(process);
        let alive = |id: &u32| {
            std::fs::read_to_string(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty())
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while ids.iter().any(alive) {
            assert!(Instant::now() < deadline, "{ids:?} should have ended");
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}
