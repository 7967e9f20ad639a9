//! The target of a proxy, a task or a processor: the steps that its messages go to, and the path or the listener that leads there.
//!
//! These three kinds differ in where messages come from, not in what becomes of them, so this is here once. An API has a route and
//! steps for each of its paths: it shares only [`steps_then_to`].

use super::{Parts, add_route, route_metrics};
use crate::build::Build;
use crate::config::{RawNode, Steps};
use crate::deployment::Artifact;
use crate::endpoint::EndpointRef;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::mediator::{AsyncMediator, BoxFuture, Flow, Needs, Sends, asynchronous};
use crate::registry::EntryRoute;
use crate::route::{Guard, Route, parameter_names};
use crate::sequence::Sequence;
use crate::transport::{CallOptions, Listener};
use std::sync::Arc;
use std::time::Duration;

/// What all messages of an artifact go to.
pub(super) struct Target<'a> {
    pub(super) artifact: &'a Arc<Artifact>,
    pub(super) steps: &'a Sequence,
    /// How much of the original message is kept for `original`.
    pub(super) original: Option<Needs>,
    /// Deadline of an exchange where it differs from the settings'.
    pub(super) timeout: Option<Duration>,
    /// Whether its clients speak SOAP whatever their headers say.
    pub(super) soap: bool,
}

impl Target<'_> {
    /// The route that leads here, with its label and the names of its path parameters.
    fn route(&self, template: Arc<str>, parameters: Vec<Arc<str>>, cx: &Build<'_>) -> Route {
        Route {
            metrics: route_metrics(&self.artifact.name, &template, cx),
            artifact: Arc::clone(self.artifact),
            template,
            parameters,
            policies: Sequence::default(),
            steps: self.steps.clone(),
            on_fault: None,
            original: self.original,
            timeout: self.timeout,
            soap: self.soap,
        }
    }
}

/// Adds the routes of a proxy's path: the path itself, and for a prefix everything below it.
pub(super) fn add_entry(
    entry: &EntryRoute,
    listeners: &[Arc<str>],
    target: &Target<'_>,
    cx: &mut Build<'_>,
    parts: &mut Parts,
) {
    let path = entry.path.trim_end_matches('/');
    if super::api::check_path(&entry.path, entry.path.span, cx).is_none() {
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
    let parameters = parameter_names(&entry.path);
    let route = Arc::new(target.route(exact.into(), parameters, cx));
    for pattern in patterns {
        for guard in guards {
            add_route(
                (listeners, &pattern, guard),
                &entry.methods,
                &route,
                entry.path.span,
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
    let route = target.route("deliver".into(), Vec::new(), cx);
    parts.entries.insert(name, Arc::new(route));
    parts.listeners.push(listener);
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
