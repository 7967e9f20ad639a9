//! `store`: puts a copy of the message into a message store, and may answer at once that it was accepted.

use engine::build::Build;
use engine::config::{Spanned, Text};
use engine::exchange::Exchange;
use engine::expression::{Escape, Template};
use engine::fault::{Fault, FaultCode};
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::message::Message;
use engine::model::Model;
use engine::payload::Payload;
use engine::registry::StepConfig;
use engine::store::{Store, StoredMessage};
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Stores a copy of the message as it is now. The step goes on when the store has it: what a `durable` store has taken survives a crash.
/// `vars.stored` then has its `id` and the name of the `store`; the message itself goes on unchanged, unless it is answered here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The store.
    pub r#in: Spanned<String>,
    /// Messages with the same key are processed one after the other, in the order in which they were stored: `${payload.customer}`.
    /// Where it is empty the message has none.
    pub key: Option<Text>,
    /// Answers at once with `202 Accepted` and a body of JSON with the `id` and the `state`, and ends the exchange.
    #[serde(default)]
    pub respond: bool,
    /// Answers at once as with `respond`, and tells in the header `location` where to ask for the state of the message, with
    /// `${vars.stored.id}` in it. A route there answers with the step `store_state`.
    pub location: Option<Text>,
}

impl StepConfig for StoreConfig {
    const NAME: &'static str = "store";
    const EXAMPLE: &'static str = r#"- store: orders
- store: { in: orders, key: "${headers.x_customer}", location: "/orders/${vars.stored.id}" }"#;
    const SHORTHAND: Option<&'static str> = Some("in");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let store = cx.store(&self.r#in);
        let template = |text: Option<&Text>, escape, cx: &mut Build<'_>| match text {
            None => Some(None),
            Some(text) => cx.template(text, escape).map(Some),
        };
        let key = template(self.key.as_ref(), Escape::None, cx);
        let location = template(self.location.as_ref(), Escape::None, cx);
        Some(asynchronous(StoreStep {
            store: store?,
            key: key?,
            respond: self.respond || self.location.is_some(),
            location: location?,
        }))
    }
}

struct StoreStep {
    store: Arc<dyn Store>,
    key: Option<Template>,
    respond: bool,
    location: Option<Template>,
}

impl AsyncMediator for StoreStep {
    fn needs(&self) -> Needs {
        let templates = [&self.key, &self.location];
        let read = templates.into_iter().flatten().map(Template::needs);
        read.fold(Needs::Bytes, Needs::max)
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let key = self.key.as_ref().map(|key| key.render(exchange)).transpose()?;
            let formats = Arc::clone(&exchange.deployment.formats);
            exchange.message.format(&formats)?;
            let copy = exchange.copy_message().await?;
            let source = exchange.entry.source.shared();
            let mut stored = StoredMessage::new(copy, &exchange.entry.id, source);
            stored.key = key.filter(|key| !key.is_empty());
            let id = stored.id.clone();
            self.store.put(stored).await?;
            let facts = json!({ "id": id, "store": &**self.store.name(), "state": "waiting" });
            exchange
                .vars
                .insert("stored".into(), Arc::new(Model::Json(facts)));
            match self.respond {
                false => Ok(Flow::Next),
                true => self.accepted(&id, exchange).map(|()| Flow::Respond),
            }
        })
    }
}

impl StoreStep {
    /// Makes the message the answer that it was accepted.
    fn accepted(&self, id: &str, exchange: &mut Exchange) -> Result<(), Fault> {
        let location = self.location.as_ref().map(|text| text.render(exchange));
        let mut reply = Message::response(StatusCode::ACCEPTED);
        if let Some(location) = location.transpose()? {
            let value = HeaderValue::from_str(&location).map_err(|_| {
                Fault::new(
                    FaultCode::Expression,
                    "An expression could not be evaluated for this message.",
                )
                .with_detail(format!("`{location}` is no value for the header `location`"))
            })?;
            reply.headers.insert(header::LOCATION, value);
        }
        reply.set_content_type("application/json");
        reply.payload = Payload::bytes(json!({ "id": id, "state": "waiting" }).to_string());
        exchange.message = reply;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
