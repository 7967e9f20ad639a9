//! `processors`: what drains a store. A processor is a listener whose messages come from a store: they go through the gateway like those
//! of any other listener, and leave the store only when they are done or kept elsewhere.

use super::Parts;
use super::proxy::{Target, add_listener, steps_then_to};
use crate::build::Build;
use crate::config::{Duration, RawNode, Spanned, Steps};
use crate::deployment::{Artifact, ArtifactKind, RouteSteps};
use crate::sequence::Sequence;
use crate::store::{Processing, ProcessorListener, Sampling};
use schemars::JsonSchema;
use serde::Deserialize;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// How often a message is tried where there is a dead-letter store and `attempts` does not say.
const ATTEMPTS: u32 = 10;

/// What takes messages out of a store and sends them on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessorConfig {
    /// The store that it drains.
    pub store: Spanned<String>,
    /// Delivers each message, and tries again where that fails.
    pub forward: Option<ForwardConfig>,
    /// Runs steps on some messages at fixed times, such as to spare a slow backend.
    pub sample: Option<SampleConfig>,
    /// Steps for faults. A fault that they handle counts as delivered.
    pub on_fault: Option<Steps>,
    /// The store for messages that failed for good. Without one they stay where they are and are tried for ever.
    pub dead_letter: Option<Spanned<String>>,
    /// Most time for one delivery.
    pub timeout: Option<Duration>,
}

/// Delivery with retries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardConfig {
    /// The endpoint that each message goes to, after the steps.
    pub to: Option<RawNode>,
    /// The steps. A message is delivered when they end without a fault and without an error status.
    #[serde(default)]
    pub steps: Steps,
    /// How often a message is tried before it is a dead letter: default 10, 0 for no limit, and for ever without `dead_letter`. Faults
    /// that cannot pass, such as a reply with the status 422, are not tried again. Attempts that a circuit breaker refused do not count.
    pub attempts: Option<u32>,
    /// The pause before the second attempt; it doubles each time. Default 1s.
    pub backoff: Option<Duration>,
    /// The longest pause. Default 5m.
    pub backoff_max: Option<Duration>,
    /// How many messages are delivered at once. Those of one key go one after the other all the same. Default 1.
    pub parallel: Option<NonZeroUsize>,
}

/// Some messages at fixed times.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleConfig {
    /// The time between samples.
    pub every: Duration,
    /// How many messages each time; default 1.
    pub count: Option<NonZeroUsize>,
    /// The steps.
    pub steps: Steps,
    /// How often a message is tried, as in `forward`.
    pub attempts: Option<u32>,
}

pub(super) fn build(name: &Spanned<String>, config: &ProcessorConfig, cx: &mut Build<'_>, parts: &mut Parts) {
    let artifact_name: Arc<str> = format!("processors.{}", name.value).into();
    cx.within(&artifact_name, |cx| {
        cx.original = None;
        let store = cx.store(&config.store);
        let steps = steps(name, config, cx);
        let on_fault = cx.optional_steps(config.on_fault.as_ref(), "on_fault");
        let original = cx.original.take().max(parts.shared_original);
        let dead_letter = config.dead_letter.as_ref().and_then(|name| cx.store(name));
        check_dead_letter(config, cx);
        let (Some(store), Some(steps)) = (store, steps) else {
            return;
        };
        let settings = settings(config);
        let artifact = Arc::new(Artifact {
            name: Arc::clone(&artifact_name),
            kind: ArtifactKind::Processor,
            policies: Sequence::default(),
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
        let listener = ProcessorListener::new(artifact_name.clone(), store, settings);
        let target = Target {
            artifact: &artifact,
            steps: &steps,
            original,
            timeout: config.timeout.map(Into::into),
            soap: false,
        };
        add_listener(Arc::new(listener), &target, cx, parts);
        parts.artifacts.push(artifact);
    });
}

fn steps(name: &Spanned<String>, config: &ProcessorConfig, cx: &mut Build<'_>) -> Option<Sequence> {
    match (&config.forward, &config.sample) {
        (Some(forward), None) if forward.to.is_some() || !forward.steps.is_empty() => cx
            .within(".forward", |cx| {
                steps_then_to(&forward.steps, forward.to.as_ref(), cx)
            }),
        (None, Some(sample)) => Some(cx.within(".sample", |cx| cx.steps(&sample.steps, ""))),
        _ => {
            let help =
                Some("give it `forward: { to: ... }`, or `sample: { every: ..., steps: ... }`".to_owned());
            let problem = format!(
                "processor `{}` does exactly one of `forward` and `sample`",
                name.value
            );
            cx.error("config.missing_key", name.span, problem, help);
            None
        }
    }
}

/// A message that failed for good must not come back to the processor that failed on it.
fn check_dead_letter(config: &ProcessorConfig, cx: &mut Build<'_>) {
    let same = |dead_letter: &&Spanned<String>| dead_letter.value == config.store.value;
    if let Some(dead_letter) = config.dead_letter.as_ref().filter(same) {
        let problem = "the dead letters of a processor cannot go to the store that it drains";
        cx.error("config.bad_value", dead_letter.span, problem, None);
    }
}

fn settings(config: &ProcessorConfig) -> Processing {
    let forward = config.forward.as_ref();
    let sample = config.sample.as_ref();
    let attempts = forward
        .and_then(|forward| forward.attempts)
        .or(sample.and_then(|sample| sample.attempts));
    let backoff = forward.and_then(|forward| forward.backoff);
    let backoff_max = forward.and_then(|forward| forward.backoff_max);
    Processing {
        attempts_max: match (&config.dead_letter, attempts) {
            (None, _) => None,
            (Some(_), attempts) => Some(attempts.unwrap_or(ATTEMPTS)).filter(|attempts| *attempts > 0),
        },
        backoff: backoff.unwrap_or(Duration::from_secs(1)).get(),
        backoff_max: backoff_max.unwrap_or(Duration::from_secs(300)).get(),
        parallel: forward
            .and_then(|forward| forward.parallel)
            .map_or(1, NonZeroUsize::get),
        sampling: sample.map(|sample| Sampling {
            every: sample.every.get(),
            count: sample.count.map_or(1, NonZeroUsize::get),
        }),
    }
}
