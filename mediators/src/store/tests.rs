//! Stores and processors together, through a gateway: what is stored is delivered, tried again or dead.

use crate::testing;
use engine::deployment::Deployment;
use engine::gateway::{Gateway, MANAGEMENT};
use engine::message::{Message, StartLine};
use engine::store::{Stage, Store};
use engine::testing::run_in;
use engine::transport::Inbound;
use http::{Method, StatusCode};
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;

struct Running {
    gateway: Arc<Gateway>,
    deployment: Arc<Deployment>,
}

/// A gateway that serves this project, its listeners bound.
async fn start(yaml: &str) -> Running {
    let deployment = testing::deployment(yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let gateway = engine::testing::gateway(deployment, 1);
    gateway.bind().await.unwrap();
    let deployment = gateway.deployment();
    Running { gateway, deployment }
}

impl Running {
    async fn main(&self, body: &str) -> engine::testing::Outcome {
        run_in(Arc::clone(&self.deployment), testing::json(body)).await
    }

    fn store(&self, name: &str) -> &Arc<dyn Store> {
        &self.deployment.stores[name]
    }

    /// Waits until the store has so many messages.
    async fn until(&self, name: &str, messages: u64) {
        let reached = async {
            while self.store(name).fill().unwrap().messages != messages {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), reached).await;
        waited.unwrap_or_else(|_| panic!("`{name}` has {:?}", self.store(name).fill()));
    }

    async fn manage(&self, method: Method, path: &str) -> (StatusCode, Json) {
        let inbound = Inbound {
            message: Message::request(method, path.parse().unwrap()),
            listener: MANAGEMENT.into(),
            ..Inbound::default()
        };
        let reply = self.gateway.handle(inbound).await.message;
        let body = reply.payload.as_bytes().cloned().unwrap_or_default();
        (reply.status().unwrap(), serde_json::from_slice(&body).unwrap())
    }
}

fn project(processor: &str) -> String {
    format!(
        "stores: {{ orders: {{ memory: {{}} }}, dead: {{ memory: {{}} }}, out: {{ memory: {{}} }} }}\n\
         sequences:\n  main:\n    - store: {{ in: orders, key: '${{payload.k}}', location: '/state/${{vars.stored.id}}' }}\n\
         processors:\n  p:\n    store: orders\n    {processor}\n"
    )
}

#[tokio::test]
async fn a_stored_message_is_accepted_at_once_and_delivered() {
    let running = start(&project("forward: { steps: [ { store: out } ] }")).await;
    let mut outcome = running.main(r#"{"k": "a"}"#).await;
    let reply: Json = serde_json::from_str(&outcome.text()).unwrap();
    assert_eq!(outcome.exchange.message.status(), Some(StatusCode::ACCEPTED));
    let id = reply["id"].as_str().unwrap();
    assert_eq!(
        outcome.exchange.message.headers["location"],
        format!("/state/{id}")
    );
    running.until("out", 1).await;
    running.until("orders", 0).await;
    assert_eq!(running.store("orders").state(id).unwrap().stage, Stage::Done);
    let delivered = running.store("out").list(None, 1).await.unwrap().remove(0);
    assert_eq!(delivered.body, r#"{"k": "a"}"#);
    assert!(matches!(delivered.start, StartLine::Request { ref method, .. } if method == Method::POST));
    running.gateway.drain().await;
}

#[tokio::test]
async fn a_message_that_fails_is_tried_again_then_dead_and_can_be_replayed() {
    let forward = "forward: { to: test://down, attempts: 3, backoff: 1ms }\n    dead_letter: dead";
    let running = start(&project(forward)).await;
    running.main(r#"{"k": "a"}"#).await;
    running.until("dead", 1).await;
    running.until("orders", 0).await;
    let letter = running.store("dead").list(None, 1).await.unwrap().remove(0);
    let dead = letter.dead.as_ref().unwrap();
    assert_eq!(
        (dead.artifact.as_str(), dead.code.as_str()),
        ("processors.p", "backend.connect")
    );
    assert_eq!(
        letter.source.as_ref().unwrap()["attempts"],
        2,
        "two before the last"
    );
    assert!(!dead.history.is_empty());

    let (status, page) = running.manage(Method::GET, "/stores/dead").await;
    assert_eq!(
        (status, &page["page"][0]["id"]),
        (StatusCode::OK, &letter.id.clone().into())
    );
    let (_, shown) = running
        .manage(Method::GET, &format!("/stores/dead/{}", letter.id))
        .await;
    assert_eq!(shown["body"], r#"{"k": "a"}"#);
    let (_, replayed) = running.manage(Method::POST, "/stores/dead/replay").await;
    assert_eq!(
        (&replayed["replayed"], &replayed["left"]),
        (&0.into(), &1.into()),
        "{replayed}"
    );
    let (_, purged) = running.manage(Method::DELETE, "/stores/dead").await;
    assert_eq!(purged["removed"], 1);
    let (_, stores) = running.manage(Method::GET, "/stores").await;
    assert_eq!(stores["stores"][1]["messages"], 0);
    for path in ["/stores/none", "/stores/dead/none"] {
        assert_eq!(running.manage(Method::GET, path).await.0, StatusCode::NOT_FOUND);
    }
    running.gateway.drain().await;
}

#[tokio::test]
async fn without_a_dead_letter_store_a_message_stays_and_only_its_key_waits() {
    let steps = "[ { filter: { when: \"payload.k == 'bad'\", then: [ { throw: no } ] } }, { store: out } ]";
    let forward = format!("forward: {{ steps: {steps}, backoff: 1ms, backoff_max: 1ms, parallel: 4 }}");
    let running = start(&project(&forward)).await;
    for body in [
        r#"{"k": "bad", "n": 1}"#,
        r#"{"k": "bad", "n": 2}"#,
        r#"{"k": "good"}"#,
    ] {
        running.main(body).await;
    }
    running.until("out", 1).await;
    running.until("orders", 2).await;
    let waiting = running.store("orders").list(None, 9).await.unwrap();
    let stuck = async {
        while running.manage(Method::GET, "/health").await.1["status"] != "degraded" {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), stuck)
        .await
        .unwrap();
    assert_eq!(
        running.store("orders").state(&waiting[1].id).unwrap().attempts,
        0,
        "behind the other"
    );
    running.gateway.drain().await;
}

#[test]
fn mistakes_are_placed() {
    for (processor, problem) in [
        ("forward: {}", "exactly one"),
        (
            "forward: { to: test://echo }\n    dead_letter: orders",
            "cannot go to the store",
        ),
        (
            "forward: { to: test://echo }\n    dead_letter: ded",
            "did you mean",
        ),
    ] {
        let text = testing::deployment(&project(processor)).err().unwrap();
        assert!(text.contains(problem), "{text}");
    }
}
