//! `proxies`: message services. Pass-through with `to:`, mediated with `steps:`, or SOAP with `contract:`.

use super::kind::Kinds;
use super::soap_service::{ContractConfig, Service};
use super::target::{Target, add_entry, add_listener, steps_then_to};
use super::{Parts, listeners};
use crate::build::Build;
use crate::config::{Duration, Named, Node, RawNode, Spanned, Steps};
use crate::deployment::{Artifact, ArtifactKind, RouteSteps};
use crate::registry::EntryPoint;
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
            routes: vec![RouteSteps::plain(&name.value, &steps, original)],
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
                let listeners = listeners(&route.listeners, cx);
                if let Some(service) = &service {
                    service.publish(&route, &listeners, parts);
                }
                add_entry(&route, &listeners, &target, cx, parts);
            }
            Some(EntryPoint::Listener(listener)) => add_listener(listener, &target, cx, parts),
            None => {}
        }
        parts.artifacts.push(artifact);
    });
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
