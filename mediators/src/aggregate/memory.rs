//! Groups in memory, parsed. Each has a timer of its own, which holds the exchange that the group goes on in.

use super::rules::{Rules, collected};
use crate::place::set_model;
use engine::completion::Completions;
use engine::exchange::Exchange;
use engine::fault::{Fault, FaultCode};
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs};
use engine::message::Message;
use engine::model::Model;
use engine::sequence::Sequence;
use futures_util::FutureExt;
use indexmap::IndexMap;
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// Unfinished groups by key, oldest first.
#[derive(Default)]
pub(super) struct Groups {
    by_key: Mutex<IndexMap<String, Group>>,
    serial: AtomicU64,
}

struct Group {
    /// Tells this group from a later one with the same key.
    serial: u64,
    models: Vec<Arc<Model>>,
}

/// What a message did to its group.
enum Collected {
    /// It began the group with this number.
    First(u64),
    /// It joined.
    Joined,
    /// It completed the group, which is taken out.
    Complete(Vec<Arc<Model>>),
}

/// The step.
pub(super) struct InMemory(pub(super) Arc<Aggregator>);

pub(super) struct Aggregator {
    pub(super) rules: Rules,
    pub(super) groups: Arc<Groups>,
}

impl AsyncMediator for InMemory {
    fn needs(&self) -> Needs {
        Needs::Model
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let rules = &self.0.rules;
            let key = rules.key(exchange)?;
            match self.0.collect(&key, exchange)? {
                Collected::Joined => Ok(Flow::Drop),
                Collected::First(serial) => {
                    self.start_timer(key, serial, exchange);
                    Ok(Flow::Drop)
                }
                Collected::Complete(models) => {
                    let merged = rules.merge(&models)?;
                    set_model(&mut exchange.message, Arc::new(merged), None);
                    rules.steps.run(exchange).await
                }
            }
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        vec![("steps".to_owned(), &self.0.rules.steps)]
    }
}

impl InMemory {
    /// The group goes on by itself when its time is up. There are at most `groups_max` timers.
    fn start_timer(&self, key: String, serial: u64, exchange: &Exchange) {
        let Some(timeout) = self.0.rules.timeout else {
            return;
        };
        let message = Message {
            start: exchange.message.start.clone(),
            headers: exchange.message.headers.clone(),
            ..Message::default()
        };
        let (aggregator, mut later) = (Arc::clone(&self.0), exchange.fork(message));
        later.completions = Completions::default();
        drop(tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            if let Some(models) = aggregator.take(&key, serial) {
                aggregator.go_on(&key, &models, later).await;
            }
        }));
    }
}

impl Aggregator {
    /// Runs the steps for a group whose time is up. Nobody waits for an answer: a fault is logged.
    async fn go_on(&self, key: &str, models: &[Arc<Model>], mut exchange: Exchange) {
        exchange.deadline = Instant::now() + exchange.deployment.settings.limits.exchange_timeout;
        let run = async {
            let merged = self.rules.merge(models)?;
            set_model(&mut exchange.message, Arc::new(merged), None);
            let deadline = exchange.deadline;
            let steps = async {
                self.rules.steps.run(&mut exchange).await?;
                exchange.complete().await
            };
            let outcome = tokio::time::timeout_at(deadline, steps).await;
            outcome.unwrap_or_else(|_| {
                Err(Fault::new(
                    FaultCode::Deadline,
                    "The group took longer than an exchange may.",
                ))
            })
        };
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => {
                tracing::error!(group = key, messages = models.len(), fault = %fault, "a group whose time was up failed");
            }
            Err(_) => tracing::error!(
                group = key,
                messages = models.len(),
                "a group whose time was up panicked"
            ),
        }
    }

    /// Takes a group out, where it is still there.
    fn take(&self, key: &str, serial: u64) -> Option<Vec<Arc<Model>>> {
        let mut groups = self.groups.by_key.lock();
        groups.get(key).filter(|group| group.serial == serial)?;
        groups.shift_remove(key).map(|group| group.models)
    }

    /// Adds the message to its group.
    fn collect(&self, key: &str, exchange: &Exchange) -> Result<Collected, Fault> {
        let completes = self.rules.completes(exchange)?;
        let model = collected(exchange.model());
        let mut groups = self.groups.by_key.lock();
        let before = groups.get(key).map(|group| group.models.len());
        let complete = completes.at(before.unwrap_or(0) + 1);
        if !complete || before.is_none() {
            self.rules.admit(groups.len(), before)?;
        }
        let group = groups.entry(key.to_owned()).or_insert_with(|| Group {
            serial: self.groups.serial.fetch_add(1, Ordering::Relaxed),
            models: Vec::new(),
        });
        group.models.push(model);
        let serial = group.serial;
        match complete.then(|| groups.shift_remove(key)).flatten() {
            Some(group) => Ok(Collected::Complete(group.models)),
            None if before.is_none() => Ok(Collected::First(serial)),
            None => Ok(Collected::Joined),
        }
    }
}
