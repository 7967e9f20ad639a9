//! The content of a file while it is downloaded: a bounded queue that a task fills. The task owns the session, so a small file
//! gives it back before anybody reads the content, and a broken connection is the task's affair alone.

use bytes::Bytes;
use engine::fault::Fault;
use engine::files::Content;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// How many chunks wait to be read; with [`CHUNK_BYTES`] each that is 1 MiB.
const CHUNKS: usize = 32;
/// The size of a chunk.
pub(crate) const CHUNK_BYTES: usize = 32 * 1024;

/// The end that the task writes to.
pub(crate) struct Feed(mpsc::Sender<Result<Bytes, Fault>>);

/// A content and the end to feed it by. A feed that is dropped ends it, so a failure has to be told before.
pub(crate) fn channel() -> (Feed, Content) {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let queue = Queue {
        receiver,
        current: Bytes::new(),
    };
    (Feed(sender), Box::pin(queue))
}

impl Feed {
    /// Hands on a chunk when there is room. `false` where nobody wants the rest.
    pub(crate) async fn push(&self, chunk: Bytes) -> bool {
        self.0.send(Ok(chunk)).await.is_ok()
    }

    /// Ends the content with a failure.
    pub(crate) async fn fail(&self, fault: Fault) {
        // Nobody there to tell is no failure.
        let _ = self.0.send(Err(fault)).await;
    }
}

struct Queue {
    receiver: mpsc::Receiver<Result<Bytes, Fault>>,
    current: Bytes,
}

impl AsyncRead for Queue {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.current.is_empty() {
            match ready!(self.receiver.poll_recv(context)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(fault)) => return Poll::Ready(Err(io::Error::other(fault))),
                Some(Ok(chunk)) => self.current = chunk,
            }
        }
        let count = self.current.len().min(buffer.remaining());
        buffer.put_slice(&self.current.split_to(count));
        Poll::Ready(Ok(()))
    }
}
