//! `local` through a gateway: one proxy sends, another receives.

use engine::build::Build;
use engine::config::{Node, RawNode};
use engine::endpoint::EndpointRef;
use engine::exchange::Exchange;
use engine::fault::{Fault, FaultCode};
use engine::gateway::Gateway;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Mediator, StepKind, asynchronous, sync};
use engine::message::Message;
use engine::payload::Payload;
use engine::registry::{Registry, StepConfig, StepSpec};
use engine::transport::{CallOptions, Delivery, Settled};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// `- forward: { to: ENDPOINT, wait: bool }`: sends the message on, one way or for a reply.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Forward {
    to: RawNode,
    #[serde(default)]
    wait: bool,
}

struct Forwarding {
    to: EndpointRef,
    wait: bool,
}

impl StepConfig for Forward {
    const NAME: &'static str = "forward";
    const EXAMPLE: &'static str = "";

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let node: &Node = &self.to;
        let to = cx.endpoint(node)?;
        Some(asynchronous(Forwarding { to, wait: self.wait }))
    }
}

impl AsyncMediator for Forwarding {
    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let endpoint = self.to.resolve(exchange)?;
            if self.wait {
                endpoint.pass_on(exchange, &CallOptions::default()).await?;
                return Ok(Flow::Next);
            }
            let message = std::mem::take(&mut exchange.message);
            endpoint.send(exchange, message, &CallOptions::default()).await?;
            Ok(Flow::Drop)
        })
    }
}

/// `- keep: { milliseconds }`: works for a while, then remembers the body.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keep {
    milliseconds: u64,
}

static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl StepConfig for Keep {
    const NAME: &'static str = "keep";
    const EXAMPLE: &'static str = "";

    fn build(self, _: &mut Build<'_>) -> Option<StepKind> {
        Some(asynchronous(self))
    }
}

impl AsyncMediator for Keep {
    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            sleep(Duration::from_millis(self.milliseconds)).await;
            let body = exchange.message.payload.as_bytes().cloned().unwrap_or_default();
            KEPT.lock().push(String::from_utf8_lossy(&body).into_owned());
            Ok(Flow::Next)
        })
    }
}

/// `- fail: {}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fail {}

impl StepConfig for Fail {
    const NAME: &'static str = "fail";
    const EXAMPLE: &'static str = "";

    fn build(self, _: &mut Build<'_>) -> Option<StepKind> {
        Some(sync(self))
    }
}

impl Mediator for Fail {
    fn mediate(&self, _: &mut Exchange) -> Result<Flow, Fault> {
        Err(Fault::new(FaultCode::Validation, "No."))
    }
}

static STEPS: &[StepSpec] = &[
    StepSpec::of::<Forward>(),
    StepSpec::of::<Keep>(),
    StepSpec::of::<Fail>(),
];

fn built(yaml: &str) -> Result<engine::deployment::Deployment, String> {
    let registry = Registry {
        mediators: STEPS,
        transports: crate::ALL,
        formats: &[],
    };
    engine::testing::deployment(registry, yaml)
}

fn built_proxies(proxies: &str) -> engine::deployment::Deployment {
    let yaml = format!(
        "settings:\n  listeners: {{ http: {{ port: 0, address: 127.0.0.1 }} }}\n  management: {{ port: 0 }}\nproxies:\n{proxies}"
    );
    built(&yaml).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A gateway that has bound the project. No network listener: ports are 0 and unused.
async fn gateway(proxies: &str) -> Arc<Gateway> {
    let deployment = built_proxies(proxies);
    let gateway = engine::testing::gateway(deployment, 2);
    gateway.bind().await.unwrap();
    gateway
}

async fn deliver(gateway: &Arc<Gateway>, artifact: &str, body: &str) -> Settled {
    let delivery = Delivery {
        artifact: artifact.into(),
        message: Message {
            payload: Payload::bytes(body.to_owned()),
            ..Message::default()
        },
        ..Delivery::default()
    };
    gateway.deliver(delivery).await
}

fn code(settled: &Settled) -> Option<FaultCode> {
    match settled {
        Settled::Failed(fault) => Some(fault.code()),
        _ => None,
    }
}

fn kept(prefix: &str) -> Vec<String> {
    let kept = KEPT.lock();
    kept.iter()
        .filter(|body| body.starts_with(prefix))
        .cloned()
        .collect()
}

#[tokio::test]
async fn a_call_gets_the_reply() {
    let gateway = gateway(
        "  a: { from: { local: a }, to: 'local://b' }\n  b: { from: { local: b }, steps: [ { keep: { milliseconds: 1 } } ] }\n",
    )
    .await;
    let Settled::Done(reply) = deliver(&gateway, "proxies.a", "hello").await else {
        panic!("not done");
    };
    assert_eq!(reply.status().unwrap().as_u16(), 200);
    assert_eq!(reply.payload.as_bytes().unwrap(), "hello");
    gateway.drain().await;
}

#[tokio::test]
async fn a_send_waits_and_learns_of_the_fault_but_not_of_a_dead_letter() {
    let gateway = gateway(
        "  a: { from: { local: a }, steps: [ { forward: { to: 'local://b' } } ] }
  b: { from: { local: b }, steps: [ { keep: { milliseconds: 20 } }, { fail: {} } ] }
  c: { from: { local: c }, steps: [ { forward: { to: 'local://d' } } ] }
  d: { from: { local: d }, dead_letter: dead, steps: [ { keep: { milliseconds: 20 } }, { fail: {} } ] }
stores: { dead: { memory: {} } }\n",
    )
    .await;
    let settled = deliver(&gateway, "proxies.a", "waited 1").await;
    assert_eq!(
        code(&settled),
        Some(FaultCode::Validation),
        "the sender may do something about it"
    );
    let settled = deliver(&gateway, "proxies.c", "waited 2").await;
    assert!(matches!(settled, Settled::Done(_)), "{settled:?}");
    assert_eq!(
        kept("waited"),
        ["waited 1", "waited 2"],
        "it was served before the sender went on"
    );
    let dead = gateway.deployment().stores["dead"].list(None, 2).await.unwrap();
    assert_eq!((dead.len(), &dead[0].body[..]), (1, &b"waited 2"[..]));
    gateway.drain().await;
}

#[tokio::test]
async fn what_is_queued_is_served_when_a_reload_removes_the_artifact() {
    let sender = "  a: { from: { local: a }, steps: [ { forward: { to: { local: { name: gone, wait: false } } } } ] }\n";
    let receiver = "  gone: { from: { local: { name: gone, concurrency: 1 } }, steps: [ { keep: { milliseconds: 100 } } ] }\n";
    let gateway = gateway(&format!("{sender}{receiver}")).await;
    for number in 0..4 {
        let settled = deliver(&gateway, "proxies.a", &format!("removed {number}")).await;
        assert!(matches!(settled, Settled::Done(_)), "{settled:?}");
    }
    let without =
        built_proxies("  other: { from: { local: other }, steps: [ { keep: { milliseconds: 1 } } ] }\n");
    gateway.reload(without).await.unwrap();
    let served = async {
        while kept("removed").len() < 4 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let served = tokio::time::timeout(Duration::from_secs(10), served).await;
    assert!(served.is_ok(), "{:?}", kept("removed"));
    gateway.drain().await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_drain_delivers_what_is_queued() {
    let gateway = gateway(
        "  a: { from: { local: a }, steps: [ { forward: { to: { local: { name: slow, wait: false } } } } ] }
  slow: { from: { local: { name: slow, capacity: 2, concurrency: 1 } }, steps: [ { keep: { milliseconds: 300 } } ] }\n",
    )
    .await;
    let began = Instant::now();
    let first = deliver(&gateway, "proxies.a", "drain 0").await;
    assert!(matches!(first, Settled::Done(_)), "{first:?}");
    // The first one is at work as soon as it has left the queue.
    sleep(Duration::from_millis(50)).await;
    for number in 1..3 {
        let settled = deliver(&gateway, "proxies.a", &format!("drain {number}")).await;
        assert!(matches!(settled, Settled::Done(_)), "{settled:?}");
    }
    let refused = deliver(&gateway, "proxies.a", "drain 3").await;
    assert_eq!(code(&refused), Some(FaultCode::Overloaded));
    assert!(began.elapsed() < Duration::from_millis(300), "nobody waited");
    gateway.drain().await;
    assert_eq!(kept("drain"), ["drain 0", "drain 1", "drain 2"]);
}

#[tokio::test]
async fn a_circle_ends_at_the_deadline() {
    let gateway = gateway(
        "  x: { from: { local: { name: x, concurrency: 4 } }, to: 'local://y', timeout: 200ms }
  y: { from: { local: { name: y, concurrency: 4 } }, to: 'local://x', timeout: 200ms }\n",
    )
    .await;
    let settled = deliver(&gateway, "proxies.x", "round").await;
    let code = code(&settled);
    assert!(
        matches!(code, Some(FaultCode::Deadline | FaultCode::Timeout)),
        "{settled:?}"
    );
    gateway.drain().await;
}

#[test]
fn a_name_that_nobody_receives_from_is_said_at_load() {
    let problems = built("proxies:\n  a: { from: { local: orders }, to: 'local://order' }\n").err();
    let problems = problems.unwrap_or_default();
    assert!(
        problems.contains("nothing receives from `local://order`")
            && problems.contains("did you mean `orders`"),
        "{problems}"
    );
    assert!(problems.contains("test.yaml:2:37"), "{problems}");
}

#[test]
fn bad_names_are_said_at_load() {
    for yaml in [
        "proxies:\n  a: { from: { local: 'a b' }, to: 'http://localhost:1' }\n",
        "endpoints:\n  a: 'local://a/b'\n",
        "endpoints:\n  a: { local: '' }\n",
    ] {
        let problems = built(yaml).err().unwrap_or_default();
        assert!(problems.contains("this is no local name"), "{yaml}: {problems}");
    }
}
