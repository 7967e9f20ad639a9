//! `aggregate`: collects messages into groups until a group is complete. State is in memory and is shared by all exchanges that come
//! through the step; it survives a reload that leaves the step where it is, not a restart.
//!
//! There is no timer: a group whose time is up is completed by the next message with its key. What lies in a group that nothing ever
//! completes stays until the limit of groups is reached; then the oldest group whose time is up makes room, and the log says so.

use crate::place::set_model;
use engine::build::Build;
use engine::config::{Duration, Text};
use engine::exchange::Exchange;
use engine::expression::Expression;
use engine::fault::{Fault, FaultCode};
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::model::Model;
use engine::registry::StepConfig;
use indexmap::IndexMap;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use std::num::NonZeroUsize;
use std::sync::Arc;
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
    /// How long after its first message a group is completed by whatever message comes next.
    pub timeout: Option<Duration>,
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
        let key = format!("aggregate {}", cx.path());
        let groups = cx.state.get_or_insert(key, Groups::default);
        Some(sync(Aggregate {
            by: by?,
            count: count?,
            when: when?,
            timeout: self.timeout.map(Duration::get),
            root: self.root,
            groups_max: self.groups_max.get(),
            messages_max: self.messages_max.get(),
            groups,
        }))
    }
}

/// Unfinished groups by key, oldest first.
#[derive(Default)]
struct Groups(Mutex<IndexMap<String, Group>>);

struct Group {
    since: Instant,
    models: Vec<Arc<Model>>,
}

struct Aggregate {
    by: Option<Expression>,
    count: Option<Expression>,
    when: Option<Expression>,
    timeout: Option<std::time::Duration>,
    root: Option<String>,
    groups_max: usize,
    messages_max: usize,
    groups: Arc<Groups>,
}

impl Mediator for Aggregate {
    fn needs(&self) -> Needs {
        Needs::Model
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let key = self
            .by
            .as_ref()
            .map_or_else(|| Ok(String::new()), |by| by.text(exchange))?;
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
        let Some(models) = self.collect(&key, model, count, last)? else {
            return Ok(Flow::Drop);
        };
        let merged = self.merge(&models)?;
        set_model(&mut exchange.message, Arc::new(merged), None);
        Ok(Flow::Next)
    }
}

impl Aggregate {
    /// Adds to a group; all its messages where that completes it.
    fn collect(
        &self,
        key: &str,
        model: Arc<Model>,
        count: Option<usize>,
        last: bool,
    ) -> Result<Option<Vec<Arc<Model>>>, Fault> {
        let mut groups = self.groups.0.lock();
        if !groups.contains_key(key) {
            self.make_room(&mut groups)?;
        }
        let group = groups.entry(key.to_owned()).or_insert_with(|| Group {
            since: Instant::now(),
            models: Vec::new(),
        });
        let late = self.is_over(group);
        let complete = last || late || count.is_some_and(|count| group.models.len() + 1 >= count);
        if !complete && group.models.len() + 1 > self.messages_max {
            return Err(full("messages in one group", self.messages_max));
        }
        group.models.push(model);
        Ok(complete
            .then(|| groups.shift_remove(key))
            .flatten()
            .map(|group| group.models))
    }

    fn is_over(&self, group: &Group) -> bool {
        self.timeout
            .is_some_and(|timeout| group.since.elapsed() >= timeout)
    }

    fn make_room(&self, groups: &mut IndexMap<String, Group>) -> Result<(), Fault> {
        if groups.len() < self.groups_max {
            return Ok(());
        }
        let oldest = groups
            .get_index(0)
            .filter(|(_, group)| self.is_over(group))
            .map(|(key, _)| key.clone());
        let Some((key, group)) = oldest.and_then(|key| groups.shift_remove_entry(&key)) else {
            return Err(full("unfinished groups", self.groups_max));
        };
        tracing::warn!(
            group = key,
            messages = group.models.len(),
            "unfinished group dropped: its time was up and there was no room"
        );
        Ok(())
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

    #[tokio::test(start_paused = true)]
    async fn the_next_message_completes_a_group_whose_time_is_up() {
        let yaml = project("- aggregate: { timeout: 10s }");
        let deployment = Arc::new(deployment(&yaml).unwrap_or_else(|text| panic!("{text}")));
        assert_eq!(
            run_in(Arc::clone(&deployment), json("1")).await.flow.unwrap(),
            Flow::Drop
        );
        assert_eq!(
            run_in(Arc::clone(&deployment), json("2")).await.flow.unwrap(),
            Flow::Drop
        );
        tokio::time::advance(std::time::Duration::from_secs(11)).await;
        assert_eq!(run_in(Arc::clone(&deployment), json("3")).await.text(), "[1,2,3]");
    }

    #[tokio::test(start_paused = true)]
    async fn groups_and_messages_are_limited() {
        let steps = "- aggregate: { by: payload, count: 9, timeout: 10s, groups_max: 1, messages_max: 1 }";
        let deployment = Arc::new(deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}")));
        let run = |body: &str| run_in(Arc::clone(&deployment), json(body));
        assert!(run("1").await.flow.is_ok());
        assert_eq!(run("1").await.fault().name(), "gateway.limit");
        assert_eq!(run("2").await.fault().name(), "gateway.limit");
        tokio::time::advance(std::time::Duration::from_secs(11)).await;
        assert!(
            run("2").await.flow.is_ok(),
            "the group whose time was up made room"
        );
    }

    #[test]
    fn mistakes_are_placed() {
        assert!(diagnostics("- aggregate: { by: payload.x }").contains("nothing ever completes"));
        assert!(diagnostics("- aggregate: { count: 'payload.x >' }").contains("test.yaml:3:"));
    }
}
