//! A well-behaved HTTP client: HTTP/1.1 or HTTP/2, with or without TLS, one connection per request or kept.
//! It adds nothing of its own except `Host`, follows no redirect, and retries nothing.

use crate::raw::address_of;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// From the first byte of a request to the last of its reply.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);
/// The bound on what a server may call itself here: certificates are made for this name.
const SERVER_NAME: &str = "localhost";

/// Any body that a test hands over, behind one type.
type RequestBody = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// Why no whole reply came: refused, reset, malformed, cut off, too late.
#[derive(Debug)]
pub struct ClientError(String);

impl fmt::Display for ClientError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for ClientError {}

/// A whole reply.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The protocol version of the reply.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The trailers, empty when there were none.
    pub trailers: HeaderMap,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the whole reply when it is not.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON: {error}\n{self:?}"))
    }

    /// A header's value as text, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Panics with the whole reply unless it has this status.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }
}

/// How to connect.
#[derive(Debug, Clone, Default)]
pub struct Client {
    http2: bool,
    tls: Option<Arc<ClientConfig>>,
}

/// An open connection for one request after another.
pub struct Connection {
    sender: Sender,
    authority: String,
    scheme: &'static str,
}

enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

/// GET with a connection of its own; panics when no reply comes.
#[track_caller]
pub fn get(url: &str) -> impl Future<Output = Answer> {
    let request = Request::get(url).body(Full::default()).expect("a valid URL");
    send_or_panic(request)
}

/// POST with a connection of its own; panics when no reply comes.
#[track_caller]
pub fn post(url: &str, content_type: &str, body: impl Into<Bytes>) -> impl Future<Output = Answer> {
    let request = Request::post(url).header(header::CONTENT_TYPE, content_type);
    send_or_panic(
        request
            .body(Full::new(body.into()))
            .expect("a valid URL and content type"),
    )
}

async fn send_or_panic(request: Request<Full<Bytes>>) -> Answer {
    let target = format!("{} {}", request.method(), request.uri());
    Client::new()
        .send(request)
        .await
        .unwrap_or_else(|error| panic!("{target}: {error}"))
}

impl Client {
    /// HTTP/1.1 without TLS.
    pub fn new() -> Self {
        Self::default()
    }

    /// HTTP/2: by prior knowledge, or by ALPN with TLS.
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// TLS, whatever the scheme of the URL says.
    pub fn tls(mut self, config: ClientConfig) -> Self {
        self.tls = Some(Arc::new(config));
        self
    }

    /// Sends a request whose URI is absolute on a connection of its own and reads the whole reply.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Answer, ClientError>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let url = request.uri().to_string();
        limited(async { self.connect(&url).await?.send(request).await }).await
    }

    /// Connects to the host and port of a URL.
    pub async fn connect(&self, url: &str) -> Result<Connection, ClientError> {
        let address = address_of(url);
        let stream = TcpStream::connect(address).await.map_err(failure("connect"))?;
        stream.set_nodelay(true).map_err(failure("connect"))?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let sender = match &self.tls {
            None => self.handshake(stream).await?,
            Some(config) => self.handshake(secure(stream, config, self.http2).await?).await?,
        };
        Ok(Connection {
            sender,
            authority: address.to_string(),
            scheme,
        })
    }

    async fn handshake<S>(&self, stream: S) -> Result<Sender, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        if self.http2 {
            let (sender, driver) = http2::handshake(TokioExecutor::new(), stream)
                .await
                .map_err(failure("HTTP/2 handshake"))?;
            tokio::spawn(driver);
            Ok(Sender::Http2(sender))
        } else {
            let (sender, driver) = http1::handshake(stream)
                .await
                .map_err(failure("HTTP/1.1 handshake"))?;
            tokio::spawn(driver);
            Ok(Sender::Http1(sender))
        }
    }
}

impl Connection {
    /// Sends one request and reads the whole reply.
    pub async fn send<B>(&mut self, request: Request<B>) -> Result<Answer, ClientError>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        limited(async { read(self.open(request).await?).await }).await
    }

    /// Sends one request and returns with the head of the reply, the body still to be read.
    pub async fn open<B>(&mut self, request: Request<B>) -> Result<Response<Incoming>, ClientError>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request = self.prepare(request);
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await.map_err(failure("kept connection"))?;
                sender.send_request(request).await.map_err(failure("request"))
            }
            Sender::Http2(sender) => {
                sender.ready().await.map_err(failure("kept connection"))?;
                sender.send_request(request).await.map_err(failure("request"))
            }
        }
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// HTTP/1.1 wants the path alone and a `Host`; HTTP/2 the absolute form.
    fn prepare<B>(&self, request: Request<B>) -> Request<RequestBody>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut request = request.map(|body| body.map_err(std::io::Error::other).boxed_unsync());
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        if matches!(self.sender, Sender::Http2(_)) {
            let uri = Uri::builder()
                .scheme(self.scheme)
                .authority(self.authority.as_str())
                .path_and_query(path);
            *request.uri_mut() = uri.build().expect("parts of a valid URI");
            return request;
        }
        *request.uri_mut() = path.parse().expect("the path of a valid URI");
        let host = self
            .authority
            .parse()
            .expect("an address is a valid header value");
        request.headers_mut().entry(header::HOST).or_insert(host);
        request
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, ClientError> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await.map_err(failure("reply body"))?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok(Answer {
        status: head.status.as_u16(),
        version: head.version,
        headers: head.headers,
        body: collected.to_bytes(),
        trailers,
    })
}

async fn secure(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
    http2: bool,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ClientError> {
    let mut config = ClientConfig::clone(config);
    config.alpn_protocols = vec![if http2 {
        b"h2".to_vec()
    } else {
        b"http/1.1".to_vec()
    }];
    let name = ServerName::try_from(SERVER_NAME).expect("a valid name");
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(failure("TLS handshake"))
}

async fn limited<T>(exchange: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    match tokio::time::timeout(EXCHANGE_LIMIT, exchange).await {
        Ok(result) => result,
        Err(_) => Err(ClientError(format!("no whole reply within {EXCHANGE_LIMIT:?}"))),
    }
}

/// Keeps what an error and its causes say, under the stage that failed.
fn failure<E: std::error::Error>(stage: &'static str) -> impl Fn(E) -> ClientError {
    move |error| {
        let mut text = format!("{stage}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        ClientError(text)
    }
}
