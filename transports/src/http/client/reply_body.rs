//! The body of a backend's reply. It owns the connection: it is read as fast as it is consumed, the rest of the request is written
//! meanwhile, and at its end the connection is free again.

use super::http1::Connection;
use super::pool::Lease;
use super::{bad_reply, incomplete_body};
use crate::http::wire::{Decoded, Decoder, WriteError, Writer};
use bytes::Bytes;
use engine::fault::{Fault, FaultCode};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep};

/// A body that is arriving.
pub(super) struct ReplyBody {
    connection: Option<Connection>,
    decoder: Decoder,
    upload: Option<Writer>,
    persistent: bool,
    deadline: Deadline,
    lease: Lease,
}

impl ReplyBody {
    pub(super) fn new(
        connection: Connection,
        decoder: Decoder,
        upload: Option<Writer>,
        persistent: bool,
        deadline: Instant,
        lease: Lease,
    ) -> Self {
        Self {
            connection: Some(connection),
            decoder,
            upload,
            persistent,
            deadline: Deadline::new(deadline),
            lease,
        }
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        let (Some(upload), Some(connection)) = (&mut self.upload, &mut self.connection) else {
            return Ok(());
        };
        match upload.poll(&mut connection.socket, cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(WriteError::Body(fault))) => return Err(fault),
            // The backend has heard enough; what it answers counts.
            Poll::Ready(Err(WriteError::Io(_) | WriteError::Length)) => self.persistent = false,
        }
        self.upload = None;
        Ok(())
    }

    fn finish(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        connection.buffer.release();
        if self.persistent && self.upload.is_none() && connection.buffer.bytes.is_empty() {
            self.lease.check_in(connection);
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.poll_upload(cx)?;
        loop {
            let Some(connection) = &mut self.connection else {
                return Poll::Ready(None);
            };
            let decoded = self.decoder.decode(&mut connection.buffer.bytes);
            match decoded.map_err(|error| bad_reply(error.0))? {
                Decoded::Data(data) => {
                    if self.decoder.is_done() {
                        self.finish();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Decoded::Trailers(trailers) => {
                    self.finish();
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Decoded::End => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Decoded::NeedMore => {}
            }
            match connection.buffer.poll_body(&mut connection.socket, cx) {
                Poll::Ready(Ok(0)) if self.decoder.end_of_connection() => {}
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Some(Err(incomplete_body("the connection ended before the body"))));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Some(Err(
                        incomplete_body("the connection broke").with_source(error)
                    )));
                }
                Poll::Pending => {
                    ready!(self.deadline.poll(cx));
                    return Poll::Ready(Some(Err(deadline_passed())));
                }
            }
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let frame = ready!(self.poll_read(cx));
        if let Some(Err(_)) = &frame {
            self.connection = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none() || self.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder
            .remaining()
            .map(SizeHint::with_exact)
            .unwrap_or_default()
    }
}

/// A point in time whose timer is made only where something has to be waited for.
pub(super) struct Deadline {
    at: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(super) fn new(at: Instant) -> Self {
        Self { at, timer: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        self.timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)))
            .as_mut()
            .poll(cx)
    }
}

pub(super) fn deadline_passed() -> Fault {
    Fault::new(FaultCode::Deadline, "The exchange took longer than its deadline.")
        .with_detail("while the backend's reply was streaming")
}
