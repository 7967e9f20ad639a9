//! HTTP/2 connections, served by hyper within our limits.

use super::accept::Peer;
use super::exchange::{Arrival, Outgoing, broken_off, inbound, outgoing, refusal};
use super::lifecycle::Shared;
use super::request_body::{too_large, too_slow};
use super::settings::ServerSettings;
use crate::http::edge::{bad_request, request_head, target};
use crate::http::wire::{Content, Rewound};
use bytes::Bytes;
use engine::fault::{Fault, FaultCode};
use engine::gateway::{InFlight, Reply};
use engine::message::Message;
use engine::payload::{Body as MessageBody, Payload};
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How often a connection with open streams is asked whether it is alive, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Resets by the client before their requests were looked at, and by ourselves for errors, that end a connection (CVE-2023-44487).
const RESETS_MAX: usize = 64;
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Serves a connection to its end.
pub(super) async fn serve(shared: &Arc<Shared>, socket: Rewound, peer: Peer) {
    let settings = shared.settings.load_full();
    let streams = Arc::new(AtomicUsize::new(0));
    let service = service_fn(|request| {
        let (shared, streams) = (Arc::clone(shared), Stream::open(&streams));
        async move { Ok::<_, Infallible>(answer(shared, peer, request, streams).await) }
    });
    let connection = builder(&settings).serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    let mut idle = pin!(tokio::time::sleep(settings.idle_timeout));
    let mut ending = false;
    let outcome = poll_fn(|cx| {
        if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        while !ending && (shared.draining() || idle.as_mut().poll(cx).is_ready()) {
            if shared.draining() || streams.load(Ordering::Relaxed) == 0 {
                ending = true;
                connection.as_mut().graceful_shutdown();
                return connection.as_mut().poll(cx);
            }
            idle.as_mut().reset(Instant::now() + settings.idle_timeout);
        }
        Poll::Pending
    });
    if let Err(error) = outcome.await {
        tracing::debug!(%error, peer = %peer.address, "HTTP/2 connection ended with an error");
    }
}

fn builder(settings: &ServerSettings) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams)
        .max_header_list_size(u32::try_from(settings.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Counts a stream until its reply has been sent.
struct Stream(Arc<AtomicUsize>);

impl Stream {
    fn open(streams: &Arc<AtomicUsize>) -> Self {
        streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(streams))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer(
    shared: Arc<Shared>,
    peer: Peer,
    request: Request<Incoming>,
    stream: Stream,
) -> Response<ReplyBody> {
    let settings = shared.settings.load_full();
    let method = request.method().clone();
    let (outgoing, id, in_flight) = match arrive(&shared, &settings, peer, request) {
        Ok((arrival, payload)) => {
            let inbound = inbound(&settings, peer, arrival, payload);
            let id = inbound.id.clone();
            let Reply { message, in_flight } = shared.gateway.handle(inbound).await;
            (outgoing(message, &id, &settings, &method), id, in_flight)
        }
        Err((request, fault)) => (
            refusal(&shared, &settings, &request, &fault, &method),
            String::new(),
            None,
        ),
    };
    respond(
        outgoing,
        ReplyBody {
            content: Content::Empty,
            shared,
            id,
            in_flight,
            stream,
        },
    )
}

fn respond(outgoing: Outgoing, body: ReplyBody) -> Response<ReplyBody> {
    let Outgoing {
        status,
        mut headers,
        content,
        length,
    } = outgoing;
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut response = Response::new(ReplyBody { content, ..body });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[expect(
    clippy::result_large_err,
    reason = "the refused request goes to one place, where it is rendered"
)]
fn arrive(
    shared: &Shared,
    settings: &ServerSettings,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<(Arrival, Payload), (Message, Fault)> {
    let (mut parts, body) = request.into_parts();
    // The expectation is met at once: HTTP/2 has windows.
    let expectation = request_head::expectation(&parts.headers);
    parts.headers.remove(header::EXPECT);
    let outcome = expectation.and_then(|_| check(shared, settings, peer, &parts, &body));
    match outcome {
        Err(fault) => {
            let request = Message::request(parts.method, http::Uri::default());
            Err((
                Message {
                    headers: parts.headers,
                    ..request
                },
                fault,
            ))
        }
        Ok((uri, host)) => {
            let bytes_max = shared.gateway.deployment().settings.limits.body_bytes;
            let payload =
                Payload::stream(LimitedBody::new(body, bytes_max, settings.body_timeout).boxed_unsync());
            if let Ok(host) = HeaderValue::from_str(&host) {
                parts.headers.insert(header::HOST, host);
            }
            Ok((
                Arrival {
                    method: parts.method,
                    uri,
                    headers: parts.headers,
                    host,
                },
                payload,
            ))
        }
    }
}

fn check(
    shared: &Shared,
    settings: &ServerSettings,
    peer: Peer,
    parts: &http::request::Parts,
    body: &Incoming,
) -> Result<(http::Uri, String), Fault> {
    request_head::check_method(&parts.method)?;
    if parts.headers.len() > settings.header_count {
        return Err(request_head::too_many());
    }
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = request_head::host(&parts.headers, Version::HTTP_2, authority, peer.scheme)?;
    if host.is_empty() {
        return Err(bad_request("The request has no host."));
    }
    let path = parts.uri.path();
    if path == "*" && parts.method != Method::OPTIONS {
        return Err(bad_request("The target `*` is for OPTIONS only."));
    }
    let target = target::Target {
        authority: None,
        path,
        query: parts.uri.query(),
    };
    let uri = target::uri_or_asterisk(&target, settings.encoded_slashes)?;
    let bytes_max = shared.gateway.deployment().settings.limits.body_bytes;
    if body.size_hint().lower() > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok((uri, host))
}

/// A request's body within the limits of size and patience.
struct LimitedBody {
    body: Incoming,
    bytes_left: u64,
    bytes_max: u64,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl LimitedBody {
    fn new(body: Incoming, bytes_max: u64, timeout: Duration) -> Self {
        Self {
            body,
            bytes_left: bytes_max,
            bytes_max,
            timeout,
            timer: None,
        }
    }
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            let timer = this
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(this.timeout)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(too_slow())));
        };
        this.timer = None;
        Poll::Ready(match frame {
            None => None,
            Some(Err(error)) => {
                let fault = Fault::new(
                    FaultCode::Disconnected,
                    "The client reset the stream before its request was complete.",
                );
                Some(Err(fault.with_source(error)))
            }
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                match this.bytes_left.checked_sub(bytes) {
                    Some(left) => {
                        this.bytes_left = left;
                        Some(Ok(frame))
                    }
                    None => Some(Err(too_large(this.bytes_max))),
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A reply's body. It keeps the exchange in flight until its last byte, and a fault in it resets the stream.
struct ReplyBody {
    content: Content,
    shared: Arc<Shared>,
    id: String,
    #[expect(dead_code, reason = "kept until the body is dropped")]
    in_flight: Option<InFlight>,
    #[expect(dead_code, reason = "kept until the body is dropped")]
    stream: Stream,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut self.content {
            Content::Empty => Poll::Ready(None),
            Content::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.content = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Content::Stream(body) => {
                let frame = ready!(Pin::<&mut MessageBody>::new(body).poll_frame(cx));
                if let Some(Err(fault)) = &frame {
                    broken_off(&self.shared, fault, &self.id);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Bytes(_) => false,
            Content::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.content
            .length()
            .map(SizeHint::with_exact)
            .unwrap_or_default()
    }
}
