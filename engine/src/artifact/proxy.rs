//! `proxies`: message services. Pass-through with `to:`, mediated with `steps:`, or SOAP with `contract:`.

use super::kind::Kinds;
use super::soap_service::{ContractConfig, Service};
use super::{Parts, add_route, listeners, route_metrics};
use crate::build::Build;
use crate::config::{Duration, Named, Node, RawNode, Span, Spanned, Steps};
use crate::deployment::{Artifact, ArtifactKind, RouteSteps};
use crate::endpoint::EndpointRef;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::mediator::{AsyncMediator, BoxFuture, Flow, Needs, Sends, asynchronous};
use crate::registry::{EntryPoint, EntryRoute};
use crate::route::{Guard, Route};
use crate::sequence::Sequence;
use crate::transport::{CallOptions, Listener};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// A message service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// Where messages come from: one transport with its settings, such as `{ http: /legacy }`.
    pub from: RawNode,
    /// An endpoint to which each message goes on as it is, after the steps; the reply goes back.
    pub to: Option<RawNode>,
    /// Steps before `steps`.
    #[serde(default)]
    pub policies: Steps,
    /// The steps.
    #[serde(default)]
    pub steps: Steps,
    /// Makes it a SOAP service with this contract.
    pub contract: Option<ContractConfig>,
    /// Steps of single operations of the contract; `steps` serve the others.
    #[serde(default)]
    pub operations: Named<Steps>,
    /// Steps for faults.
    pub on_fault: Option<Steps>,
    /// The store for messages that failed for good, where no `on_fault` handled the fault.
    pub dead_letter: Option<Spanned<String>>,
    /// Most time for one exchange.
    pub timeout: Option<Duration>,
}

pub(super) fn build(name: &Spanned<String>, proxy: &ProxyConfig, cx: &mut Build<'_>, parts: &mut Parts) {
    let artifact_name: Arc<str> = format!("proxies.{}", name.value).into();
    cx.within(&artifact_name, |cx| {
        cx.original = None;
        let policies = cx.steps(&proxy.policies, "policies");
        let steps = steps_then_to(&proxy.steps, proxy.to.as_ref(), cx);
        let on_fault = cx.optional_steps(proxy.on_fault.as_ref(), "on_fault");
        let service = proxy
            .contract
            .as_ref()
            .and_then(|contract| Service::read(contract, cx));
        let steps = match (&service, &proxy.contract) {
            (Some(service), Some(contract)) => {
                steps.map(|default| service.dispatch(contract, &proxy.operations, default, cx))
            }
            _ => steps,
        };
        let original = cx.original.take().max(parts.shared_original);
        let entry = entry(&artifact_name, &proxy.from, cx);
        let dead_letter = proxy.dead_letter.as_ref().and_then(|name| cx.store(name));
        let Some(steps) = steps else { return };
        if steps.is_empty() && proxy.steps.is_empty() {
            let help = Some("give it `steps:`, or `to:` an endpoint".to_owned());
            cx.error(
                "config.missing_key",
                name.span,
                format!("proxy `{}` does nothing", name.value),
                help,
            );
        }
        let artifact = Arc::new(Artifact {
            name: Arc::clone(&artifact_name),
            kind: ArtifactKind::Proxy,
            policies,
            on_fault,
            dead_letter,
            routes: vec![RouteSteps {
                template: name.value.as_str().into(),
                policies: Sequence::default(),
                steps: steps.clone(),
                on_fault: None,
                original,
            }],
        });
        let target = Target {
            artifact: &artifact,
            steps: &steps,
            original,
            timeout: proxy.timeout.map(Into::into),
            soap: service.is_some(),
        };
        match entry {
            Some(EntryPoint::Route(route)) => {
                if let Some(service) = &service {
                    service.publish(&route, proxy, cx, parts);
                }
                add_entry(&route, &target, proxy.from.span, cx, parts);
            }
            Some(EntryPoint::Listener(listener)) => add_listener(listener, &target, cx, parts),
            None => {}
        }
        parts.artifacts.push(artifact);
    });
}

/// What a proxy's path leads to.
pub(super) struct Target<'a> {
    pub(super) artifact: &'a Arc<Artifact>,
    pub(super) steps: &'a Sequence,
    pub(super) original: Option<Needs>,
    pub(super) timeout: Option<std::time::Duration>,
    pub(super) soap: bool,
}

/// Adds the routes of a proxy's path: the path itself, and for a prefix everything below it.
pub(super) fn add_entry(
    entry: &EntryRoute,
    target: &Target<'_>,
    span: Span,
    cx: &mut Build<'_>,
    parts: &mut Parts,
) {
    let names: Vec<Spanned<String>> = entry
        .listeners
        .iter()
        .map(|listener| Spanned::new(listener.to_string(), span))
        .collect();
    let listeners = listeners(&names, cx);
    let path = entry.path.trim_end_matches('/');
    if super::api::check_path(&entry.path, span, cx).is_none() {
        return;
    }
    let exact = if path.is_empty() {
        "/".to_owned()
    } else {
        path.to_owned()
    };
    let mut patterns = vec![exact.clone()];
    if entry.prefix {
        patterns.push(format!("{path}/{{*rest}}"));
        if !path.is_empty() {
            patterns.push(format!("{path}/"));
        }
    }
    let any = [Guard::default()];
    let guards = if entry.guards.is_empty() {
        &any[..]
    } else {
        &entry.guards[..]
    };
    let template: Arc<str> = exact.into();
    let route = Arc::new(Route {
        metrics: route_metrics(&target.artifact.name, &template, cx),
        artifact: Arc::clone(target.artifact),
        template,
        parameters: crate::route::parameter_names(&entry.path),
        policies: Sequence::default(),
        steps: target.steps.clone(),
        on_fault: None,
        original: target.original,
        timeout: target.timeout,
        soap: target.soap,
    });
    for pattern in patterns {
        for guard in guards {
            add_route(
                (&listeners, &pattern, guard),
                &entry.methods,
                &route,
                span,
                cx,
                parts,
            );
        }
    }
}

/// Adds a listener of its own, whose messages the target serves.
pub(super) fn add_listener(
    listener: Arc<dyn Listener>,
    target: &Target<'_>,
    cx: &Build<'_>,
    parts: &mut Parts,
) {
    let name = Arc::clone(&target.artifact.name);
    let template: Arc<str> = "deliver".into();
    let route = Route {
        metrics: route_metrics(&name, &template, cx),
        artifact: Arc::clone(target.artifact),
        template,
        parameters: Vec::new(),
        policies: Sequence::default(),
        steps: target.steps.clone(),
        on_fault: None,
        original: target.original,
        timeout: target.timeout,
        soap: target.soap,
    };
    parts.entries.insert(name, Arc::new(route));
    parts.listeners.push(listener);
}

/// Reads `from:`: one transport and its settings.
fn entry(artifact: &Arc<str>, from: &Node, cx: &mut Build<'_>) -> Option<EntryPoint> {
    let known = cx.registry.transports.iter();
    let kinds = Kinds {
        known: known
            .filter_map(|spec| Some((spec.name, spec.entry.as_ref()?)))
            .collect(),
        shape: "`from` names one transport with its settings",
        unknown: "config.unknown_transport",
        problem: |key| format!("nothing is received by `{key}`"),
    };
    let (spec, settings) = kinds.choose(from, cx)?;
    (spec.build)(artifact, settings, cx)
}

/// The steps, and behind them the pass-through to an endpoint.
pub(super) fn steps_then_to(steps: &Steps, to: Option<&RawNode>, cx: &mut Build<'_>) -> Option<Sequence> {
    cx.late.followed = to.is_some();
    let own = cx.steps(steps, "");
    cx.late.followed = false;
    let Some(to) = to else { return Some(own) };
    let forward = cx.within(".to", |cx| {
        let endpoint = cx.endpoint(to)?;
        Some(cx.positioned("to", to.span, asynchronous(PassThrough { endpoint })))
    })?;
    if own.is_empty() {
        return Some(Sequence::new(vec![forward]));
    }
    let run_own = cx.within(".steps", |cx| {
        cx.positioned("steps", steps.span, asynchronous(Group { steps: own }))
    });
    Some(Sequence::new(vec![run_own, forward]))
}

/// Sends the message on as it is and takes the reply as the message.
struct PassThrough {
    endpoint: EndpointRef,
}

impl AsyncMediator for PassThrough {
    fn needs(&self) -> Needs {
        self.endpoint.needs()
    }

    fn sends(&self) -> Option<Sends<'_>> {
        Some(Sends {
            endpoint: &self.endpoint,
            own_body: true,
            replaces: true,
        })
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let endpoint = self.endpoint.resolve(exchange)?;
            exchange.lift(endpoint.needs()).await?;
            let options = CallOptions {
                pass_through: true,
                ..CallOptions::default()
            };
            endpoint.pass_on(exchange, &options).await?;
            Ok(Flow::Next)
        })
    }
}

/// Steps as one step.
struct Group {
    steps: Sequence,
}

impl AsyncMediator for Group {
    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(self.steps.run(exchange))
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        vec![("steps".to_owned(), &self.steps)]
    }
}
