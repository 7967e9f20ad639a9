//! `store_state`: what became of a stored message, as JSON.

use engine::build::Build;
use engine::config::{Spanned, Text};
use engine::exchange::Exchange;
use engine::expression::{Escape, Template};
use engine::fault::{Fault, FaultCode};
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::message::Message;
use engine::payload::Payload;
use engine::registry::StepConfig;
use engine::store::Store;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Replaces the message by the state of a stored one: `{"id": ..., "state": "waiting", "attempts": 0}`, where the state is `waiting`,
/// `processing`, `done` or `failed`. An unknown id is `client.not_found`. How messages ended is
/// remembered as the settings `finished_max` and `finished_age_max` of the store say; a `durable` store knows it after a restart too.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreStateConfig {
    /// The store.
    pub r#in: Spanned<String>,
    /// The id that the step `store` gave it: `${params.id}`.
    pub id: Text,
}

impl StepConfig for StoreStateConfig {
    const NAME: &'static str = "store_state";
    const EXAMPLE: &'static str = r#"- store_state: { in: orders, id: "${params.id}" }"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let store = cx.store(&self.r#in);
        let id = cx.template(&self.id, Escape::None);
        Some(sync(StoreState {
            store: store?,
            id: id?,
        }))
    }
}

struct StoreState {
    store: Arc<dyn Store>,
    id: Template,
}

impl Mediator for StoreState {
    fn needs(&self) -> Needs {
        self.id.needs()
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let id = self.id.render(exchange)?;
        let Some(state) = self.store.state(&id) else {
            return Err(Fault::new(
                FaultCode::NotFound,
                "There is no message of this id, or none any more.",
            ));
        };
        let mut reply = Message::response(StatusCode::OK);
        reply.set_content_type("application/json");
        let body = json!({ "id": id, "state": state.stage.name(), "attempts": state.attempts });
        reply.payload = Payload::bytes(body.to_string());
        exchange.message = reply;
        Ok(Flow::Next)
    }
}
