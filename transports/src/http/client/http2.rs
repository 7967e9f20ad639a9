//! An exchange over HTTP/2, by hyper. One connection serves all exchanges of a thread with a target.

use super::reply_body::{Deadline, deadline_passed};
use super::{Failed, Outbound, bad_reply, connect_fault, connection_lost, incomplete_body};
use crate::http::edge::hop;
use crate::http::wire::{Content, Rewound};
use bytes::Bytes;
use engine::fault::Fault;
use engine::message::{Message, StartLine};
use engine::payload::{Body as MessageBody, Payload, full};
use engine::transport::SendContext;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const HEADER_LIST_BYTES_MAX: u32 = 64 << 10;
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// An open connection.
#[derive(Clone)]
pub(super) struct Connection {
    sender: SendRequest<MessageBody>,
    /// As many clones as there are exchanges, beside the pool's own.
    users: Arc<()>,
}

impl Connection {
    pub(super) fn is_usable(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Whether only the pool holds it.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.users) == 1
    }
}

/// Begins HTTP/2 on a socket.
pub(super) async fn handshake(socket: Rewound) -> Result<Connection, Fault> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let shaken = builder.handshake(TokioIo::new(socket)).await;
    let (sender, connection) =
        shaken.map_err(|error| connect_fault("HTTP/2 handshake").with_source(error))?;
    drop(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "HTTP/2 connection to a backend ended with an error");
        }
    }));
    Ok(Connection {
        sender,
        users: Arc::new(()),
    })
}

/// Sends a request and waits for the head of the reply.
pub(super) async fn exchange(
    mut connection: Connection,
    outbound: Outbound,
    context: &SendContext,
) -> Result<Message, Failed> {
    let again = outbound.copy_if_repeatable();
    let request = request(outbound).map_err(Failed::Final)?;
    if let Err(error) = connection.sender.ready().await {
        let fault = connection_lost("before the request").with_source(error);
        return Err(Failed::Unsent(fault, returned(request)));
    }
    let head = *request.method() == Method::HEAD;
    match connection.sender.try_send_request(request).await {
        Ok(response) => Ok(reply(response, head, connection, context)),
        Err(mut error) => match error.take_message() {
            Some(request) => Err(Failed::Unsent(
                connection_lost("before the request").with_source(error.into_error()),
                returned(request),
            )),
            // On a connection that goes on the backend refused this request, and would do so again.
            None => Err(failed(
                error.into_error(),
                again.filter(|_| !connection.is_usable()),
            )),
        },
    }
}

fn failed(error: hyper::Error, again: Option<Box<Outbound>>) -> Failed {
    if let Some(fault) = fault_of_body(&error) {
        return Failed::Final(fault);
    }
    let reset = error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>());
    match reset.and_then(h2::Error::reason) {
        Some(h2::Reason::PROTOCOL_ERROR) => Failed::Final(bad_reply("HTTP/2").with_source(error)),
        _ => Failed::Lost(connection_lost("HTTP/2").with_source(error), again),
    }
}

/// The fault that the request's body ended with, where that is why it could not be sent.
fn fault_of_body(error: &hyper::Error) -> Option<Fault> {
    let fault = error.source().and_then(|source| source.downcast_ref::<Fault>())?;
    Some(Fault::new(fault.code(), fault.message()))
}

fn request(outbound: Outbound) -> Result<Request<MessageBody>, Fault> {
    let Outbound {
        method,
        uri,
        mut headers,
        content,
    } = outbound;
    let uri = with_host(uri, &headers)?;
    headers.remove(header::HOST);
    headers.remove(header::EXPECT);
    if let Some(length) = content.length().filter(|length| *length > 0) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let body = match content {
        Content::Empty => full(Bytes::new()),
        Content::Bytes(bytes) => full(bytes),
        Content::Stream(body) => body,
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The pseudo-header `:authority` takes the place of `host`.
fn with_host(uri: Uri, headers: &HeaderMap) -> Result<Uri, Fault> {
    let mut parts = uri.into_parts();
    if let Some(host) = headers.get(header::HOST) {
        let authority = http::uri::Authority::try_from(host.as_bytes());
        parts.authority = Some(authority.map_err(|_| Fault::internal("the host cannot be an authority"))?);
    }
    Uri::from_parts(parts).map_err(|_| Fault::internal("the URL cannot be sent"))
}

fn returned(request: Request<MessageBody>) -> Box<Outbound> {
    let (parts, body) = request.into_parts();
    let content = Payload::stream(body).into();
    Box::new(Outbound {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        content,
    })
}

fn reply(
    response: Response<Incoming>,
    to_head: bool,
    connection: Connection,
    context: &SendContext,
) -> Message {
    let (parts, body) = response.into_parts();
    let mut headers = parts.headers;
    hop::remove_hop_by_hop(&mut headers);
    if !to_head && parts.status != StatusCode::NOT_MODIFIED {
        headers.remove(header::CONTENT_LENGTH);
    }
    let body = StreamBody {
        body,
        deadline: Deadline::new(context.exchange_deadline),
        _connection: connection,
    };
    Message {
        start: StartLine::Response { status: parts.status },
        headers,
        payload: Payload::stream(body.boxed_unsync()),
    }
}

/// A reply's body.
struct StreamBody {
    body: Incoming,
    deadline: Deadline,
    _connection: Connection,
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| {
                frame.map_err(|error| incomplete_body("the stream was reset").with_source(error))
            })),
            Poll::Pending => {
                ready!(this.deadline.poll(cx));
                Poll::Ready(Some(Err(deadline_passed())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
