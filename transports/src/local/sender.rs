//! The sending side of `local`.

use super::channel::{Channel, Parcel};
use engine::exchange::Exchange;
use engine::fault::{Fault, FaultCode};
use engine::mediator::BoxFuture;
use engine::message::{Message, StartLine};
use engine::transport::{CallOptions, SendContext, SendError, Sender};
use http::{Method, StatusCode, Uri};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

/// Largest body of a message that nobody waits for: it is in memory, while the sender has gone on.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Sends to one name.
pub(super) struct LocalSender {
    channel: Arc<Channel>,
    label: String,
    /// Whether a one-way message is waited for.
    wait: bool,
}

impl LocalSender {
    pub(super) fn new(channel: Arc<Channel>, wait: bool) -> Self {
        let label = format!("local://{}", channel.name);
        Self { channel, label, wait }
    }

    async fn call(&self, parcel: Parcel, context: &SendContext) -> Result<Message, SendError> {
        let (reply, replied) = oneshot::channel();
        self.channel.put(Parcel {
            reply: Some(reply),
            ..parcel
        })?;
        match timeout_at(context.deadline, replied).await {
            Ok(Ok(outcome)) => outcome.map_err(SendError::from),
            Ok(Err(_)) => Err(Fault::internal("the reply of a local artifact was lost").into()),
            Err(_) => Err(
                Fault::new(FaultCode::Timeout, "The backend did not answer in time.")
                    .with_detail(format!("no reply from {} in time", self.label))
                    .into(),
            ),
        }
    }

    /// The sender goes on at once, so what still streams to it has to be here before.
    async fn queue(&self, mut parcel: Parcel) -> Result<Message, SendError> {
        if let Err(fault) = self.channel.check() {
            return Err(SendError {
                fault,
                unsent: Some(Box::new(parcel.message)),
            });
        }
        parcel.message.payload.buffer(BODY_BYTES_MAX).await?;
        self.channel.put(parcel)?;
        Ok(Message::response(StatusCode::ACCEPTED))
    }
}

impl Sender for LocalSender {
    fn address(&self, exchange: &Exchange, options: &CallOptions) -> Result<StartLine, Fault> {
        let path = options.path.as_deref().unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let query = match exchange.entry.query.as_deref() {
            Some(query) if options.pass_through => format!("?{query}"),
            _ => String::new(),
        };
        let uri = format!("{}{slash}{path}{query}", self.label);
        let uri = uri.parse::<Uri>().map_err(|problem| {
            let fault = Fault::new(FaultCode::Expression, "The address of the backend is not valid.");
            fault
                .with_detail(format!("`{path}` is no path"))
                .with_source(problem)
        })?;
        let method = match &options.method {
            Some(method) => method.clone(),
            None if options.pass_through => exchange.entry.method.clone(),
            None => Method::POST,
        };
        Ok(StartLine::Request { method, uri })
    }

    fn send<'a>(
        &'a self,
        message: Message,
        context: &'a SendContext,
    ) -> BoxFuture<'a, Result<Message, SendError>> {
        Box::pin(async move {
            let parcel = Parcel {
                source: source(&message, &self.channel.name, context.one_way),
                traceparent: traceparent(&message),
                id: Arc::clone(&context.id),
                message,
                one_way: context.one_way,
                reply: None,
                deployment: None,
            };
            match context.one_way && !self.wait {
                true => self.queue(parcel).await,
                false => self.call(parcel, context).await,
            }
        })
    }

    fn label(&self) -> &str {
        &self.label
    }
}

fn source(message: &Message, name: &str, one_way: bool) -> Json {
    let mut source = json!({ "name": name, "one_way": one_way });
    if let StartLine::Request { method, uri } = &message.start {
        source["method"] = method.as_str().into();
        source["path"] = uri.path().into();
        source["query"] = uri.query().into();
    }
    source
}

fn traceparent(message: &Message) -> Option<String> {
    let value = message.headers.get("traceparent")?;
    value.to_str().ok().map(str::to_owned)
}
