//! `tasks`: scheduled steps. The schedule is that of the transport `timer`.

use super::Parts;
use super::target::{Target, add_listener, steps_then_to};
use crate::build::Build;
use crate::config::{Duration, RawNode, Spanned, Steps};
use crate::deployment::{Artifact, ArtifactKind, RouteSteps};
use crate::registry::EntryPoint;
use crate::sequence::Sequence;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// The transport that schedules.
const TIMER: &str = "timer";

/// Scheduled steps.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// When: the settings of the transport `timer`, such as `10s` or `{ cron: "0 2 * * *" }`.
    pub schedule: RawNode,
    /// The steps.
    pub steps: Steps,
    /// Steps for faults.
    pub on_fault: Option<Steps>,
    /// The store for what the steps had made when they failed.
    pub dead_letter: Option<Spanned<String>>,
    /// Most time for one run.
    pub timeout: Option<Duration>,
}

pub(super) fn build(name: &Spanned<String>, task: &TaskConfig, cx: &mut Build<'_>, parts: &mut Parts) {
    let artifact_name: Arc<str> = format!("tasks.{}", name.value).into();
    cx.within(&artifact_name, |cx| {
        cx.original = None;
        let steps = steps_then_to(&task.steps, None, cx);
        let on_fault = cx.optional_steps(task.on_fault.as_ref(), "on_fault");
        let original = cx.original.take().max(parts.shared_original);
        let dead_letter = task.dead_letter.as_ref().and_then(|name| cx.store(name));
        let Some(timer) = cx.registry.transport(TIMER).and_then(|spec| spec.entry.as_ref()) else {
            cx.error(
                "config.no_transport",
                name.span,
                "there is no transport `timer`",
                None,
            );
            return;
        };
        let entry = (timer.build)(&artifact_name, &task.schedule, cx);
        let (Some(steps), Some(EntryPoint::Listener(listener))) = (steps, entry) else {
            return;
        };
        let artifact = Arc::new(Artifact {
            name: Arc::clone(&artifact_name),
            kind: ArtifactKind::Task,
            policies: Sequence::default(),
            on_fault,
            dead_letter,
            routes: vec![RouteSteps::plain(&name.value, &steps, original)],
        });
        let timeout = task.timeout.map(Into::into);
        let target = Target {
            artifact: &artifact,
            steps: &steps,
            original,
            timeout,
            soap: false,
        };
        add_listener(listener, &target, cx, parts);
        parts.artifacts.push(artifact);
    });
}
