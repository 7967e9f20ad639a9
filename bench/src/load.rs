//! The load generator: N keep-alive connections, each sending one request after the other, until a time or a
//! count is reached. A reply counts only when its status and its length are right.

use crate::histogram::{Histogram, Latency};
use crate::message::{BYTES_MAX, Form};
use crate::{Outcome, runtime, say};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

const CONNECTIONS_MAX: u64 = 10_000;
const SECONDS_MAX: u64 = 600;
/// A request without a whole reply after this is an error, and its connection is replaced.
const REPLY_LIMIT: Duration = Duration::from_secs(30);
/// A connection that fails again and again must not spin.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

/// Settings of one run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where to send: http, on loopback
    url: Uri,
    /// Keep-alive connections, each with one request in flight
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    connections: u64,
    /// Seconds to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: u64,
    /// Stop after this many requests, if that is sooner
    #[arg(long)]
    count: Option<u64>,
    /// Form of the message
    #[arg(long, value_enum, default_value_t = Form::Soap)]
    form: Form,
    /// Size of the message in bytes
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(..=BYTES_MAX))]
    bytes: u64,
    /// A further header, `name: value`; may be given again
    #[arg(long = "header", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// The length that a reply must have; the length of the message when it is left out and there is one
    #[arg(long)]
    reply_bytes: Option<u64>,
}

/// What a run found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Replies with status 200 and the right length.
    pub(crate) completed: u64,
    /// Everything else: another status or length, a cut connection, a refused one, no reply in time.
    pub(crate) errors: u64,
    /// The first thing that went wrong.
    pub(crate) first_error: Option<String>,
    pub(crate) seconds: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) latency: Latency,
}

/// What all connections share. They run on one thread, so no lock is needed.
struct Shared {
    request: Request<Full<Bytes>>,
    address: SocketAddr,
    reply_bytes: Option<u64>,
    deadline: Instant,
    remaining: u64,
    completed: u64,
    errors: u64,
    first_error: Option<String>,
    latencies: Histogram,
}

/// Runs the load and prints the report as JSON.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let address = loopback_address(&options.url)?;
    let request = build_request(options)?;
    let body_bytes = options.form.message(options.bytes).len() as u64;
    let start = Instant::now();
    let shared = Rc::new(RefCell::new(Shared {
        request,
        address,
        reply_bytes: options
            .reply_bytes
            .or(Some(body_bytes).filter(|bytes| *bytes > 0)),
        deadline: start + Duration::from_secs(options.seconds),
        remaining: options.count.unwrap_or(u64::MAX),
        completed: 0,
        errors: 0,
        first_error: None,
        latencies: Histogram::new(),
    }));
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime()?, async {
        let workers: Vec<_> = (0..options.connections)
            .map(|_| tokio::task::spawn_local(drive(Rc::clone(&shared))))
            .collect();
        for worker in workers {
            worker.await?;
        }
        Ok::<(), tokio::task::JoinError>(())
    })?;
    let report = shared.borrow().report(start.elapsed());
    say(&serde_json::to_string(&report)?)
}

/// One connection for as long as the run lasts, replaced when it breaks.
async fn drive(shared: Rc<RefCell<Shared>>) {
    let mut sender = None;
    while let Some(request) = next_request(&shared) {
        let sent = Instant::now();
        let exchange = exchange(&shared, &mut sender, request);
        let outcome = match tokio::time::timeout(REPLY_LIMIT, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no reply in time".into()),
        };
        match outcome {
            Ok(()) => shared.borrow_mut().succeeded(sent.elapsed()),
            Err(error) => {
                sender = None;
                shared.borrow_mut().failed(error.to_string());
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }
}

fn next_request(shared: &RefCell<Shared>) -> Option<Request<Full<Bytes>>> {
    let mut shared = shared.borrow_mut();
    if shared.remaining == 0 || Instant::now() >= shared.deadline {
        return None;
    }
    shared.remaining -= 1;
    Some(shared.request.clone())
}

async fn exchange(
    shared: &RefCell<Shared>,
    sender: &mut Option<SendRequest<Full<Bytes>>>,
    request: Request<Full<Bytes>>,
) -> Outcome<()> {
    let (address, wanted_bytes) = {
        let shared = shared.borrow();
        (shared.address, shared.reply_bytes)
    };
    let connection = match sender.take() {
        Some(connection) => connection,
        None => connect(address).await?,
    };
    let connection = sender.insert(connection);
    connection.ready().await?;
    let mut reply = connection.send_request(request).await?;
    let mut received = 0;
    while let Some(frame) = reply.frame().await {
        received += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    if reply.status() != 200 {
        return Err(format!("status {}", reply.status()).into());
    }
    if wanted_bytes.is_some_and(|wanted| wanted != received) {
        return Err(format!("a reply of {received} bytes").into());
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> Outcome<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    Ok(sender)
}

impl Shared {
    fn succeeded(&mut self, latency: Duration) {
        self.completed += 1;
        self.latencies.record(latency);
    }

    fn failed(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    fn report(&self, elapsed: Duration) -> Report {
        let seconds = elapsed.as_secs_f64();
        Report {
            completed: self.completed,
            errors: self.errors,
            first_error: self.first_error.clone(),
            seconds,
            requests_per_second: self.completed as f64 / seconds,
            latency: self.latencies.latency(),
        }
    }
}

fn build_request(options: &Options) -> Outcome<Request<Full<Bytes>>> {
    let method = if options.form == Form::None { "GET" } else { "POST" };
    let path = options.url.path_and_query().map_or("/", |path| path.as_str());
    let authority = options.url.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, authority);
    if let Some(content_type) = options.form.content_type() {
        request = request.header(CONTENT_TYPE, content_type);
    }
    for (name, value) in &options.headers {
        request = request.header(name, value);
    }
    Ok(request.body(Full::new(options.form.message(options.bytes).into()))?)
}

/// Refuses every address that is not on this machine: this is no tool to load the servers of others.
fn loopback_address(url: &Uri) -> Outcome<SocketAddr> {
    let authority = url
        .authority()
        .map_or("", |authority| authority.as_str())
        .replace("localhost", "127.0.0.1");
    let address: SocketAddr = authority
        .parse()
        .map_err(|_| format!("{url}: give an IP address and a port"))?;
    if url.scheme_str() != Some("http") || !address.ip().is_loopback() {
        return Err(format!("{url}: only http on loopback").into());
    }
    Ok(address)
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is `name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loaded() {
        for url in [
            "http://192.0.2.1:80/",
            "https://127.0.0.1:80/",
            "http://example.org/",
            "/path",
        ] {
            assert!(loopback_address(&url.parse().unwrap()).is_err(), "{url}");
        }
        for url in [
            "http://127.0.0.1:80/",
            "http://localhost:8290/x",
            "http://[::1]:80",
        ] {
            assert!(loopback_address(&url.parse().unwrap()).is_ok(), "{url}");
        }
    }
}
