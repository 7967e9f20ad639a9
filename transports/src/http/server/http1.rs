//! An HTTP/1.1 connection: one request after the other. It owns no buffer while it is idle, and the exchange runs inside its task.

use super::accept::Peer;
use super::exchange::{Arrival, Outgoing, broken_off, inbound, outgoing, refusal};
use super::lifecycle::Shared;
use super::request_body::{RequestBody, SharedWire, Wire, WireWriter, too_large};
use super::settings::ServerSettings;
use crate::http::edge::framing::BodyFraming;
use crate::http::edge::hop::connection_has;
use crate::http::edge::request_head::{self, Checked, RequestHead};
use crate::http::edge::{bad_request, target};
use crate::http::wire::{
    Decoder, Framing, HeadWriter, Socket, WriteError, Writer, abort_on_close, find_head_end,
};
use arc_swap::{ArcSwap, Cache};
use bytes::Bytes;
use engine::fault::{Fault, FaultCode};
use engine::gateway::Reply;
use engine::message::Message;
use engine::payload::Payload;
use http::{Method, Version, header};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, Sleep, timeout_at};

/// The request line of the HTTP/2 preface (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// How much and how long a client may go on sending after a reply that ends the connection. Closing at once would reset
/// the connection, and the client might lose the reply.
const LINGER_BYTES_MAX: usize = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Empty lines before a request line that are forgiven (RFC 9112 section 2.2).
const EMPTY_LINES_MAX: usize = 4;

type Settings = Cache<Arc<ArcSwap<ServerSettings>>, Arc<ServerSettings>>;

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    settings: Settings,
    wire: SharedWire,
    peer: Peer,
}

/// What comes after an exchange.
enum After {
    NextRequest,
    Close,
    /// The client may still be sending.
    Linger,
    /// What was sent is incomplete: closing must not look like an end.
    Abort,
}

/// What was read.
enum Read {
    Head(Bytes),
    Preface,
    Refused(Fault),
    Closed,
}

/// Serves a connection to its end. Where it begins with the preface of HTTP/2, it is handed back with what was read.
pub(super) async fn serve(shared: &Arc<Shared>, socket: Socket, peer: Peer) -> Option<(Bytes, Socket)> {
    let wire = Arc::new(Mutex::new(Wire::new(socket)));
    let settings = Cache::new(Arc::clone(&shared.settings));
    let mut connection = Connection {
        shared,
        settings,
        wire,
        peer,
    };
    let mut first = true;
    loop {
        let after = match connection.read_head().await {
            Read::Closed => return None,
            Read::Preface if first => return connection.into_parts(),
            Read::Preface => Box::pin(connection.refuse(&bad_request("The request is malformed."))).await,
            Read::Refused(fault) => Box::pin(connection.refuse(&fault)).await,
            // In a box, as are all parts but the waiting, so that an idle connection is small.
            Read::Head(head) => Box::pin(connection.answer(head)).await,
        };
        first = false;
        match after {
            After::NextRequest => {}
            After::Close => return Box::pin(connection.close()).await,
            After::Abort => return None,
            After::Linger => return Box::pin(connection.linger()).await,
        }
    }
}

impl Connection<'_> {
    fn into_parts(self) -> Option<(Bytes, Socket)> {
        let wire = Arc::into_inner(self.wire)?.into_inner();
        Some((wire.buffer.bytes.freeze(), wire.socket))
    }

    /// Waits for a request: `idle_timeout` for its first byte, then `header_timeout` for its head.
    async fn read_head(&mut self) -> Read {
        let (bytes_max, header_timeout, idle_timeout) = {
            let settings = self.settings.load();
            (
                settings.header_bytes,
                settings.header_timeout,
                settings.idle_timeout,
            )
        };
        self.wire.lock().buffer.release();
        let mut started = None;
        let mut searched = 0;
        let mut empty_lines = 0;
        loop {
            {
                let bytes = &mut self.wire.lock().buffer.bytes;
                while searched == 0 && bytes.starts_with(b"\r\n") {
                    empty_lines += 1;
                    drop(bytes.split_to(2));
                }
                match find_head_end(bytes, searched) {
                    _ if empty_lines > EMPTY_LINES_MAX => {
                        return Read::Refused(bad_request("The request is malformed."));
                    }
                    Err(_) => {
                        return Read::Refused(bad_request("A line of the request does not end with CRLF."));
                    }
                    Ok(Some(end)) if end > bytes_max => return Read::Refused(head_too_large(bytes_max)),
                    Ok(Some(end)) if bytes[..end] == *PREFACE => return Read::Preface,
                    Ok(Some(end)) => return Read::Head(bytes.split_to(end).freeze()),
                    Ok(None) if bytes.len() >= bytes_max => return Read::Refused(head_too_large(bytes_max)),
                    Ok(None) => searched = bytes.len().saturating_sub(1),
                }
            }
            let begun = !self.wire.lock().buffer.bytes.is_empty();
            let deadline = match (begun, started) {
                (false, _) => Instant::now() + idle_timeout,
                (true, Some(started)) => started + header_timeout,
                (true, None) => *started.insert(Instant::now()) + header_timeout,
            };
            match timeout_at(deadline, self.read_more(begun)).await {
                Ok(true) => {}
                Ok(false) => return Read::Closed,
                Err(_) if begun => return Read::Refused(head_too_slow()),
                Err(_) => return Read::Closed,
            }
        }
    }

    /// Reads once. `false` at the end, and for an idle connection when the listener drains.
    async fn read_more(&self, begun: bool) -> bool {
        poll_fn(|cx| {
            let wire = &mut *self.wire.lock();
            match wire.buffer.poll_small(&mut wire.socket, cx) {
                Poll::Ready(Ok(count)) => Poll::Ready(count > 0),
                Poll::Ready(Err(_)) => Poll::Ready(false),
                Poll::Pending if !begun && self.shared.draining() => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    async fn answer(&mut self, bytes: Bytes) -> After {
        let settings = Arc::clone(self.settings.load());
        let head = match request_head::parse(bytes, settings.header_count) {
            Ok(head) => head,
            Err(fault) => return self.refuse(&fault).await,
        };
        let checked = request_head::check(&head, self.peer.scheme).and_then(|checked| {
            let uri = target::uri_or_asterisk(&checked.target, settings.encoded_slashes)?;
            let payload = self.payload(&checked, &settings)?;
            Ok((uri, checked.host, payload))
        });
        let keep_alive = keeps_alive(&head);
        let RequestHead {
            method,
            version,
            headers,
            ..
        } = head;
        let (uri, host, payload) = match checked {
            Ok(checked) => checked,
            Err(fault) => {
                let request = Message {
                    headers,
                    ..Message::request(method.clone(), http::Uri::default())
                };
                let reply = refusal(self.shared, &settings, &request, &fault, &method);
                return self.send_last(reply).await;
            }
        };
        let inbound = inbound(
            &settings,
            self.peer,
            Arrival {
                method: method.clone(),
                uri,
                headers,
                host,
            },
            payload,
        );
        let facts = Facts {
            id: inbound.id.clone(),
            method,
            version,
            keep_alive,
        };
        let mut exchange = pin!(self.shared.gateway.handle(inbound));
        let reply = poll_fn(|cx| match exchange.as_mut().poll(cx) {
            Poll::Ready(reply) => Poll::Ready(Some(reply)),
            Poll::Pending => self.wire.lock().poll_gone(cx).map(|()| None),
        });
        let reply = reply.await;
        match reply {
            Some(reply) => self.reply(reply, &facts, &settings).await,
            None => After::Close,
        }
    }

    /// The body: bytes where all of it has arrived with the head, else a stream.
    fn payload(&self, checked: &Checked<'_>, settings: &ServerSettings) -> Result<Payload, Fault> {
        let mut guard = self.wire.lock();
        let wire = &mut *guard;
        wire.begin_body(Decoder::length(0), false);
        if checked.framing == BodyFraming::Length(0) {
            return Ok(Payload::default());
        }
        let bytes_max = self.shared.gateway.deployment().settings.limits.body_bytes;
        let decoder = match checked.framing {
            BodyFraming::Length(length) if length > bytes_max => return Err(too_large(bytes_max)),
            BodyFraming::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= wire.buffer.bytes.len() => {
                    return Ok(Payload::bytes(wire.buffer.bytes.split_to(length).freeze()));
                }
                _ => Decoder::length(length),
            },
            BodyFraming::Chunked => Decoder::chunked(),
        };
        wire.begin_body(decoder, checked.expects_continue);
        drop(guard);
        let body = RequestBody::new(&self.wire, bytes_max, settings.body_timeout);
        Ok(Payload::stream(body.boxed_unsync()))
    }

    async fn reply(&mut self, reply: Reply, facts: &Facts, settings: &ServerSettings) -> After {
        let Reply { message, in_flight } = reply;
        let outgoing = outgoing(message, &facts.id, settings, &facts.method);
        let mut writer = self.writer(outgoing, facts);
        let outcome = self.write(&mut writer, settings.body_timeout).await;
        let outcome = match outcome {
            // Nothing was sent yet: the client can still be told properly.
            Err(WriteError::Body(fault)) if writer.0.untouched() => {
                let message = self
                    .shared
                    .gateway
                    .edge_fault(&Message::default(), &facts.id, &fault);
                writer = self.writer(self::outgoing(message, &facts.id, settings, &facts.method), facts);
                self.write(&mut writer, settings.body_timeout).await
            }
            outcome => outcome,
        };
        drop(in_flight);
        match outcome {
            Ok(()) => self.after(writer.1),
            Err(error) => self.abort(&error, &facts.id),
        }
    }

    fn after(&self, persistence: Persistence) -> After {
        let wire = self.wire.lock();
        if !wire.decoder.is_done() {
            return After::Linger;
        }
        match persistence {
            Persistence::Keep => After::NextRequest,
            Persistence::Close => After::Close,
        }
    }

    /// A body that broke off must not look complete.
    fn abort(&self, error: &WriteError, id: &str) -> After {
        match error {
            WriteError::Io(error) => tracing::debug!(%error, id, "reply could not be written"),
            WriteError::Body(fault) => broken_off(self.shared, fault, id),
            WriteError::Length => {
                let fault = Fault::new(
                    FaultCode::IncompleteBody,
                    "The reply's body has another length than announced.",
                );
                broken_off(self.shared, &fault, id);
            }
        }
        abort_on_close(self.wire.lock().socket.tcp());
        After::Abort
    }

    fn writer(&self, outgoing: Outgoing, facts: &Facts) -> (Writer, Persistence) {
        let unread = {
            let wire = self.wire.lock();
            wire.abandoned && !wire.decoder.is_done()
        };
        let persists = facts.keep_alive && !unread && !self.shared.draining();
        let persistence = if persists {
            Persistence::Keep
        } else {
            Persistence::Close
        };
        reply_writer(outgoing, facts.version, persistence)
    }

    /// Writes a reply while watching that the client is still there and still reading.
    async fn write(
        &self,
        (writer, _): &mut (Writer, Persistence),
        timeout: Duration,
    ) -> Result<(), WriteError> {
        let mut out = WireWriter(Arc::clone(&self.wire));
        let mut timer: Option<(u64, Pin<Box<Sleep>>)> = None;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = writer.poll(&mut out, cx) {
                return Poll::Ready(outcome);
            }
            if self.wire.lock().poll_gone(cx).is_ready() {
                return Poll::Ready(Err(WriteError::Io(std::io::ErrorKind::ConnectionReset.into())));
            }
            if !writer.blocked() {
                timer = None;
                return Poll::Pending;
            }
            if timer
                .as_ref()
                .is_none_or(|(written, _)| *written != writer.written())
            {
                timer = Some((writer.written(), Box::pin(tokio::time::sleep(timeout))));
            }
            let expired = timer
                .as_mut()
                .is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
            if expired {
                Poll::Ready(Err(WriteError::Io(std::io::ErrorKind::TimedOut.into())))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Answers bytes that are no request. Where the next one begins is unknown: the connection ends.
    async fn refuse(&mut self, fault: &Fault) -> After {
        let settings = Arc::clone(self.settings.load());
        let reply = refusal(self.shared, &settings, &Message::default(), fault, &Method::GET);
        self.send_last(reply).await
    }

    async fn send_last(&mut self, reply: Outgoing) -> After {
        let timeout = self.settings.load().body_timeout;
        let mut writer = reply_writer(reply, Version::HTTP_11, Persistence::Close);
        match self.write(&mut writer, timeout).await {
            Ok(()) => After::Linger,
            Err(_) => After::Close,
        }
    }

    async fn close<T>(self) -> Option<T> {
        let _ = tokio::time::timeout(LINGER_TIME, WireWriter(self.wire).shutdown()).await;
        None
    }

    /// Says that nothing more comes, then reads for a while what the client still sends.
    async fn linger<T>(self) -> Option<T> {
        let mut out = WireWriter(Arc::clone(&self.wire));
        let wire = &self.wire;
        let discard = async {
            if out.shutdown().await.is_err() {
                return;
            }
            let mut discarded = 0;
            while discarded < LINGER_BYTES_MAX {
                let read = poll_fn(|cx| {
                    let wire = &mut *wire.lock();
                    wire.buffer.bytes.clear();
                    wire.buffer.poll_small(&mut wire.socket, cx)
                });
                match read.await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => discarded += count,
                }
            }
        };
        let _ = tokio::time::timeout(LINGER_TIME, discard).await;
        None
    }
}

/// What of a request is needed to reply to it.
struct Facts {
    id: String,
    method: Method,
    version: Version,
    keep_alive: bool,
}

/// Whether the connection outlives a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Persistence {
    Keep,
    Close,
}

fn reply_writer(reply: Outgoing, version: Version, persistence: Persistence) -> (Writer, Persistence) {
    let Outgoing {
        status,
        headers,
        content,
        length,
    } = reply;
    let mut framing = content.framing();
    let mut persistence = persistence;
    if framing == Framing::Chunked && version < Version::HTTP_11 {
        (framing, persistence) = (Framing::UntilClose, Persistence::Close);
    }
    let mut head = HeadWriter::response(status);
    head.fields(&headers);
    match (framing, length) {
        (Framing::Chunked, _) => head.field(&header::TRANSFER_ENCODING, b"chunked"),
        (_, Some(length)) => head.number(&header::CONTENT_LENGTH, length),
        (_, None) => {}
    }
    match persistence {
        Persistence::Close => head.field(&header::CONNECTION, b"close"),
        Persistence::Keep if version < Version::HTTP_11 => head.field(&header::CONNECTION, b"keep-alive"),
        Persistence::Keep => {}
    }
    (content.writer(head.finish(), framing), persistence)
}

fn keeps_alive(head: &RequestHead) -> bool {
    if head.version < Version::HTTP_11 {
        return connection_has(&head.headers, "keep-alive");
    }
    !head.headers.contains_key(header::CONNECTION) || !connection_has(&head.headers, "close")
}

fn head_too_large(bytes_max: usize) -> Fault {
    Fault::new(
        FaultCode::HeadersTooLarge,
        format!("The head of the request exceeds {bytes_max} bytes."),
    )
}

fn head_too_slow() -> Fault {
    Fault::new(
        FaultCode::ClientTimeout,
        "The head of the request did not arrive in time.",
    )
}
