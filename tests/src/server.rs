//! Foreign programs: Python and Node.js scripts of this folder, nginx, and whatever else a test starts.

use crate::process::{Finished, Running};
use crate::raw::address_of;
use crate::tests_folder;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take until it answers.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long a script may run.
const SCRIPT_LIMIT: Duration = Duration::from_secs(60);
/// Between two attempts to reach a starting server.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// A foreign server as a child process; killed when dropped.
#[derive(Debug)]
pub struct TestServer {
    process: Running,
    url: String,
    /// Holds the server's files as long as it runs.
    _folder: Option<TempDir>,
}

impl TestServer {
    /// Starts a Python script of `tests/`, which prints `listening URL` once it accepts connections.
    #[track_caller]
    pub fn python(script: &str, arguments: &[&str]) -> Self {
        Self::announced(script_command(python_path(), script, arguments))
    }

    /// Starts a Node.js script of `tests/`, under the same contract.
    #[track_caller]
    pub fn node(script: &str, arguments: &[&str]) -> Self {
        Self::announced(script_command("node".into(), script, arguments))
    }

    /// Starts any command that prints `listening URL` once it accepts connections.
    #[track_caller]
    pub fn announced(command: Command) -> Self {
        let mut process = Running::start(command);
        let url = process.wait_for_stdout(READY_LIMIT, |stdout| {
            let mut lines = stdout.lines();
            lines
                .find_map(|line| line.strip_prefix("listening "))
                .map(str::to_owned)
        });
        let Some(url) = url else {
            let (stdout, stderr) = (process.stdout(), process.stderr());
            panic!("the server did not come up (was tests/setup run?)\n{stdout}\n{stderr}");
        };
        Self {
            process,
            url,
            _folder: None,
        }
    }

    /// Starts nginx with this text inside its `server` block (locations and so on) on a free port of loopback
    /// and waits until it answers HTTP.
    #[track_caller]
    pub fn nginx(server_block: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let port = free_port();
        let path = folder.path().display();
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {path}/pid; error_log stderr warn;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
             fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
             server {{ listen 127.0.0.1:{port};\n{server_block}\n}} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).expect("a file of the test");
        let mut command = Command::new("nginx");
        command.env(
            "PATH",
            format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()),
        );
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .args(["-e", "stderr"]);
        let url = format!("http://127.0.0.1:{port}");
        let server = Self {
            process: Running::start(command),
            url,
            _folder: Some(folder),
        };
        server.when_http_answers()
    }

    /// Waits until an HTTP request to the server's URL gets any reply: an open port is not enough.
    #[track_caller]
    fn when_http_answers(mut self) -> Self {
        let deadline = Instant::now() + READY_LIMIT;
        while !answers_http(&self.url) {
            let failed = Instant::now() > deadline || !self.process.is_running();
            assert!(!failed, "{} does not answer\n{}", self.url, self.process.stderr());
            std::thread::sleep(RETRY_INTERVAL);
        }
        self
    }

    /// The URL that the server announced.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the server wrote to standard error.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Sends a signal by name, such as `STOP` and `CONT` for a server that hangs.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }
}

/// Runs a Python script of `tests/` in the venv to its end.
#[track_caller]
pub fn python(script: &str, arguments: &[&str]) -> Finished {
    Running::start(script_command(python_path(), script, arguments)).wait(SCRIPT_LIMIT)
}

/// Runs a Node.js script of `tests/` to its end.
#[track_caller]
pub fn node(script: &str, arguments: &[&str]) -> Finished {
    Running::start(script_command("node".into(), script, arguments)).wait(SCRIPT_LIMIT)
}

/// A port of loopback that nobody holds at this moment. Only for servers that cannot choose port 0 and tell:
/// another process may take it first.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}

/// A script of `tests/`.
pub(crate) fn script_path(script: &str) -> String {
    tests_folder().join(script).display().to_string()
}

#[track_caller]
pub(crate) fn python_path() -> String {
    let path = tests_folder().join(".venv/bin/python");
    assert!(path.exists(), "{} is missing: run tests/setup", path.display());
    path.display().to_string()
}

pub(crate) fn script_command(program: String, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(tests_folder())
        .arg(script_path(script))
        .args(arguments);
    command
}

fn answers_http(url: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address_of(url)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut reply = [0; 5];
    stream
        .write_all(request)
        .and_then(|()| stream.read_exact(&mut reply))
        .is_ok()
        && &reply == b"HTTP/"
}
