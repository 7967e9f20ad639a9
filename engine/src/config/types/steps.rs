//! Steps as they stand in the text. Which mediators there are is known to the registry alone, so a step's
//! settings stay a [`Node`] until a deployment is built.

use super::RawNode;
use crate::config::{Key, Node, NodeValue, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

/// One step: a mediator's name and its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The mediator's name.
    pub name: Arc<str>,
    /// Where the name is written.
    pub name_span: Span,
    /// The settings; [`NodeValue::Null`] at the name's place for a bare name.
    pub settings: Node,
    /// Name and settings.
    pub span: Span,
}

impl Step {
    /// A bare name, or a mapping with one key; `None` for anything else.
    pub fn from_node(node: &Node) -> Option<Self> {
        if let NodeValue::Scalar(scalar) = &node.value {
            let settings = Node::null(node.span);
            return Some(Self {
                name: scalar.text().into(),
                name_span: node.span,
                settings,
                span: node.span,
            });
        }
        let (key, settings) = node.only_entry()?;
        Some(Self {
            name: Arc::clone(&key.text),
            name_span: key.span,
            settings: settings.clone(),
            span: key.span.to(settings.span),
        })
    }

    /// The step as a node again: a mapping with one key.
    pub fn to_node(&self) -> Node {
        let key = Key {
            text: Arc::clone(&self.name),
            span: self.name_span,
        };
        Node::mapping(self.span, vec![(key, self.settings.clone())])
    }
}

/// A list of steps, or a single one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Steps {
    /// In the order in which they run.
    pub list: Vec<Step>,
    /// The list as a whole.
    pub span: Span,
}

impl Deref for Steps {
    type Target = [Step];

    fn deref(&self) -> &[Step] {
        &self.list
    }
}

impl Steps {
    /// The steps of a node that has been checked; whatever is no step is left out.
    pub fn from_node(node: &Node) -> Self {
        let nodes = match &node.value {
            NodeValue::Sequence(items) => items,
            _ => std::slice::from_ref(node),
        };
        Self {
            list: nodes.iter().filter_map(Step::from_node).collect(),
            span: node.span,
        }
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RawNode::deserialize(deserializer).map(|node| Steps::from_node(&node))
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = RawNode::deserialize(deserializer)?;
        Step::from_node(&node).ok_or_else(|| D::Error::custom("a step is a name, or a mapping with one key"))
    }
}

impl JsonSchema for Steps {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "steps".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": "#/$defs/steps" })
    }
}

impl JsonSchema for Step {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "step".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": "#/$defs/step" })
    }
}
