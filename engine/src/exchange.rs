//! One message in flight: the message, variables, facts about how it came in, and the deployment that serves it.

use crate::completion::Completions;
use crate::deployment::Deployment;
use crate::expression::Original;
use crate::facts::Facts;
use crate::fault::{Fault, FaultCode};
use crate::format::{self, FaultStyle};
use crate::mediator::Needs;
use crate::message::{Message, StartLine};
use crate::model::Model;
use crate::observe::Trace;
use crate::payload::PayloadState;
use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// Variables of an exchange, in the order they were set. Values are shared until changed.
pub type Vars = IndexMap<Box<str>, Arc<Model>>;

/// Header fields that describe a body, wherever it goes.
const DESCRIBES_BODY: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
];

/// A message in flight.
pub struct Exchange {
    /// The current message: the request at first, after a `call` the reply.
    pub message: Message,
    /// Variables set by steps.
    pub vars: Vars,
    /// Arguments of the sequence templates being run, innermost last. They shadow path and query parameters.
    pub arguments: Vec<(Arc<str>, Arc<Model>)>,
    /// How the message came in.
    pub entry: Arc<Entry>,
    /// The deployment it entered with and stays with.
    pub deployment: Arc<Deployment>,
    /// When the exchange has to be over.
    pub deadline: Instant,
    /// Who the client is, once a step has authenticated it.
    pub principal: Option<Json>,
    /// The fault being handled, inside `catch` and `on_fault`.
    pub fault: Option<Arc<Fault>>,
    /// The message as it arrived, where a step of the artifact refers to it.
    pub original: Option<Arc<Original>>,
    /// Headers to add to whatever is answered, faults included (CORS, rate limits).
    pub reply_headers: http::HeaderMap,
    /// Header fields that steps gave to the message. They stay when a request becomes the reply.
    pub written_headers: Vec<HeaderName>,
    /// What steps hold until the exchange ends, such as permits of a concurrency limit.
    pub guards: Vec<Box<dyn std::any::Any + Send + Sync>>,
    /// What steps do once the exchange has ended well.
    pub completions: Completions,
    /// How many named sequences are being run inside each other.
    pub sequence_depth: usize,
    /// Time spent waiting for backends so far.
    pub backend_time: Duration,
    /// The timeline being recorded under `run --trace`.
    pub trace: Option<Arc<Trace>>,
    /// The steps that ran, where a dead letter has to tell them; at most [`HISTORY_MAX`].
    pub history: Option<Vec<Arc<str>>>,
}

/// Most steps that a dead letter tells.
pub const HISTORY_MAX: usize = 1000;

/// Facts about how a message came in. Only `url_rewrite` replaces what of them goes to backends.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Correlation id: given by a trusted client or made here.
    pub id: String,
    /// The artifact that serves it, as a path: `apis.quotes`.
    pub artifact: Arc<str>,
    /// The route template: `GET /quotes/v1/{symbol}`. A label for metrics; never the raw path.
    pub route: Arc<str>,
    /// The listener it came through.
    pub listener: Arc<str>,
    /// The socket's other end.
    pub peer: Option<SocketAddr>,
    /// The client's address, after the trust list has been applied to `Forwarded` and `X-Forwarded-For`.
    pub client_address: Option<IpAddr>,
    /// `http` or `https` as the client used it.
    pub scheme: &'static str,
    /// The authority that the client asked for.
    pub host: String,
    /// The method it came with.
    pub method: Method,
    /// The normalised path.
    pub path: String,
    /// The raw query, without `?`.
    pub query: Option<String>,
    /// Path parameters of the route, decoded.
    pub path_parameters: Vec<(Arc<str>, String)>,
    /// What of the path lies below a prefix route, for `to:`; begins with `/` or is empty.
    pub path_rest: String,
    /// Whether a step has rewritten `path_rest` and `query`, so that a `call` without a path of its own sends them too.
    pub rewritten: bool,
    /// How the client reads faults.
    pub fault_style: FaultStyle,
    /// The W3C `traceparent` that goes to backends.
    pub traceparent: Option<String>,
    /// Where an event comes from, as its transport tells: a file's name and size, a queue's routing key. The root `source`.
    pub source: Facts,
    #[doc(hidden)]
    pub query_pairs: OnceLock<Vec<(String, String)>>,
}

impl Entry {
    /// The decoded query parameters, in order. Parsed at first use.
    pub fn query_pairs(&self) -> &[(String, String)] {
        let parse = || {
            let query = self.query.as_deref().unwrap_or_default();
            form_urlencoded::parse(query.as_bytes()).into_owned().collect()
        };
        self.query_pairs.get_or_init(parse)
    }

    /// Replaces the query that goes to backends and that `query.NAME` reads.
    pub fn replace_query(&mut self, query: Option<String>) {
        self.query = query;
        self.query_pairs = OnceLock::new();
    }

    /// The first query parameter of this name.
    #[must_use]
    pub fn query_parameter(&self, name: &str) -> Option<&str> {
        self.query_pairs()
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The path parameter of this name.
    #[must_use]
    pub fn path_parameter(&self, name: &str) -> Option<&str> {
        self.path_parameters
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Exchange {
    /// A message entering a deployment.
    #[must_use]
    pub fn new(message: Message, entry: Arc<Entry>, deployment: Arc<Deployment>, deadline: Instant) -> Self {
        Self {
            message,
            vars: Vars::new(),
            arguments: Vec::new(),
            entry,
            deployment,
            deadline,
            principal: None,
            fault: None,
            original: None,
            reply_headers: http::HeaderMap::new(),
            written_headers: Vec::new(),
            guards: Vec::new(),
            completions: Completions::default(),
            sequence_depth: 0,
            backend_time: Duration::ZERO,
            trace: None,
            history: None,
        }
    }

    /// A second exchange over `message`, with the same facts, variables and deadline. For split, clone and branches.
    #[must_use]
    pub fn fork(&self, message: Message) -> Self {
        Self {
            message,
            vars: self.vars.clone(),
            arguments: self.arguments.clone(),
            entry: Arc::clone(&self.entry),
            deployment: Arc::clone(&self.deployment),
            deadline: self.deadline,
            principal: self.principal.clone(),
            fault: self.fault.clone(),
            original: self.original.clone(),
            reply_headers: http::HeaderMap::new(),
            written_headers: self.written_headers.clone(),
            guards: Vec::new(),
            completions: self.completions.branch(),
            sequence_depth: self.sequence_depth,
            backend_time: Duration::ZERO,
            trace: self.trace.clone(),
            history: None,
        }
    }

    /// Makes the message the reply with that status. Of a request's own header fields only those that describe its body stay: what a
    /// client sends must not come back as what the gateway says (`set-cookie`, `cache-control`, an API key).
    pub fn become_reply(&mut self, status: StatusCode) {
        let message = &mut self.message;
        if !matches!(message.start, StartLine::Response { .. }) {
            let stays =
                |name: &HeaderName| DESCRIBES_BODY.contains(name) || self.written_headers.contains(name);
            let others: Vec<HeaderName> = message
                .headers
                .keys()
                .filter(|name| !stays(name))
                .cloned()
                .collect();
            for name in others {
                message.headers.remove(name);
            }
        }
        message.start = StartLine::Response { status };
    }

    /// A copy of the current message that shares bytes and model.
    ///
    /// # Errors
    /// The faults of reading a stream, which is buffered first.
    pub async fn copy_message(&mut self) -> Result<Message, Fault> {
        self.lift(Needs::Bytes).await?;
        let payload = self.message.payload.share().unwrap_or_default();
        Ok(Message {
            start: self.message.start.clone(),
            headers: self.message.headers.clone(),
            payload,
        })
    }

    /// Brings the payload to what a step needs. Nothing happens twice.
    ///
    /// # Errors
    /// `client.body_too_large`, `client.malformed_body` and the faults of the stream; for a reply their `backend.` counterparts.
    pub async fn lift(&mut self, needs: Needs) -> Result<(), Fault> {
        if needs == Needs::Headers {
            return Ok(());
        }
        let is_reply = matches!(self.message.start, StartLine::Response { .. });
        let lifted = self.lift_as_client(needs).await;
        lifted.map_err(|fault| if is_reply { blame_backend(fault) } else { fault })
    }

    async fn lift_as_client(&mut self, needs: Needs) -> Result<(), Fault> {
        let Self {
            message, deployment, ..
        } = self;
        if message.payload.state() == PayloadState::Stream {
            let limit = deployment.settings.limits.body_bytes;
            match tokio::time::timeout_at(self.deadline, message.payload.buffer(limit)).await {
                Ok(buffered) => buffered?,
                Err(_) => return Err(deadline_passed()),
            }
        }
        if needs == Needs::Model {
            message.parse(deployment)
        } else {
            Ok(())
        }
    }

    /// The model of the payload, where the step asked for [`Needs::Model`] and there is a body.
    #[must_use]
    pub fn model(&self) -> Option<&Arc<Model>> {
        self.message.payload.as_model()
    }

    /// Time left before the deadline.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl Message {
    /// Parses buffered bytes with the builder for the content type, after undoing `content-encoding`.
    ///
    /// # Errors
    /// `client.malformed_body`, `client.unsupported_media_type` for an unknown encoding, `client.body_too_large` once decompressed.
    pub fn parse(&mut self, deployment: &Deployment) -> Result<(), Fault> {
        if self.payload.state() != PayloadState::Bytes {
            return Ok(());
        }
        let media = format::media_type(self.content_type());
        let encoding = self.headers.get(header::CONTENT_ENCODING).cloned();
        let Some(format) = deployment.formats.find(&media) else {
            return self.payload.parse(|bytes| Ok(Model::Binary(bytes.clone())));
        };
        let limits = &deployment.settings.format_limits;
        self.payload.parse(|bytes| match &encoding {
            None => format.builder.build(bytes, &media, limits),
            Some(encoding) => {
                let plain = crate::encoding::decode(bytes, encoding, limits.decompressed_bytes)?;
                format.builder.build(&plain, &media, limits)
            }
        })
    }

    /// Writes a changed model as the content type says (its own default where there is none), so that the payload is bytes or a stream.
    ///
    /// # Errors
    /// `gateway.transformation` where the model has no such form.
    pub fn format(&mut self, formats: &format::Formats) -> Result<(), Fault> {
        if self.payload.state() != PayloadState::Changed {
            return Ok(());
        }
        let Some(model) = self.payload.as_model().cloned() else {
            return Ok(());
        };
        if self.content_type().is_none() {
            self.set_content_type(model.default_media_type());
        }
        let media = format::media_type(self.content_type());
        self.headers.remove(header::CONTENT_ENCODING);
        let Some(format) = formats.find(&media) else {
            let text = model.to_text()?.into_owned();
            self.payload = crate::payload::Payload::bytes(text);
            return Ok(());
        };
        let formatted = format.formatter.format(&model, &media)?;
        if let Some(media_type) = &formatted.media_type {
            self.set_content_type(media_type);
        }
        self.payload = crate::payload::Payload::formatted(formatted.bytes, model);
        Ok(())
    }

    /// The bytes of the body, formatted where the model had changed. Empty for no body and for a stream that was not buffered.
    ///
    /// # Errors
    /// As [`Message::format`].
    pub fn to_bytes(&mut self, formats: &format::Formats) -> Result<Bytes, Fault> {
        self.format(formats)?;
        Ok(self.payload.as_bytes().cloned().unwrap_or_default())
    }
}

/// The exchange has used up its time.
pub(crate) fn deadline_passed() -> Fault {
    Fault::new(FaultCode::Deadline, "The exchange took longer than its deadline.")
}

fn blame_backend(fault: Fault) -> Fault {
    let code = match fault.code() {
        FaultCode::BodyTooLarge => FaultCode::ReplyTooLarge,
        FaultCode::MalformedBody | FaultCode::UnsupportedMediaType => FaultCode::BadReply,
        _ => return fault,
    };
    let message = code.row().title.to_owned() + ".";
    Fault::new(code, message).with_detail(fault.message().to_owned())
}
