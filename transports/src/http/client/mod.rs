//! The sending half: where a message goes, and the exchange with the backend over a pooled connection of the same thread.

mod address;
mod connect;
mod headers;
mod http1;
mod http2;
mod pool;
mod reply_body;
mod uri_template;

#[cfg(test)]
mod tests;

pub(crate) use address::{Address, Braces};

use crate::http::wire::Content;
use connect::{Connected, Target};
use engine::exchange::Exchange;
use engine::fault::{Fault, FaultCode};
use engine::mediator::{BoxFuture, Needs};
use engine::message::{Message, StartLine};
use engine::transport::{CallOptions, SendContext, SendError, Sender};
use http::{HeaderMap, Method, Uri};
use pool::{Checkout, Lease};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout_at;

/// Kept connections that are tried before a new one is made.
const STALE_MAX: usize = 32;

/// When HTTP/2 is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Http2 {
    /// Over TLS where the backend offers it.
    #[default]
    Auto,
    /// Always, with TLS or without.
    PriorKnowledge,
    /// Never.
    Never,
}

/// Settings of the connections to a backend.
#[derive(Clone)]
pub struct ClientSettings {
    /// When HTTP/2 is spoken.
    pub http2: Http2,
    /// Most HTTP/1.1 connections per host and worker.
    pub connections_max: usize,
    /// Most time an unused connection is kept.
    pub idle_timeout: Duration,
    /// Most time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Whether the backend gets the host that the client asked for.
    pub preserve_host: bool,
    /// TLS, for `https` URLs.
    pub tls: Arc<rustls::ClientConfig>,
    /// The name that the backend's certificate must have, where it is not the URL's host.
    pub server_name: Option<Arc<str>>,
    /// What distinguishes these settings from others: connections are shared only where it is equal.
    pub identity: u64,
}

/// Sends to one configured address.
pub struct HttpSender {
    address: Address,
    label: String,
    settings: ClientSettings,
}

impl HttpSender {
    pub(crate) fn new(address: Address, settings: ClientSettings) -> Self {
        Self {
            label: address.label(),
            address,
            settings,
        }
    }
}

impl Sender for HttpSender {
    fn needs(&self) -> Needs {
        self.address.needs()
    }

    fn address(&self, exchange: &Exchange, options: &CallOptions) -> Result<StartLine, Fault> {
        let uri = self.address.uri(exchange, options)?;
        Ok(StartLine::Request {
            method: address::method(exchange, options),
            uri,
        })
    }

    fn send<'a>(
        &'a self,
        message: Message,
        context: &'a SendContext,
    ) -> BoxFuture<'a, Result<Message, SendError>> {
        Box::pin(async move {
            let sent = self.exchange(message, context);
            timeout_at(context.deadline, sent)
                .await
                .unwrap_or_else(|_| Err(self.timed_out().into()))
        })
    }

    fn label(&self) -> &str {
        &self.label
    }
}

/// A request on its way out.
struct Outbound {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    content: Content,
}

impl Outbound {
    /// Whether it may be sent again after it might have been received (RFC 9110 section 9.2.2).
    fn copy_if_repeatable(&self) -> Option<Box<Self>> {
        let content = match &self.content {
            Content::Empty => Content::Empty,
            Content::Bytes(bytes) => Content::Bytes(bytes.clone()),
            Content::Stream(_) => return None,
        };
        let (method, uri, headers) = (self.method.clone(), self.uri.clone(), self.headers.clone());
        let copy = Self {
            method,
            uri,
            headers,
            content,
        };
        self.method.is_idempotent().then(|| Box::new(copy))
    }

    fn into_message(self) -> Message {
        let payload = self.content.into();
        Message {
            start: StartLine::Request {
                method: self.method,
                uri: self.uri,
            },
            headers: self.headers,
            payload,
        }
    }
}

/// A failed attempt on one connection.
enum Failed {
    /// Nothing was sent.
    Unsent(Fault, Box<Outbound>),
    /// Something may have been received, but no byte of a reply was. The request is given back where sending it again does no harm.
    Lost(Fault, Option<Box<Outbound>>),
    /// Anything else.
    Final(Fault),
}

impl HttpSender {
    async fn exchange(&self, message: Message, context: &SendContext) -> Result<Message, SendError> {
        let mut outbound = headers::outbound(message, context, &self.settings)?;
        let target = Target::of(&outbound.uri, &self.settings)?;
        let lease = Lease::acquire(&target, &self.settings).await;
        // A pooled connection may have been closed by the backend meanwhile: it is tried, and another one at once.
        for _ in 0..STALE_MAX {
            let Some(pooled) = lease.check_out() else { break };
            let attempt = match pooled {
                Checkout::Http1(connection) => {
                    http1::exchange(connection, outbound, context, lease.clone(), http1::Age::Reused).await
                }
                Checkout::Http2(connection) => http2::exchange(connection, outbound, context).await,
            };
            match attempt {
                Ok(reply) => return Ok(reply),
                Err(Failed::Unsent(_, again) | Failed::Lost(_, Some(again))) => outbound = *again,
                Err(Failed::Lost(fault, None) | Failed::Final(fault)) => return Err(self.told(fault).into()),
            }
        }
        let connected = match connect::connect(&target, &self.settings).await {
            Ok(connected) => connected,
            Err(fault) => {
                return Err(SendError {
                    fault: self.told(fault),
                    unsent: Some(Box::new(outbound.into_message())),
                });
            }
        };
        let attempt = match connected {
            Connected::Http1(connection) => {
                http1::exchange(connection, outbound, context, lease, http1::Age::New).await
            }
            Connected::Http2(connection) => {
                lease.keep_http2(&connection);
                http2::exchange(connection, outbound, context).await
            }
        };
        attempt.map_err(|failed| match failed {
            Failed::Unsent(fault, outbound) => SendError {
                fault: self.told(fault),
                unsent: Some(Box::new(outbound.into_message())),
            },
            Failed::Lost(fault, _) | Failed::Final(fault) => self.told(fault).into(),
        })
    }

    /// The log learns which backend it was.
    fn told(&self, fault: Fault) -> Fault {
        fault.with_subject(&self.label)
    }

    fn timed_out(&self) -> Fault {
        let detail = format!("no reply from {} in time", self.label);
        Fault::new(FaultCode::Timeout, "The backend did not answer in time.").with_detail(detail)
    }
}

fn connect_fault(detail: impl Into<String>) -> Fault {
    Fault::new(FaultCode::Connect, "The backend cannot be reached.").with_detail(detail)
}

fn connection_lost(detail: impl Into<String>) -> Fault {
    Fault::new(
        FaultCode::ConnectionLost,
        "The backend closed the connection before it answered.",
    )
    .with_detail(detail)
}

fn bad_reply(detail: impl Into<String>) -> Fault {
    Fault::new(FaultCode::BadReply, "The backend's reply cannot be understood.").with_detail(detail)
}

fn incomplete_body(detail: impl Into<String>) -> Fault {
    Fault::new(FaultCode::IncompleteBody, "The backend's reply broke off.").with_detail(detail)
}
