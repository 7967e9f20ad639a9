//! What groups in memory and groups in a store have in common: which group a message belongs to, what completes it, what it becomes.

use engine::exchange::Exchange;
use engine::expression::{Expression, Value};
use engine::fault::{Fault, FaultCode};
use engine::model::Model;
use engine::sequence::Sequence;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;

/// The settings of the step, compiled.
pub(super) struct Rules {
    pub(super) by: Option<Expression>,
    pub(super) count: Option<Expression>,
    pub(super) when: Option<Expression>,
    pub(super) timeout: Option<Duration>,
    pub(super) root: Option<String>,
    pub(super) groups_max: usize,
    pub(super) messages_max: usize,
    pub(super) steps: Sequence,
}

/// What completes the group of a message.
#[derive(Clone, Copy)]
pub(super) struct Completes {
    count: Option<usize>,
    last: bool,
}

impl Completes {
    /// Whether the message completes a group that has so many with it.
    pub(super) fn at(self, messages: usize) -> bool {
        self.last || self.count.is_some_and(|count| messages >= count)
    }
}

impl Rules {
    pub(super) fn key(&self, exchange: &Exchange) -> Result<String, Fault> {
        let by = self.by.as_ref();
        by.map_or_else(|| Ok(String::new()), |by| by.text(exchange))
    }

    pub(super) fn completes(&self, exchange: &Exchange) -> Result<Completes, Fault> {
        let count = self.count.as_ref().map(|count| whole_number(count, exchange));
        let last = self.when.as_ref().map_or(Ok(false), |when| when.test(exchange))?;
        let count = count.transpose()?;
        Ok(Completes { count, last })
    }

    /// Whether a message may be added that does not complete its group.
    pub(super) fn admit(&self, groups: usize, messages_before: Option<usize>) -> Result<(), Fault> {
        match messages_before {
            None if groups >= self.groups_max => Err(full("unfinished groups", self.groups_max)),
            Some(before) if before + 1 > self.messages_max => {
                Err(full("messages in one group", self.messages_max))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn merge(&self, models: &[Arc<Model>]) -> Result<Model, Fault> {
        let all_xml = models.iter().all(|model| matches!(**model, Model::Xml(_)));
        match self.root.as_ref().filter(|_| all_xml) {
            Some(root) => merge_xml(root, models).map(Model::Xml).map_err(|error| {
                crate::place::misplaced("the documents cannot be put under one root").with_source(error)
            }),
            None => {
                let json = |model: &Arc<Model>| Value::Model(Arc::clone(model)).to_json();
                Ok(Model::Json(models.iter().map(json).collect()))
            }
        }
    }
}

/// The model of a message that is collected; null where it has no body.
pub(super) fn collected(model: Option<&Arc<Model>>) -> Arc<Model> {
    model
        .cloned()
        .unwrap_or_else(|| Arc::new(Model::Json(Json::Null)))
}

fn merge_xml(root: &str, models: &[Arc<Model>]) -> Result<xml::Document, xml::EditError> {
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
