//! Prometheus metrics. Labels are route templates, artifacts and endpoint names, never raw paths, so that their number is bounded by the configuration.

use crate::fault::Fault;
use http::StatusCode;
use parking_lot::RwLock;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    artifact: Text,
    route: Text,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    artifact: Text,
    route: Text,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FaultLabels {
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: Text,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ArtifactLabels {
    artifact: Text,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StoreLabels {
    store: Text,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndpointOutcomeLabels {
    endpoint: Text,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Text(Arc<str>);

impl prometheus_client::encoding::EncodeLabelValue for Text {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        prometheus_client::encoding::EncodeLabelValue::encode(&&*self.0, encoder)
    }
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// From 0.1 ms to 26 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 10))
}

/// All metrics of the process. They outlive deployments.
pub struct Metrics {
    registry: RwLock<Registry>,
    requests: Family<RequestLabels, Counter>,
    duration: Histograms<RouteLabels>,
    backend_duration: Histograms<RouteLabels>,
    faults: Family<FaultLabels, Counter>,
    endpoint_calls: Family<EndpointOutcomeLabels, Counter>,
    endpoint_state: Family<EndpointLabels, Gauge>,
    endpoint_in_flight: Family<EndpointLabels, Gauge>,
    /// Exchanges in flight.
    pub in_flight: Gauge,
    /// Open client connections.
    pub connections: Gauge,
    deployment_version: Gauge,
    listener_up: Family<ArtifactLabels, Gauge>,
    dead_letters: Family<ArtifactLabels, Counter>,
    files_unnamed: Family<ArtifactLabels, Counter>,
    store_expired: Family<StoreLabels, Counter>,
    resequence_gaps: Family<ArtifactLabels, Counter>,
    resequence_late: Family<ArtifactLabels, Counter>,
    /// Keys that `idempotent` forgot before their time.
    pub idempotent_keys_forgotten: Counter,
    /// Reloads that were refused.
    pub reloads_refused: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: RwLock::new(Registry::with_prefix("mediary")),
            requests: Family::default(),
            duration: Family::new_with_constructor(seconds),
            backend_duration: Family::new_with_constructor(seconds),
            faults: Family::default(),
            endpoint_calls: Family::default(),
            endpoint_state: Family::default(),
            endpoint_in_flight: Family::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            deployment_version: Gauge::default(),
            listener_up: Family::default(),
            dead_letters: Family::default(),
            files_unnamed: Family::default(),
            store_expired: Family::default(),
            resequence_gaps: Family::default(),
            resequence_late: Family::default(),
            idempotent_keys_forgotten: Counter::default(),
            reloads_refused: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = self.registry.write();
        registry.register(
            "requests",
            "Exchanges by route and status class",
            self.requests.clone(),
        );
        let total = "Time from entry to the head of the reply";
        registry.register_with_unit("duration", total, Unit::Seconds, self.duration.clone());
        let backend = "Part of it spent waiting for backends";
        registry.register_with_unit(
            "backend_duration",
            backend,
            Unit::Seconds,
            self.backend_duration.clone(),
        );
        registry.register(
            "faults",
            "Faults answered to clients, by code",
            self.faults.clone(),
        );
        registry.register(
            "endpoint_calls",
            "Attempts by endpoint and outcome",
            self.endpoint_calls.clone(),
        );
        let state = "Circuit of an endpoint: 0 closed, 1 half open, 2 open";
        registry.register("endpoint_state", state, self.endpoint_state.clone());
        registry.register(
            "endpoint_in_flight",
            "Calls in flight by endpoint",
            self.endpoint_in_flight.clone(),
        );
        registry.register("in_flight", "Exchanges in flight", self.in_flight.clone());
        registry.register("connections", "Open client connections", self.connections.clone());
        registry.register(
            "deployment_version",
            "Version of the deployment that serves",
            self.deployment_version.clone(),
        );
        registry.register(
            "reloads_refused",
            "Reloads that were refused",
            self.reloads_refused.clone(),
        );
        drop(registry);
        self.register_deliveries();
    }

    /// What is counted of messages that come from no network port.
    fn register_deliveries(&self) {
        let mut registry = self.registry.write();
        registry.register(
            "listener_up",
            "Whether a listener of files, queues and the like can receive: 1 or 0",
            self.listener_up.clone(),
        );
        registry.register(
            "dead_letters",
            "Messages that failed for good and went to a dead-letter store, by artifact",
            self.dead_letters.clone(),
        );
        registry.register(
            "files_unnamed",
            "Files that were moved aside because their names are not UTF-8, by artifact",
            self.files_unnamed.clone(),
        );
        registry.register(
            "store_expired",
            "Messages that waited longer than the `age_max` of their store",
            self.store_expired.clone(),
        );
        registry.register(
            "resequence_gaps",
            "Gaps that a processor left because the missing numbers did not come in time",
            self.resequence_gaps.clone(),
        );
        registry.register(
            "resequence_late",
            "Messages whose number had had its turn already",
            self.resequence_late.clone(),
        );
        registry.register(
            "idempotent_keys_forgotten",
            "Keys that idempotent steps forgot before their time",
            self.idempotent_keys_forgotten.clone(),
        );
    }

    /// The exposition in OpenMetrics text format 1.0.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry.read());
        text
    }

    /// Notes which deployment serves.
    pub fn deployed(&self, version: u64) {
        self.deployment_version
            .set(i64::try_from(version).unwrap_or(i64::MAX));
    }

    /// Notes whether a listener can receive.
    pub fn listener(&self, name: &Arc<str>, up: bool) {
        let labels = ArtifactLabels {
            artifact: Text(Arc::clone(name)),
        };
        self.listener_up.get_or_create(&labels).set(i64::from(up));
    }

    /// Forgets a listener that is gone.
    pub fn listener_gone(&self, name: &Arc<str>) {
        let labels = ArtifactLabels {
            artifact: Text(Arc::clone(name)),
        };
        self.listener_up.remove(&labels);
    }

    /// Counts a dead letter of an artifact.
    pub fn dead_letter(&self, artifact: &Arc<str>) {
        let labels = ArtifactLabels {
            artifact: Text(Arc::clone(artifact)),
        };
        self.dead_letters.get_or_create(&labels).inc();
    }

    /// The messages of a store that got too old.
    #[must_use]
    pub fn store_expired(&self, store: &Arc<str>) -> Counter {
        let store = Text(Arc::clone(store));
        self.store_expired.get_or_create_owned(&StoreLabels { store })
    }

    /// The gaps that a processor left, and the messages that came after their turn.
    #[must_use]
    pub fn resequence(&self, artifact: &Arc<str>) -> (Counter, Counter) {
        let labels = ArtifactLabels {
            artifact: Text(Arc::clone(artifact)),
        };
        let gaps = self.resequence_gaps.get_or_create_owned(&labels);
        (gaps, self.resequence_late.get_or_create_owned(&labels))
    }

    /// Counts files of an artifact that were moved aside because their names are not UTF-8.
    pub fn files_unnamed(&self, artifact: &Arc<str>, count: u64) {
        let labels = ArtifactLabels {
            artifact: Text(Arc::clone(artifact)),
        };
        self.files_unnamed.get_or_create(&labels).inc_by(count);
    }

    /// Counts a fault that was answered.
    pub fn fault(&self, fault: &Fault) {
        self.faults
            .get_or_create(&FaultLabels {
                code: fault.code().name(),
            })
            .inc();
    }

    /// The metrics of a route, resolved once at load.
    #[must_use]
    pub fn route(&self, artifact: &Arc<str>, route: &Arc<str>) -> RouteMetrics {
        let labels = RouteLabels {
            artifact: Text(Arc::clone(artifact)),
            route: Text(Arc::clone(route)),
        };
        let counter = |status| {
            let RouteLabels { artifact, route } = labels.clone();
            self.requests.get_or_create_owned(&RequestLabels {
                artifact,
                route,
                status,
            })
        };
        RouteMetrics {
            requests: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(counter),
            duration: self.duration.get_or_create_owned(&labels),
            backend_duration: self.backend_duration.get_or_create_owned(&labels),
        }
    }

    /// The metrics of an endpoint, resolved once at load.
    #[must_use]
    pub fn backend(&self, endpoint: &Arc<str>) -> BackendMetrics {
        let labels = EndpointLabels {
            endpoint: Text(Arc::clone(endpoint)),
        };
        let outcome = |outcome| {
            self.endpoint_calls.get_or_create_owned(&EndpointOutcomeLabels {
                endpoint: labels.endpoint.clone(),
                outcome,
            })
        };
        BackendMetrics {
            answered: outcome("answered"),
            failed: outcome("failed"),
            refused: outcome("refused"),
            retried: outcome("retried"),
            state: self.endpoint_state.get_or_create_owned(&labels),
            in_flight: self.endpoint_in_flight.get_or_create_owned(&labels),
        }
    }
}

/// The metrics of one route.
#[derive(Clone)]
pub struct RouteMetrics {
    requests: [Counter; 5],
    duration: Histogram,
    backend_duration: Histogram,
}

impl RouteMetrics {
    /// Counts an exchange that was answered.
    pub fn answered(&self, status: StatusCode, total: Duration, backend: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.requests[class].inc();
        self.duration.observe(total.as_secs_f64());
        self.backend_duration.observe(backend.as_secs_f64());
    }
}

/// The metrics of one endpoint.
#[derive(Clone)]
pub struct BackendMetrics {
    /// Attempts that got a reply.
    pub answered: Counter,
    /// Attempts that failed.
    pub failed: Counter,
    /// Calls refused by an open circuit.
    pub refused: Counter,
    /// Attempts beyond the first.
    pub retried: Counter,
    /// Circuit state: 0 closed, 1 half open, 2 open.
    pub state: Gauge,
    /// Calls in flight.
    pub in_flight: Gauge,
}
