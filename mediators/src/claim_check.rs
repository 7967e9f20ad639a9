//! `claim_check`: puts the body away in a store and goes on with a small message that stands for it; gets it back later, in another
//! exchange too (Enterprise Integration Patterns, "Claim Check").

use engine::build::Build;
use engine::completion::Completion;
use engine::config::{Spanned, Text};
use engine::exchange::Exchange;
use engine::expression::{Expression, Value};
use engine::fault::{Fault, FaultCode};
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::model::Model;
use engine::payload::Payload;
use engine::registry::StepConfig;
use engine::store::{Store, StoredMessage};
use http::{HeaderName, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Puts the body away in a store. The message goes on with its headers and a small body of JSON instead:
/// `{"claim": "0192…", "media_type": "text/csv", "size": 73400320}`. `vars.claim` has the same fields.
///
/// With `redeem` the body that was put away comes back, with its media type; the other headers stay as they are. A claim that the store
/// does not know, or does not know any more, is `client.not_found`. What nobody redeems leaves the store by its age limit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimCheckConfig {
    /// The store. Only steps of this kind may use it.
    pub store: Spanned<String>,
    /// The claim of the body to get back, an expression: `payload.claim`.
    pub redeem: Option<Text>,
    /// Removes the body from the store once the exchange has ended well; until then it can be redeemed again.
    #[serde(default)]
    pub remove: bool,
    /// Whether all headers come back that the message had, in place of those of the same name.
    #[serde(default)]
    pub headers: bool,
}

/// The headers that describe a body.
const DESCRIBES_BODY: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
];

impl StepConfig for ClaimCheckConfig {
    const NAME: &'static str = "claim_check";
    const EXAMPLE: &'static str = r#"- claim_check: blobs
- claim_check: { store: blobs, redeem: payload.claim, remove: true }"#;
    const SHORTHAND: Option<&'static str> = Some("store");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let store = cx.state_store(&self.store, "claim_check");
        let redeem = cx.optional_expression(self.redeem.as_ref());
        if self.redeem.is_none() && (self.remove || self.headers) {
            let problem = "`remove` and `headers` say how a body comes back, so they need `redeem`";
            cx.error("config.bad_combination", cx.step_span(), problem, None);
            return None;
        }
        let store = store?;
        Some(match redeem? {
            None => asynchronous(PutAway { store }),
            Some(claim) => asynchronous(Redeem {
                store,
                claim,
                remove: self.remove,
                headers: self.headers,
            }),
        })
    }
}

struct PutAway {
    store: Arc<dyn Store>,
}

impl AsyncMediator for PutAway {
    fn needs(&self) -> Needs {
        Needs::Bytes
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let formats = Arc::clone(&exchange.deployment.formats);
            exchange.message.format(&formats)?;
            let body = exchange.copy_message().await?;
            let media_type = body.content_type().map(str::to_owned);
            let stored = StoredMessage::new(body, &exchange.entry.id, exchange.entry.source.shared());
            let (id, size) = (stored.id.clone(), stored.body.len());
            self.store.put(stored).await?;
            let claim = json!({ "claim": id, "media_type": media_type, "size": size });
            for name in DESCRIBES_BODY {
                exchange.message.headers.remove(name);
            }
            exchange.message.set_content_type("application/json");
            exchange.message.payload = Payload::bytes(claim.to_string());
            let claim = Arc::new(Model::Json(claim));
            exchange.vars.insert("claim".into(), claim);
            Ok(Flow::Next)
        })
    }
}

struct Redeem {
    store: Arc<dyn Store>,
    claim: Expression,
    remove: bool,
    headers: bool,
}

impl AsyncMediator for Redeem {
    fn needs(&self) -> Needs {
        self.claim.needs()
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let claim = match self.claim.evaluate_optional(exchange)? {
                Value::Undefined => String::new(),
                value => value.into_text()?,
            };
            let Some(stored) = self.store.get(&claim).await? else {
                let fault = Fault::new(
                    FaultCode::NotFound,
                    "There is no body for this claim, or none any more.",
                );
                return Err(fault.with_detail(format!("store `{}` has no `{claim}`", self.store.name())));
            };
            self.bring_back(stored, exchange);
            if self.remove {
                let store = Arc::clone(&self.store);
                exchange.completions.add(Remove { store, claim });
            }
            Ok(Flow::Next)
        })
    }
}

impl Redeem {
    fn bring_back(&self, stored: StoredMessage, exchange: &mut Exchange) {
        let headers = &mut exchange.message.headers;
        for name in DESCRIBES_BODY {
            headers.remove(name);
        }
        for name in stored.headers.keys() {
            if !self.headers && !DESCRIBES_BODY.contains(name) {
                continue;
            }
            headers.remove(name);
            for value in stored.headers.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        exchange.message.payload = Payload::bytes(stored.body);
    }
}

/// A body to be removed once the exchange that redeemed it has ended well.
struct Remove {
    store: Arc<dyn Store>,
    claim: String,
}

impl Completion for Remove {
    fn complete<'a>(self: Box<Self>, _: &'a mut Exchange) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.store.remove(&self.claim).await.map(drop) })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{deployment, json, project};
    use engine::deployment::Deployment;
    use engine::testing::{Outcome, run_in};
    use std::sync::Arc;

    const STORES: &str = "stores: { blobs: { memory: {} }, other: { memory: {} } }\n";

    fn built(steps: &str) -> Arc<Deployment> {
        let yaml = format!("{}{STORES}", project(steps));
        Arc::new(deployment(&yaml).unwrap_or_else(|text| panic!("{text}")))
    }

    async fn run(deployment: &Arc<Deployment>, message: engine::message::Message) -> Outcome {
        run_in(Arc::clone(deployment), message).await
    }

    /// A `filter` that puts away what has a `data`, and redeems what has a `claim`.
    const BOTH: &str = "
- switch:
    on: payload.claim is defined
    cases:
      'true': [ { claim_check: { store: blobs, redeem: payload.claim, remove: true } } ]
    default: [ { claim_check: blobs } ]
- filter: { when: \"headers['x-fail'] is defined\", then: [ { throw: failed } ] }";

    #[tokio::test]
    async fn a_body_is_put_away_and_comes_back_once() {
        let deployment = built(BOTH);
        let mut message =
            engine::testing::post("application/vnd.order+json; charset=utf-8", "{ \"data\":\t1 }");
        message.headers.insert("x-tenant", "blue".parse().unwrap());
        message.headers.insert("content-language", "de".parse().unwrap());
        let mut outcome = run(&deployment, message).await;
        let token = outcome.text();
        let facts: serde_json::Value = serde_json::from_str(&token).unwrap();
        assert_eq!(facts["media_type"], "application/vnd.order+json; charset=utf-8");
        assert_eq!(facts["size"], 13);
        let headers = &outcome.exchange.message.headers;
        assert_eq!(
            (&headers["x-tenant"], &headers["content-type"]),
            (&"blue".parse().unwrap(), &"application/json".parse().unwrap())
        );
        assert!(!headers.contains_key("content-language"));

        let mut failing = json(&token);
        failing.headers.insert("x-fail", "yes".parse().unwrap());
        assert_eq!(run(&deployment, failing).await.fault().message(), "failed");
        let mut redeemed = run(&deployment, json(&token)).await;
        assert_eq!(
            redeemed.text(),
            "{ \"data\":\t1 }",
            "byte for byte, and still there after a failure"
        );
        let headers = &redeemed.exchange.message.headers;
        assert_eq!(
            headers["content-type"],
            "application/vnd.order+json; charset=utf-8"
        );
        assert_eq!(headers["content-language"], "de");
        assert!(!headers.contains_key("x-tenant"), "only what describes the body");
        let unknown = run(&deployment, json(&token)).await;
        assert_eq!(unknown.fault().name(), "client.not_found", "it was removed");
        assert_eq!(deployment.stores["blobs"].fill().unwrap().messages, 0);
    }

    #[tokio::test]
    async fn a_body_comes_back_within_an_exchange_with_all_its_headers() {
        let steps = "
- claim_check: blobs
- remove: headers.x-tenant
- set: { headers.x-stage: late }
- claim_check: { store: blobs, redeem: vars.claim.claim, headers: true }";
        let deployment = built(steps);
        let mut message = json("{}");
        message.headers.insert("x-tenant", "blue".parse().unwrap());
        message.headers.insert("x-stage", "early".parse().unwrap());
        let mut outcome = run(&deployment, message).await;
        assert_eq!(outcome.text(), "{}");
        let headers = &outcome.exchange.message.headers;
        assert_eq!(
            (&headers["x-tenant"], &headers["x-stage"]),
            (&"blue".parse().unwrap(), &"early".parse().unwrap())
        );
        assert_eq!(
            deployment.stores["blobs"].fill().unwrap().messages,
            1,
            "it stays without `remove`"
        );
    }

    #[tokio::test]
    async fn a_claim_that_is_absent_or_foreign_is_not_found() {
        let deployment = built("- claim_check: { store: blobs, redeem: payload.claim }");
        for body in [
            "{}",
            r#"{"claim": ""}"#,
            r#"{"claim": "../../etc"}"#,
            r#"{"claim": null}"#,
        ] {
            let outcome = run(&deployment, json(body)).await;
            assert_eq!(outcome.fault().name(), "client.not_found", "{body}");
        }
    }

    #[test]
    fn mistakes_are_placed() {
        let problem = |yaml: &str| deployment(yaml).err().unwrap_or_default();
        let text = problem(&format!(
            "{}{STORES}",
            project("- claim_check: { store: blobs, remove: true }")
        ));
        assert!(
            text.contains("need `redeem`") && text.contains("test.yaml:3:"),
            "{text}"
        );
        let shared = format!(
            "{}{STORES}processors: {{ p: {{ store: blobs, forward: {{ to: test://echo }} }} }}\n",
            project("- claim_check: blobs")
        );
        let text = problem(&shared);
        assert!(
            text.contains("store `blobs` keeps the state of a step") && text.contains("test.yaml:5:27"),
            "{text}"
        );
    }
}
