//! The trace of one exchange: each step with its duration and what it changed. Recorded under `run --trace` only.

use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::mediator::Flow;
use crate::payload::PayloadState;
use crate::sequence::Step;
use http::HeaderMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many removed headers are told by name; a request that becomes a reply loses more.
const REMOVED_TOLD_MAX: usize = 3;

/// Events of one exchange are limited to this number; later ones are counted only.
const EVENTS_MAX: usize = 1000;

/// The timeline of one exchange.
pub struct Trace {
    started: Instant,
    events: Mutex<Vec<TraceEvent>>,
}

/// One step that ran.
#[derive(Clone, Debug)]
pub struct TraceEvent {
    /// The step's path in the configuration.
    pub step: Arc<str>,
    /// The mediator's name.
    pub mediator: &'static str,
    /// How deep it is nested, from 0.
    pub depth: usize,
    /// Start, since the exchange began.
    pub at: Duration,
    /// How long it took, children included.
    pub took: Duration,
    /// What it changed, in words.
    pub changes: Vec<String>,
    /// How it ended: `next`, `respond`, `drop`, or the fault.
    pub outcome: String,
}

/// The state before a step.
pub(crate) struct Before {
    at: Instant,
    index: usize,
    headers: HeaderMap,
    state: PayloadState,
    payload: Option<usize>,
    variables: Vec<(Box<str>, usize)>,
    status: Option<u16>,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            events: Mutex::default(),
        }
    }
}

impl Trace {
    /// The events so far, in order of start.
    #[must_use]
    pub fn events(&self) -> Vec<TraceEvent> {
        self.events.lock().clone()
    }

    pub(crate) fn begin(&self, step: &Step, exchange: &Exchange) -> Before {
        let at = Instant::now();
        let mut events = self.events.lock();
        let index = events.len();
        if index < EVENTS_MAX {
            events.push(TraceEvent {
                step: Arc::clone(&step.id),
                mediator: step.mediator,
                depth: step.id.matches('[').count().saturating_sub(1),
                at: at - self.started,
                took: Duration::ZERO,
                changes: Vec::new(),
                outcome: String::new(),
            });
        }
        Before {
            at,
            index,
            headers: exchange.message.headers.clone(),
            state: exchange.message.payload.state(),
            payload: payload_identity(exchange),
            variables: variable_identities(exchange),
            status: exchange.message.status().map(|status| status.as_u16()),
        }
    }

    pub(crate) fn end(&self, before: &Before, exchange: &Exchange, outcome: &Result<Flow, Fault>) {
        let changes = changes(before, exchange);
        let mut events = self.events.lock();
        let Some(event) = events.get_mut(before.index) else {
            return;
        };
        event.took = before.at.elapsed();
        event.changes = changes;
        event.outcome = match outcome {
            Ok(Flow::Next) => "next".to_owned(),
            Ok(Flow::Respond) => "respond".to_owned(),
            Ok(Flow::Drop) => "drop".to_owned(),
            Err(fault) => fault.to_string(),
        };
    }
}

fn payload_identity(exchange: &Exchange) -> Option<usize> {
    let payload = &exchange.message.payload;
    payload
        .as_model()
        .map(|model| Arc::as_ptr(model).addr())
        .or_else(|| payload.as_bytes().map(|bytes| bytes.as_ptr().addr()))
}

fn variable_identities(exchange: &Exchange) -> Vec<(Box<str>, usize)> {
    exchange
        .vars
        .iter()
        .map(|(name, model)| (name.clone(), Arc::as_ptr(model).addr()))
        .collect()
}

fn changes(before: &Before, exchange: &Exchange) -> Vec<String> {
    let message = &exchange.message;
    let mut changes = Vec::new();
    if let Some(status) = message
        .status()
        .map(|status| status.as_u16())
        .filter(|status| Some(*status) != before.status)
    {
        changes.push(format!("status {status}"));
    }
    for name in message
        .headers
        .keys()
        .filter(|name| message.headers.get(*name) != before.headers.get(*name))
    {
        changes.push(format!("headers.{name} set"));
    }
    let removed: Vec<String> = before
        .headers
        .keys()
        .filter(|name| !message.headers.contains_key(*name))
        .map(|name| format!("headers.{name} removed"))
        .collect();
    match removed.len() {
        0..=REMOVED_TOLD_MAX => changes.extend(removed),
        count => changes.push(format!("{count} headers removed")),
    }
    for (name, identity) in variable_identities(exchange) {
        if !before.variables.contains(&(name.clone(), identity)) {
            changes.push(format!("vars.{name} set"));
        }
    }
    let state = message.payload.state();
    if state != before.state {
        changes.push(format!("payload {:?} -> {state:?}", before.state).to_lowercase());
    } else if payload_identity(exchange) != before.payload {
        changes.push("payload replaced".to_owned());
    }
    changes
}
