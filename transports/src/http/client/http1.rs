//! An exchange over HTTP/1.1: the request is written while the reply is awaited, in one task.

use super::pool::Lease;
use super::reply_body::ReplyBody;
use super::{Failed, Outbound, bad_reply, connection_lost};
use crate::http::edge::framing::content_length;
use crate::http::edge::hop;
use crate::http::wire::{Content, Decoder, Framing, HeadWriter, ReadBuffer, Socket, WriteError, Writer};
use bytes::Bytes;
use engine::fault::Fault;
use engine::message::{Message, StartLine};
use engine::payload::Payload;
use engine::transport::SendContext;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Sleep;

/// Largest head of a reply, and most fields in it.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADER_COUNT_MAX: usize = 256;
/// Most interim replies (1xx) to one request.
const INTERIM_MAX: usize = 16;
/// How long a backend that was asked for `100 Continue` may think about it (RFC 9110 section 10.1.1).
const CONTINUE_TIME: Duration = Duration::from_secs(1);

/// A connection between exchanges.
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) buffer: ReadBuffer,
}

/// Whether a connection has served before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    New,
    Reused,
}

impl Connection {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            buffer: ReadBuffer::default(),
        }
    }

    /// Whether the backend has neither closed it nor sent anything unasked for.
    pub(super) fn is_alive(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.buffer.bytes.is_empty() && self.buffer.poll_small(&mut self.socket, &mut cx).is_pending()
    }
}

/// The head of a reply.
struct ReplyHead {
    status: StatusCode,
    headers: HeaderMap,
    persistent: bool,
}

/// Sends a request and waits for the head of the reply.
pub(super) async fn exchange(
    connection: Connection,
    outbound: Outbound,
    context: &SendContext,
    lease: Lease,
    age: Age,
) -> Result<Message, Failed> {
    let again = if age == Age::Reused {
        outbound.copy_if_repeatable()
    } else {
        None
    };
    let Outbound {
        method,
        uri,
        headers,
        content,
    } = outbound;
    let mut awaiting = Awaiting {
        writer: request_writer(&method, &uri, &headers, content),
        connection,
        sent: false,
        broken: None,
        interim: 0,
        hold: headers
            .contains_key(header::EXPECT)
            .then(|| Box::pin(tokio::time::sleep(CONTINUE_TIME))),
    };
    if awaiting.hold.is_some() {
        awaiting.writer.hold();
    }
    let head = poll_fn(|cx| awaiting.poll(cx)).await;
    let Awaiting {
        writer,
        connection,
        sent,
        broken,
        ..
    } = awaiting;
    match head {
        Ok(head) => {
            let upload = (!sent).then_some(writer);
            let persistent = head.persistent && broken.is_none();
            reply(head, connection, upload, persistent, &method, context, lease).map_err(Failed::Final)
        }
        Err(Broken::Fault(fault)) => Err(Failed::Final(fault)),
        Err(Broken::Connection(error)) => {
            let fault = connection_lost("before the reply").with_source(error);
            match writer.reclaim() {
                Some(content) => {
                    let outbound = Outbound {
                        method,
                        uri,
                        headers,
                        content,
                    };
                    Err(Failed::Unsent(fault, Box::new(outbound)))
                }
                None => Err(Failed::Lost(fault, again)),
            }
        }
    }
}

fn request_writer(method: &Method, uri: &http::Uri, headers: &HeaderMap, content: Content) -> Writer {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut head = HeadWriter::request(method, target);
    head.fields(headers);
    if headers.contains_key(header::TE) {
        head.field(&header::CONNECTION, b"te");
    }
    let framing = content.framing();
    match framing {
        Framing::Chunked | Framing::UntilClose => head.field(&header::TRANSFER_ENCODING, b"chunked"),
        Framing::Length(0) if !expects_length(method) => {}
        Framing::Length(length) => head.number(&header::CONTENT_LENGTH, length),
    }
    content.writer(head.finish(), framing)
}

/// Methods whose requests tell a length even without a body (RFC 9110 section 8.6).
fn expects_length(method: &Method) -> bool {
    *method == Method::POST || *method == Method::PUT || *method == Method::PATCH
}

/// A request being sent and its reply being awaited.
struct Awaiting {
    writer: Writer,
    connection: Connection,
    sent: bool,
    /// Why the rest of the request could not be written. The backend may have answered before it closed.
    broken: Option<io::Error>,
    interim: usize,
    hold: Option<Pin<Box<Sleep>>>,
}

enum Broken {
    Fault(Fault),
    Connection(io::Error),
}

impl Awaiting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReplyHead, Broken>> {
        loop {
            self.poll_upload(cx)?;
            if let Poll::Ready(head) = self.poll_head(cx)? {
                if !head.status.is_informational() {
                    return Poll::Ready(Ok(head));
                }
                self.interim(head.status)?;
                continue;
            }
            let Some(hold) = &mut self.hold else {
                return Poll::Pending;
            };
            if hold.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.release();
        }
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        if self.sent || self.broken.is_some() {
            return Ok(());
        }
        match self.writer.poll(&mut self.connection.socket, cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.sent = true;
                Ok(())
            }
            Poll::Ready(Err(WriteError::Io(error))) if self.writer.untouched() => {
                Err(Broken::Connection(error))
            }
            Poll::Ready(Err(WriteError::Io(error))) => {
                self.broken = Some(error);
                Ok(())
            }
            Poll::Ready(Err(WriteError::Body(fault))) => Err(Broken::Fault(fault)),
            Poll::Ready(Err(WriteError::Length)) => Err(Broken::Fault(Fault::internal(
                "the body has another length than announced",
            ))),
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReplyHead, Broken>> {
        let Connection { socket, buffer } = &mut self.connection;
        loop {
            if let Some(head) = parse(buffer).map_err(Broken::Fault)? {
                return Poll::Ready(Ok(head));
            }
            let error = match buffer.poll_small(socket, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => io::ErrorKind::UnexpectedEof.into(),
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(error)) => error,
            };
            if !buffer.bytes.is_empty() {
                return Poll::Ready(Err(Broken::Fault(
                    bad_reply("the head of the reply broke off").with_source(error),
                )));
            }
            return Poll::Ready(Err(Broken::Connection(self.broken.take().unwrap_or(error))));
        }
    }

    fn interim(&mut self, status: StatusCode) -> Result<(), Broken> {
        self.interim += 1;
        if status == StatusCode::SWITCHING_PROTOCOLS || self.interim > INTERIM_MAX {
            return Err(Broken::Fault(bad_reply(
                "an interim reply that was not asked for",
            )));
        }
        if status == StatusCode::CONTINUE {
            self.release();
        }
        Ok(())
    }

    fn release(&mut self) {
        self.hold = None;
        self.writer.release();
    }
}

/// Takes a head out of the buffer, where it is complete.
fn parse(buffer: &mut ReadBuffer) -> Result<Option<ReplyHead>, Fault> {
    if buffer.bytes.is_empty() {
        return Ok(None);
    }
    let mut space = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; HEADER_COUNT_MAX];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut response, &buffer.bytes, &mut space);
    let end = match parsed.map_err(|error| bad_reply("the head of the reply").with_source(error))? {
        httparse::Status::Complete(end) => end,
        httparse::Status::Partial if buffer.bytes.len() > HEAD_BYTES_MAX => {
            return Err(bad_reply("the head of the reply is too large"));
        }
        httparse::Status::Partial => return Ok(None),
    };
    let status = StatusCode::from_u16(response.code.unwrap_or_default());
    let status = status.map_err(|error| bad_reply("the status").with_source(error))?;
    let http11 = response.version == Some(1);
    let start = buffer.bytes.as_ptr() as usize;
    let mut fields = Vec::with_capacity(response.headers.len());
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| bad_reply("a header name"))?;
        let from = (field.value.as_ptr() as usize).wrapping_sub(start);
        let range = if field.value.is_empty() {
            0..0
        } else {
            from..from + field.value.len()
        };
        fields.push((name, range));
    }
    let head = buffer.bytes.split_to(end).freeze();
    let headers = headers(&head, fields)?;
    let has = |option| headers.contains_key(header::CONNECTION) && hop::connection_has(&headers, option);
    let persistent = if http11 { !has("close") } else { has("keep-alive") };
    Ok(Some(ReplyHead {
        status,
        headers,
        persistent,
    }))
}

fn headers(head: &Bytes, fields: Vec<(HeaderName, std::ops::Range<usize>)>) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::with_capacity(fields.len() + 2);
    for (name, range) in fields {
        let value =
            HeaderValue::from_maybe_shared(head.slice(range)).map_err(|_| bad_reply("a header value"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// How the body of a reply ends (RFC 9112 section 6.3).
fn decoder(head: &ReplyHead, method: &Method) -> Result<Decoder, Fault> {
    let status = head.status;
    if *method == Method::HEAD || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Ok(Decoder::length(0));
    }
    let length = content_length(&head.headers).map_err(bad_reply)?;
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next(), length) {
        (None, _, Some(length)) => Ok(Decoder::length(length)),
        (None, _, None) => Ok(Decoder::until_close()),
        (Some(coding), None, None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(Decoder::chunked())
        }
        _ => Err(bad_reply("the body is framed ambiguously")),
    }
}

fn reply(
    head: ReplyHead,
    mut connection: Connection,
    upload: Option<Writer>,
    persistent: bool,
    method: &Method,
    context: &SendContext,
    lease: Lease,
) -> Result<Message, Fault> {
    let decoder = decoder(&head, method)?;
    let ReplyHead {
        status, mut headers, ..
    } = head;
    hop::remove_hop_by_hop(&mut headers);
    if *method != Method::HEAD && status != StatusCode::NOT_MODIFIED {
        headers.remove(header::CONTENT_LENGTH);
    }
    let payload = match decoder
        .remaining()
        .and_then(|length| usize::try_from(length).ok())
    {
        // The usual small reply: all of it has arrived, and the connection is free again.
        Some(length) if length <= connection.buffer.bytes.len() => {
            let bytes = connection.buffer.bytes.split_to(length).freeze();
            connection.buffer.release();
            if persistent && upload.is_none() && connection.buffer.bytes.is_empty() {
                lease.check_in(connection);
            }
            Payload::bytes(bytes)
        }
        _ => {
            let body = ReplyBody::new(
                connection,
                decoder,
                upload,
                persistent,
                context.exchange_deadline,
                lease,
            );
            Payload::stream(body.boxed_unsync())
        }
    };
    Ok(Message {
        start: StartLine::Response { status },
        headers,
        payload,
    })
}
