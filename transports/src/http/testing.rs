//! What the tests of HTTP share: a gateway from YAML, a raw client, and backends that say exactly what a test tells them.

use engine::deployment::Deployment;
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::gateway::Gateway;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, StepKind, asynchronous};
use engine::message::StartLine;
use engine::registry::{Registry, StepConfig, StepSpec};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A test that waits longer than this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// `- echo`: the request becomes the reply, streaming. `- echo: 204` with another status; `- echo: { wait: true }` never ends.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub(crate) struct Echo {
    status: Option<u16>,
    wait: bool,
    buffer: bool,
}

impl StepConfig for Echo {
    const NAME: &'static str = "echo";
    const EXAMPLE: &'static str = "- echo";
    const SHORTHAND: Option<&'static str> = Some("status");

    fn build(self, _: &mut engine::build::Build<'_>) -> Option<StepKind> {
        Some(asynchronous(self))
    }
}

impl AsyncMediator for Echo {
    fn needs(&self) -> engine::mediator::Needs {
        if self.buffer {
            engine::mediator::Needs::Bytes
        } else {
            engine::mediator::Needs::Headers
        }
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            if self.wait {
                std::future::pending::<()>().await;
            }
            if let StartLine::Request { method, uri } = &exchange.message.start {
                let seen = format!("{method} {uri} {}", exchange.entry.host);
                exchange.message.headers.insert("x-seen", seen.parse().unwrap());
                if let Some(address) = exchange.entry.client_address {
                    exchange
                        .message
                        .headers
                        .insert("x-client", address.to_string().parse().unwrap());
                }
            }
            let status = StatusCode::from_u16(self.status.unwrap_or(200)).unwrap();
            exchange.message.start = StartLine::Response { status };
            Ok(Flow::Respond)
        })
    }
}

/// A step that only the tests have, to see bodies parsed by nobody.
static STEPS: &[StepSpec] = &[StepSpec::of::<Echo>()];

pub(crate) fn registry() -> Registry {
    Registry {
        mediators: STEPS,
        transports: crate::ALL,
        formats: &[],
    }
}

/// A gateway under test.
pub(crate) struct TestGateway {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl TestGateway {
    /// Starts a project whose listener `http` (or the first one) is reached through the other functions.
    pub(crate) fn start(yaml: &str) -> Self {
        Self::start_in(yaml, std::path::Path::new("."), 1)
    }

    pub(crate) fn start_in(yaml: &str, folder: &std::path::Path, workers: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let gateway = engine::testing::gateway(deployment(yaml, folder), workers);
        let bound = runtime.block_on(gateway.bind()).unwrap();
        let url = &bound[0].url;
        let address = url.split_once("://").unwrap().1.parse().unwrap();
        Self {
            gateway,
            address,
            runtime,
        }
    }

    pub(crate) fn reload(&self, yaml: &str, folder: &std::path::Path) {
        self.runtime
            .block_on(self.gateway.reload(deployment(yaml, folder)))
            .unwrap();
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
    }

    pub(crate) fn drain(&self) {
        self.runtime.block_on(self.gateway.drain());
    }

    pub(crate) fn connect(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// Sends bytes on a connection of their own; the first reply.
    pub(crate) fn request(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut raw = self.connect();
        raw.send(bytes);
        raw.reply()
    }

    /// Waits until a condition holds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Gateway) -> bool) {
        let end = std::time::Instant::now() + PATIENCE;
        while !holds(&self.gateway) {
            assert!(std::time::Instant::now() < end, "{what} within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        let listeners = async { tokio::time::timeout(Duration::from_millis(1), self.gateway.drain()).await };
        let _ = self.runtime.block_on(listeners);
    }
}

pub(crate) fn deployment(yaml: &str, folder: &std::path::Path) -> Deployment {
    let yaml = if yaml.contains("settings:") {
        yaml.to_owned()
    } else {
        format!("{SETTINGS}{yaml}")
    };
    engine::testing::deployment_in(registry(), &yaml, folder).unwrap_or_else(|problems| panic!("{problems}"))
}

const SETTINGS: &str =
    "settings:\n  listeners: { http: { port: 0, address: 127.0.0.1 } }\n  management: { port: 0 }\n";

/// A proxy at `/` that echoes.
pub(crate) const ECHO: &str = "proxies:\n  echo: { from: { http: / }, steps: [ echo ] }\n";

/// A client that sends what it is told.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

/// A reply as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its framing says.
    pub(crate) complete: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The other end may refuse the rest; what it answered is what counts.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    fn more(&mut self) -> bool {
        let mut space = [0; 64 << 10];
        match self.stream.read(&mut space) {
            Ok(0) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&space[..count]);
                true
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                panic!(
                    "nothing came within {PATIENCE:?}; so far {:?}",
                    String::from_utf8_lossy(&self.unread)
                )
            }
            Err(_) => false,
        }
    }

    fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                return Some(self.unread.drain(..at + end.len()).collect());
            }
            if !self.more() {
                return None;
            }
        }
    }

    fn exactly(&mut self, count: usize) -> (Vec<u8>, bool) {
        while self.unread.len() < count {
            if !self.more() {
                return (std::mem::take(&mut self.unread), false);
            }
        }
        (self.unread.drain(..count).collect(), true)
    }

    /// Reads a head: of a request or a reply.
    pub(crate) fn head(&mut self) -> String {
        let head = self.until(b"\r\n\r\n").unwrap_or_else(|| {
            panic!(
                "closed before a head: {:?}",
                String::from_utf8_lossy(&self.unread)
            )
        });
        String::from_utf8(head).unwrap()
    }

    /// Reads a reply to anything but HEAD.
    pub(crate) fn reply(&mut self) -> Reply {
        let head = self.head();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let (body, complete) = self.body(&head, status);
        Reply {
            status,
            head,
            body,
            complete,
        }
    }

    /// Reads the body that follows a head.
    pub(crate) fn body(&mut self, head: &str, status: u16) -> (Vec<u8>, bool) {
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map(|length| length.parse().unwrap());
        if lower.contains("\r\ntransfer-encoding: chunked") {
            return self.chunked();
        }
        match length {
            Some(length) => self.exactly(length),
            None if status < 200 || status == 204 || status == 304 || !lower.starts_with("http/") => {
                (Vec::new(), true)
            }
            None => {
                while self.more() {}
                (std::mem::take(&mut self.unread), true)
            }
        }
    }

    /// The chunks, with the trailer section after them.
    fn chunked(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let Some(line) = self.until(b"\r\n") else {
                return (body, false);
            };
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            if size == 0 {
                while let Some(line) = self.until(b"\r\n") {
                    if line == b"\r\n" {
                        return (body, true);
                    }
                    body.extend_from_slice(&line);
                }
                return (body, false);
            }
            let (data, complete) = self.exactly(size + 2);
            body.extend_from_slice(&data[..data.len().min(size)]);
            if !complete {
                return (body, false);
            }
        }
    }

    /// Whether the other end closes now, without another byte.
    pub(crate) fn closes(&mut self) -> bool {
        !self.more() && self.unread.is_empty()
    }
}

/// A backend whose connections a test serves itself, one after the other.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    connections: Receiver<TcpStream>,
}

impl Backend {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, connections) = channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if sender.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { address, connections }
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Raw {
        Raw::over(self.connections.recv_timeout(PATIENCE).expect("a connection"))
    }

    /// Whether no further connection was opened.
    pub(crate) fn nobody_else(&self) -> bool {
        self.connections.try_recv().is_err()
    }

    /// A proxy that passes everything on to it.
    pub(crate) fn proxy(&self) -> String {
        format!(
            "proxies:\n  pass: {{ from: {{ http: / }}, to: \"http://{}\" }}\n",
            self.address
        )
    }
}

/// Closes for writing, so that the other end sees an end and no reset.
pub(crate) fn finish(raw: &Raw) {
    let _ = raw.stream.shutdown(Shutdown::Write);
}

impl Raw {
    /// Takes what was read beyond the last message; how much it was.
    pub(crate) fn pending(&mut self) -> usize {
        std::mem::take(&mut self.unread).len()
    }
}
