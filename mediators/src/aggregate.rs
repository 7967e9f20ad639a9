//! `aggregate`: collects messages into groups until a group is complete. State is in memory and is shared by all exchanges that come
//! through the step; it survives a reload that leaves the step where it is, not a restart.
//!
//! A group with a `timeout` has a timer. When it runs out there is no exchange that could go on, so the steps behind `aggregate` are its
//! child steps and run in an exchange made for the group.

use crate::place::set_model;
use engine::build::Build;
use engine::config::{Duration, Steps, Text};
use engine::exchange::Exchange;
use engine::expression::Expression;
use engine::fault::{Fault, FaultCode};
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::message::Message;
use engine::model::Model;
use engine::registry::StepConfig;
use engine::sequence::Sequence;
use futures_util::FutureExt;
use indexmap::IndexMap;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// Collects messages with the same key. The message that completes a group goes on with the payloads of the whole group, in the order
/// in which they came; the others end here, as with `drop`.
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
    const EXAMPLE: &'static str = "- aggregate: { by: payload.order_id, count: 3, timeout: 30s }";
    const REST: Option<&'static str> = Some("steps");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let by = cx.optional_expression(self.by.as_ref());
        let count = cx.optional_expression(self.count.as_ref());
        let when = cx.optional_expression(self.when.as_ref());
        if self.count.is_none() && self.when.is_none() && self.timeout.is_none() {
            let help = Some("give `count`, `when` or `timeout`".to_owned());
            cx.error(
                "config.bad_combination",
                cx.step_span(),
                "nothing ever completes a group",
                help,
            );
            return None;
        }
        if let Some(root) = self.root.as_ref().filter(|root| !xml::is_ncname(root)) {
            cx.error(
                "config.bad_value",
                cx.step_span(),
                format!("`{root}` is no name for a root element"),
                None,
            );
            return None;
        }
        let steps = cx.steps(&self.steps, "steps");
        let key = format!("aggregate {}", cx.path());
        let groups = cx.state.get_or_insert(key, Groups::default);
        Some(asynchronous(Aggregate(Arc::new(Aggregator {
            by: by?,
            count: count?,
            when: when?,
            timeout: self.timeout.map(Duration::get),
            root: self.root,
            groups_max: self.groups_max.get(),
            messages_max: self.messages_max.get(),
            groups,
            steps,
        }))))
    }
}

/// Unfinished groups by key, oldest first.
#[derive(Default)]
struct Groups {
    by_key: Mutex<IndexMap<String, Group>>,
    serial: AtomicU64,
}

struct Group {
    /// Tells this group from a later one with the same key.
    serial: u64,
    models: Vec<Arc<Model>>,
}

/// What a message did to its group.
enum Collected {
    /// It began the group with this number.
    First(u64),
    /// It joined.
    Joined,
    /// It completed the group, which is taken out.
    Complete(Vec<Arc<Model>>),
}

struct Aggregate(Arc<Aggregator>);

struct Aggregator {
    by: Option<Expression>,
    count: Option<Expression>,
    when: Option<Expression>,
    timeout: Option<std::time::Duration>,
    root: Option<String>,
    groups_max: usize,
    messages_max: usize,
    groups: Arc<Groups>,
    steps: Sequence,
}

impl AsyncMediator for Aggregate {
    fn needs(&self) -> Needs {
        Needs::Model
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let key = self.0.key(exchange)?;
            match self.0.collect(&key, exchange)? {
                Collected::Joined => Ok(Flow::Drop),
                Collected::First(serial) => {
                    self.start_timer(key, serial, exchange);
                    Ok(Flow::Drop)
                }
                Collected::Complete(models) => {
                    let merged = self.0.merge(&models)?;
                    set_model(&mut exchange.message, Arc::new(merged), None);
                    self.0.steps.run(exchange).await
                }
            }
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        vec![("steps".to_owned(), &self.0.steps)]
    }
}

impl Aggregate {
    /// The group goes on by itself when its time is up. There are at most `groups_max` timers.
    fn start_timer(&self, key: String, serial: u64, exchange: &Exchange) {
        let Some(timeout) = self.0.timeout else { return };
        let message = Message {
            start: exchange.message.start.clone(),
            headers: exchange.message.headers.clone(),
            ..Message::default()
        };
        let (aggregator, later) = (Arc::clone(&self.0), exchange.fork(message));
        drop(tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            if let Some(models) = aggregator.take(&key, serial) {
                aggregator.go_on(&key, &models, later).await;
            }
        }));
    }
}

impl Aggregator {
    fn key(&self, exchange: &Exchange) -> Result<String, Fault> {
        self.by
            .as_ref()
            .map_or_else(|| Ok(String::new()), |by| by.text(exchange))
    }

    /// Runs the steps for a group whose time is up. Nobody waits for an answer: a fault is logged.
    async fn go_on(&self, key: &str, models: &[Arc<Model>], mut exchange: Exchange) {
        exchange.deadline = Instant::now() + exchange.deployment.settings.limits.exchange_timeout;
        let run = async {
            let merged = self.merge(models)?;
            set_model(&mut exchange.message, Arc::new(merged), None);
            let deadline = exchange.deadline;
            let outcome = tokio::time::timeout_at(deadline, self.steps.run(&mut exchange)).await;
            outcome.unwrap_or_else(|_| {
                Err(Fault::new(
                    FaultCode::Deadline,
                    "The group took longer than an exchange may.",
                ))
            })
        };
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => {
                tracing::error!(group = key, messages = models.len(), fault = %fault, "a group whose time was up failed");
            }
            Err(_) => tracing::error!(
                group = key,
                messages = models.len(),
                "a group whose time was up panicked"
            ),
        }
    }

    /// Takes a group out, where it is still there.
    fn take(&self, key: &str, serial: u64) -> Option<Vec<Arc<Model>>> {
        let mut groups = self.groups.by_key.lock();
        groups.get(key).filter(|group| group.serial == serial)?;
        groups.shift_remove(key).map(|group| group.models)
    }

    /// Adds the message to its group.
    fn collect(&self, key: &str, exchange: &Exchange) -> Result<Collected, Fault> {
        let count = self
            .count
            .as_ref()
            .map(|count| whole_number(count, exchange))
            .transpose()?;
        let last = self.when.as_ref().map_or(Ok(false), |when| when.test(exchange))?;
        let model = exchange
            .model()
            .cloned()
            .unwrap_or_else(|| Arc::new(Model::Json(Json::Null)));
        let mut groups = self.groups.by_key.lock();
        let is_new = !groups.contains_key(key);
        if is_new && groups.len() >= self.groups_max {
            return Err(full("unfinished groups", self.groups_max));
        }
        let group = groups.entry(key.to_owned()).or_insert_with(|| Group {
            serial: self.groups.serial.fetch_add(1, Ordering::Relaxed),
            models: Vec::new(),
        });
        let complete = last || count.is_some_and(|count| group.models.len() + 1 >= count);
        if !complete && group.models.len() + 1 > self.messages_max {
            return Err(full("messages in one group", self.messages_max));
        }
        group.models.push(model);
        let serial = group.serial;
        match complete.then(|| groups.shift_remove(key)).flatten() {
            Some(group) => Ok(Collected::Complete(group.models)),
            None if is_new => Ok(Collected::First(serial)),
            None => Ok(Collected::Joined),
        }
    }

    fn merge(&self, models: &[Arc<Model>]) -> Result<Model, Fault> {
        let all_xml = models.iter().all(|model| matches!(**model, Model::Xml(_)));
        match self.root.as_ref().filter(|_| all_xml) {
            Some(root) => self.merge_xml(root, models).map(Model::Xml).map_err(|error| {
                crate::place::misplaced("the documents cannot be put under one root").with_source(error)
            }),
            None => {
                let json = |model: &Arc<Model>| engine::expression::Value::Model(Arc::clone(model)).to_json();
                Ok(Model::Json(models.iter().map(json).collect()))
            }
        }
    }

    fn merge_xml(&self, root: &str, models: &[Arc<Model>]) -> Result<xml::Document, xml::EditError> {
        let mut merged = xml::Document::new();
        let parent = merged.append_element(xml::NodeId::DOCUMENT, "", root, "")?;
        for model in models {
            let Model::Xml(document) = &**model else { continue };
            let content = engine::model::soap::body_content(document).or_else(|| document.root_element());
            if let Some(content) = content {
                let copy = merged.import(document, content)?;
                merged.append(parent, copy)?;
            }
        }
        Ok(merged)
    }
}

fn whole_number(expression: &Expression, exchange: &Exchange) -> Result<usize, Fault> {
    let text = expression.text(exchange)?;
    text.trim().parse().map_err(|_| {
        Fault::new(
            FaultCode::Expression,
            "An expression could not be evaluated for this message.",
        )
        .with_detail(format!("`{}` is `{text}` and no count", expression.source()))
    })
}

fn full(of: &str, limit: usize) -> Fault {
    Fault::new(
        FaultCode::LimitExceeded,
        format!("There are already {limit} {of}."),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::{deployment, diagnostics, json, project, xml};
    use engine::mediator::Flow;
    use engine::message::Message;
    use engine::testing::{Outcome, run_in};
    use std::sync::Arc;

    async fn each(steps: &str, messages: Vec<Message>) -> Vec<Outcome> {
        let deployment = Arc::new(deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}")));
        let mut outcomes = Vec::new();
        for message in messages {
            outcomes.push(run_in(Arc::clone(&deployment), message).await);
        }
        outcomes
    }

    #[tokio::test]
    async fn the_last_message_goes_on_with_all() {
        let given = [r#"{"o":1,"n":1}"#, r#"{"o":2,"n":2}"#, r#"{"o":1,"n":3}"#]
            .map(json)
            .into();
        let mut outcomes = each("- aggregate: { by: payload.o, count: 2 }", given).await;
        assert_eq!(*outcomes[0].flow.as_ref().unwrap(), Flow::Drop);
        assert_eq!(*outcomes[1].flow.as_ref().unwrap(), Flow::Drop);
        assert_eq!(outcomes[2].text(), r#"[{"o":1,"n":1},{"o":1,"n":3}]"#);
    }

    #[tokio::test]
    async fn a_condition_completes_and_xml_gets_a_root() {
        let given = ["<a/>", "<b xmlns='urn:b'/>", "<end/>"].map(xml).into();
        let mut outcomes = each("- aggregate: { when: payload.end is defined, root: all }", given).await;
        assert_eq!(outcomes[2].text(), r#"<all><a/><b xmlns="urn:b"/><end/></all>"#);
    }

    /// How often each step of `main` ran, children included.
    fn runs(deployment: &engine::deployment::Deployment) -> Vec<u64> {
        let mut runs = Vec::new();
        deployment.visit_steps(&mut |step| runs.push(step.runs.load(std::sync::atomic::Ordering::Relaxed)));
        runs
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_goes_on_by_itself_when_its_time_is_up() {
        let steps = "- aggregate: { timeout: 10s }\n- filter: { when: \"payload == [1, 2]\", then: [ { log: both } ] }";
        let deployment = Arc::new(deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}")));
        for body in ["1", "2"] {
            let outcome = run_in(Arc::clone(&deployment), json(body)).await;
            assert_eq!(outcome.flow.unwrap(), Flow::Drop);
        }
        assert_eq!(runs(&deployment), [2, 0, 0]);
        tokio::time::sleep(std::time::Duration::from_secs(11)).await;
        assert_eq!(
            runs(&deployment),
            [2, 1, 1],
            "the steps behind ran once, with both messages"
        );
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        assert_eq!(runs(&deployment), [2, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_complete_group_does_not_go_on_twice() {
        let steps = "- aggregate: { count: 2, timeout: 10s }\n- log: done";
        let deployment = Arc::new(deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}")));
        for body in ["1", "2", "3"] {
            assert!(run_in(Arc::clone(&deployment), json(body)).await.flow.is_ok());
        }
        assert_eq!(runs(&deployment), [3, 1]);
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        assert_eq!(
            runs(&deployment),
            [3, 2],
            "the third message is a group of its own"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn groups_and_messages_are_limited() {
        let steps = "- aggregate: { by: payload, count: 9, timeout: 10s, groups_max: 1, messages_max: 1 }";
        let deployment = Arc::new(deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}")));
        let run = |body: &str| run_in(Arc::clone(&deployment), json(body));
        assert!(run("1").await.flow.is_ok());
        assert_eq!(run("1").await.fault().name(), "gateway.limit");
        assert_eq!(run("2").await.fault().name(), "gateway.limit");
        tokio::time::sleep(std::time::Duration::from_secs(11)).await;
        assert!(
            run("2").await.flow.is_ok(),
            "the group whose time was up has gone on"
        );
    }

    #[test]
    fn mistakes_are_placed() {
        assert!(diagnostics("- aggregate: { by: payload.x }").contains("nothing ever completes"));
        assert!(diagnostics("- aggregate: { count: 'payload.x >' }").contains("test.yaml:3:"));
    }
}
