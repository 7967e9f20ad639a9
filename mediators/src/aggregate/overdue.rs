//! Groups in a store whose time is up. No exchange could go on with them, so they are delivered like messages of a listener: with the
//! `on_fault` and `dead_letter` of the artifact that their first message came through, and again where that fails.

use super::stored::{Group, InStore, StoredGroups, models, nothing_left};
use crate::place::set_model;
use engine::deployment::{Artifact, ArtifactKind, Deployment, RouteSteps};
use engine::fault::Fault;
use engine::gateway::Gateway;
use engine::message::StartLine;
use engine::route::Route;
use engine::sequence::Sequence;
use engine::store::StoredMessage;
use engine::transport::{Delivery, Settled};
use serde_json::Value as Json;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

/// Most groups that go on at once as their time is up.
const AT_ONCE: usize = 16;
/// How often a group is tried that can be a dead letter then.
const ATTEMPTS: u32 = 10;
/// The pauses between attempts; they double.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// The wall clock is looked at this often, so that one that was set is noticed.
const GLANCE: Duration = Duration::from_secs(20);

/// Sees to the groups of a store as long as there are any steps for them.
pub(super) async fn watch(groups: Weak<StoredGroups>) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Some(there) = groups.upgrade() else { return };
        let wait = match there.ready().await {
            Ok(()) => begin(&there, &at_once),
            Err(fault) => {
                tracing::error!(store = %there.store.name(), %fault, "the groups of `aggregate` cannot be read");
                PAUSE_MIN
            }
        };
        let changed = Arc::clone(&there.changed);
        drop(there);
        drop(tokio::time::timeout(wait, changed.notified()).await);
    }
}

/// Begins with the groups whose time is up. Says how long there is nothing to do.
fn begin(groups: &Arc<StoredGroups>, at_once: &Arc<Semaphore>) -> Duration {
    let timeout = groups.server().and_then(|(step, _)| step.rules.timeout);
    let Some(timeout) = timeout else { return GLANCE };
    let before = now().saturating_sub(milliseconds(timeout));
    let (due, next) = groups.overdue(before);
    for (key, since) in due {
        let overdue = go_on(Arc::clone(groups), key, since, Arc::clone(at_once));
        drop(tokio::spawn(overdue));
    }
    let left = next.map(|next| u64::try_from(next - before).unwrap_or(0));
    left.map_or(GLANCE, |left| Duration::from_millis(left + 1).min(GLANCE))
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, milliseconds)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Delivers a group until it is done or a dead letter.
async fn go_on(groups: Arc<StoredGroups>, key: String, since: i64, at_once: Arc<Semaphore>) {
    let Ok(turn) = groups.turn(&key).await else { return };
    // A message may have completed it meanwhile.
    let Some(group) = groups.take(&key, since) else {
        return;
    };
    drop(turn);
    let mut attempts = 0;
    loop {
        let Ok(place) = at_once.acquire().await else {
            return;
        };
        let Some((step, gateway)) = groups.server().filter(|(_, gateway)| !gateway.draining()) else {
            return groups.put_back(&key, group);
        };
        let settled = step.deliver(&gateway, &group, attempts).await;
        drop((place, step, gateway));
        match settled {
            Settled::Done(_) | Settled::DeadLettered(_) => return groups.leave(&group.ids).await,
            Settled::Failed(fault) => {
                attempts += 1;
                tracing::error!(store = %groups.store.name(), group = key, messages = group.ids.len(), attempts, %fault, "a group whose time was up failed; it stays in the store and is tried again");
            }
            Settled::Later(_) => {}
        }
        let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        tokio::time::sleep(PAUSE_MIN.saturating_mul(doubled).min(PAUSE_MAX)).await;
    }
}

impl InStore {
    async fn deliver(&self, gateway: &Arc<Gateway>, group: &Group, attempts: u32) -> Settled {
        let deployment = gateway.deployment();
        let messages = match self.groups.messages(&group.ids).await {
            Ok(messages) => messages,
            Err(fault) => return Settled::Later(fault),
        };
        let Some(first) = messages.first() else {
            // Somebody has purged the store.
            return Settled::DeadLettered(nothing_left());
        };
        let route = self.route(first, gateway, &deployment);
        let last = route.artifact.dead_letter.is_some() && attempts + 1 >= ATTEMPTS;
        match self.delivery(&messages, first, &deployment, !last) {
            Ok(delivery) => gateway.deliver_to(&route, deployment, delivery).await,
            Err(fault) => Settled::Failed(fault),
        }
    }

    /// The group as one message, with the headers of the first.
    fn delivery(
        &self,
        messages: &[StoredMessage],
        first: &StoredMessage,
        deployment: &Deployment,
        redelivers: bool,
    ) -> Result<Delivery, Fault> {
        let mut message = first.to_message();
        if let StartLine::Response { .. } = message.start {
            message.start = StartLine::Event;
        }
        let merged = self.rules.merge(&models(messages, deployment)?)?;
        set_model(&mut message, Arc::new(merged), None);
        message.format(&deployment.formats)?;
        Ok(Delivery {
            artifact: fact(first, "artifact").into(),
            message,
            id: first.correlation_id.clone(),
            source: first
                .source
                .as_ref()
                .map_or(Json::Null, |facts| facts["source"].clone())
                .into(),
            traceparent: None,
            redelivers,
        })
    }

    /// The steps as a route of the artifact that the first message came through.
    fn route(&self, first: &StoredMessage, gateway: &Gateway, deployment: &Deployment) -> Route {
        let (name, template) = (fact(first, "artifact"), fact(first, "route"));
        let found = deployment
            .artifacts
            .iter()
            .find(|artifact| *artifact.name == *name);
        let artifact = found.cloned().unwrap_or_else(|| Arc::new(gone(name)));
        let of_route = artifact.routes.iter().find(|route| *route.template == *template);
        let on_fault = of_route.and_then(|route: &RouteSteps| route.on_fault.clone());
        let template: Arc<str> = "aggregate".into();
        Route {
            metrics: gateway.metrics.route(&artifact.name, &template),
            artifact,
            template,
            parameters: Vec::new(),
            policies: Sequence::default(),
            steps: self.rules.steps.clone(),
            on_fault,
            original: None,
            timeout: None,
            soap: false,
        }
    }
}

fn fact<'a>(message: &'a StoredMessage, name: &str) -> &'a str {
    let facts = message.source.as_deref();
    facts.and_then(|facts| facts[name].as_str()).unwrap_or_default()
}

/// An artifact that is not there any more: its groups go on without its `on_fault` and `dead_letter`.
fn gone(name: &str) -> Artifact {
    Artifact {
        name: name.into(),
        kind: ArtifactKind::Proxy,
        policies: Sequence::default(),
        on_fault: None,
        dead_letter: None,
        routes: Vec::new(),
    }
}
