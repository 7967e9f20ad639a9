//! A string leaf that is compiled later, as an expression or as a template.

use super::RawNode;
use crate::config::{Node, Scalar, ScalarStyle, Segment, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A text with its place. What came from the environment or a secret is kept apart in its
/// [segments](Text::segments), so that it is inserted as data and never evaluated. `Debug` masks secrets.
#[derive(Clone, PartialEq)]
pub struct Text(Node);

impl Text {
    /// The text of a scalar node; `None` for anything else.
    pub fn from_node(node: &Node) -> Option<Self> {
        node.as_scalar().map(|_| Self(node.clone()))
    }

    /// A text that stands in no source: a default.
    pub fn unplaced(text: &str) -> Self {
        Self(Node::scalar(Span::default(), text, ScalarStyle::DoubleQuoted))
    }

    /// The whole text, after substitution. May hold a secret: never log it.
    pub fn as_str(&self) -> &str {
        self.0.as_str().unwrap_or_default()
    }

    /// Where it is written.
    pub fn span(&self) -> Span {
        self.0.span
    }

    /// The pieces to compile and the pieces to insert as they are.
    pub fn segments(&self) -> Vec<Segment> {
        self.0.as_scalar().map(Scalar::segments).unwrap_or_default()
    }

    /// Where a part is written; `range` counts bytes from the start of the text as written: the `start` of a
    /// [`Segment::Template`] plus an offset in it.
    pub fn span_within(&self, range: Range<usize>) -> Span {
        self.0.span_within(range)
    }

    /// Whether it holds a secret.
    pub fn secret(&self) -> bool {
        self.0.secret()
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RawNode(node) = RawNode::deserialize(deserializer)?;
        Text::from_node(&node)
            .ok_or_else(|| D::Error::custom(format!("expected text, found {}", node.describe())))
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
