//! The content of a file as a body that streams.

use bytes::{Bytes, BytesMut};
use engine::fault::{Fault, FaultCode};
use engine::files::Content;
use engine::payload::{Body, Payload};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

/// Most bytes of a frame.
const FRAME_BYTES: usize = 64 << 10;

/// A payload that reads a file of this size while it is sent.
pub(crate) fn payload(content: Content, size: u64) -> Payload {
    let body = FileBody { content, left: size };
    Payload::stream(Body::new(body.boxed_unsync()))
}

struct FileBody {
    content: Content,
    left: u64,
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = FRAME_BYTES.min(usize::try_from(self.left).unwrap_or(FRAME_BYTES));
        let mut bytes = BytesMut::zeroed(length);
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = ready!(self.content.as_mut().poll_read(cx, &mut buffer));
        let filled = buffer.filled().len();
        Poll::Ready(Some(match read {
            Err(error) => {
                Err(Fault::new(FaultCode::IncompleteBody, "The file cannot be read.").with_source(error))
            }
            Ok(()) if filled == 0 => {
                let detail = format!("{} bytes are missing", self.left);
                Err(Fault::new(FaultCode::IncompleteBody, "The file ended early.").with_detail(detail))
            }
            Ok(()) => {
                self.left -= filled as u64;
                bytes.truncate(filled);
                Ok(Frame::data(bytes.freeze()))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
