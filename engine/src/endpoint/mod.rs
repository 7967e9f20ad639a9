//! Endpoints: where to send, and with which policy.
//!
//! ```text
//! call ▶ headers, SOAP ▶ retries ▶ circuit breaker ▶ address: one sender
//!                           ▲                        group: one member, chosen by balance or in order ▶ that endpoint
//!                           └── another attempt      recipients: all of them, a copy each
//!      ◀ SOAP fault, fault_on
//! ```
//! Every layer is optional and an absent one costs nothing. A body is sent from its stream, as long as nobody may have to send it
//! again; only then it is buffered. Nothing runs in the background.

mod address;
mod balance;
mod breaker;
mod build;
mod config;
mod group;
mod headers;
mod outcome;
mod parcel;
mod recipients;
mod reply;
mod retry;
mod run;
mod soap;
mod trigger;
mod window;

#[cfg(test)]
mod tests;

pub(crate) use build::{build_all, reference};
pub use config::{
    Algorithm, BalanceConfig, BasicAuthConfig, BreakerConfig, FailoverConfig, Percent, PolicyConfig,
    RecipientsConfig, Require, RetryConfig, SoapVersion, StatusPattern, TriggerName, endpoint_schema,
};

use crate::exchange::Exchange;
use crate::expression::Template;
use crate::fault::{Fault, FaultCode};
use crate::mediator::Needs;
use crate::message::Message;
use crate::observe::BackendMetrics;
use crate::transport::CallOptions;
use address::Address;
use breaker::Breaker;
use group::Group;
use headers::Headers;
use http::HeaderName;
use parcel::Parcel;
use recipients::Recipients;
use retry::Retry;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trigger::{Statuses, Triggers};

/// A backend, or several of them, with a policy.
pub struct Endpoint {
    name: Arc<str>,
    needs: Needs,
    policy: Policy,
    kind: Kind,
    metrics: BackendMetrics,
}

/// What is the same for every kind of endpoint.
struct Policy {
    /// For each attempt, until the head of the reply.
    timeout: Option<Duration>,
    retry: Option<Retry>,
    breaker: Option<(Arc<Breaker>, Triggers)>,
    headers: Headers,
    soap: Option<soap::Soap>,
    fault_on: Statuses,
    forward: Box<[HeaderName]>,
}

enum Kind {
    Address(Address),
    Group(Group),
    Recipients(Recipients),
}

impl Endpoint {
    /// The name in the configuration; of an address given in place its scheme, host and port.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How much of the exchange's payload its address, headers and choice of member read.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Why a body that still streams is held in memory before it is sent, where it is; for `explain`.
    #[must_use]
    pub fn buffers(&self) -> Option<&'static str> {
        match (&self.kind, &self.policy) {
            (Kind::Recipients(_), _) => Some("each recipient gets a copy"),
            (_, Policy { soap: Some(_), .. }) => Some("`soap` may have to wrap it"),
            (
                _,
                Policy {
                    retry: Some(retry), ..
                },
            ) if retry.non_idempotent => Some("`retry` may have to send it again"),
            (_, Policy { retry: Some(_), .. }) => {
                Some("`retry` may have to send it again, POST and PATCH aside")
            }
            (Kind::Group(_), _) => Some("another member may have to get it, POST and PATCH aside"),
            (Kind::Address(_), _) => None,
        }
    }

    /// The folder it writes to, where it is the address of one.
    #[must_use]
    pub fn files(&self) -> Option<Arc<dyn crate::files::FileStore>> {
        match &self.kind {
            Kind::Address(address) => address.sender.files(),
            Kind::Group(_) | Kind::Recipients(_) => None,
        }
    }

    /// The headers that a `call` takes over from the message although they are the client's own business: of `authorization`,
    /// `cookie` and `proxy-authorization` those that the configuration names.
    #[must_use]
    pub fn forward(&self) -> &[HeaderName] {
        &self.policy.forward
    }

    /// Sends `message` and waits for the reply's head; its body may still stream. The time is added to the exchange's backend time.
    ///
    /// Address, headers and the choice of a member are evaluated against `exchange`, whose message should therefore still have its
    /// headers, and its payload as far as [`Endpoint::needs`] says. To move the exchange's own message on, use [`Endpoint::pass_on`].
    ///
    /// # Errors
    /// `backend.connect`, `backend.timeout`, `backend.connection_lost`, `backend.bad_reply` as the last attempt failed;
    /// `backend.circuit_open` and `backend.unavailable` where none was made; `backend.status` and `backend.soap_fault` for replies
    /// that the policy calls faults; `gateway.expression`, and the faults of reading the message where it has to be buffered.
    pub async fn call(
        &self,
        exchange: &mut Exchange,
        message: Message,
        options: &CallOptions,
    ) -> Result<Message, Fault> {
        self.timed(exchange, Parcel::new(message), options, Waiting::ForReply)
            .await
    }

    /// Sends `message` one way: only delivery matters, a reply is discarded.
    ///
    /// # Errors
    /// As [`Endpoint::call`].
    pub async fn send(
        &self,
        exchange: &mut Exchange,
        message: Message,
        options: &CallOptions,
    ) -> Result<(), Fault> {
        self.timed(exchange, Parcel::new(message), options, Waiting::ForDelivery)
            .await
            .map(drop)
    }

    /// Sends the exchange's message on and puts the reply in its place. The message is moved, not copied; what the address and the
    /// headers read of it is evaluated before.
    ///
    /// # Errors
    /// As [`Endpoint::call`]. The message is gone.
    pub async fn pass_on(&self, exchange: &mut Exchange, options: &CallOptions) -> Result<(), Fault> {
        exchange.lift(self.needs).await?;
        let parcel = match &self.kind {
            Kind::Address(address) => {
                let start = address.sender.address(exchange, options)?;
                let headers = self.policy.headers.render(exchange)?;
                Parcel::prepared(std::mem::take(&mut exchange.message), start, headers)
            }
            Kind::Group(_) | Kind::Recipients(_) => {
                let message = &mut exchange.message;
                let payload = message.payload.share().unwrap_or_else(|| message.payload.take());
                Parcel::new(Message {
                    start: message.start.clone(),
                    headers: message.headers.clone(),
                    payload,
                })
            }
        };
        exchange.message = self.timed(exchange, parcel, options, Waiting::ForReply).await?;
        Ok(())
    }

    async fn timed(
        &self,
        exchange: &mut Exchange,
        parcel: Parcel,
        options: &CallOptions,
        waiting: Waiting,
    ) -> Result<Message, Fault> {
        let started = Instant::now();
        let result = self
            .run_first(
                run::Call {
                    exchange,
                    options,
                    waiting,
                },
                parcel,
            )
            .await;
        exchange.backend_time += started.elapsed();
        result
    }
}

/// What the sender of a message waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    ForReply,
    ForDelivery,
}

/// An endpoint as a step or proxy refers to it.
pub enum EndpointRef {
    /// A named endpoint, a URL or one defined in place.
    Fixed(Arc<Endpoint>),
    /// The name of an endpoint, evaluated per message.
    Dynamic(Template),
}

impl EndpointRef {
    /// How much of the payload it reads. What a dynamic reference leads to has [needs](Endpoint::needs) of its own.
    #[must_use]
    pub fn needs(&self) -> Needs {
        match self {
            Self::Fixed(endpoint) => endpoint.needs(),
            Self::Dynamic(name) => name.needs(),
        }
    }

    /// The endpoint for this exchange. Only names of the deployment count, never an address: message data must not choose where
    /// the gateway connects to.
    ///
    /// # Errors
    /// `backend.unavailable` where no endpoint has this name, `gateway.expression`.
    pub fn resolve(&self, exchange: &Exchange) -> Result<Arc<Endpoint>, Fault> {
        let name = match self {
            Self::Fixed(endpoint) => return Ok(Arc::clone(endpoint)),
            Self::Dynamic(name) => name.render(exchange)?,
        };
        exchange
            .deployment
            .endpoints
            .get(name.as_str())
            .cloned()
            .ok_or_else(|| {
                Fault::new(FaultCode::NoEndpoint, "There is no such backend.")
                    .with_detail(format!("there is no endpoint `{name}`"))
            })
    }
}
