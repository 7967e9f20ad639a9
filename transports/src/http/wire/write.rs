//! Writing one message: the head and a body that may still be arriving. The body is pulled only as fast as the socket takes it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use engine::fault::Fault;
use engine::payload::{Body, Payload, PayloadState};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its length.
    Length(u64),
    /// By a last chunk.
    Chunked,
    /// By closing: replies to HTTP/1.0 clients.
    UntilClose,
}

/// Why a message could not be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The connection broke.
    Io(io::Error),
    /// The source of the body failed.
    Body(Fault),
    /// The body has another length than was announced.
    Length,
}

/// Writes one message.
pub(crate) struct Writer {
    head: BytesMut,
    data: Bytes,
    tail: Bytes,
    source: Option<Body>,
    framing: Framing,
    written: u64,
    held: bool,
    blocked: bool,
}

impl Writer {
    /// A message without body.
    pub(crate) fn head(head: BytesMut) -> Self {
        let (data, tail) = (Bytes::new(), Bytes::new());
        Self {
            head,
            data,
            tail,
            source: None,
            framing: Framing::Length(0),
            written: 0,
            held: false,
            blocked: false,
        }
    }

    /// A message with a body in memory, whose length the head tells.
    pub(crate) fn bytes(head: BytesMut, data: Bytes) -> Self {
        Self {
            data,
            ..Self::head(head)
        }
    }

    /// A message with a body that arrives while it is sent.
    pub(crate) fn stream(head: BytesMut, source: Body, framing: Framing) -> Self {
        Self {
            source: Some(source),
            framing,
            ..Self::head(head)
        }
    }

    /// Keeps the body back until [`Writer::release`], as `Expect: 100-continue` asks for.
    pub(crate) fn hold(&mut self) {
        self.held = true;
    }

    /// Lets the body go.
    pub(crate) fn release(&mut self) {
        self.held = false;
    }

    /// Whether nothing has reached the socket.
    pub(crate) fn untouched(&self) -> bool {
        self.written == 0
    }

    /// The body, where nothing of the message has reached the socket.
    pub(crate) fn reclaim(self) -> Option<Content> {
        if self.written > 0 {
            return None;
        }
        Some(match (self.source, self.data.is_empty()) {
            (None, true) => Content::Empty,
            (None, false) => Content::Bytes(self.data),
            (Some(rest), true) => Content::Stream(rest),
            (Some(rest), false) => Content::Stream(
                Prepended {
                    first: self.data,
                    rest,
                }
                .boxed_unsync(),
            ),
        })
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Whether it is the socket that is waited for, not the source.
    pub(crate) fn blocked(&self) -> bool {
        self.blocked
    }

    /// Writes as much as the socket takes; ready when all of it is written.
    pub(crate) fn poll(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        loop {
            let pulled = self.poll_source(cx)?;
            if self.has_output() {
                ready!(self.poll_output(socket, cx)).map_err(WriteError::Io)?;
                continue;
            }
            ready!(Pin::new(&mut *socket).poll_flush(cx)).map_err(WriteError::Io)?;
            return match pulled {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) if self.source.is_some() || self.has_output() => continue,
                Poll::Ready(()) => Poll::Ready(Ok(())),
            };
        }
    }

    fn has_output(&self) -> bool {
        !(self.head.is_empty() && self.data.is_empty() && self.tail.is_empty())
    }

    /// Takes the next piece from the source where there is room for one. Ready when there is output or nothing more to come.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, WriteError> {
        while self.data.is_empty() && self.tail.is_empty() {
            let Some(source) = &mut self.source else { break };
            if self.held {
                return Ok(Poll::Pending);
            }
            match Pin::new(source).poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.put_data(data)?,
                    Err(frame) => self.end(frame.into_trailers().ok().as_ref())?,
                },
                Poll::Ready(Some(Err(fault))) => return Err(WriteError::Body(fault)),
                Poll::Ready(None) => self.end(None)?,
            }
        }
        Ok(Poll::Ready(()))
    }

    fn put_data(&mut self, data: Bytes) -> Result<(), WriteError> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::UntilClose => {}
            Framing::Length(left) => *left = left.checked_sub(data.len() as u64).ok_or(WriteError::Length)?,
            Framing::Chunked => {
                put_hexadecimal(&mut self.head, data.len());
                self.tail = Bytes::from_static(b"\r\n");
            }
        }
        self.data = data;
        Ok(())
    }

    /// The body is complete. Trailers exist only in chunked bodies; elsewhere they are dropped, which RFC 9110 section 6.5 allows.
    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), WriteError> {
        self.source = None;
        match self.framing {
            Framing::Length(0) | Framing::UntilClose => Ok(()),
            Framing::Length(_) => Err(WriteError::Length),
            Framing::Chunked => {
                self.tail = last_chunk(trailers);
                Ok(())
            }
        }
    }

    fn poll_output(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.blocked = true;
        let slices = [
            IoSlice::new(&self.head),
            IoSlice::new(&self.data),
            IoSlice::new(&self.tail),
        ];
        let mut count = ready!(Pin::new(socket).poll_write_vectored(cx, &slices))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.blocked = false;
        self.written += count as u64;
        for part in [&mut self.head as &mut dyn Buf, &mut self.data, &mut self.tail] {
            let taken = count.min(part.remaining());
            part.advance(taken);
            count -= taken;
        }
        Poll::Ready(Ok(()))
    }
}

/// A body of which the first piece was taken already.
struct Prepended {
    first: Bytes,
    rest: Body,
}

impl http_body::Body for Prepended {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.rest).poll_frame(cx);
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))))
    }

    fn size_hint(&self) -> SizeHint {
        let exact = self
            .rest
            .size_hint()
            .exact()
            .map(|rest| rest + self.first.len() as u64);
        exact.map(SizeHint::with_exact).unwrap_or_default()
    }
}

/// A body about to be sent.
pub(crate) enum Content {
    /// None.
    Empty,
    /// All of it is in memory.
    Bytes(Bytes),
    /// It arrives while it is sent.
    Stream(Body),
}

impl From<Payload> for Content {
    fn from(payload: Payload) -> Self {
        match (payload.as_bytes(), payload.state()) {
            (Some(bytes), _) => Self::Bytes(bytes.clone()),
            (None, PayloadState::Stream) => Self::Stream(payload.into_body()),
            (None, _) => Self::Empty,
        }
    }
}

impl From<Content> for Payload {
    fn from(content: Content) -> Self {
        match content {
            Content::Empty => Self::default(),
            Content::Bytes(bytes) => Self::bytes(bytes),
            Content::Stream(body) => Self::stream(body),
        }
    }
}

impl Content {
    /// How its end is told: by the length where that is known.
    pub(crate) fn framing(&self) -> Framing {
        match self {
            Self::Empty => Framing::Length(0),
            Self::Bytes(bytes) => Framing::Length(bytes.len() as u64),
            Self::Stream(body) => body.size_hint().exact().map_or(Framing::Chunked, Framing::Length),
        }
    }

    /// Its length, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.framing() {
            Framing::Length(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The writer of a message with this body.
    pub(crate) fn writer(self, head: BytesMut, framing: Framing) -> Writer {
        match self {
            Self::Empty => Writer::head(head),
            Self::Bytes(bytes) => Writer::bytes(head, bytes),
            Self::Stream(body) => Writer::stream(head, body, framing),
        }
    }
}

fn put_hexadecimal(head: &mut BytesMut, mut number: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 18];
    digits[16..].copy_from_slice(b"\r\n");
    let mut start = 16;
    while number > 0 || start == 16 {
        start -= 1;
        digits[start] = DIGITS[number & 15];
        number >>= 4;
    }
    head.put_slice(&digits[start..]);
}

fn last_chunk(trailers: Option<&HeaderMap>) -> Bytes {
    let Some(trailers) = trailers else {
        return Bytes::from_static(b"0\r\n\r\n");
    };
    let mut text = BytesMut::from(&b"0\r\n"[..]);
    for (name, value) in trailers {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
    text.put_slice(b"\r\n");
    text.freeze()
}
