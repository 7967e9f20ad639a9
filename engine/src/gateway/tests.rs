//! The gateway through its public door: an inbound message in, a reply out, whatever the steps do.

use super::*;
use crate::build::Build;
use crate::config::Node;
use crate::mediator::{AsyncMediator, BoxFuture, Mediator, StepKind, asynchronous, sync};
use crate::registry::{ListenerSpec, Registry, StepConfig, StepSpec, TransportSpec};
use crate::transport::Listener;
use http::Uri;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Panics.
#[derive(Deserialize, JsonSchema)]
struct PanicConfig {}

/// Never ends.
#[derive(Deserialize, JsonSchema)]
struct HangConfig {}

struct Panics;
struct Hangs;

impl StepConfig for PanicConfig {
    const NAME: &'static str = "panic";
    const EXAMPLE: &'static str = "- panic";

    fn build(self, _: &mut Build<'_>) -> Option<StepKind> {
        Some(sync(Panics))
    }
}

impl StepConfig for HangConfig {
    const NAME: &'static str = "hang";
    const EXAMPLE: &'static str = "- hang";

    fn build(self, _: &mut Build<'_>) -> Option<StepKind> {
        Some(asynchronous(Hangs))
    }
}

impl Mediator for Panics {
    fn mediate(&self, _: &mut Exchange) -> Result<Flow, Fault> {
        panic!("a secret of the house")
    }
}

impl AsyncMediator for Hangs {
    fn mediate<'a>(&'a self, _: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(std::future::pending())
    }
}

/// A listener that is not there: messages are given to the gateway by hand.
pub(super) struct NoListener(pub(super) Arc<str>);

impl Listener for NoListener {
    fn name(&self) -> &Arc<str> {
        &self.0
    }

    fn key(&self) -> String {
        self.0.to_string()
    }

    fn bind<'a>(&'a self, _: &'a Arc<Gateway>) -> BoxFuture<'a, Result<Box<dyn RunningListener>, Fault>> {
        Box::pin(async { Err(Fault::internal("nothing is bound in these tests")) })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn listener(name: &Arc<str>, _: &Node, _: &mut Build<'_>) -> Option<Arc<dyn Listener>> {
    Some(Arc::new(NoListener(Arc::clone(name))))
}

static TRANSPORTS: [TransportSpec; 1] = [TransportSpec {
    name: "none",
    docs: "",
    listener: Some(ListenerSpec {
        schema: schemars::SchemaGenerator::subschema_for::<PanicConfig>,
        build: listener,
    }),
    entry: None,
    connection: None,
    store: None,
    sender: None,
}];

static MEDIATORS: [StepSpec; 2] = [StepSpec::of::<PanicConfig>(), StepSpec::of::<HangConfig>()];

fn gateway(settings: &str) -> Arc<Gateway> {
    let registry = Registry {
        mediators: &MEDIATORS,
        transports: &TRANSPORTS,
        formats: &[],
    };
    let yaml = format!(
        "settings: {{ {settings} }}\napis:\n  a:\n    context: /a\n    timeout: 1s\n    routes:\n      GET /panic: panic\n      GET /hang: hang\n"
    );
    let deployment =
        crate::testing::deployment(registry, &yaml).unwrap_or_else(|problems| panic!("{problems}"));
    crate::testing::gateway(deployment, 1)
}

fn request(path: &'static str) -> Inbound {
    Inbound {
        message: Message::request(Method::GET, Uri::from_static(path)),
        listener: "http".into(),
        scheme: "http",
        host: "localhost".to_owned(),
        id: "id-1".to_owned(),
        ..Inbound::default()
    }
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.message.payload.as_bytes().unwrap()).into_owned()
}

#[tokio::test]
async fn a_panic_is_a_fault_of_its_exchange_alone() {
    let gateway = gateway("workers: 1");
    for _ in 0..3 {
        let reply = gateway.handle(request("/a/panic")).await;
        assert_eq!(reply.message.status(), Some(StatusCode::INTERNAL_SERVER_ERROR));
        let text = text(&reply);
        assert!(
            text.starts_with("gateway.internal: ") && !text.contains("secret"),
            "{text}"
        );
    }
    let reply = gateway.handle(request("/none")).await;
    assert_eq!(reply.message.status(), Some(StatusCode::NOT_FOUND));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_ends_at_its_deadline() {
    let gateway = gateway("workers: 1");
    let started = Instant::now();
    let reply = gateway.handle(request("/a/hang")).await;
    assert_eq!(reply.message.status(), Some(StatusCode::GATEWAY_TIMEOUT));
    assert!(text(&reply).starts_with("gateway.deadline: "), "{}", text(&reply));
    assert_eq!(started.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn exchanges_over_the_limit_are_refused_and_the_place_is_free_again_afterwards() {
    let gateway = gateway("limits: { in_flight: 1 }");
    let first = {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move { gateway.handle(request("/a/hang")).await })
    };
    tokio::task::yield_now().await;
    let refused = gateway.handle(request("/a/panic")).await;
    assert_eq!(refused.message.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert!(
        text(&refused).starts_with("gateway.overloaded: "),
        "{}",
        text(&refused)
    );
    drop(first.await.unwrap());
    let reply = gateway.handle(request("/a/panic")).await;
    assert_eq!(reply.message.status(), Some(StatusCode::INTERNAL_SERVER_ERROR));
}

#[tokio::test]
async fn the_management_port_tells_health_and_metrics() {
    let gateway = gateway("workers: 1");
    let ask = |path| Inbound {
        listener: MANAGEMENT.into(),
        ..request(path)
    };
    assert_eq!(text(&gateway.handle(ask("/health/live")).await), "live\n");
    assert_eq!(text(&gateway.handle(ask("/health/ready")).await), "ready\n");
    drop(gateway.handle(request("/a/panic")).await);
    let metrics = text(&gateway.handle(ask("/metrics")).await);
    assert!(
        metrics.contains(r#"mediary_faults_total{code="gateway.internal"} 1"#),
        "{metrics}"
    );
    gateway.drain().await;
    let ready = gateway.handle(ask("/health/ready")).await;
    assert_eq!(ready.message.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
}
