//! The receiving end of an HTTP/1.1 connection while a body is read from it. The body is pulled by whoever consumes it, straight
//! from the socket: nothing is read ahead of need, so a slow consumer slows the client down.

use crate::http::wire::{Decoded, Decoder, ReadBuffer, Socket};
use bytes::Bytes;
use engine::fault::{Fault, FaultCode};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::time::Sleep;

/// Bytes of following requests that are read while one is answered.
const READ_AHEAD_BYTES_MAX: usize = 16 << 10;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A connection's socket and what was read from it.
pub(super) struct Wire {
    pub(super) socket: Socket,
    pub(super) buffer: ReadBuffer,
    /// Of the current request's body.
    pub(super) decoder: Decoder,
    /// What of the interim reply is still to be written.
    interim: &'static [u8],
    /// Nobody will read the rest of the body.
    pub(super) abandoned: bool,
    /// The client closed the connection.
    gone: bool,
    /// The connection's task, while it waits for the body to end.
    waiting: Option<Waker>,
}

/// A wire that connection and body share. Both run on one thread: the lock is never contended.
pub(super) type SharedWire = Arc<Mutex<Wire>>;

impl Wire {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            buffer: ReadBuffer::default(),
            decoder: Decoder::length(0),
            interim: b"",
            abandoned: false,
            gone: false,
            waiting: None,
        }
    }

    /// A body begins. The client waits for `100 Continue` where it said so and has sent nothing yet.
    pub(super) fn begin_body(&mut self, decoder: Decoder, expects_continue: bool) {
        self.decoder = decoder;
        self.abandoned = false;
        self.interim = if expects_continue && self.buffer.bytes.is_empty() {
            CONTINUE
        } else {
            b""
        };
    }

    /// The final reply is written: an interim one that was not begun is not sent any more.
    fn begin_reply(&mut self) {
        if self.interim.len() == CONTINUE.len() {
            self.interim = b"";
        }
    }

    /// Ready when the client has gone. While a body is read, its reader finds out.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.gone {
            return Poll::Ready(());
        }
        if !self.decoder.is_done() {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        while self.buffer.bytes.len() < READ_AHEAD_BYTES_MAX {
            match ready!(self.buffer.poll_small(&mut self.socket, cx)) {
                Ok(0) | Err(_) => {
                    self.gone = true;
                    return Poll::Ready(());
                }
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    fn wake_connection(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    fn client_gone(&mut self) -> Fault {
        self.gone = true;
        self.wake_connection();
        Fault::new(
            FaultCode::Disconnected,
            "The client closed the connection before its request was complete.",
        )
    }

    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let count = ready!(Pin::new(&mut self.socket).poll_write(cx, self.interim))?;
            self.interim = &self.interim[count..];
            if self.interim.is_empty() {
                return Pin::new(&mut self.socket).poll_flush(cx);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The body of a request.
pub(super) struct RequestBody {
    wire: SharedWire,
    bytes_left: u64,
    bytes_max: u64,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) fn new(wire: &SharedWire, bytes_max: u64, timeout: Duration) -> Self {
        Self {
            wire: Arc::clone(wire),
            bytes_left: bytes_max,
            bytes_max,
            timeout,
            timer: None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = self.get_mut();
        let wire = &mut *this.wire.lock();
        if ready!(wire.poll_interim(cx)).is_err() {
            return Poll::Ready(Some(Err(wire.client_gone())));
        }
        loop {
            match wire.decoder.decode(&mut wire.buffer.bytes) {
                Err(error) => return Poll::Ready(Some(Err(malformed(error.0)))),
                Ok(Decoded::End) => {
                    wire.wake_connection();
                    return Poll::Ready(None);
                }
                Ok(Decoded::Trailers(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(Decoded::Data(data)) => {
                    let Some(left) = this.bytes_left.checked_sub(data.len() as u64) else {
                        return Poll::Ready(Some(Err(too_large(this.bytes_max))));
                    };
                    this.bytes_left = left;
                    if wire.decoder.is_done() {
                        wire.wake_connection();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Decoded::NeedMore) => {}
            }
            match wire.buffer.poll_body(&mut wire.socket, cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Some(Err(wire.client_gone()))),
                Poll::Ready(Ok(_)) => this.timer = None,
                Poll::Pending => {
                    let timer = this
                        .timer
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep(this.timeout)));
                    ready!(timer.as_mut().poll(cx));
                    return Poll::Ready(Some(Err(too_slow())));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.wire.lock().decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.wire
            .lock()
            .decoder
            .remaining()
            .map(SizeHint::with_exact)
            .unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let mut wire = self.wire.lock();
        wire.abandoned = true;
        wire.wake_connection();
    }
}

fn malformed(why: &str) -> Fault {
    Fault::new(
        FaultCode::BadRequest,
        format!("The body of the request is malformed: {why}."),
    )
}

pub(super) fn too_large(bytes_max: u64) -> Fault {
    Fault::new(
        FaultCode::BodyTooLarge,
        format!("The body exceeds {bytes_max} bytes."),
    )
}

pub(super) fn too_slow() -> Fault {
    Fault::new(
        FaultCode::ClientTimeout,
        "The body of the request did not arrive in time.",
    )
}

/// The writing end. It takes the lock only while it writes, since the reply's body may be the request's.
pub(super) struct WireWriter(pub(super) SharedWire);

impl AsyncWrite for WireWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock();
        wire.begin_reply();
        ready!(wire.poll_interim(cx))?;
        Pin::new(&mut wire.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock();
        wire.begin_reply();
        ready!(wire.poll_interim(cx))?;
        Pin::new(&mut wire.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().socket).poll_shutdown(cx)
    }
}
