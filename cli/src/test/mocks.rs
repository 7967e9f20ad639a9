//! Mocks: small servers on loopback that stand where an endpoint would be. The endpoint's address is redirected to
//! them before the project is built, so that the real sender with all its policies is what talks to them.

use super::body::{self, Body};
use super::definition::{Mock, MockFault, Reply, ReplyFault, TestCase};
use crate::client::Received;
use bytes::Bytes;
use engine::config::{Named, OneOrMany, Sources, Text};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};

/// The largest request that a mock takes.
const REQUEST_BYTES_MAX: usize = 64 << 20;
/// Calls that a mock remembers.
const CALLS_MAX: usize = 10_000;

/// A call that a mock got.
#[derive(Clone, Debug)]
pub(super) struct RecordedCall {
    /// The method.
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    /// Headers and body.
    pub(super) message: Received,
}

/// A mock that answers until it is dropped.
pub(super) struct RunningMock {
    /// The endpoint that it stands for.
    pub(super) name: String,
    /// Where it listens.
    pub(super) address: SocketAddr,
    calls: Arc<Mutex<Vec<RecordedCall>>>,
    server: Option<JoinHandle<()>>,
    /// Bound, but not listening: connections are refused, and nobody else can take the port.
    _refusing: Option<TcpSocket>,
}

impl Drop for RunningMock {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

impl RunningMock {
    /// Takes the calls since the last time.
    #[must_use]
    pub(super) fn take_calls(&self) -> Vec<RecordedCall> {
        std::mem::take(&mut *self.calls.lock())
    }
}

/// Starts the mocks of a test.
///
/// # Errors
/// Why a mock cannot start.
pub(super) async fn start(test: &TestCase, sources: &Sources) -> Result<Vec<RunningMock>, String> {
    let mut running = Vec::new();
    for (name, _, mock) in test.mocks.iter() {
        running.push(
            start_one(name, mock, sources)
                .await
                .map_err(|error| format!("mock `{name}`: {error}"))?,
        );
    }
    Ok(running)
}

async fn start_one(name: &str, mock: &Mock, sources: &Sources) -> Result<RunningMock, String> {
    let calls = Arc::default();
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let name = name.to_owned();
    if mock.fault == Some(MockFault::Refuse) {
        let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
        socket.bind(loopback).map_err(|error| error.to_string())?;
        let address = socket.local_addr().map_err(|error| error.to_string())?;
        return Ok(RunningMock {
            name,
            address,
            calls,
            server: None,
            _refusing: Some(socket),
        });
    }
    let answers = Arc::new(Answers {
        answers: answers(mock, sources)?,
        next: Mutex::new(0),
        calls: Arc::clone(&calls),
    });
    let listener = TcpListener::bind(loopback)
        .await
        .map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let server = Some(tokio::spawn(serve(listener, answers)));
    Ok(RunningMock {
        name,
        address,
        calls,
        server,
        _refusing: None,
    })
}

/// One answer, with everything read that it needs.
#[derive(Clone)]
enum Answer {
    Reply {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        delay: Duration,
    },
    Fail(ReplyFault, Duration),
}

fn answers(mock: &Mock, sources: &Sources) -> Result<Vec<Answer>, String> {
    let fault = match mock.fault {
        Some(MockFault::Close) => Some(ReplyFault::Close),
        Some(MockFault::Timeout) => Some(ReplyFault::Timeout),
        Some(MockFault::Refuse) | None => None,
    };
    if let Some(fault) = fault {
        return Ok(vec![Answer::Fail(fault, Duration::ZERO)]);
    }
    let replies = mock.replies.iter().chain(&mock.reply);
    let mut answers = replies
        .map(|reply| answer(reply, sources))
        .collect::<Result<Vec<_>, _>>()?;
    if answers.is_empty() {
        answers.push(answer(&Reply::default(), sources)?);
    }
    Ok(answers)
}

fn answer(reply: &Reply, sources: &Sources) -> Result<Answer, String> {
    let delay = reply.delay.map(Duration::from).unwrap_or_default();
    if let Some(fault) = reply.fault {
        return Ok(Answer::Fail(fault, delay));
    }
    let status = reply.status.unwrap_or(200);
    let body = body::load(reply.content(), sources).map_err(|problem| problem.message)?;
    Ok(Answer::Reply {
        status: StatusCode::from_u16(status).map_err(|_| format!("{status} is no status"))?,
        headers: headers(&reply.headers, &body)?,
        body: body.bytes.unwrap_or_default(),
        delay,
    })
}

/// Headers as written, and the media type of the body where they do not name one.
pub(super) fn headers(written: &Named<OneOrMany<Text>>, body: &Body) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, _, values) in written.iter() {
        let name = HeaderName::try_from(name).map_err(|error| format!("`{name}`: {error}"))?;
        for value in values.iter() {
            let value =
                HeaderValue::from_str(value.as_str()).map_err(|error| format!("`{name}`: {error}"))?;
            headers.append(&name, value);
        }
    }
    if let Some(content_type) = &body.content_type {
        let value = HeaderValue::from_str(content_type).map_err(|error| format!("content type: {error}"))?;
        headers.entry(header::CONTENT_TYPE).or_insert(value);
    }
    Ok(headers)
}

struct Answers {
    answers: Vec<Answer>,
    next: Mutex<usize>,
    calls: Arc<Mutex<Vec<RecordedCall>>>,
}

async fn serve(listener: TcpListener, answers: Arc<Answers>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let answers = Arc::clone(&answers);
        let service = service_fn(move |request| Arc::clone(&answers).answer(request));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A connection that ends with an error is what `close` is made of.
        connections.spawn(async move { drop(connection.await) });
    }
}

impl Answers {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, REQUEST_BYTES_MAX)
            .collect()
            .await
            .map_err(|_| Closed)?;
        self.record(RecordedCall {
            method: head.method,
            path: head
                .uri
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default(),
            message: Received {
                status: StatusCode::OK,
                headers: head.headers,
                body: body.to_bytes(),
            },
        });
        match self.next() {
            Answer::Fail(ReplyFault::Close, delay) => {
                tokio::time::sleep(delay).await;
                Err(Closed)
            }
            Answer::Fail(ReplyFault::Timeout, _) => {
                std::future::pending::<Infallible>().await;
                Err(Closed)
            }
            Answer::Reply {
                status,
                headers,
                body,
                delay,
            } => {
                tokio::time::sleep(delay).await;
                let mut response = Response::new(Full::new(body));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                Ok(response)
            }
        }
    }

    fn record(&self, call: RecordedCall) {
        let mut calls = self.calls.lock();
        if calls.len() < CALLS_MAX {
            calls.push(call);
        }
    }

    /// The next answer; the last one is repeated.
    fn next(&self) -> Answer {
        let mut next = self.next.lock();
        let index = (*next).min(self.answers.len() - 1);
        *next += 1;
        self.answers[index].clone()
    }
}

/// Ends a connection without a reply.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed by the mock")
    }
}

impl std::error::Error for Closed {}
