//! A foreign server that can be killed and started again on the same ports and data, and of which nothing is
//! left when the test ends, or is itself killed: a supervising script holds the other end of a pipe.

use crate::process::Running;
use crate::server::{python_path, script_path};
use parking_lot::Mutex;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// From start to the first answer. Generous: RabbitMQ takes seconds, and tests run beside compilers.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// From the order to end to the end. The supervisor itself gives up after 30 s and kills.
const END_LIMIT: Duration = Duration::from_secs(45);
/// Between two attempts to reach a starting server.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// For one attempt.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Ports of servers lie from here up to where those of outgoing connections begin.
const PORT_MIN: u32 = 10_000;

/// A server under supervision; killed when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    command: Vec<String>,
    environment: Vec<(&'static str, String)>,
    folder: PathBuf,
    removes_folder: bool,
    ready: Ready,
    process: Mutex<Option<Running>>,
}

/// How to see that a server is there: an open port is not enough.
#[derive(Debug, Clone)]
pub(crate) enum Ready {
    /// It says this first.
    Greets(u16, &'static [u8]),
    /// It answers these bytes with something that starts like this; then the other ports are open too.
    Answers(u16, &'static [u8], &'static [u8], Vec<u16>),
    /// Its port is open. For servers that are silent and accept in the process that listens.
    Listens(u16),
}

impl Service {
    /// A server that is not started yet. It works in the folder, which has to exist.
    pub(crate) fn new(folder: &Path, command: &[&str], ready: Ready) -> Self {
        Self {
            command: command.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
            folder: folder.to_owned(),
            removes_folder: false,
            ready,
            process: Mutex::new(None),
        }
    }

    /// A Python script of `tests/` as a server.
    pub(crate) fn python(folder: &Path, script: &str, arguments: &[String], ready: Ready) -> Self {
        let mut service = Self::new(folder, &[&python_path(), &script_path(script)], ready);
        service.command.extend_from_slice(arguments);
        service
    }

    pub(crate) fn environment(mut self, environment: Vec<(&'static str, String)>) -> Self {
        self.environment = environment;
        self
    }

    /// The supervisor removes the folder at the end: for a server in a static, which is never dropped.
    pub(crate) fn removing_folder(mut self) -> Self {
        self.removes_folder = true;
        self
    }

    /// Starts the server and waits until it is ready. Panics when it runs already.
    #[track_caller]
    pub(crate) fn start(&self) {
        let mut process = self.process.lock();
        assert!(process.is_none(), "{} runs already", self.command[0]);
        let mut running = Running::start(self.supervised());
        if !self.becomes_ready(&mut running) {
            running.end_input();
            running.ends_within(END_LIMIT);
            let (stdout, stderr) = (running.stdout(), running.stderr());
            panic!(
                "no answer (was tests/setup run?): {:?}\n{stdout}\n{stderr}",
                self.command
            );
        }
        *process = Some(running);
    }

    fn becomes_ready(&self, running: &mut Running) -> bool {
        let deadline = Instant::now() + READY_LIMIT;
        while running.is_running() && Instant::now() < deadline {
            if self.ready.is_met() {
                return true;
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
        false
    }

    /// Asks the server to end and waits for it and all its children. Twice is fine.
    #[track_caller]
    pub(crate) fn stop(&self) {
        if let Some(mut process) = self.process.lock().take() {
            process.signal("TERM");
            assert!(process.ends_within(END_LIMIT), "{} does not end", self.command[0]);
        }
    }

    /// Ends the server and its children at once, as a power cut would. Twice is fine.
    #[track_caller]
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.process.lock().take() {
            process.end_input();
            assert!(process.ends_within(END_LIMIT), "{} does not die", self.command[0]);
        }
    }

    /// Whether it was started and has not ended.
    pub(crate) fn is_running(&self) -> bool {
        self.process.lock().as_mut().is_some_and(Running::is_running)
    }

    /// Standard output since the last start.
    pub(crate) fn stdout(&self) -> String {
        self.process
            .lock()
            .as_ref()
            .map_or_else(String::new, Running::stdout)
    }

    /// Standard output and standard error since the last start.
    pub(crate) fn log(&self) -> String {
        let process = self.process.lock();
        process
            .as_ref()
            .map_or_else(String::new, |process| process.stdout() + &process.stderr())
    }

    fn supervised(&self) -> Command {
        let mut command = Command::new(python_path());
        command.args(["-I", "-S", &script_path("servers/supervise.py")]);
        if self.removes_folder {
            command.arg("--remove").arg(&self.folder);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(&self.command)
            .current_dir(&self.folder)
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.lock().take() {
            process.end_input();
            process.ends_within(END_LIMIT);
        }
    }
}

impl Ready {
    fn is_met(&self) -> bool {
        match self {
            Self::Greets(port, start) => answers(*port, b"", start),
            Self::Answers(port, request, start, others) => {
                answers(*port, request, start) && others.iter().all(|port| connect(*port).is_some())
            }
            Self::Listens(port) => connect(*port).is_some(),
        }
    }
}

fn connect(port: u16) -> Option<TcpStream> {
    TcpStream::connect(("127.0.0.1", port)).ok()
}

fn answers(port: u16, request: &[u8], start: &[u8]) -> bool {
    let Some(mut stream) = connect(port) else {
        return false;
    };
    let mut reply = vec![0; start.len()];
    stream
        .set_read_timeout(Some(ANSWER_LIMIT))
        .and_then(|()| stream.write_all(request))
        .and_then(|()| stream.read_exact(&mut reply))
        .is_ok()
        && reply == start
}

/// A free port below those that the system gives to outgoing connections. While a server is down nobody else
/// gets it by chance, and a client that tries again and again cannot end up connected to itself.
pub(crate) fn service_port() -> u16 {
    static ISSUED: AtomicU32 = AtomicU32::new(0);
    let range = first_outgoing_port() - PORT_MIN;
    // Processes that run side by side begin at different places.
    let start = std::process::id().wrapping_mul(7919) % range;
    for _ in 0..range {
        let offset = (start + ISSUED.fetch_add(1, Ordering::Relaxed)) % range;
        let port = u16::try_from(PORT_MIN + offset).expect("below the outgoing ports");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {PORT_MIN} on");
}

/// The start of `net.ipv4.ip_local_port_range` (ip(7)); Linux's default where it is too low to be of use.
fn first_outgoing_port() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = text
        .split_whitespace()
        .next()
        .and_then(|first| first.parse().ok());
    first
        .filter(|first| (PORT_MIN + 1000..=65_535).contains(first))
        .unwrap_or(32_768)
}
