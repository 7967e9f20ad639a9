//! How listeners of files, queues and the like are: for the log, a metric and `/health`. Network ports are bound or the start fails;
//! these may have to wait for a server.

use super::Metrics;
use indexmap::IndexMap;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;

/// The state of every listener that may be down.
pub struct Health {
    listeners: Mutex<IndexMap<Arc<str>, State>>,
    metrics: Arc<Metrics>,
}

struct State {
    /// Why it cannot receive, where it cannot.
    problem: Option<String>,
    /// What somebody should know though it can receive.
    note: Option<String>,
    since: jiff::Timestamp,
    /// Handles that speak for it: after a reload the old and the new one overlap.
    handles: usize,
}

/// One listener's line to [`Health`]. When the last one is dropped the listener is forgotten.
pub struct HealthHandle {
    health: Arc<Health>,
    name: Arc<str>,
}

impl Health {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            listeners: Mutex::default(),
            metrics,
        }
    }

    /// Registers a listener, as down until it says otherwise.
    #[must_use]
    pub fn register(self: &Arc<Self>, name: &Arc<str>) -> HealthHandle {
        let mut listeners = self.listeners.lock();
        let state = listeners.entry(Arc::clone(name)).or_insert_with(|| State {
            problem: Some("starting".to_owned()),
            note: None,
            since: jiff::Timestamp::now(),
            handles: 0,
        });
        state.handles += 1;
        self.metrics.listener(name, state.problem.is_none());
        HealthHandle {
            health: Arc::clone(self),
            name: Arc::clone(name),
        }
    }

    /// The listeners that are down, each with the reason.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let listeners = self.listeners.lock();
        let down = listeners.iter();
        down.filter_map(|(name, state)| Some((name.to_string(), state.problem.clone()?)))
            .collect()
    }

    /// The report as JSON: `up`, or `degraded` where a listener is down, and each listener with its state.
    pub(crate) fn report(&self, draining: bool) -> String {
        let listeners = self.listeners.lock();
        let one = |(name, state): (&Arc<str>, &State)| {
            let word = if state.problem.is_none() { "up" } else { "down" };
            let mut line = json!({ "state": word, "since": state.since.to_string() });
            if let Some(problem) = &state.problem {
                line["problem"] = problem.as_str().into();
            }
            if let Some(note) = &state.note {
                line["note"] = note.as_str().into();
            }
            (name.to_string(), line)
        };
        let down = listeners.values().any(|state| state.problem.is_some());
        let all: serde_json::Map<_, _> = listeners.iter().map(one).collect();
        let status = match (draining, down) {
            (true, _) => "draining",
            (_, true) => "degraded",
            _ => "up",
        };
        format!("{}\n", json!({ "status": status, "listeners": all }))
    }

    fn set(&self, name: &Arc<str>, problem: Option<String>) {
        let mut listeners = self.listeners.lock();
        let Some(state) = listeners.get_mut(name) else {
            return;
        };
        if state.problem.is_some() != problem.is_some() {
            state.since = jiff::Timestamp::now();
        }
        if state.problem != problem {
            match &problem {
                None => tracing::info!(listener = %name, "the listener is up"),
                Some(problem) => tracing::warn!(listener = %name, problem, "the listener is down"),
            }
        }
        self.metrics.listener(name, problem.is_none());
        state.problem = problem;
    }
}

impl HealthHandle {
    /// The listener can receive.
    pub fn up(&self) {
        self.health.set(&self.name, None);
    }

    /// The listener cannot receive, for this reason. Each new reason is logged once.
    pub fn down(&self, problem: impl Into<String>) {
        self.health.set(&self.name, Some(problem.into()));
    }
}

impl HealthHandle {
    /// Notes something that somebody should know though the listener can receive. It replaces the note before.
    pub fn note(&self, note: impl Into<String>) {
        if let Some(state) = self.health.listeners.lock().get_mut(&self.name) {
            state.note = Some(note.into());
        }
    }
}

impl Drop for HealthHandle {
    fn drop(&mut self) {
        let mut listeners = self.health.listeners.lock();
        let Some(state) = listeners.get_mut(&self.name) else {
            return;
        };
        state.handles -= 1;
        if state.handles == 0 {
            listeners.shift_remove(&self.name);
            self.health.metrics.listener_gone(&self.name);
        }
    }
}
