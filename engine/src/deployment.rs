//! A deployment: everything that a project defines, built, checked and immutable. Reload replaces it, nothing edits it.

use crate::endpoint::Endpoint;
use crate::format::Formats;
use crate::gateway::Gateway;
use crate::mediator::Needs;
use crate::route::{Route, RouteTable};
use crate::sequence::{Sequence, Step};
use crate::settings::Settings;
use crate::store::Store;
use crate::transport::Listener;
use bytes::Bytes;
use indexmap::IndexMap;
use std::collections::HashMap;
use std::sync::Arc;

/// What a project became.
pub struct Deployment {
    /// Counts the deployments of this process, from 1. Shown in metrics and logs.
    pub version: u64,
    /// Server-wide settings.
    pub settings: Settings,
    /// Builders and formatters.
    pub formats: Arc<Formats>,
    /// Which route serves a request.
    pub routes: RouteTable,
    /// Named endpoints.
    pub endpoints: IndexMap<Arc<str>, Arc<Endpoint>>,
    /// Named sequences. `sequence` steps find them here when they run, so that sequences may call each other.
    pub sequences: IndexMap<Arc<str>, NamedSequence>,
    /// The entry artifacts, for `explain`, coverage and the log.
    pub artifacts: Vec<Arc<Artifact>>,
    /// Documents served beside the routes (`?openapi`, `?wsdl`), by path.
    pub documents: HashMap<String, Vec<Document>>,
    /// What has to listen.
    pub listeners: Vec<Arc<dyn Listener>>,
    /// What serves the messages of listeners that are no network ports, by artifact: `proxies.orders`.
    pub entries: HashMap<Arc<str>, Arc<Route>>,
    /// Message stores by name.
    pub stores: IndexMap<Arc<str>, Arc<dyn Store>>,
    /// What steps do when the deployment begins to serve.
    pub startups: Vec<Arc<dyn Startup>>,
}

/// What a step does when its deployment begins to serve: go on with what it had in a store.
pub trait Startup: Send + Sync {
    /// Called at each start and reload, when stores are open and listeners bound. Work of any length is spawned on the workers.
    fn start(self: Arc<Self>, gateway: &Arc<Gateway>);
}

/// A document that describes an artifact, served for one query at the artifact's path.
pub struct Document {
    /// The raw query that asks for it: `openapi`, `wsdl`, `xsd=1`.
    pub query: String,
    /// Listeners it is served on.
    pub listeners: Vec<Arc<str>>,
    /// Its media type.
    pub media_type: &'static str,
    /// Writes it for the base URL (`http://host:port`) that the client used.
    pub render: Box<dyn Fn(&str) -> Bytes + Send + Sync>,
}

/// A sequence with a name.
pub struct NamedSequence {
    /// Its parameters with their defaults.
    pub parameters: IndexMap<Arc<str>, Option<serde_json::Value>>,
    /// Its steps.
    pub steps: Sequence,
    /// What to do with their faults.
    pub on_fault: Option<Sequence>,
}

/// The kinds of entry artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactKind {
    /// A REST API.
    Api,
    /// A message service.
    Proxy,
    /// Scheduled steps.
    Task,
    /// What drains a store.
    Processor,
}

/// An API or proxy as far as all its routes share it.
pub struct Artifact {
    /// Its path in the configuration: `apis.quotes`.
    pub name: Arc<str>,
    /// What it is.
    pub kind: ArtifactKind,
    /// Steps before those of every route.
    pub policies: Sequence,
    /// What to do with faults that no route handled.
    pub on_fault: Option<Sequence>,
    /// Where messages go that failed for good.
    pub dead_letter: Option<Arc<dyn Store>>,
    /// The steps of its routes, in order of definition.
    pub routes: Vec<RouteSteps>,
}

/// The steps of one route, for `explain` and coverage.
pub struct RouteSteps {
    /// Method and path template; of a proxy its name.
    pub template: Arc<str>,
    /// Steps before the route's own.
    pub policies: Sequence,
    /// The route's steps.
    pub steps: Sequence,
    /// What to do with their faults.
    pub on_fault: Option<Sequence>,
    /// How much of the original message is kept for `original`.
    pub original: Option<Needs>,
}

impl RouteSteps {
    /// A route with steps only: policies and `on_fault` are its artifact's.
    pub(crate) fn plain(template: &str, steps: &Sequence, original: Option<Needs>) -> Self {
        Self {
            template: template.into(),
            policies: Sequence::default(),
            steps: steps.clone(),
            on_fault: None,
            original,
        }
    }

    /// Its sequences, in the order in which they may run.
    pub fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        [&self.policies, &self.steps].into_iter().chain(&self.on_fault)
    }
}

impl Deployment {
    /// Calls `visitor` with every step of the deployment, depth first.
    pub fn visit_steps<'a>(&'a self, visitor: &mut dyn FnMut(&'a Step)) {
        let named = self.sequences.values();
        let named = named
            .flat_map(|sequence| [Some(&sequence.steps), sequence.on_fault.as_ref()])
            .flatten();
        let of_artifacts = self.artifacts.iter().flat_map(|artifact| {
            let own = [Some(&artifact.policies), artifact.on_fault.as_ref()]
                .into_iter()
                .flatten();
            own.chain(artifact.routes.iter().flat_map(RouteSteps::sequences))
        });
        for step in named.chain(of_artifacts).flat_map(Sequence::steps) {
            step.visit(visitor);
        }
    }
}
