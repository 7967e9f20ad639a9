//! A programmable HTTP backend: HTTP/1.1 and HTTP/2 on one port, with or without TLS. It records what
//! arrives and answers by closure, by script, or badly on purpose.
//!
//! It runs on a thread of its own, so that a test may block while the backend answers.

mod link;
mod reply;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use link::{Ending, Link};
use parking_lot::{Condvar, Mutex};
use reply::ReplyBody;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

pub use reply::Reply;

/// What is kept of a request body; the rest is counted only.
const RECORDED_BODY_BYTES_MAX: usize = 16 << 20;
/// How long a test waits for requests to arrive.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(20);
/// The head of a request that a raw backend reads.
const RAW_HEAD_BYTES_MAX: usize = 64 << 10;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// Path and query as they were sent.
    pub path: String,
    /// The protocol version.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, up to 16 MiB of it.
    pub body: Bytes,
    /// The length of the whole body.
    pub body_length: u64,
    /// The trailers, empty when there were none.
    pub trailers: HeaderMap,
    /// Whether the body came to its end; false when the client went away in the middle.
    pub complete: bool,
    /// Which connection it came on, counted from 1: equal numbers mean a reused connection.
    pub connection: u64,
}

impl Recorded {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON: {error}\n{self:?}"))
    }

    /// A header's value as text, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// How a backend treats a connection.
enum Behaviour {
    /// Reads the request, then asks the closure.
    Answer(Box<dyn Fn(&Recorded) -> Reply + Send + Sync>),
    /// Answers without reading the body.
    Eager(Box<Reply>),
    /// Writes these bytes after the head of the request and closes.
    Raw(Bytes),
}

struct Shared {
    behaviour: Behaviour,
    tls: Option<TlsAcceptor>,
    requests: Mutex<Vec<Recorded>>,
    arrived: Condvar,
    connections: AtomicU64,
    open_connections: AtomicU64,
}

/// A running backend; stopped, with every connection cut, when dropped.
pub struct Backend {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// Answers by a closure, which sees the recorded request.
    pub fn start(answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        Self::launch(ANY_PORT, Behaviour::Answer(Box::new(answer)), None)
    }

    /// The same on a given address: a backend that comes back.
    pub fn start_at(
        address: SocketAddr,
        answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::launch(address, Behaviour::Answer(Box::new(answer)), None)
    }

    /// The same over TLS; HTTP/2 or HTTP/1.1 by ALPN.
    pub fn start_tls(
        config: ServerConfig,
        answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let tls = TlsAcceptor::from(Arc::new(config));
        Self::launch(ANY_PORT, Behaviour::Answer(Box::new(answer)), Some(tls))
    }

    /// Always gives the same reply.
    pub fn replying(reply: Reply) -> Self {
        Self::start(move |_| reply.clone())
    }

    /// Sends the body back with its content type, status 200.
    pub fn echo() -> Self {
        Self::start(Reply::echo)
    }

    /// Gives one reply after another and repeats the last.
    #[track_caller]
    pub fn script(replies: Vec<Reply>) -> Self {
        assert!(!replies.is_empty(), "a script needs a reply");
        let next = AtomicU64::new(0);
        Self::start(move |_| {
            let index = usize::try_from(next.fetch_add(1, Ordering::SeqCst)).unwrap_or(usize::MAX);
            replies[index.min(replies.len() - 1)].clone()
        })
    }

    /// Replies as soon as the head of a request is there and leaves its body unread. Records no requests.
    pub fn eager(reply: Reply) -> Self {
        Self::launch(ANY_PORT, Behaviour::Eager(Box::new(reply)), None)
    }

    /// Reads the head of one request, writes these bytes and closes: for replies that are no valid HTTP.
    /// Records no requests.
    pub fn raw(reply: impl Into<Bytes>) -> Self {
        Self::launch(ANY_PORT, Behaviour::Raw(reply.into()), None)
    }

    fn launch(address: SocketAddr, behaviour: Behaviour, tls: Option<TlsAcceptor>) -> Self {
        let shared = Arc::new(Shared {
            behaviour,
            tls,
            requests: Mutex::default(),
            arrived: Condvar::new(),
            connections: AtomicU64::new(0),
            open_connections: AtomicU64::new(0),
        });
        let listener = std::net::TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("a bound socket");
        let (stop, stopped) = oneshot::channel();
        let server = Arc::clone(&shared);
        let thread = std::thread::spawn(move || run(listener, &server, stopped));
        Self {
            shared,
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The URL without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// The socket address, to come back on it later.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has arrived so far, in order of the end of each request.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.lock().clone()
    }

    /// Waits for at least this many requests and returns them all.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) -> Vec<Recorded> {
        let deadline = Instant::now() + ARRIVAL_LIMIT;
        let mut requests = self.shared.requests.lock();
        while requests.len() < count {
            let timed_out = self
                .shared
                .arrived
                .wait_until(&mut requests, deadline)
                .timed_out();
            assert!(
                !timed_out,
                "{} of {count} requests arrived: {requests:?}",
                requests.len()
            );
        }
        requests.clone()
    }

    /// The only request so far; panics when there is another number of them.
    #[track_caller]
    pub fn request(&self) -> Recorded {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "requests: {requests:?}");
        requests.remove(0)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> u64 {
        self.shared.open_connections.load(Ordering::SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The URL of a port that refuses connections. The port stays taken, by a socket that never listens, until
/// the process ends.
pub fn refused_url() -> String {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(ANY_PORT).expect("a free port");
    let address = socket.local_addr().expect("a bound socket");
    std::mem::forget(socket);
    format!("http://{address}")
}

/// The backend's thread. Dropping the runtime at the end cuts what is still open.
fn run(listener: std::net::TcpListener, shared: &Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a bound socket");
        let listener = TcpListener::from_std(listener).expect("inside a runtime");
        tokio::select! {
            () = accept(&listener, shared) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    // An error of one accept (the peer is gone already) is no reason to stop.
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(shared);
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        shared.open_connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            serve(stream, &shared, number).await;
            shared.open_connections.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn serve(stream: TcpStream, shared: &Arc<Shared>, number: u64) {
    let _ = stream.set_nodelay(true);
    if let Behaviour::Raw(reply) = &shared.behaviour {
        return answer_raw(stream, reply).await;
    }
    let ending = Ending::default();
    let link = Link::new(stream, ending.clone());
    match &shared.tls {
        None => serve_http(link, shared, number, ending).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(link).await {
                serve_http(stream, shared, number, ending).await;
            }
        }
    }
}

async fn serve_http<S>(stream: S, shared: &Arc<Shared>, number: u64, ending: Ending)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (shared, ending) = (Arc::clone(shared), ending.clone());
        async move { answer(request, &shared, number, ending).await }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).half_close(true);
    builder.http2().timer(TokioTimer::new());
    // A connection that ends badly is what many tests want; they look at the other end.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
    number: u64,
    ending: Ending,
) -> Result<http::Response<ReplyBody>, std::io::Error> {
    let reply = match &shared.behaviour {
        Behaviour::Eager(reply) => Reply::clone(reply),
        Behaviour::Raw(_) => return Err(std::io::Error::other("raw backends speak no HTTP")),
        Behaviour::Answer(closure) => {
            let recorded = record(request, number).await;
            let reply = closure(&recorded);
            shared.requests.lock().push(recorded);
            shared.arrived.notify_all();
            reply
        }
    };
    reply.into_response(ending).await
}

async fn record(request: Request<Incoming>, connection: u64) -> Recorded {
    let (head, mut body) = request.into_parts();
    let mut kept = Vec::new();
    let (mut body_length, mut trailers, mut complete) = (0, HeaderMap::new(), true);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            complete = false;
            break;
        };
        match frame.into_data() {
            Ok(data) => {
                body_length += data.len() as u64;
                kept.extend_from_slice(&data[..data.len().min(RECORDED_BODY_BYTES_MAX - kept.len())]);
            }
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Recorded {
        method: head.method,
        path: head
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        version: head.version,
        headers: head.headers,
        body: kept.into(),
        body_length,
        trailers,
        complete,
        connection,
    }
}

async fn answer_raw(mut stream: TcpStream, reply: &[u8]) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < RAW_HEAD_BYTES_MAX {
        if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    let _ = stream.write_all(reply).await;
    let _ = stream.shutdown().await;
    // Reads what is left of the request, because closing with unread bytes would reset the connection and
    // take the reply with it.
    let _ = tokio::time::timeout(
        ARRIVAL_LIMIT,
        tokio::io::copy(&mut stream, &mut tokio::io::sink()),
    )
    .await;
}
