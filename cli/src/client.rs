//! A small HTTP client for tests and samples: one request, one connection, everything in memory, limits on all of it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a reply may take.
const REPLY_TIME: Duration = Duration::from_secs(60);
/// The largest reply.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// A request.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Headers beside `host` and `content-length`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Bytes>,
}

/// A reply, or a request that a mock got: a message in memory.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The status of a reply.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Received {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The media type, without parameters, in lower case.
    #[must_use]
    pub fn media_type(&self) -> String {
        let value = self
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let essence = value.unwrap_or_default().split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    }
}

/// Sends a request to a base URL (`http://127.0.0.1:8290`) and waits for the whole reply.
///
/// # Errors
/// Why there is no complete reply.
pub async fn send(url: &str, request: Outgoing) -> Result<Received, String> {
    let Some(authority) = url.strip_prefix("http://") else {
        return Err(format!("`{url}` speaks TLS, and tests speak plain HTTP"));
    };
    match tokio::time::timeout(REPLY_TIME, exchange(authority, request)).await {
        Ok(reply) => reply,
        Err(_) => Err(format!("there was no reply within {} s", REPLY_TIME.as_secs())),
    }
}

async fn exchange(authority: &str, request: Outgoing) -> Result<Received, String> {
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| format!("{authority} cannot be reached: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| describe(&error))?;
    let connection = tokio::spawn(connection);
    let reply = receive(&mut sender, authority, request).await;
    connection.abort();
    reply
}

async fn receive(
    sender: &mut hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    authority: &str,
    outgoing: Outgoing,
) -> Result<Received, String> {
    let mut request = Request::new(Full::new(outgoing.body.unwrap_or_default()));
    *request.method_mut() = outgoing.method;
    *request.uri_mut() = outgoing
        .path
        .parse()
        .map_err(|error| format!("`{}` is no path: {error}", outgoing.path))?;
    *request.headers_mut() = outgoing.headers;
    let host = HeaderValue::from_str(authority).map_err(|error| error.to_string())?;
    request.headers_mut().entry(header::HOST).or_insert(host);
    let reply = sender
        .send_request(request)
        .await
        .map_err(|error| describe(&error))?;
    let (head, body) = reply.into_parts();
    let body = Limited::new(body, REPLY_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| format!("the reply broke off: {error}"))?;
    Ok(Received {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
    })
}

fn describe(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "the connection was closed without a reply".to_owned();
    }
    format!("there was no reply: {error}")
}
