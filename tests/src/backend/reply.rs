//! What a backend answers, good or bad: canned, delayed, paced, generated without memory, cut off.

use super::Recorded;
use super::link::Ending;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// One frame of a generated body.
static FILLER: [u8; 64 << 10] = [b'x'; 64 << 10];
/// Lets bytes leave before a connection is cut: a body that fails at once would take them along.
const FLUSH_PAUSE: Duration = Duration::from_millis(20);

/// How a reply goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    Close,
    Reset,
    HalfClose,
    Hang,
}

/// A reply, built from a status and refined: `Reply::status(503).header("retry-after", "1").delay(..)`.
#[derive(Debug, Clone)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// Bytes generated after `body`.
    generated_bytes: u64,
    trailers: HeaderMap,
    chunked: bool,
    delay: Duration,
    frame_bytes: usize,
    frame_pause: Duration,
    /// What goes wrong, after how many bytes of the body; `None` of them means before the head.
    broken: Option<(Break, Option<u64>)>,
}

impl Reply {
    /// An empty reply with this status.
    #[track_caller]
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("a status code"),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            generated_bytes: 0,
            trailers: HeaderMap::new(),
            chunked: false,
            delay: Duration::ZERO,
            frame_bytes: FILLER.len(),
            frame_pause: Duration::ZERO,
            broken: None,
        }
    }

    /// Status 200 with a body of this media type.
    #[track_caller]
    pub fn ok(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::status(200).header("content-type", content_type).body(body)
    }

    /// Status 200 with JSON.
    #[track_caller]
    pub fn json(value: &serde_json::Value) -> Self {
        Self::ok("application/json", value.to_string())
    }

    /// Status 200 with the request's body and content type.
    #[track_caller]
    pub fn echo(request: &Recorded) -> Self {
        let mut reply = Self::status(200).body(request.body.clone());
        if let Some(value) = request.headers.get(header::CONTENT_TYPE) {
            reply.headers.insert(header::CONTENT_TYPE, value.clone());
        }
        reply
    }

    /// Never answers; the connection stays open.
    pub fn never() -> Self {
        Self::status(200).breaks(Break::Hang, None)
    }

    /// Closes the connection instead of answering.
    pub fn closed() -> Self {
        Self::status(200).breaks(Break::Close, None)
    }

    /// Resets the connection instead of answering.
    pub fn reset() -> Self {
        Self::status(200).breaks(Break::Reset, None)
    }

    /// Adds a header.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(header_name(name), header_value(value));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds this many bytes of filler to the body, made while they are sent.
    pub fn generated(mut self, bytes: u64) -> Self {
        self.generated_bytes = bytes;
        self
    }

    /// Leaves out the length: chunked in HTTP/1.1.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Adds a trailer. HTTP/1.1 sends it only to a client that said `TE: trailers`.
    #[track_caller]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.append(header_name(name), header_value(value));
        self.headers.append(header::TRAILER, header_value(name));
        self.chunked()
    }

    /// Waits before the head.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sends the body in frames of this size with a pause before each.
    #[track_caller]
    pub fn paced(mut self, frame_bytes: usize, pause: Duration) -> Self {
        assert!(
            (1..=FILLER.len()).contains(&frame_bytes),
            "frames of 1 byte to 64 KiB"
        );
        self.frame_bytes = frame_bytes;
        self.frame_pause = pause;
        self
    }

    /// Closes the connection after this many bytes of the body.
    pub fn closes_after(self, bytes: u64) -> Self {
        self.breaks(Break::Close, Some(bytes))
    }

    /// Resets the connection after this many bytes of the body.
    pub fn resets_after(self, bytes: u64) -> Self {
        self.breaks(Break::Reset, Some(bytes))
    }

    /// Ends the sending half after this many bytes of the body and keeps the other half open.
    pub fn half_closes_after(self, bytes: u64) -> Self {
        self.breaks(Break::HalfClose, Some(bytes))
    }

    /// Sends no more after this many bytes of the body, with the connection open.
    pub fn hangs_after(self, bytes: u64) -> Self {
        self.breaks(Break::Hang, Some(bytes))
    }

    fn breaks(mut self, how: Break, after_bytes: Option<u64>) -> Self {
        self.broken = Some((how, after_bytes));
        self
    }

    /// The reply as hyper sends it, after its delay. An error ends the connection without an answer.
    pub(super) async fn into_response(self, ending: Ending) -> io::Result<Response<ReplyBody>> {
        tokio::time::sleep(self.delay).await;
        if let Some((how, None)) = self.broken {
            if how == Break::Hang {
                std::future::pending::<()>().await;
            }
            return Err(broken(how, &ending));
        }
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        Ok(response.map(|()| ReplyBody::new(self, ending)))
    }
}

/// Notes how the connection shall end and makes the error that ends it.
fn broken(how: Break, ending: &Ending) -> io::Error {
    match how {
        Break::Reset => ending.reset(),
        Break::HalfClose => ending.half_close(),
        Break::Close | Break::Hang => {}
    }
    io::Error::other("broken on purpose")
}

/// The body of a reply, made frame by frame.
pub(super) struct ReplyBody {
    body: Bytes,
    generated_bytes: u64,
    trailers: Option<HeaderMap>,
    chunked: bool,
    frame_bytes: usize,
    frame_pause: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    /// What goes wrong after how many more bytes.
    broken: Option<(Break, u64)>,
    ending: Ending,
}

impl ReplyBody {
    fn new(reply: Reply, ending: Ending) -> Self {
        let broken = reply.broken.map(|(how, after)| (how, after.unwrap_or(0)));
        let mut body = Self {
            body: reply.body,
            generated_bytes: reply.generated_bytes,
            trailers: Some(reply.trailers).filter(|trailers| !trailers.is_empty()),
            chunked: reply.chunked,
            frame_bytes: reply.frame_bytes,
            frame_pause: reply.frame_pause,
            pause: None,
            broken,
            ending,
        };
        body.pause = body.next_pause();
        body
    }

    /// The pause before the next frame, a short one before the break.
    fn next_pause(&self) -> Option<Pin<Box<Sleep>>> {
        let pause = match self.broken {
            Some((_, 0)) => FLUSH_PAUSE.max(self.frame_pause),
            _ => self.frame_pause,
        };
        (!pause.is_zero()).then(|| Box::pin(tokio::time::sleep(pause)))
    }

    /// The next bytes, at most one frame and not past the break.
    fn next_bytes(&mut self) -> Bytes {
        let room = self.broken.map_or(u64::MAX, |(_, after)| after);
        let limit = usize::try_from(room).unwrap_or(usize::MAX).min(self.frame_bytes);
        let bytes = if self.body.is_empty() {
            let length = usize::try_from(self.generated_bytes)
                .unwrap_or(usize::MAX)
                .min(limit);
            self.generated_bytes -= length as u64;
            Bytes::from_static(&FILLER[..length])
        } else {
            self.body.split_to(self.body.len().min(limit))
        };
        if let Some((_, after)) = &mut self.broken {
            *after -= bytes.len() as u64;
        }
        bytes
    }

    fn remaining_bytes(&self) -> u64 {
        self.body.len() as u64 + self.generated_bytes
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        match self.broken {
            Some((Break::Hang, 0)) => return Poll::Pending,
            Some((how, 0)) => return Poll::Ready(Some(Err(broken(how, &self.ending)))),
            _ => {}
        }
        if self.remaining_bytes() == 0 {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let bytes = self.next_bytes();
        self.pause = self.next_pause();
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining_bytes() == 0 && self.trailers.is_none() && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.chunked {
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.remaining_bytes())
        }
    }
}

#[track_caller]
fn header_name(name: &str) -> HeaderName {
    name.parse()
        .unwrap_or_else(|_| panic!("not a header name: {name:?}"))
}

#[track_caller]
fn header_value(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| panic!("not a header value: {value:?}"))
}
