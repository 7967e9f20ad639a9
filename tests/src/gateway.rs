//! The gateway under test: the `mediary` binary as a child process, with what it said and what it used.

use crate::process::{Finished, Running};
use crate::project::Project;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// From start to `ready`. Generous, because tests run beside compilers; a healthy start takes milliseconds.
const START_LIMIT: Duration = Duration::from_secs(20);
/// From SIGTERM to the end, and for commands that run to their end.
const END_LIMIT: Duration = Duration::from_secs(60);
/// For a line to appear in the log.
const LOG_LIMIT: Duration = Duration::from_secs(10);
/// Tests run side by side, so every gateway takes free ports unless its test says otherwise.
const FREE_PORTS: &[&str] = &["settings.listeners.http.port=0", "settings.management.port=0"];
/// Linux reports CPU time in ticks of this length (USER_HZ, fixed at 100 for user space; proc(5)).
const TICK: Duration = Duration::from_millis(10);

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    process: Running,
    project: Project,
    listeners: BTreeMap<String, String>,
}

/// Memory of the process (proc(5), `/proc/PID/status`).
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// What it holds now: `VmRSS`.
    pub resident_bytes: u64,
    /// The most it ever held: `VmHWM`.
    pub peak_bytes: u64,
}

impl Gateway {
    /// Starts `mediary run` on a project (YAML text, a folder, or a [`Project`]) with `--set` values such as
    /// `settings.workers=1`, and waits until it is ready. The HTTP and the management listener take free ports
    /// unless `sets` gives them one. Panics with its output when it does not come up.
    #[track_caller]
    pub fn start(project: impl Into<Project>, sets: &[&str]) -> Self {
        match Self::try_start(project, sets) {
            Ok(gateway) => gateway,
            Err(end) => panic!(
                "the gateway did not start (exit code {:?})\n{}",
                end.code,
                end.output()
            ),
        }
    }

    /// The same for projects that must be refused: `Err` holds the exit code and what was said.
    #[track_caller]
    pub fn try_start(project: impl Into<Project>, sets: &[&str]) -> Result<Self, Finished> {
        let project = project.into();
        let mut command = mediary_command();
        command.arg("run").arg(project.folder());
        for set in FREE_PORTS.iter().filter(|free| !is_set(sets, free)).chain(sets) {
            command.args(["--set", set]);
        }
        let mut process = Running::start(command);
        match process.wait_for_stdout(START_LIMIT, listeners_when_ready) {
            Some(listeners) => Ok(Self {
                process,
                project,
                listeners,
            }),
            None => Err(process.wait(Duration::from_secs(1))),
        }
    }

    /// The URL of a listener without a slash at the end, such as `http://127.0.0.1:41234`.
    #[track_caller]
    pub fn url(&self, listener: &str) -> &str {
        self.listeners
            .get(listener)
            .unwrap_or_else(|| panic!("no listener {listener:?} among {:?}", self.listeners.keys()))
    }

    /// The socket address of a listener.
    #[track_caller]
    pub fn address(&self, listener: &str) -> SocketAddr {
        crate::raw::address_of(self.url(listener))
    }

    /// The project, to edit its files before a reload.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Asks for a reload with SIGHUP. Returns at once: wait for what the new configuration does.
    #[track_caller]
    pub fn reload(&self) {
        self.process.signal("HUP");
    }

    /// Sends a signal by name, such as `STOP` and `CONT` for a gateway that hangs.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Asks for an orderly end with SIGTERM and waits for it.
    #[track_caller]
    pub fn terminate(self) -> Finished {
        self.process.signal("TERM");
        self.process.wait(END_LIMIT)
    }

    /// Ends it in order and hands back the project, to start again on it.
    #[track_caller]
    pub fn stop(mut self) -> Project {
        self.process.signal("TERM");
        let ended = self.process.ends_within(END_LIMIT);
        assert!(ended, "the gateway does not end:\n{}", self.log());
        self.project
    }

    /// Ends the process as a power cut would and hands back the project, to start again on it.
    pub fn kill(mut self) -> Project {
        self.process.kill();
        self.project
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Waits for a text in the log; panics with the log when it does not come.
    #[track_caller]
    pub fn wait_for_log(&mut self, text: &str) {
        let found = self
            .process
            .wait_for_stderr(LOG_LIMIT, |log| log.contains(text).then_some(()));
        assert!(found.is_some(), "{text:?} is not in the log:\n{}", self.log());
    }

    /// Memory now and at its peak.
    #[track_caller]
    pub fn memory(&self) -> Memory {
        let status = self.proc_file("status");
        Memory {
            resident_bytes: kibibytes(&status, "VmRSS:"),
            peak_bytes: kibibytes(&status, "VmHWM:"),
        }
    }

    /// User and system time of the process since its start, exact to 10 ms.
    #[track_caller]
    pub fn cpu_time(&self) -> Duration {
        let stat = self.proc_file("stat");
        // The second field is the command in parentheses and may hold spaces; utime and stime are fields 14
        // and 15 of proc(5), so 11 and 12 after it.
        let (_, fields) = stat.rsplit_once(')').expect("a command in parentheses");
        let ticks: u32 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u32>().unwrap_or(0))
            .sum();
        TICK * ticks
    }

    /// The number of open file descriptors, to see leaks of connections.
    #[track_caller]
    pub fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(folder).expect("the gateway runs").count()
    }

    #[track_caller]
    fn proc_file(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.process.id());
        std::fs::read_to_string(path).unwrap_or_else(|_| panic!("the gateway has ended:\n{}", self.log()))
    }
}

/// Runs a `mediary` command to its end: `mediary(&["check", path])`.
#[track_caller]
pub fn mediary(arguments: &[&str]) -> Finished {
    let mut command = mediary_command();
    command.args(arguments);
    Running::start(command).wait(END_LIMIT)
}

/// The binary of the same build as the running test: `target/PROFILE/deps/system-HASH` has it one folder up.
#[track_caller]
pub fn mediary_command() -> Command {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test
        .parent()
        .and_then(|deps| deps.parent())
        .map_or_else(PathBuf::new, PathBuf::from);
    let path = profile.join("mediary");
    assert!(
        path.is_file(),
        "{} is missing. Run the system tests with tests/run, or build it first: cargo build -p mediary",
        path.display()
    );
    Command::new(path)
}

/// The listeners by name, once the line `ready` has come.
fn listeners_when_ready(stdout: &str) -> Option<BTreeMap<String, String>> {
    let mut listeners = BTreeMap::new();
    for line in stdout.lines() {
        if line == "ready" {
            return Some(listeners);
        }
        if let Some((name, url)) = line
            .strip_prefix("listening ")
            .and_then(|rest| rest.split_once(' '))
        {
            listeners.insert(name.to_owned(), url.trim_end_matches('/').to_owned());
        }
    }
    None
}

/// Whether `sets` has its own value for the key of `wanted`.
fn is_set(sets: &[&str], wanted: &str) -> bool {
    let key = |set: &str| set.split('=').next().unwrap_or_default().to_owned();
    sets.iter().any(|set| key(set) == key(wanted))
}

fn kibibytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    number.map_or(0, |kibibytes| kibibytes * 1024)
}
