//! `aggregate`: collects messages into groups until a group is complete. Groups are shared by all exchanges that come through the step.
//! In memory they survive a reload that leaves the step where it is, in a store a restart and a crash too.
//!
//! A group with a `timeout` has a timer. When it runs out there is no exchange that could go on, so the steps behind `aggregate` are its
//! child steps and run in an exchange made for the group.

mod memory;
mod overdue;
mod rules;
mod stored;

use engine::build::Build;
use engine::config::{Duration, Spanned, Steps, Text};
use engine::mediator::{StepKind, asynchronous};
use engine::registry::StepConfig;
use memory::{Aggregator, Groups, InMemory};
use rules::Rules;
use schemars::JsonSchema;
use serde::Deserialize;
use std::num::NonZeroUsize;
use std::sync::Arc;
use stored::{InStore, StoredGroups};

/// Collects messages with the same key. The message that completes a group goes on with the payloads of the whole group, in the order
/// in which they came; the others end here, as with `drop`.
///
/// With a `store` each message of an unfinished group is in the store before its exchange ends, so that a restart or a crash loses none.
/// The message that completes a group is not stored: it goes on with the group. If that fails, the group waits again with those that came
/// meanwhile, until the same message comes again or another one completes it. A group leaves the store once the exchange has ended well;
/// after a crash just then it comes again. A group whose time is up is tried again, up to ten times with pauses
/// from 1s to 5m, and is then one dead letter of the artifact; without a `dead_letter` it is tried for ever. It has no variables.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateConfig {
    /// The key of the group, an expression; without it all messages are one group. `message.id` groups the parts of a `split`.
    pub by: Option<Text>,
    /// How many messages complete a group: an expression, such as `10` or `vars.split.size`.
    pub count: Option<Text>,
    /// A condition on the message that completes its group, an expression.
    pub when: Option<Text>,
    /// How long after its first message a group is complete, whatever it holds. It then goes on without a client to answer.
    pub timeout: Option<Duration>,
    /// The steps for a complete group; default the rest of the list.
    #[serde(default)]
    pub steps: Steps,
    /// The root element for XML payloads, which become its children. Without it, and for other payloads, the result is a JSON list.
    pub root: Option<String>,
    /// The store that keeps the messages of unfinished groups; nothing else may use it. Without it they are in memory. Messages of one
    /// group are stored one after the other, those of several groups at once.
    pub store: Option<Spanned<String>>,
    /// Most unfinished groups.
    #[serde(default = "default_groups")]
    pub groups_max: NonZeroUsize,
    /// Most messages in one group.
    #[serde(default = "default_messages")]
    pub messages_max: NonZeroUsize,
}

fn default_groups() -> NonZeroUsize {
    NonZeroUsize::new(1000).expect("not zero")
}

fn default_messages() -> NonZeroUsize {
    NonZeroUsize::new(10_000).expect("not zero")
}

impl StepConfig for AggregateConfig {
    const NAME: &'static str = "aggregate";
    const EXAMPLE: &'static str = r#"- aggregate: { by: payload.order_id, count: 3, timeout: 30s, store: parts }
- log: "an order with all its parts""#;
    const REST: Option<&'static str> = Some("steps");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let by = cx.optional_expression(self.by.as_ref());
        let count = cx.optional_expression(self.count.as_ref());
        let when = cx.optional_expression(self.when.as_ref());
        let good = self.check(cx);
        let steps = cx.steps(&self.steps, "steps");
        let path = cx.path().to_owned();
        let store = match &self.store {
            None => None,
            Some(name) => Some(cx.state_store(name, &format!("aggregate {path}"))?),
        };
        good.then_some(())?;
        let rules = Rules {
            by: by?,
            count: count?,
            when: when?,
            timeout: self.timeout.map(Duration::get),
            root: self.root,
            groups_max: self.groups_max.get(),
            messages_max: self.messages_max.get(),
            steps,
        };
        Some(match store {
            None => {
                let key = format!("aggregate {path}");
                let groups = cx.state.get_or_insert(key, Groups::default);
                asynchronous(InMemory(Arc::new(Aggregator { rules, groups })))
            }
            Some(store) => {
                // Found again wherever the step stands after a reload.
                let key = format!("aggregate {}", store.identity());
                let groups = cx.state.get_or_insert(key, || StoredGroups::new(store));
                let step = Arc::new(InStore { rules, groups });
                cx.on_start(Arc::clone(&step) as _);
                asynchronous(stored::Step(step))
            }
        })
    }
}

impl AggregateConfig {
    fn check(&self, cx: &mut Build<'_>) -> bool {
        let (mut problem, mut help) = (None, None);
        if self.count.is_none() && self.when.is_none() && self.timeout.is_none() {
            problem = Some("nothing ever completes a group".to_owned());
            help = Some("give `count`, `when` or `timeout`".to_owned());
        } else if let Some(root) = self.root.as_ref().filter(|root| !xml::is_ncname(root)) {
            problem = Some(format!("`{root}` is no name for a root element"));
        } else if self.timeout.is_some() && self.steps.is_empty() {
            problem = Some("a group whose time is up goes nowhere".to_owned());
            help = Some("give `steps` for it, or put steps behind `aggregate`".to_owned());
        }
        if problem.is_none() && self.timeout.is_some() && cx.followed() {
            problem = Some("a group whose time is up does not go on to the `to` of the artifact".to_owned());
            help = Some("make it the last step instead: `- call: ENDPOINT`".to_owned());
        }
        let good = problem.is_none();
        if let Some(problem) = problem {
            cx.error("config.bad_combination", cx.step_span(), problem, help);
        }
        good
    }
}

#[cfg(test)]
mod tests;
