//! A TCP stream whose manner of ending can be chosen while it is in use: closed, reset, or half-closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// How long a half-closed connection is held open for its peer to notice.
const HALF_CLOSED_LIMIT: Duration = Duration::from_secs(60);

const CLOSE: u8 = 0;
const RESET: u8 = 1;
const HALF_CLOSE: u8 = 2;

/// The ending of a connection, shared between its stream and the reply that decides.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending(Arc<AtomicU8>);

impl Ending {
    /// The connection will end with a TCP reset.
    pub(super) fn reset(&self) {
        self.0.store(RESET, Ordering::SeqCst);
    }

    /// The sending half will end; the receiving half stays open until the peer ends it too.
    pub(super) fn half_close(&self) {
        self.0.store(HALF_CLOSE, Ordering::SeqCst);
    }
}

/// The stream.
#[derive(Debug)]
pub(super) struct Link {
    /// Empty only while dropping.
    stream: Option<TcpStream>,
    ending: Ending,
}

impl Link {
    pub(super) fn new(stream: TcpStream, ending: Ending) -> Self {
        Self {
            stream: Some(stream),
            ending,
        }
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("empty only while dropping"))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        match self.ending.0.load(Ordering::SeqCst) {
            RESET => drop(stream.set_zero_linger()),
            HALF_CLOSE => hold_half_closed(stream),
            CLOSE.. => {}
        }
    }
}

fn hold_half_closed(mut stream: TcpStream) {
    // At the end of the backend there is no runtime any more, and nobody to hold the stream for.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        let _ = stream.shutdown().await;
        let mut nowhere = tokio::io::sink();
        let drain = tokio::io::copy(&mut stream, &mut nowhere);
        let _ = tokio::time::timeout(HALF_CLOSED_LIMIT, drain).await;
    });
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
