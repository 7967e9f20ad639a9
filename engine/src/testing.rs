//! What tests of extensions share: a project as text becomes a deployment, a gateway serves it, a message goes through its
//! steps.

use crate::build::{self, Environment};
use crate::config::{self, Diagnostics, LoadOptions, Style};
use crate::deployment::Deployment;
use crate::exchange::{Entry, Exchange};
use crate::fault::Fault;
use crate::gateway::Gateway;
use crate::mediator::Flow;
use crate::message::Message;
use crate::observe::Metrics;
use crate::payload::Payload;
use crate::registry::Registry;
use crate::state::SharedState;
use crate::workers::Workers;
use http::{Method, Uri};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Builds a project given as text.
///
/// # Errors
/// Its diagnostics as people read them, without colour.
pub fn deployment(registry: Registry, yaml: &str) -> Result<Deployment, String> {
    deployment_in(registry, yaml, Path::new("."))
}

/// As [`deployment`], with a folder that relative files start from.
///
/// # Errors
/// Its diagnostics as people read them, without colour.
pub fn deployment_in(registry: Registry, yaml: &str, folder: &Path) -> Result<Deployment, String> {
    let (state, metrics) = (SharedState::default(), Metrics::default());
    let mut diagnostics = Diagnostics::new();
    let project = config::load_texts(
        [("test.yaml", yaml)],
        folder,
        &LoadOptions::default(),
        &mut diagnostics,
    );
    let environment = Environment {
        registry,
        state: &state,
        metrics: &metrics,
    };
    let built = build::build(&project, &environment, &mut diagnostics);
    built.ok_or_else(|| config::render_all(&diagnostics, &project.sources, Style::Plain))
}

/// A gateway for a deployment, with so many worker threads and with state and metrics of its own. It has bound nothing.
///
/// # Panics
/// Where threads cannot be had.
#[must_use]
pub fn gateway(deployment: Deployment, workers: usize) -> Arc<Gateway> {
    let workers = Workers::start(workers).expect("a test may have threads");
    Gateway::new(deployment, Arc::default(), Arc::default(), workers, None)
}

/// What became of a message.
pub struct Outcome {
    /// How the steps ended.
    pub flow: Result<Flow, Fault>,
    /// The exchange after them.
    pub exchange: Exchange,
}

impl Outcome {
    /// The body as text, formatted where the model had changed.
    ///
    /// # Panics
    /// Where the steps failed or the body cannot be formatted.
    pub fn text(&mut self) -> String {
        if let Err(fault) = &self.flow {
            panic!("the steps failed: {fault}");
        }
        let formats = Arc::clone(&self.exchange.deployment.formats);
        let bytes = self
            .exchange
            .message
            .to_bytes(&formats)
            .expect("the body can be formatted");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The fault the steps ended with.
    ///
    /// # Panics
    /// Where they did not fail.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        self.flow.as_ref().expect_err("the steps should have failed")
    }
}

/// A `POST` of a body with its media type to `/test?q=1`.
#[must_use]
pub fn post(media_type: &str, body: impl Into<bytes::Bytes>) -> Message {
    let mut message = Message::request(Method::POST, Uri::from_static("/test?q=1"));
    message.set_content_type(media_type);
    message.payload = Payload::bytes(body);
    message
}

/// Runs the sequence `main` of a project on a message.
///
/// # Panics
/// Where the project has errors.
pub async fn run(registry: Registry, yaml: &str, message: Message) -> Outcome {
    let deployment = deployment(registry, yaml).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    run_in(Arc::new(deployment), message).await
}

/// Runs the sequence `main` of a deployment on a message.
///
/// # Panics
/// Where there is no such sequence.
pub async fn run_in(deployment: Arc<Deployment>, message: Message) -> Outcome {
    let sequence = deployment
        .sequences
        .get("main")
        .expect("the project defines the sequence `main`")
        .steps
        .clone();
    let entry = Entry {
        id: "test-id".to_owned(),
        method: Method::POST,
        path: "/test".to_owned(),
        query: Some("q=1".to_owned()),
        scheme: "http",
        host: "localhost".to_owned(),
        ..Entry::default()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut exchange = Exchange::new(message, Arc::new(entry), deployment, deadline);
    let mut flow = sequence.run(&mut exchange).await;
    if flow.is_ok()
        && let Err(fault) = exchange.complete().await
    {
        flow = Err(fault);
    }
    Outcome { flow, exchange }
}
