//! The running gateway: holds the deployment, takes messages from listeners, answers each of them, and swaps deployments.

mod answer;
mod deliver;
mod manage;
mod negotiate;
mod reload;

pub use manage::purge_all;
pub use reload::BoundListener;

use crate::deployment::Deployment;
use crate::exchange::{Entry, Exchange, deadline_passed};
use crate::expression::Original;
use crate::fault::{Fault, FaultCode};
use crate::mediator::Flow;
use crate::message::{Message, StartLine};
use crate::observe::{Health, Metrics, Trace};
use crate::route::{Resolution, Route};
use crate::sequence::Sequence;
use crate::state::SharedState;
use crate::transport::{Inbound, RunningListener};
use crate::workers::Workers;
use arc_swap::ArcSwap;
use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::time::Instant;

/// Receives the trace of every finished exchange.
pub type TraceSink = Box<dyn Fn(&Entry, &Trace, &Message) + Send + Sync>;

/// A gateway. One per process, or per test.
pub struct Gateway {
    deployment: ArcSwap<Deployment>,
    /// State that outlives deployments.
    pub state: Arc<SharedState>,
    /// Metrics of the process.
    pub metrics: Arc<Metrics>,
    /// The data plane's threads.
    pub workers: Arc<Workers>,
    /// How the listeners are.
    pub health: Arc<Health>,
    listeners: Mutex<HashMap<String, Arc<dyn RunningListener>>>,
    in_flight: AtomicUsize,
    draining: AtomicBool,
    trace: Option<TraceSink>,
}

/// Counts an exchange as in flight until it is dropped. A transport keeps it until the reply's last byte.
pub struct InFlight(Arc<Gateway>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.in_flight.dec();
    }
}

/// The answer to an inbound message.
pub struct Reply {
    /// The reply; its payload is bytes or a stream, never an unformatted model.
    pub message: Message,
    /// To be kept until the reply has been sent.
    pub in_flight: Option<InFlight>,
}

impl Gateway {
    /// A gateway that serves `deployment` once its listeners are bound by [`Gateway::bind`].
    #[must_use]
    pub fn new(
        deployment: Deployment,
        state: Arc<SharedState>,
        metrics: Arc<Metrics>,
        workers: Arc<Workers>,
        trace: Option<TraceSink>,
    ) -> Arc<Self> {
        metrics.deployed(deployment.version);
        let health_metrics = Arc::clone(&metrics);
        Arc::new(Self {
            deployment: ArcSwap::from_pointee(deployment),
            state,
            metrics,
            workers,
            health: Arc::new(Health::new(health_metrics)),
            listeners: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            trace,
        })
    }

    /// The deployment that serves new messages.
    #[must_use]
    pub fn deployment(&self) -> Arc<Deployment> {
        self.deployment.load_full()
    }

    /// Whether the gateway is shutting down.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Answers one message. Whatever happens inside, there is an answer.
    pub async fn handle(self: &Arc<Self>, inbound: Inbound) -> Reply {
        let deployment = self.deployment();
        if &*inbound.listener == MANAGEMENT {
            let message = match manage::path_of(&inbound) {
                Some(path) => self.manage_stores(path, &inbound).await,
                None => self.manage(&inbound),
            };
            return Reply {
                message,
                in_flight: None,
            };
        }
        let Some(in_flight) = self.admit(&deployment) else {
            let fault = Fault::new(
                FaultCode::Overloaded,
                "The gateway is at its limit of exchanges in flight.",
            );
            return Reply {
                message: self.refuse(&inbound, &deployment, fault),
                in_flight: None,
            };
        };
        let message = self.dispatch(inbound, deployment).await;
        Reply {
            message,
            in_flight: Some(in_flight),
        }
    }

    fn admit(self: &Arc<Self>, deployment: &Deployment) -> Option<InFlight> {
        let (entered, before) = self.enter();
        (before < deployment.settings.limits.in_flight).then_some(entered)
    }

    /// Counts an exchange as in flight until what it returns is dropped. Says how many there were before.
    fn enter(self: &Arc<Self>) -> (InFlight, usize) {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.metrics.in_flight.inc();
        (InFlight(Arc::clone(self)), before)
    }

    async fn dispatch(&self, inbound: Inbound, deployment: Arc<Deployment>) -> Message {
        let StartLine::Request { method, uri } = &inbound.message.start else {
            return self.refuse(
                &inbound,
                &deployment,
                Fault::internal("only requests can be routed"),
            );
        };
        if let Some(document) = document(&inbound, &deployment, method, uri) {
            return document;
        }
        let headers = &inbound.message.headers;
        let resolution =
            deployment
                .routes
                .resolve(&inbound.listener, uri.path(), headers, &inbound.host, method);
        let (route, parameters, rest) = match resolution {
            Resolution::Found {
                route,
                parameters,
                rest,
            } => (Arc::clone(route), parameters, rest),
            Resolution::Options { artifact, allow } => {
                let artifact = Arc::clone(artifact);
                return self.answer_options(inbound, deployment, &artifact, &allow).await;
            }
            Resolution::MethodNotAllowed { allow } => {
                let mut fault = Fault::new(
                    FaultCode::MethodNotAllowed,
                    format!("The resource allows {allow}."),
                );
                fault = fault.with_headers(single_header(header::ALLOW, &allow));
                return self.refuse(&inbound, &deployment, fault);
            }
            Resolution::NotFound => {
                let fault = Fault::new(FaultCode::NotFound, "There is no resource at this path.");
                return self.refuse(&inbound, &deployment, fault);
            }
        };
        let mut entry = entry(&inbound, &route.artifact.name, &route.template);
        entry.path_parameters = parameters;
        entry.path_rest = rest;
        entry.fault_style = negotiate::fault_style(&inbound.message, route.soap);
        self.serve(inbound.message, Arc::new(entry), deployment, &route)
            .await
    }

    async fn serve(
        &self,
        message: Message,
        entry: Arc<Entry>,
        deployment: Arc<Deployment>,
        route: &Route,
    ) -> Message {
        let started = Instant::now();
        let timeout = route
            .timeout
            .unwrap_or(deployment.settings.limits.exchange_timeout);
        let mut exchange = Exchange::new(message, entry, deployment, started + timeout);
        let kept = match deliver::keep(route, &mut exchange).await {
            Ok(kept) => kept,
            Err(fault) => return self.finish(exchange, Err(fault), Some(route), started),
        };
        let outcome = self.execute(route, &mut exchange).await;
        let outcome = complete_answer(&mut exchange, outcome).await;
        if let (Err(fault), Some(kept)) = (&outcome, kept) {
            self.dead_letter(route, &exchange, fault, kept).await;
        }
        self.finish(exchange, outcome, Some(route), started)
    }

    /// Runs a route's steps within the deadline, and its `on_fault` where they fail.
    async fn execute(&self, route: &Route, exchange: &mut Exchange) -> Result<Flow, Fault> {
        exchange.trace = self.trace.as_ref().map(|_| Arc::default());
        let deadline = exchange.deadline;
        let outcome = match tokio::time::timeout_at(deadline, guarded(run_route(route, exchange))).await {
            Ok(outcome) => outcome,
            Err(_) => Err(deadline_passed()),
        };
        match outcome {
            Err(fault) => self.handle_fault(route, exchange, fault).await,
            Ok(flow) => Ok(flow),
        }
    }

    /// Runs `on_fault` of the route, else of the artifact, on the fault rendered as a reply.
    async fn handle_fault(
        &self,
        route: &Route,
        exchange: &mut Exchange,
        fault: Fault,
    ) -> Result<Flow, Fault> {
        let Some(handler) = route.on_fault.as_ref().or(route.artifact.on_fault.as_ref()) else {
            return Err(fault);
        };
        tracing::debug!(fault = %fault, id = %exchange.entry.id, "fault handled by on_fault");
        self.metrics.fault(&fault);
        answer::render_fault(exchange, &fault);
        exchange.fault = Some(Arc::new(fault));
        exchange.completions.clear();
        let grace = exchange.deadline.max(Instant::now() + FAULT_HANDLER_TIME);
        exchange.deadline = grace;
        match tokio::time::timeout_at(grace, guarded(handler.run(exchange))).await {
            Ok(outcome) => outcome.map(|flow| if flow == Flow::Next { Flow::Respond } else { flow }),
            Err(_) => Err(deadline_passed()),
        }
    }

    fn finish(
        &self,
        mut exchange: Exchange,
        outcome: Result<Flow, Fault>,
        route: Option<&Route>,
        started: Instant,
    ) -> Message {
        let formatted = outcome.and_then(|flow| answer::reply(&mut exchange, flow));
        let fault = formatted.err();
        if let Some(fault) = &fault {
            answer::log_fault(fault, &exchange.entry);
            self.metrics.fault(fault);
            answer::render_fault(&mut exchange, fault);
        }
        answer::add_reply_headers(&mut exchange);
        let status = exchange.message.status().unwrap_or(StatusCode::OK);
        let total = started.elapsed();
        if let Some(route) = route {
            route.metrics.answered(status, total, exchange.backend_time);
        }
        if exchange.deployment.settings.access_log {
            crate::observe::log_access(
                &exchange.entry,
                status,
                total,
                exchange.backend_time,
                fault.as_ref(),
            );
        }
        if let (Some(sink), Some(trace)) = (&self.trace, &exchange.trace) {
            sink(&exchange.entry, trace, &exchange.message);
        }
        exchange.message
    }

    async fn answer_options(
        &self,
        inbound: Inbound,
        deployment: Arc<Deployment>,
        artifact: &Arc<crate::deployment::Artifact>,
        allow: &str,
    ) -> Message {
        let started = Instant::now();
        let entry = entry(&inbound, &artifact.name, &"OPTIONS".into());
        let deadline = started + deployment.settings.limits.exchange_timeout;
        let mut exchange = Exchange::new(inbound.message, Arc::new(entry), deployment, deadline);
        let outcome = match guarded(artifact.policies.run(&mut exchange)).await {
            Ok(Flow::Next) => {
                exchange.message = Message::response(StatusCode::NO_CONTENT);
                exchange.message.headers = single_header(header::ALLOW, allow);
                Ok(Flow::Respond)
            }
            other => other,
        };
        self.finish(exchange, outcome, None, started)
    }

    /// Answers a message that reaches no route.
    fn refuse(&self, inbound: &Inbound, deployment: &Arc<Deployment>, fault: Fault) -> Message {
        let mut entry = entry(inbound, &"".into(), &"".into());
        entry.fault_style = negotiate::fault_style(&inbound.message, false);
        let message = Message {
            start: inbound.message.start.clone(),
            ..Message::default()
        };
        let started = Instant::now();
        let exchange = Exchange::new(message, Arc::new(entry), Arc::clone(deployment), started);
        self.finish(exchange, Err(fault), None, started)
    }

    /// Renders a fault that the edge found before there was an exchange, in the style that suits these request headers.
    #[must_use]
    pub fn edge_fault(&self, request: &Message, id: &str, fault: &Fault) -> Message {
        self.metrics.fault(fault);
        let style = negotiate::fault_style(request, false);
        answer::fault_message(&self.deployment().formats, fault, id, style)
    }
}

/// The listener name of the management port.
pub const MANAGEMENT: &str = "management";

/// Time that `on_fault` steps have when the exchange's deadline is over.
const FAULT_HANDLER_TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// Time for what is done once an exchange has ended well.
const COMPLETION_TIME: std::time::Duration = std::time::Duration::from_secs(30);

/// Does what steps have left to be done.
async fn complete(exchange: &mut Exchange) -> Result<(), Fault> {
    if exchange.completions.is_empty() {
        return Ok(());
    }
    let completed = guarded(async { exchange.complete().await.map(|()| Flow::Next) });
    match tokio::time::timeout(COMPLETION_TIME, completed).await {
        Ok(completed) => completed.map(drop),
        Err(_) => Err(deadline_passed()),
    }
}

/// As [`complete`], for an exchange with a client: what is answered with an error has not ended well.
async fn complete_answer(exchange: &mut Exchange, outcome: Result<Flow, Fault>) -> Result<Flow, Fault> {
    if exchange.completions.is_empty() {
        return outcome;
    }
    let flow = outcome.and_then(|flow| answer::reply(exchange, flow))?;
    let status = exchange.message.status().unwrap_or(StatusCode::OK);
    match status.is_client_error() || status.is_server_error() {
        true => exchange.completions.clear(),
        false => complete(exchange).await?,
    }
    Ok(flow)
}

/// The document that a `GET` with a bare query asks for (`?wsdl`, `?openapi`).
fn document(inbound: &Inbound, deployment: &Deployment, method: &Method, uri: &http::Uri) -> Option<Message> {
    let query = uri.query().filter(|_| *method == Method::GET)?;
    let documents = deployment.documents.get(uri.path().trim_end_matches('/'))?;
    let serves = |document: &&crate::deployment::Document| {
        document.query.eq_ignore_ascii_case(query) && document.listeners.contains(&inbound.listener)
    };
    let document = documents.iter().find(serves)?;
    let mut message = Message::response(StatusCode::OK);
    message.set_content_type(document.media_type);
    message.payload = crate::payload::Payload::bytes((document.render)(&format!(
        "{}://{}",
        inbound.scheme, inbound.host
    )));
    Some(message)
}

/// Runs steps so that a panic becomes a fault of this exchange alone.
async fn guarded(run: impl Future<Output = Result<Flow, Fault>>) -> Result<Flow, Fault> {
    AssertUnwindSafe(run)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(Fault::internal(format!("panic: {text}")))
        })
}

async fn run_route(route: &Route, exchange: &mut Exchange) -> Result<Flow, Fault> {
    if let Some(needs) = route.original {
        exchange.lift(needs).await?;
        let model = exchange.model().cloned();
        exchange.original = Some(Arc::new(Original {
            headers: exchange.message.headers.clone(),
            model,
        }));
    }
    for sequence in [&route.artifact.policies, &route.policies, &route.steps] {
        let flow = Sequence::run(sequence, exchange).await?;
        if flow != Flow::Next {
            return Ok(flow);
        }
    }
    Ok(Flow::Respond)
}

fn entry(inbound: &Inbound, artifact: &Arc<str>, route: &Arc<str>) -> Entry {
    let (method, path, query) = match &inbound.message.start {
        StartLine::Request { method, uri } => (
            method.clone(),
            uri.path().to_owned(),
            uri.query().map(str::to_owned),
        ),
        _ => (Method::POST, String::new(), None),
    };
    Entry {
        id: inbound.id.clone(),
        artifact: Arc::clone(artifact),
        route: Arc::clone(route),
        listener: Arc::clone(&inbound.listener),
        peer: inbound.peer,
        client_address: inbound.client_address,
        scheme: inbound.scheme,
        host: inbound.host.clone(),
        method,
        path,
        query,
        traceparent: inbound.traceparent.clone(),
        ..Entry::default()
    }
}

fn single_header(name: header::HeaderName, value: &str) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
    headers
}

#[cfg(test)]
mod tests;
