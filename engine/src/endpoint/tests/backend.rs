//! A transport without a network: backends by name, each with a script.

use crate::build::Build;
use crate::config::{Node, Text};
use crate::exchange::Exchange;
use crate::fault::{Fault, FaultCode};
use crate::format::{Builder, FormatLimits, FormatSpec, Formatted, Formatter};
use crate::gateway::Gateway;
use crate::mediator::BoxFuture;
use crate::message::{Message, StartLine};
use crate::model::Model;
use crate::payload::Payload;
use crate::registry::{ListenerSpec, SenderSpec, TransportSpec};
use crate::transport::{CallOptions, Listener, RunningListener, SendContext, SendError, Sender};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use mime::Mime;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(super) const TRANSPORTS: &[TransportSpec] = &[TransportSpec {
    name: "fake",
    docs: "",
    listener: Some(ListenerSpec {
        schema: |_| schemars::json_schema!({}),
        build: |name, _, _| Some(Arc::new(Nowhere(Arc::clone(name)))),
    }),
    entry: None,
    connection: None,
    store: None,
    sender: Some(SenderSpec {
        schemes: &["fake"],
        schema: |_| schemars::json_schema!({}),
        build: build_sender,
    }),
}];

thread_local! {
    static BACKENDS: RefCell<HashMap<String, Arc<Backend>>> = RefCell::default();
}

/// The backend of this name, made at its first use on this thread.
pub(super) fn backend(name: &str) -> Arc<Backend> {
    BACKENDS.with_borrow_mut(|backends| {
        let make = || {
            Arc::new(Backend {
                label: format!("fake://{name}"),
                ..Backend::default()
            })
        };
        Arc::clone(backends.entry(name.to_owned()).or_insert_with(make))
    })
}

fn build_sender(node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Sender>> {
    let text = Text::from_node(node)?;
    let Some(name) = text.as_str().strip_prefix("fake://") else {
        cx.error("config.bad_value", text.span(), "not a fake address", None);
        return None;
    };
    Some(backend(name))
}

/// A scripted backend. What it does for each call comes from its script, then from its habit, then it is a 200 at once.
#[derive(Default)]
pub(super) struct Backend {
    label: String,
    script: Mutex<VecDeque<String>>,
    habit: Mutex<Option<String>>,
    calls: Mutex<Vec<Received>>,
    reply: Mutex<Option<(HeaderMap, String)>>,
}

/// A call that arrived.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) at: Instant,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Backend {
    /// What it does with the next calls: a status (`503`), `after 2s`, `refuse` (nothing is read), `lose`, `hang`.
    pub(super) fn will(&self, script: &str) -> &Self {
        self.script.lock().extend(script.split(", ").map(str::to_owned));
        self
    }

    /// What it does with all others.
    pub(super) fn always(&self, act: &str) -> &Self {
        *self.habit.lock() = Some(act.to_owned());
        self
    }

    /// Headers and body of its replies.
    pub(super) fn replies(&self, headers: &[(&'static str, &str)], body: &str) -> &Self {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
        *self.reply.lock() = Some((headers.collect(), body.to_owned()));
        self
    }

    pub(super) fn calls(&self) -> Vec<Received> {
        self.calls.lock().clone()
    }

    async fn receive(&self, mut message: Message) -> Result<(), Fault> {
        message.payload.buffer(1 << 20).await?;
        let StartLine::Request { method, .. } = message.start else {
            panic!("no request")
        };
        let body = message.payload.as_bytes().cloned().unwrap_or_default();
        let body = String::from_utf8_lossy(&body).into_owned();
        self.calls.lock().push(Received {
            at: Instant::now(),
            method,
            headers: message.headers,
            body,
        });
        Ok(())
    }

    async fn act(&self, message: Message) -> Result<Message, SendError> {
        let scripted = self
            .script
            .lock()
            .pop_front()
            .or_else(|| self.habit.lock().clone());
        let act = scripted.unwrap_or_else(|| "200".to_owned());
        if act == "refuse" {
            let fault = Fault::new(FaultCode::Connect, "refused");
            self.calls.lock().push(Received {
                at: Instant::now(),
                method: Method::GET,
                headers: message.headers.clone(),
                body: "unread".to_owned(),
            });
            return Err(SendError {
                fault,
                unsent: Some(Box::new(message)),
            });
        }
        self.receive(message).await?;
        if act == "hang" {
            std::future::pending::<()>().await;
        }
        if act == "lose" {
            return Err(Fault::new(FaultCode::ConnectionLost, "lost").into());
        }
        if let Some(seconds) = act.strip_prefix("after ") {
            tokio::time::sleep(Duration::from_secs(
                seconds.trim_end_matches('s').parse().unwrap(),
            ))
            .await;
            return Ok(self.reply(StatusCode::OK));
        }
        Ok(self.reply(act.parse().unwrap()))
    }

    fn reply(&self, status: StatusCode) -> Message {
        let mut reply = Message::response(status);
        if let Some((headers, body)) = &*self.reply.lock() {
            reply.headers = headers.clone();
            reply.payload = Payload::bytes(body.clone());
        }
        reply
    }
}

impl Sender for Backend {
    fn address(&self, exchange: &Exchange, options: &CallOptions) -> Result<StartLine, Fault> {
        let method = options
            .method
            .clone()
            .unwrap_or_else(|| exchange.entry.method.clone());
        Ok(StartLine::Request {
            method,
            uri: Uri::from_static("http://fake/"),
        })
    }

    fn send<'a>(&'a self, message: Message, _: &'a SendContext) -> BoxFuture<'a, Result<Message, SendError>> {
        Box::pin(self.act(message))
    }

    fn label(&self) -> &str {
        &self.label
    }
}

/// A deployment has listeners; these tests bind none.
struct Nowhere(Arc<str>);

impl Listener for Nowhere {
    fn name(&self) -> &Arc<str> {
        &self.0
    }

    fn key(&self) -> String {
        self.0.to_string()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn bind<'a>(&'a self, _: &'a Arc<Gateway>) -> BoxFuture<'a, Result<Box<dyn RunningListener>, Fault>> {
        Box::pin(async { Err(Fault::internal("nothing to bind")) })
    }
}

/// XML and JSON as far as these tests need them.
struct Plain;

pub(super) const FORMATS: &[FormatSpec] = &[
    format("json", &["application/json"]),
    format("xml", &["text/xml", "application/xml", "application/soap+xml"]),
];

const fn format(name: &'static str, media_types: &'static [&'static str]) -> FormatSpec {
    FormatSpec {
        name,
        docs: "",
        media_types,
        builder: &Plain,
        formatter: &Plain,
        faults: None,
    }
}

impl Builder for Plain {
    fn build(&self, bytes: &Bytes, media: &Mime, _: &FormatLimits) -> Result<Model, Fault> {
        let malformed = || Fault::new(FaultCode::MalformedBody, "malformed");
        if media.subtype() == mime::JSON {
            return serde_json::from_slice(bytes)
                .map(Model::Json)
                .map_err(|_| malformed());
        }
        let parsed = xml::Document::parse_str(std::str::from_utf8(bytes).unwrap());
        parsed.map(Model::Xml).map_err(|_| malformed())
    }
}

impl Formatter for Plain {
    fn format(&self, model: &Model, _: &Mime) -> Result<Formatted, Fault> {
        Ok(model.to_text()?.into_owned().into_bytes().into())
    }
}
