//! Transports: listeners receive messages, senders send them on. Engine and transports meet here; the engine names none of them.

use crate::exchange::Exchange;
use crate::facts::Facts;
use crate::fault::Fault;
use crate::gateway::Gateway;
use crate::mediator::{BoxFuture, Needs};
use crate::message::{Message, StartLine};
use http::Method;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A message as a listener hands it to [`Gateway::handle`], after all checks of the edge.
#[derive(Debug, Default)]
pub struct Inbound {
    /// The message; a request's URI holds the normalised path and the raw query.
    pub message: Message,
    /// The name of the listener.
    pub listener: Arc<str>,
    /// The socket's other end.
    pub peer: Option<SocketAddr>,
    /// The client's address after the trust list.
    pub client_address: Option<IpAddr>,
    /// `http` or `https` as the client used it.
    pub scheme: &'static str,
    /// The authority that the client asked for.
    pub host: String,
    /// Correlation id: a trusted client's or a new one.
    pub id: String,
    /// The W3C `traceparent` to send on, where tracing is on or the client sent one.
    pub traceparent: Option<String>,
}

/// A message from a transport that is no network port (a file, a queue, a timer), as a listener hands it to [`Gateway::deliver`].
#[derive(Debug, Default)]
pub struct Delivery {
    /// The artifact that serves it: `proxies.orders`. Given to the listener when it was built.
    pub artifact: Arc<str>,
    /// The message; its start line is [`StartLine::Event`].
    pub message: Message,
    /// Correlation id; where it is empty a new one is made.
    pub id: String,
    /// Where it comes from, for the root `source` of expressions.
    pub source: Facts,
    /// The W3C `traceparent` that came along.
    pub traceparent: Option<String>,
    /// Whether the listener will deliver the message again if it fails in a way that is [worth it](Fault::worth_redelivery).
    /// A message that will not come again goes to the artifact's dead-letter store when it fails.
    pub redelivers: bool,
}

/// What became of a delivery. Only after this may a listener acknowledge.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, matched at once: a box would be an allocation per message"
)]
pub enum Settled {
    /// The exchange ended well; the reply, formatted, for listeners that answer.
    Done(Message),
    /// It failed for good and is kept in the artifact's dead-letter store: it can be acknowledged.
    DeadLettered(Fault),
    /// It failed and nobody keeps it. The listener delivers it again, or does what its configuration says about failures.
    Failed(Fault),
    /// The gateway could not take it (a reload under way, a full store): deliver it again later, without counting.
    Later(Fault),
}

/// What a deployment wants to listen on. Building one opens nothing; [`Listener::bind`] does.
pub trait Listener: Send + Sync {
    /// The name in the configuration.
    fn name(&self) -> &Arc<str>;

    /// What identifies the resource (an address, a folder). On reload a running listener with the same key is kept and reconfigured.
    fn key(&self) -> String;

    /// Opens the resource and starts receiving, on the gateway's workers.
    ///
    /// # Errors
    /// Why it cannot be opened, such as an address in use.
    fn bind<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> BoxFuture<'a, Result<Box<dyn RunningListener>, Fault>>;

    /// For downcasting in [`RunningListener::reconfigure`].
    fn as_any(&self) -> &dyn std::any::Any;
}

/// A listener that receives.
pub trait RunningListener: Send + Sync {
    /// Where it can be reached, with the port that was really bound: `http://127.0.0.1:8290`.
    fn url(&self) -> String;

    /// Takes over the settings of the same listener in a new deployment: certificates, limits, trust lists. The default takes over
    /// nothing: it is for listeners all of whose settings are part of their [`Listener::key`], so that a changed one is a new one.
    ///
    /// # Errors
    /// Why the new settings cannot be used; the old ones stay.
    fn reconfigure(&self, _listener: &dyn Listener) -> Result<(), Fault> {
        Ok(())
    }

    /// Stops accepting, lets what is in flight finish for `grace`, then closes.
    fn drain(&self, grace: Duration) -> BoxFuture<'_, ()>;

    /// For downcasting in [`RunningListener::reconfigure`] and in tests.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// What a `call` or `send` step says beside the endpoint.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// The method, where the step names one.
    pub method: Option<Method>,
    /// A path (and query) below the endpoint's address, already evaluated and escaped.
    pub path: Option<String>,
    /// The SOAP action.
    pub action: Option<String>,
    /// Values for the variables of the endpoint's URI template.
    pub parameters: Vec<(String, String)>,
    /// A pass-through: the client's method and query go on as they came.
    pub pass_through: bool,
}

/// The sending half of a transport, for one configured address.
pub trait Sender: Send + Sync {
    /// How much of the payload evaluating the address reads.
    fn needs(&self) -> Needs {
        Needs::Headers
    }

    /// Where this message goes: for HTTP the method and the absolute URI. Cheap and without I/O.
    ///
    /// # Errors
    /// `gateway.expression` where the address cannot be evaluated for this exchange.
    fn address(&self, exchange: &Exchange, options: &CallOptions) -> Result<StartLine, Fault>;

    /// Sends `message`, whose start line came from [`Sender::address`] and whose payload is bytes or a stream, and waits for the reply.
    /// A body that streams back ends with a fault when the backend dies in the middle.
    fn send<'a>(
        &'a self,
        message: Message,
        context: &'a SendContext,
    ) -> BoxFuture<'a, Result<Message, SendError>>;

    /// A stable label for metrics and the breaker: scheme, host and port; no path, no credentials.
    fn label(&self) -> &str;

    /// The folder it writes to, where it is one, for the steps that list, read and delete files.
    fn files(&self) -> Option<Arc<dyn crate::files::FileStore>> {
        None
    }
}

/// What a sender has to know about one attempt.
#[derive(Clone, Debug)]
pub struct SendContext {
    /// When the reply's head must be there.
    pub deadline: Instant,
    /// When the whole exchange must be over, its streamed body included.
    pub exchange_deadline: Instant,
    /// The correlation id.
    pub id: Arc<str>,
    /// Only delivery matters; the reply may be discarded.
    pub one_way: bool,
}

/// A failed attempt.
#[derive(Debug)]
pub struct SendError {
    /// What went wrong.
    pub fault: Fault,
    /// The message, where nothing of it was sent (connect phase): trying again cannot send it twice.
    pub unsent: Option<Box<Message>>,
}

impl From<Fault> for SendError {
    fn from(fault: Fault) -> Self {
        Self { fault, unsent: None }
    }
}
