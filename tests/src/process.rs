//! Child processes whose output is kept, so that a failed assertion can show it, and which never outlive
//! the value that owns them.

use parking_lot::{Condvar, Mutex};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Output beyond this is dropped, so that a child that logs in a loop cannot eat the memory of the run.
const OUTPUT_BYTES_MAX: usize = 16 << 20;
/// How often a child is asked whether it has ended. There is no waiting with a limit in std.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// What a process that has ended said and how long it took.
#[derive(Debug)]
pub struct Finished {
    /// The exit code, or `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From the start of the wait to the end of the process.
    pub elapsed: Duration,
}

impl Finished {
    /// Panics with both outputs unless the exit code is this one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code\n{}", self.output());
        self
    }

    /// Panics with both outputs unless the process ended well.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        self.expect_code(0)
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{}", self.output()))
    }

    /// Both outputs under headings, for messages.
    pub fn output(&self) -> String {
        format!(
            "--- stdout\n{}\n--- stderr\n{}",
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}

/// A running child with captured output; killed when dropped.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    stdout: Captured,
    stderr: Captured,
}

impl Running {
    /// Starts a command. Its standard input stays open and ends with this value, so a child may take the end
    /// of its input as the sign to stop.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let name = format!("{command:?}");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Proxies of the machine have no business on loopback.
        command
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost");
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = Captured::new(child.stdout.take().expect("stdout is piped"));
        let stderr = Captured::new(child.stderr.take().expect("stderr is piped"));
        Self {
            name,
            child,
            stdout,
            stderr,
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until `find` sees what it looks for in standard output; `None` when the process ends or the
    /// limit passes first.
    pub fn wait_for_stdout<T>(&mut self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.stdout.wait_for(limit, find)
    }

    /// The same for standard error.
    pub fn wait_for_stderr<T>(&mut self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.stderr.wait_for(limit, find)
    }

    /// Sends a signal by name: `TERM`, `HUP`, `STOP`. Goes through the shell's `kill`, because std has no
    /// call for it and unsafe code is forbidden here.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("sh runs");
        assert!(status.success(), "cannot send {name} to {}", self.name);
    }

    /// Waits for the end; past the limit the process is killed and this panics with its output.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Finished {
        let start = Instant::now();
        self.end_input();
        let Some(status) = self.poll_until(start + limit) else {
            self.kill();
            let output = self.collect(None, start.elapsed()).output();
            panic!("{} did not end within {limit:?}\n{output}", self.name);
        };
        self.collect(Some(status), start.elapsed())
    }

    /// Ends the child's standard input.
    pub fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for the end without ending the input; whether it came within the limit.
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        self.poll_until(Instant::now() + limit).is_some()
    }

    /// Ends the process at once, as a power cut would.
    pub fn kill(&mut self) {
        // An error here means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn poll_until(&mut self, deadline: Instant) -> Option<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours to wait for") {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn collect(&mut self, status: Option<ExitStatus>, elapsed: Duration) -> Finished {
        Finished {
            code: status.and_then(|status| status.code()),
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
            elapsed,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Debug, Default)]
struct Buffer {
    text: String,
    ended: bool,
}

/// One output of a child, read by a thread of its own so that the child never blocks on a full pipe.
#[derive(Debug)]
struct Captured {
    shared: Arc<(Mutex<Buffer>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn new(pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(Buffer::default()), Condvar::new()));
        let writer = Arc::clone(&shared);
        let reader = std::thread::spawn(move || read_lines(pipe, &writer));
        Self {
            shared,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        self.shared.0.lock().text.clone()
    }

    fn wait_for<T>(&self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (buffer, changed) = &*self.shared;
        let deadline = Instant::now() + limit;
        let mut buffer = buffer.lock();
        loop {
            if let Some(found) = find(&buffer.text) {
                return Some(found);
            }
            if buffer.ended || changed.wait_until(&mut buffer, deadline).timed_out() {
                return None;
            }
        }
    }

    /// The whole text. A grandchild that keeps the pipe open must not hang the test, so the end of the pipe
    /// is awaited for a moment only.
    fn finish(&mut self) -> String {
        self.wait_for::<()>(Duration::from_secs(2), |_| None);
        if self.shared.0.lock().ended
            && let Some(reader) = self.reader.take()
        {
            let _ = reader.join();
        }
        self.text()
    }
}

fn read_lines(pipe: impl Read, shared: &(Mutex<Buffer>, Condvar)) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let mut buffer = shared.0.lock();
        if buffer.text.len() + line.len() <= OUTPUT_BYTES_MAX {
            buffer.text.push_str(&String::from_utf8_lossy(&line));
        }
        line.clear();
        shared.1.notify_all();
    }
    shared.0.lock().ended = true;
    shared.1.notify_all();
}
