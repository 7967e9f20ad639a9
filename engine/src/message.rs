//! The message: a start line, headers and a payload.

use crate::payload::Payload;
use http::{HeaderMap, Method, StatusCode, Uri, header};

/// One message, as it came from or goes to a transport.
#[derive(Debug, Default)]
pub struct Message {
    /// What kind of message this is.
    pub start: StartLine,
    /// End-to-end headers. Transports remove hop-by-hop headers and `content-length` at the edge.
    pub headers: HeaderMap,
    /// The body in whatever state it is.
    pub payload: Payload,
}

/// The first line of a message.
#[derive(Clone, Debug, Default)]
pub enum StartLine {
    /// An HTTP-like request. The URI holds the normalised path and the raw query.
    Request {
        /// The method.
        method: Method,
        /// Path and query, normalised once at the edge.
        uri: Uri,
    },
    /// A reply.
    Response {
        /// Its status.
        status: StatusCode,
    },
    /// A message from a transport without requests: file, queue, timer.
    #[default]
    Event,
}

impl Message {
    /// A reply with this status and no body.
    #[must_use]
    pub fn response(status: StatusCode) -> Self {
        Self {
            start: StartLine::Response { status },
            ..Self::default()
        }
    }

    /// A request with this method and target.
    #[must_use]
    pub fn request(method: Method, uri: Uri) -> Self {
        Self {
            start: StartLine::Request { method, uri },
            ..Self::default()
        }
    }

    /// The status where this is a reply.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.start {
            StartLine::Response { status } => Some(status),
            _ => None,
        }
    }

    /// The media type with its parameters, as the `content-type` header says.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
    }

    /// Sets the `content-type` header. The value comes from the configuration or a format and is a valid header value.
    pub fn set_content_type(&mut self, media_type: &str) {
        match header::HeaderValue::from_str(media_type) {
            Ok(value) => drop(self.headers.insert(header::CONTENT_TYPE, value)),
            Err(_) => drop(self.headers.remove(header::CONTENT_TYPE)),
        }
    }
}
