//! The read buffer of a connection. An idle connection has none: the first bytes of a message arrive on the stack and are
//! copied into a buffer of their size. Large bodies are read straight into buffers that grow with their speed.

use super::Socket;
use bytes::BytesMut;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Bytes read at once where a head or a small body is expected.
const SMALL_BYTES: usize = 8 << 10;
/// Smallest and largest buffer for a body.
const BODY_BYTES_MIN: usize = 16 << 10;
const BODY_BYTES_MAX: usize = 64 << 10;

/// Bytes that were read and not yet used.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    pub(crate) bytes: BytesMut,
    body_bytes: usize,
}

impl ReadBuffer {
    /// Reads once what a head may begin with. 0 is the end.
    pub(crate) fn poll_small(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::<u8>::uninit(); SMALL_BYTES];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(Pin::new(socket).poll_read(cx, &mut buf))?;
        let filled = buf.filled();
        if self.bytes.is_empty() {
            self.bytes = BytesMut::from(filled);
        } else {
            self.bytes.extend_from_slice(filled);
        }
        Poll::Ready(Ok(filled.len()))
    }

    /// Reads once into a buffer for a body. 0 is the end.
    pub(crate) fn poll_body(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let wanted = self.body_bytes.clamp(BODY_BYTES_MIN, BODY_BYTES_MAX);
        if self.bytes.capacity() - self.bytes.len() < wanted / 4 {
            self.bytes.reserve(wanted);
        }
        let room = self.bytes.capacity() - self.bytes.len();
        let read = ready!(pin!(socket.read_buf(&mut self.bytes)).poll(cx))?;
        if read == room {
            self.body_bytes = wanted * 2;
        }
        Poll::Ready(Ok(read))
    }

    /// Gives the memory back where nothing is left unread.
    pub(crate) fn release(&mut self) {
        if self.bytes.is_empty() {
            *self = Self::default();
        }
    }
}
