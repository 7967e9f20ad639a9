//! Messages that come from no network port: files, queues, timers, stores. And dead letters, of whatever messages.

use super::{Gateway, InFlight, answer};
use crate::deployment::{ArtifactKind, Deployment};
use crate::exchange::{Entry, Exchange};
use crate::fault::{Fault, FaultCode};
use crate::mediator::{Flow, Needs};
use crate::message::{Message, StartLine};
use crate::route::Route;
use crate::store::{DeadLetter, Port, StoredMessage};
use crate::transport::{Delivery, Settled};
use http::{Method, StatusCode};
use std::sync::Arc;
use tokio::time::Instant;

impl Gateway {
    /// Serves one message and says what became of it. Only then may the listener acknowledge. The listener bounds how many it
    /// delivers at once.
    pub async fn deliver(self: &Arc<Self>, delivery: Delivery) -> Settled {
        self.deliver_in(self.deployment(), delivery).await
    }

    /// As [`Gateway::deliver`], in the deployment that the message was accepted in. It may have been replaced since.
    pub async fn deliver_in(self: &Arc<Self>, deployment: Arc<Deployment>, delivery: Delivery) -> Settled {
        self.settle_in(deployment, delivery, None).await
    }

    /// As [`Gateway::deliver_in`], to a route that is no entry of the deployment: steps that have kept a message back.
    pub async fn deliver_to(
        self: &Arc<Self>,
        route: &Route,
        deployment: Arc<Deployment>,
        delivery: Delivery,
    ) -> Settled {
        self.settle(route, deployment, delivery, None).await
    }

    /// Deals with a message that failed before any step could run, as [`Gateway::deliver`] does with one that fails there.
    pub(crate) async fn give_up(self: &Arc<Self>, delivery: Delivery, fault: Fault) -> Settled {
        self.settle_in(self.deployment(), delivery, Some(fault)).await
    }

    async fn settle_in(
        self: &Arc<Self>,
        deployment: Arc<Deployment>,
        delivery: Delivery,
        failed: Option<Fault>,
    ) -> Settled {
        match deployment.entries.get(&delivery.artifact).cloned() {
            Some(route) => self.settle(&route, deployment, delivery, failed).await,
            None => {
                let fault = Fault::new(FaultCode::Unserved, "Nothing serves this message now.");
                Settled::Later(fault.with_detail(format!("there is no `{}`", delivery.artifact)))
            }
        }
    }

    async fn settle(
        self: &Arc<Self>,
        route: &Route,
        deployment: Arc<Deployment>,
        delivery: Delivery,
        failed: Option<Fault>,
    ) -> Settled {
        let redelivers = delivery.redelivers;
        let (message, entry) = split(delivery, route);
        let started = Instant::now();
        let (mut exchange, _entered) = self.exchange(route, message, entry, deployment, started);
        let (kept, outcome) = match (keep(route, &mut exchange).await, failed) {
            (Ok(kept), None) => {
                let outcome = self.execute(route, &mut exchange).await;
                (kept, complete(&mut exchange, outcome).await)
            }
            (Ok(kept), Some(fault)) => (kept, Err(fault)),
            (Err(fault), _) => (None, Err(fault)),
        };
        let settled = match outcome {
            Ok(()) => Settled::Done(std::mem::take(&mut exchange.message)),
            Err(fault) => self.settle_fault(route, &exchange, fault, kept, redelivers).await,
        };
        self.observe(route, &exchange, &settled, started);
        settled
    }

    /// Serves a dead letter again. Whatever becomes of it, no new letter is written: the caller has the old one. The reply is dropped.
    pub(super) async fn again(
        self: &Arc<Self>,
        route: &Route,
        message: Message,
        entry: Entry,
    ) -> Result<(), Fault> {
        let started = Instant::now();
        let (mut exchange, _entered) = self.exchange(route, message, entry, self.deployment(), started);
        let outcome = self.execute(route, &mut exchange).await;
        let settled = match complete(&mut exchange, outcome).await {
            Ok(()) => Settled::Done(std::mem::take(&mut exchange.message)),
            Err(fault) => self.settle_fault(route, &exchange, fault, None, false).await,
        };
        self.observe(route, &exchange, &settled, started);
        match settled {
            Settled::Done(_) => Ok(()),
            Settled::DeadLettered(fault) | Settled::Failed(fault) | Settled::Later(fault) => Err(fault),
        }
    }

    /// The exchange of a message, counted as in flight.
    fn exchange(
        self: &Arc<Self>,
        route: &Route,
        message: Message,
        entry: Entry,
        deployment: Arc<Deployment>,
        started: Instant,
    ) -> (Exchange, InFlight) {
        let (entered, _) = self.enter();
        let timeout = route
            .timeout
            .unwrap_or(deployment.settings.limits.exchange_timeout);
        let exchange = Exchange::new(message, Arc::new(entry), deployment, started + timeout);
        (exchange, entered)
    }

    async fn settle_fault(
        &self,
        route: &Route,
        exchange: &Exchange,
        fault: Fault,
        kept: Option<Message>,
        redelivers: bool,
    ) -> Settled {
        answer::log_fault(&fault, &exchange.entry);
        self.metrics.fault(&fault);
        if redelivers && fault.worth_redelivery() {
            return Settled::Failed(fault);
        }
        match kept {
            None => Settled::Failed(fault),
            Some(kept) => match self.dead_letter(route, exchange, &fault, kept).await {
                true => Settled::DeadLettered(fault),
                false => Settled::Later(fault),
            },
        }
    }

    fn observe(&self, route: &Route, exchange: &Exchange, settled: &Settled, started: Instant) {
        let (status, fault) = match settled {
            Settled::Done(reply) => (reply.status().unwrap_or(StatusCode::OK), None),
            Settled::DeadLettered(fault) | Settled::Failed(fault) | Settled::Later(fault) => {
                (fault.status(), Some(fault))
            }
        };
        let total = started.elapsed();
        route.metrics.answered(status, total, exchange.backend_time);
        if exchange.deployment.settings.access_log {
            crate::observe::log_access(&exchange.entry, status, total, exchange.backend_time, fault);
        }
        if let (Some(sink), Some(trace)) = (&self.trace, &exchange.trace) {
            sink(&exchange.entry, trace, &exchange.message);
        }
    }

    /// Stores a message that failed for good, as it arrived. Says whether it is stored; if not, the log has the reason.
    pub(super) async fn dead_letter(
        &self,
        route: &Route,
        exchange: &Exchange,
        fault: &Fault,
        kept: Message,
    ) -> bool {
        let Some(store) = &route.artifact.dead_letter else {
            return false;
        };
        let source = &exchange.entry.source;
        let mut stored = StoredMessage::new(kept, &exchange.entry.id, source.shared());
        if route.artifact.kind == ArtifactKind::Processor {
            let key = source.get().and_then(|facts| facts["key"].as_str());
            stored.key = key.map(str::to_owned);
        }
        stored.dead = Some(DeadLetter {
            artifact: route.artifact.name.to_string(),
            code: fault.name().to_owned(),
            message: fault.message().to_owned(),
            detail: fault.detail(),
            step: fault.step().map(str::to_owned),
            history: exchange.history.clone().unwrap_or_default(),
            port: port(&exchange.entry),
        });
        let letter = stored.id.clone();
        match store.put(stored).await {
            Ok(()) => {
                self.metrics.dead_letter(&route.artifact.name);
                tracing::warn!(artifact = %route.artifact.name, store = %store.name(), letter, id = %exchange.entry.id, "dead letter");
                true
            }
            Err(problem) => {
                tracing::error!(artifact = %route.artifact.name, store = %store.name(), fault = %problem, id = %exchange.entry.id, "a dead letter cannot be stored");
                false
            }
        }
    }
}

/// Keeps the message as it arrived, where a dead letter may be made of it. It is buffered for that.
pub(super) async fn keep(route: &Route, exchange: &mut Exchange) -> Result<Option<Message>, Fault> {
    if route.artifact.dead_letter.is_none() {
        return Ok(None);
    }
    exchange.history = Some(Vec::new());
    exchange.copy_message().await.map(Some)
}

/// Where a request came in. Events came from no port.
fn port(entry: &Entry) -> Option<Port> {
    (entry.scheme != EVENT).then(|| Port {
        listener: entry.listener.to_string(),
        host: entry.host.clone(),
        secure: entry.scheme == "https",
    })
}

/// The scheme of what came from no network port.
const EVENT: &str = "event";

pub(super) fn split(delivery: Delivery, route: &Route) -> (Message, Entry) {
    let id = match delivery.id.is_empty() {
        true => uuid::Uuid::now_v7().to_string(),
        false => delivery.id,
    };
    // A stored request goes on with the method and the query it came with.
    let (method, query) = match &delivery.message.start {
        StartLine::Request { method, uri } => (method.clone(), uri.query().map(str::to_owned)),
        _ => (Method::POST, None),
    };
    let entry = Entry {
        id,
        artifact: Arc::clone(&route.artifact.name),
        route: Arc::clone(&route.template),
        listener: delivery.artifact,
        scheme: EVENT,
        method,
        query,
        traceparent: delivery.traceparent,
        source: delivery.source,
        ..Entry::default()
    };
    (delivery.message, entry)
}

/// Makes the reply, and does what steps have left to be done.
async fn complete(exchange: &mut Exchange, outcome: Result<Flow, Fault>) -> Result<(), Fault> {
    let flow = outcome?;
    let status = exchange.message.status();
    let refused = status.filter(|status| status.is_client_error() || status.is_server_error());
    if let Some(status) = refused.filter(|_| flow != Flow::Drop) {
        return Err(refusal(exchange, status).await);
    }
    answer::reply(exchange, flow)?;
    super::complete(exchange).await
}

/// Most bytes of a refusal that the operator is told.
const REASON_BYTES_MAX: usize = 300;

/// A backend's refusal that no step looked at is a fault here: there is no client who would see it. The operator sees what it says.
async fn refusal(exchange: &mut Exchange, status: StatusCode) -> Fault {
    let read = exchange.lift(Needs::Bytes).await;
    let body = exchange.message.payload.as_bytes().filter(|_| read.is_ok());
    let said = body.and_then(|body| {
        let text = String::from_utf8_lossy(&body[..body.len().min(REASON_BYTES_MAX)]);
        let words: Vec<&str> = text.split_whitespace().collect();
        (!words.is_empty() && !text.contains('\0')).then(|| words.join(" "))
    });
    let status_line = format!("the reply has the status {status}");
    Fault::new(FaultCode::BackendStatus, "The backend answered with an error.")
        .with_status(status)
        .with_detail(said.map_or(status_line.clone(), |said| format!("{status_line}: {said}")))
}

#[cfg(test)]
mod tests;
