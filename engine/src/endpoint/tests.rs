//! Endpoints through their public door: YAML in, messages to scripted backends, time paused.

mod backend;
mod balance;
mod breaker;
mod configuration;
mod recipients;
mod reply;
mod retry;
mod soap;

use crate::build::{self, Environment};
use crate::config::{self, Diagnostics, LoadOptions, Style};
use crate::deployment::Deployment;
use crate::endpoint::EndpointRef;
use crate::exchange::{Entry, Exchange};
use crate::fault::Fault;
use crate::message::Message;
use crate::observe::Metrics;
use crate::payload::Payload;
use crate::registry::Registry;
use crate::state::SharedState;
use crate::transport::CallOptions;
use backend::{Backend, backend};
use http::{Method, Uri};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What outlives deployments.
#[derive(Default)]
struct World {
    state: SharedState,
    metrics: Metrics,
}

const REGISTRY: Registry = Registry {
    mediators: &[],
    transports: backend::TRANSPORTS,
    formats: backend::FORMATS,
};

impl World {
    /// Builds the endpoints given as YAML.
    fn build(&self, endpoints: &str) -> Result<Arc<Deployment>, String> {
        let indented: String = endpoints.lines().map(|line| format!("  {line}\n")).collect();
        let yaml = format!("endpoints:\n{indented}");
        let mut diagnostics = Diagnostics::new();
        let options = LoadOptions::default();
        let project = config::load_texts(
            [("test.yaml", yaml.as_str())],
            Path::new("."),
            &options,
            &mut diagnostics,
        );
        let environment = Environment {
            registry: REGISTRY,
            state: &self.state,
            metrics: &self.metrics,
        };
        let built = build::build(&project, &environment, &mut diagnostics);
        built
            .map(Arc::new)
            .ok_or_else(|| config::render_all(&diagnostics, &project.sources, Style::Plain))
    }

    fn setup(&self, endpoints: &str) -> Setup {
        Setup(
            self.build(endpoints)
                .unwrap_or_else(|diagnostics| panic!("{diagnostics}")),
        )
    }
}

fn setup(endpoints: &str) -> Setup {
    World::default().setup(endpoints)
}

/// The diagnostics of endpoints that cannot be built.
fn problems(endpoints: &str) -> String {
    World::default()
        .build(endpoints)
        .err()
        .expect("the endpoints should have errors")
}

/// A deployment to send from.
struct Setup(Arc<Deployment>);

impl Setup {
    fn exchange(&self, method: Method) -> Exchange {
        let entry = Entry {
            id: "test-id".into(),
            method: method.clone(),
            scheme: "http",
            ..Entry::default()
        };
        let message = Message::request(method, Uri::from_static("/test"));
        Exchange::new(
            message,
            Arc::new(entry),
            Arc::clone(&self.0),
            Instant::now() + Duration::from_secs(60),
        )
    }

    /// Sends through the endpoint `main`.
    async fn send(&self, exchange: &mut Exchange, message: Message) -> Result<Message, Fault> {
        let endpoint = Arc::clone(&self.0.endpoints["main"]);
        endpoint.call(exchange, message, &CallOptions::default()).await
    }

    /// Sends a request without a body: its status, or the name of the fault.
    async fn try_get(&self) -> Result<Message, Fault> {
        self.send(&mut self.exchange(Method::GET), Message::default())
            .await
    }

    async fn get(&self) -> String {
        told(&self.try_get().await)
    }

    async fn post(&self, payload: Payload) -> String {
        let message = Message {
            payload,
            ..Message::default()
        };
        told(&self.send(&mut self.exchange(Method::POST), message).await)
    }

    async fn put(&self, payload: Payload) -> String {
        let message = Message {
            payload,
            ..Message::default()
        };
        told(&self.send(&mut self.exchange(Method::PUT), message).await)
    }
}

fn told(result: &Result<Message, Fault>) -> String {
    match result {
        Ok(reply) => reply
            .status()
            .map_or_else(String::new, |status| status.as_u16().to_string()),
        Err(fault) => fault.name().to_owned(),
    }
}

/// A body that arrives in two frames.
fn stream(first: &'static str, second: &'static str) -> Payload {
    use http_body_util::{BodyExt, StreamBody};
    let frames =
        [first, second].map(|text| Ok(http_body::Frame::data(bytes::Bytes::from_static(text.as_bytes()))));
    Payload::stream(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
}

#[tokio::test(start_paused = true)]
async fn a_plain_endpoint_passes_the_body_and_the_reply_through() {
    let setup = setup("main: fake://plain");
    let backend = backend("plain");
    assert_eq!(setup.post(stream("ab", "cd")).await, "200");
    let calls = backend.calls();
    assert_eq!(
        (calls.len(), calls[0].body.as_str(), calls[0].method.as_str()),
        (1, "abcd", "POST")
    );
}

#[tokio::test(start_paused = true)]
async fn a_reference_by_expression_finds_names_and_nothing_else() {
    let world = World::default();
    let setup = world.setup("main: fake://dynamic");
    let scope = crate::expression::Scope::default();
    let template =
        crate::expression::Template::compile("${headers.target}", &scope, Default::default()).unwrap();
    let reference = EndpointRef::Dynamic(template);
    let resolve = |target: &'static str| {
        let mut exchange = setup.exchange(Method::GET);
        exchange.message.headers.insert("target", target.parse().unwrap());
        reference
            .resolve(&exchange)
            .map(|endpoint| endpoint.name().to_string())
            .map_err(|fault| fault.name().to_owned())
    };
    assert_eq!(resolve("main"), Ok("main".to_owned()));
    assert_eq!(resolve("fake://dynamic"), Err("backend.unavailable".to_owned()));
    assert_eq!(resolve("other"), Err("backend.unavailable".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn headers_and_credentials_are_set_on_each_request() {
    let setup = setup(
        "main:
  fake: fake://headers
  headers: { X-Fixed: one, x-from: \"${headers['x-in']}\" }
  basic_auth: { username: Aladdin, password: open sesame }",
    );
    let backend = backend("headers");
    let mut exchange = setup.exchange(Method::GET);
    exchange.message.headers.insert("x-in", "two".parse().unwrap());
    let endpoint = Arc::clone(&setup.0.endpoints["main"]);
    endpoint
        .pass_on(&mut exchange, &CallOptions::default())
        .await
        .unwrap();
    let headers = backend.calls().remove(0).headers;
    assert_eq!(headers["x-fixed"], "one");
    assert_eq!(headers["x-from"], "two");
    assert_eq!(headers["x-in"], "two");
    assert_eq!(headers["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert!(headers["authorization"].is_sensitive());
    assert_eq!(exchange.message.status().map(|status| status.as_u16()), Some(200));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_at_its_timeout_and_counts_as_backend_time() {
    let setup = setup("main: { fake: \"fake://hang\", timeout: 3s }");
    backend("hang").always("hang");
    let mut exchange = setup.exchange(Method::GET);
    let started = Instant::now();
    let result = setup.send(&mut exchange, Message::default()).await;
    assert_eq!(told(&result), "backend.timeout");
    assert_eq!(started.elapsed().as_secs(), 3);
    assert_eq!(exchange.backend_time.as_secs(), 3);
    exchange.deadline = Instant::now() + Duration::from_secs(1);
    let started = Instant::now();
    assert_eq!(
        told(&setup.send(&mut exchange, Message::default()).await),
        "backend.timeout"
    );
    assert_eq!(
        started.elapsed().as_secs(),
        1,
        "never past the exchange's deadline"
    );
}

impl Backend {
    /// How many calls it got.
    fn count(&self) -> usize {
        self.calls().len()
    }
}
