//! Deliveries through the gateway's door: an event in, what became of it out, and what the dead-letter store holds then.

use super::*;
use crate::build::Build;
use crate::config::Node;
use crate::gateway::tests::NoListener;
use crate::mediator::{BoxFuture, Mediator, StepKind, sync};
use crate::payload::Payload;
use crate::registry::{EntryPoint, EntrySpec, Registry, StepConfig, StepSpec, StoreSpec, TransportSpec};
use crate::store::Store;
use parking_lot::Mutex;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;

/// Fails with this code, or answers with this status.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct EndConfig {
    fault: Option<String>,
    status: Option<u16>,
}

struct End(EndConfig);

impl StepConfig for EndConfig {
    const NAME: &'static str = "end";
    const EXAMPLE: &'static str = "- end";

    fn build(self, _: &mut Build<'_>) -> Option<StepKind> {
        Some(sync(End(self)))
    }
}

impl Mediator for End {
    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        if let Some(code) = &self.0.fault {
            exchange.message.payload = Payload::bytes("changed meanwhile");
            return Err(Fault::new(FaultCode::by_name(code).unwrap(), "told"));
        }
        if let Some(status) = self.0.status {
            exchange.message.start = crate::message::StartLine::Response {
                status: StatusCode::from_u16(status).unwrap(),
            };
        }
        Ok(Flow::Next)
    }
}

/// Keeps what it is given, unless it is full.
struct Kept {
    name: Arc<str>,
    full: bool,
}

static LETTERS: Mutex<Vec<StoredMessage>> = Mutex::new(Vec::new());

fn entry(name: &Arc<str>, _: &Node, _: &mut Build<'_>) -> Option<EntryPoint> {
    Some(EntryPoint::Listener(Arc::new(NoListener(Arc::clone(name)))))
}

static TRANSPORTS: [TransportSpec; 1] = [TransportSpec {
    name: "idle",
    docs: "",
    listener: None,
    entry: Some(EntrySpec {
        schema: SchemaGenerator::subschema_for::<EndConfig>,
        build: entry,
    }),
    sender: None,
    connection: None,
    store: Some(StoreSpec {
        schema: SchemaGenerator::subschema_for::<EndConfig>,
        build: kept,
    }),
}];

static MEDIATORS: [StepSpec; 1] = [StepSpec::of::<EndConfig>()];

const PROJECT: &str = "
stores:
  dead: { idle: {} }
  full: { idle: {} }
proxies:
  fine: { from: { idle: {} }, steps: [ end ] }
  refused: { from: { idle: {} }, steps: [ { end: { status: 503 } } ] }
  bad: { from: { idle: {} }, dead_letter: dead, steps: [ end, { end: { fault: client.validation } } ] }
  away: { from: { idle: {} }, dead_letter: dead, steps: [ { end: { fault: backend.connect } } ] }
  nowhere: { from: { idle: {} }, dead_letter: full, steps: [ { end: { fault: client.validation } } ] }
  handled:
    from: { idle: {} }
    dead_letter: dead
    steps: [ { end: { fault: client.validation } } ]
    on_fault: [ { end: { status: 200 } } ]
";

fn gateway() -> Arc<Gateway> {
    let registry = Registry {
        mediators: &MEDIATORS,
        transports: &TRANSPORTS,
        formats: &[],
    };
    let deployment =
        crate::testing::deployment(registry, PROJECT).unwrap_or_else(|problems| panic!("{problems}"));
    crate::testing::gateway(deployment, 1)
}

async fn deliver(gateway: &Arc<Gateway>, artifact: &str, id: &str, redelivers: bool) -> Settled {
    let delivery = Delivery {
        artifact: format!("proxies.{artifact}").into(),
        message: Message {
            payload: Payload::bytes("as it came"),
            ..Message::default()
        },
        id: id.to_owned(),
        source: serde_json::json!({ "name": "a.csv" }).into(),
        redelivers,
        ..Delivery::default()
    };
    gateway.deliver(delivery).await
}

fn letters(id: &str) -> Vec<StoredMessage> {
    let letters = LETTERS.lock();
    letters
        .iter()
        .filter(|letter| letter.correlation_id == id)
        .cloned()
        .collect()
}

#[tokio::test]
async fn a_message_that_fails_for_good_is_kept_as_it_came_with_its_story() {
    let gateway = gateway();
    let settled = deliver(&gateway, "bad", "bad-1", true).await;
    assert!(matches!(settled, Settled::DeadLettered(_)), "{settled:?}");
    let [letter] = &letters("bad-1")[..] else {
        panic!("one letter")
    };
    assert_eq!(&letter.body[..], b"as it came");
    assert_eq!(letter.source.as_ref().unwrap()["name"], "a.csv");
    let dead = letter.dead.as_ref().unwrap();
    assert_eq!(
        (dead.artifact.as_str(), dead.code.as_str()),
        ("proxies.bad", "client.validation")
    );
    assert_eq!(dead.step.as_deref(), Some("proxies.bad[1]"));
    assert_eq!(
        dead.history.iter().map(|step| &**step).collect::<Vec<_>>(),
        ["proxies.bad[0]", "proxies.bad[1]"]
    );
}

#[tokio::test]
async fn what_may_succeed_later_is_left_to_the_listener_until_it_gives_up() {
    let gateway = gateway();
    assert!(matches!(
        deliver(&gateway, "away", "away-1", true).await,
        Settled::Failed(_)
    ));
    assert!(letters("away-1").is_empty());
    assert!(matches!(
        deliver(&gateway, "away", "away-1", false).await,
        Settled::DeadLettered(_)
    ));
    assert_eq!(letters("away-1").len(), 1);
}

#[tokio::test]
async fn a_message_that_nobody_can_keep_comes_again_later() {
    let gateway = gateway();
    assert!(matches!(
        deliver(&gateway, "nowhere", "full-1", false).await,
        Settled::Later(_)
    ));
    let settled = deliver(&gateway, "unknown", "none-1", false).await;
    assert!(
        matches!(&settled, Settled::Later(fault) if fault.name() == "gateway.unserved"),
        "{settled:?}"
    );
}

#[tokio::test]
async fn a_backends_refusal_is_a_failure_and_a_handled_fault_is_none() {
    let gateway = gateway();
    assert!(matches!(
        deliver(&gateway, "fine", "fine-1", true).await,
        Settled::Done(_)
    ));
    let settled = deliver(&gateway, "refused", "refused-1", true).await;
    assert!(
        matches!(&settled, Settled::Failed(fault) if fault.name() == "backend.status" && fault.worth_redelivery()),
        "{settled:?}"
    );
    assert!(matches!(
        deliver(&gateway, "handled", "handled-1", false).await,
        Settled::Done(_)
    ));
    assert!(letters("handled-1").is_empty());
}

#[tokio::test]
async fn listeners_that_wait_for_a_server_show_in_health_and_metrics() {
    let gateway = gateway();
    let name: Arc<str> = "proxies.fine".into();
    let handle = gateway.health.register(&name);
    handle.down("connection refused");
    let report: serde_json::Value = serde_json::from_str(&gateway.health.report(false)).unwrap();
    assert_eq!(report["status"], "degraded");
    assert_eq!(
        report["listeners"]["proxies.fine"]["problem"],
        "connection refused"
    );
    assert!(
        gateway
            .metrics
            .encode()
            .contains(r#"mediary_listener_up{artifact="proxies.fine"} 0"#)
    );
    handle.up();
    let report: serde_json::Value = serde_json::from_str(&gateway.health.report(false)).unwrap();
    assert_eq!(
        (&report["status"], &report["listeners"]["proxies.fine"]["state"]),
        (&"up".into(), &"up".into())
    );
    drop(handle);
    assert!(!gateway.health.report(false).contains("proxies.fine"));
    assert!(!gateway.metrics.encode().contains("mediary_listener_up{"));
}

fn kept(name: &Arc<str>, _: &Node, _: &mut Build<'_>) -> Option<Arc<dyn Store>> {
    Some(Arc::new(Kept {
        name: Arc::clone(name),
        full: &**name == "full",
    }))
}

impl Store for Kept {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn open(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn put(&self, message: StoredMessage) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            if self.full {
                return Err(Fault::new(FaultCode::Store, "The store is full."));
            }
            LETTERS.lock().push(message);
            Ok(())
        })
    }
}
