//! The artifacts of a project, one file per kind, and the order in which they are built.

mod api;
mod connection;
mod kind;
mod openapi;
mod processor;
mod proxy;
mod sequence;
mod settings;
mod soap_service;
mod store;
mod target;
mod task;

pub use api::{ApiConfig, RouteConfig};
pub use processor::{ForwardConfig, ProcessorConfig, SampleConfig};
pub use proxy::ProxyConfig;
pub use sequence::SequenceConfig;
pub use settings::{LimitsConfig, SettingsConfig};
pub use soap_service::ContractConfig;
pub use task::TaskConfig;

use crate::build::Build;
use crate::config::{Named, RawNode, Span, Spanned, Text};
use crate::deployment::{Artifact, Deployment, Document};
use crate::format::Formats;
use crate::mediator::Needs;
use crate::route::{Guard, Route, RouteConflict, RouteTableBuilder};
use http::Method;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// A project: the top-level keys, each a map from name to definition.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectConfig {
    /// Server-wide: listeners, limits, observability, secrets.
    pub settings: SettingsConfig,
    /// Named backends with their policies.
    pub endpoints: Named<RawNode>,
    /// Named, reusable steps; with `params:` they are templates.
    pub sequences: Named<RawNode>,
    /// Message services.
    pub proxies: Named<ProxyConfig>,
    /// REST APIs.
    pub apis: Named<ApiConfig>,
    /// Scheduled steps.
    pub tasks: Named<TaskConfig>,
    /// Message stores.
    pub stores: Named<RawNode>,
    /// What drains message stores: delivery with retries, samples.
    pub processors: Named<ProcessorConfig>,
    /// Connections that several artifacts share.
    pub connections: Named<RawNode>,
    /// Named files or inline texts: schemas, templates, WSDLs.
    pub resources: Named<ResourceConfig>,
}

/// A named resource: either a file or a text.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceConfig {
    /// A file, relative to this YAML file.
    pub file: Option<Spanned<String>>,
    /// The text itself.
    pub text: Option<Text>,
}

/// What the artifacts add to while they are built.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) routes: RouteTableBuilder,
    pub(crate) artifacts: Vec<Arc<Artifact>>,
    pub(crate) documents: HashMap<String, Vec<Document>>,
    pub(crate) listeners: Vec<Arc<dyn crate::transport::Listener>>,
    pub(crate) entries: HashMap<Arc<str>, Arc<Route>>,
    /// What named sequences read of the original message: a route may run any of them.
    pub(crate) shared_original: Option<Needs>,
}

/// Builds everything. Problems go to `cx`; the result is complete only if there were none.
pub(crate) fn build(config: ProjectConfig, cx: &mut Build<'_>) -> Option<Deployment> {
    let mut parts = Parts::default();
    let settings = settings::build(&config.settings, cx, &mut parts.listeners);
    for (name, resource) in config.resources {
        if resource.file.is_some() == resource.text.is_some() {
            let help = Some("a resource is either a `file` or a `text`".to_owned());
            cx.error(
                "config.bad_resource",
                name.span,
                "a resource has exactly one source",
                help,
            );
        }
        cx.resources.insert(name.value.into(), resource);
    }
    connection::build(config.connections, cx);
    store::build(config.stores, cx);
    cx.names.endpoints = config.endpoints.names().map(Arc::from).collect();
    cx.endpoint_nodes = config
        .endpoints
        .iter()
        .map(|(name, _, node)| (Arc::from(name), node.0.clone()))
        .collect();
    let sequences = sequence::declare(config.sequences, cx);
    crate::endpoint::build_all(cx);
    let sequences = sequence::build(sequences, cx);
    parts.shared_original = cx.original.take();
    for (name, proxy) in config.proxies {
        proxy::build(&name, &proxy, cx, &mut parts);
    }
    for (name, api) in config.apis {
        api::build(&name, &api, cx, &mut parts);
    }
    for (name, task) in config.tasks {
        task::build(&name, &task, cx, &mut parts);
    }
    for (name, processor) in config.processors {
        processor::build(&name, &processor, cx, &mut parts);
    }
    cx.run_checks();
    let routes = match parts.routes.finish() {
        Ok(routes) => routes,
        Err(conflict) => {
            let span = cx.project.root.span;
            cx.error("config.bad_path", span, conflict_text(&conflict), None);
            return None;
        }
    };
    Some(Deployment {
        version: 0,
        settings,
        formats: Arc::new(Formats::new(&[])),
        routes,
        endpoints: std::mem::take(&mut cx.endpoints),
        sequences,
        artifacts: parts.artifacts,
        documents: parts.documents,
        listeners: parts.listeners,
        entries: parts.entries,
        stores: std::mem::take(&mut cx.stores)
            .into_iter()
            .filter_map(|(name, store)| Some((name, store?)))
            .collect(),
        startups: std::mem::take(&mut cx.late.startups),
    })
}

/// Adds a route on every listener it belongs to.
pub(crate) fn add_route(
    at: (&[Arc<str>], &str, &Guard),
    methods: &[Method],
    route: &Arc<Route>,
    span: Span,
    cx: &mut Build<'_>,
    parts: &mut Parts,
) {
    let (listeners, pattern, guard) = at;
    let methods: Vec<Option<&Method>> = if methods.is_empty() {
        vec![None]
    } else {
        methods.iter().map(Some).collect()
    };
    for listener in listeners {
        for method in &methods {
            if let Err(conflict) = parts.routes.add(listener, pattern, guard, *method, route) {
                let help = Some("paths are taken once per listener, host, version and method".to_owned());
                return cx.error("config.duplicate_route", span, conflict_text(&conflict), help);
            }
        }
    }
}

fn conflict_text(conflict: &RouteConflict) -> String {
    match conflict {
        RouteConflict::Taken(artifact) => format!("this path is already served by {artifact}"),
        RouteConflict::Pattern(problem) => format!("the path cannot be routed: {problem}"),
    }
}

/// The listeners named, all of them where none is; an unknown name is reported.
pub(crate) fn listeners(names: &[Spanned<String>], cx: &mut Build<'_>) -> Vec<Arc<str>> {
    if names.is_empty() {
        return cx.listener_names.clone();
    }
    let mut found = Vec::new();
    for name in names {
        match cx.listener_names.iter().find(|known| ***known == *name.value) {
            Some(known) => found.push(Arc::clone(known)),
            None => {
                let help =
                    crate::config::suggestion(&name.value, cx.listener_names.iter().map(|known| &**known));
                cx.error(
                    "config.unknown_reference",
                    name.span,
                    format!("there is no listener `{}`", name.value),
                    help,
                );
            }
        }
    }
    found
}

/// The routes' metrics, by artifact and template.
pub(crate) fn route_metrics(
    artifact: &Arc<str>,
    template: &Arc<str>,
    cx: &Build<'_>,
) -> crate::observe::RouteMetrics {
    cx.metrics.route(artifact, template)
}

/// Sequences by name, in order.
pub(crate) type NamedSequences = IndexMap<Arc<str>, crate::deployment::NamedSequence>;
