//! The backend: answers with what it got, or with a body of fixed size, on one thread and with keep-alive.

use crate::{Outcome, runtime, say};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// The largest request body that is echoed.
const BODY_BYTES_MAX: usize = 64 << 20;
/// The largest reply of fixed size.
const SIZE_BYTES_MAX: u64 = 64 << 20;
const DEFAULT_TYPE: HeaderValue = HeaderValue::from_static("text/plain");

/// Settings of the backend.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Port on loopback; 0 picks a free one and prints it
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Answer with this many bytes instead of the request's body
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=SIZE_BYTES_MAX))]
    size: Option<u64>,
    /// Wait this long before each answer
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Print `first` at the first request, and `all` when so many were answered
    #[arg(long)]
    until: Option<u64>,
}

/// What the backend answers.
#[derive(Clone)]
struct Behaviour {
    canned: Option<Bytes>,
    delay: Duration,
    until: Option<u64>,
    answered: Arc<AtomicU64>,
}

impl Behaviour {
    /// Counts a request and tells the parent process about the first and the last one.
    fn count(&self) {
        let Some(until) = self.until else { return };
        let number = self.answered.fetch_add(1, Ordering::Relaxed) + 1;
        // A parent that is gone needs no word.
        if number == 1 {
            let _ = say("first");
        }
        if number == until {
            let _ = say("all");
        }
    }
}

/// Runs until the process is killed.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let canned = options
        .size
        .map(|size| vec![b'x'; usize::try_from(size).unwrap_or(0)].into());
    let behaviour = Behaviour {
        canned,
        delay: Duration::from_millis(options.delay_ms),
        until: options.until,
        answered: Arc::default(),
    };
    runtime()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        say(&format!("listening http://{}", listener.local_addr()?))?;
        loop {
            // An accept fails when the peer has gone already; the next one is fine.
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            stream.set_nodelay(true)?;
            let behaviour = behaviour.clone();
            let service = service_fn(move |request| answer(request, behaviour.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

async fn answer(
    request: Request<Incoming>,
    behaviour: Behaviour,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .cloned()
        .unwrap_or(DEFAULT_TYPE);
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    if !behaviour.delay.is_zero() {
        tokio::time::sleep(behaviour.delay).await;
    }
    let Ok(body) = body else {
        let mut reply = Response::new(Full::default());
        *reply.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(reply);
    };
    behaviour.count();
    let body = behaviour.canned.unwrap_or_else(|| body.to_bytes());
    let mut reply = Response::new(Full::new(body));
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(reply)
}
