//! `processors`: what drains a store. A processor is a listener whose messages come from a store: they go through the gateway like those
//! of any other listener, and leave the store only when they are done or kept elsewhere.

use super::Parts;
use super::target::{Target, add_listener, steps_then_to};
use crate::build::Build;
use crate::config::{Duration, RawNode, Spanned, Steps, Text};
use crate::deployment::{Artifact, ArtifactKind, RouteSteps};
use crate::sequence::Sequence;
use crate::store::{Late, Processing, ProcessorListener, Resequencing, Sampling};
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
    /// Delivers messages in the order of a number that each of them holds.
    pub resequence: Option<ResequenceConfig>,
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

/// Numbered messages in the order of their numbers, stream by stream. Of a stream one message is delivered at a time. Where a number is
/// missing, what comes behind it waits. A message whose number is no whole number is a fault like any other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResequenceConfig {
    /// The number of a message, an expression: `payload.number`.
    pub by: Text,
    /// The stream that a message belongs to, an expression: `headers.x_stream`. Without it the key it was stored with.
    pub stream: Option<Text>,
    /// How long a stream waits for a missing number. Then it goes on without it: a warning, and 1 more in the metric
    /// `mediary_resequence_gaps`. Default 30s.
    pub timeout: Option<Duration>,
    /// The number that every stream begins with. Without it a stream that the store does not know waits `timeout` for smaller numbers
    /// than its first one.
    pub first: Option<i64>,
    /// What is done with a message whose number has had its turn: one that comes after its gap was left, or a duplicate. By default a
    /// dead letter where there is `dead_letter`, else it is delivered.
    pub late: Option<LateConfig>,
    /// The endpoint that each message goes to, after the steps.
    pub to: Option<RawNode>,
    /// The steps. A message is delivered when they end without a fault and without an error status.
    #[serde(default)]
    pub steps: Steps,
    /// How often a message is tried, as in `forward`. Its stream waits for it.
    pub attempts: Option<u32>,
    /// The pause before the second attempt; it doubles each time. Default 1s.
    pub backoff: Option<Duration>,
    /// The longest pause. Default 5m.
    pub backoff_max: Option<Duration>,
    /// How many streams are delivered at once. Default 1.
    pub parallel: Option<NonZeroUsize>,
}

/// What is done with a late message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LateConfig {
    /// It is delivered, out of order.
    Deliver,
    /// It goes to the store `dead_letter` with the fault `gateway.out_of_sequence`.
    DeadLetter,
    /// It is logged, counted in the metric `mediary_resequence_late`, and removed.
    Discard,
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
        let resequencing = match &config.resequence {
            Some(resequence) => resequencing(resequence, config, cx).map(Some),
            None => Some(None),
        };
        let (Some(store), Some(steps), Some(resequencing)) = (store, steps, resequencing) else {
            return;
        };
        let settings = processing(config, resequencing);
        let artifact = Arc::new(Artifact {
            name: Arc::clone(&artifact_name),
            kind: ArtifactKind::Processor,
            policies: Sequence::default(),
            on_fault,
            dead_letter,
            routes: vec![RouteSteps::plain(&name.value, &steps, original)],
        });
        let listener = ProcessorListener::new(Arc::clone(&artifact_name), store, settings);
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
    match (&config.forward, &config.sample, &config.resequence) {
        (Some(forward), None, None) if forward.to.is_some() || !forward.steps.is_empty() => cx
            .within(".forward", |cx| {
                steps_then_to(&forward.steps, forward.to.as_ref(), cx)
            }),
        (None, Some(sample), None) => Some(cx.within(".sample", |cx| cx.steps(&sample.steps, ""))),
        (None, None, Some(resequence)) if resequence.to.is_some() || !resequence.steps.is_empty() => cx
            .within(".resequence", |cx| {
                steps_then_to(&resequence.steps, resequence.to.as_ref(), cx)
            }),
        _ if was_unreadable(name, config, cx) => None,
        _ => {
            let help = "give it `forward: { to: ... }`, `sample: { every: ..., steps: ... }` or `resequence: { by: ..., to: ... }`";
            let problem = format!(
                "processor `{}` does exactly one of `forward`, `sample` and `resequence`",
                name.value
            );
            cx.error("config.missing_key", name.span, problem, Some(help.to_owned()));
            None
        }
    }
}

/// Whether what the processor does is there and could not be read, which has been reported.
fn was_unreadable(name: &Spanned<String>, config: &ProcessorConfig, cx: &Build<'_>) -> bool {
    let processors = cx.project.root.get("processors");
    let Some(node) = processors.and_then(|all| all.get(&name.value)) else {
        return false;
    };
    let read = [
        ("forward", config.forward.is_some()),
        ("sample", config.sample.is_some()),
        ("resequence", config.resequence.is_some()),
    ];
    read.iter().any(|(key, read)| !read && node.get(key).is_some())
}

fn resequencing(
    config: &ResequenceConfig,
    processor: &ProcessorConfig,
    cx: &mut Build<'_>,
) -> Option<Resequencing> {
    let by = cx.expression(&config.by);
    let stream = cx.optional_expression(config.stream.as_ref());
    if config.late == Some(LateConfig::DeadLetter) && processor.dead_letter.is_none() {
        let help = Some("name the store in `dead_letter`, beside `resequence`".to_owned());
        let problem = "`late: dead_letter` needs a store for dead letters";
        cx.error("config.missing_key", config.by.span(), problem, help);
    }
    let late = match (config.late, &processor.dead_letter) {
        (Some(LateConfig::Deliver), _) | (None, None) => Late::Deliver,
        (Some(LateConfig::DeadLetter), _) | (None, Some(_)) => Late::DeadLetter,
        (Some(LateConfig::Discard), _) => Late::Discard,
    };
    Some(Resequencing {
        by: Arc::new(by?),
        stream: stream?.map(Arc::new),
        timeout: config.timeout.unwrap_or(Duration::from_secs(30)).get(),
        first: config.first,
        late,
    })
}

/// A message that failed for good must not come back to the processor that failed on it.
fn check_dead_letter(config: &ProcessorConfig, cx: &mut Build<'_>) {
    let same = |dead_letter: &&Spanned<String>| dead_letter.value == config.store.value;
    if let Some(dead_letter) = config.dead_letter.as_ref().filter(same) {
        let problem = "the dead letters of a processor cannot go to the store that it drains";
        cx.error("config.bad_value", dead_letter.span, problem, None);
    }
}

fn processing(config: &ProcessorConfig, resequencing: Option<Resequencing>) -> Processing {
    let (forward, sample) = (config.forward.as_ref(), config.sample.as_ref());
    let (attempts, backoff, backoff_max, parallel) = match (forward, &config.resequence) {
        (Some(it), _) => (it.attempts, it.backoff, it.backoff_max, it.parallel),
        (None, Some(it)) => (it.attempts, it.backoff, it.backoff_max, it.parallel),
        (None, None) => (sample.and_then(|sample| sample.attempts), None, None, None),
    };
    Processing {
        attempts_max: match (&config.dead_letter, attempts) {
            (None, _) => None,
            (Some(_), attempts) => Some(attempts.unwrap_or(ATTEMPTS)).filter(|attempts| *attempts > 0),
        },
        backoff: backoff.unwrap_or(Duration::from_secs(1)).get(),
        backoff_max: backoff_max.unwrap_or(Duration::from_secs(300)).get(),
        parallel: match sample {
            Some(sample) => sample.count.map_or(1, NonZeroUsize::get),
            None => parallel.map_or(1, NonZeroUsize::get),
        },
        sampling: sample.map(|sample| Sampling {
            every: sample.every.get(),
            count: sample.count.map_or(1, NonZeroUsize::get),
        }),
        resequencing,
    }
}
