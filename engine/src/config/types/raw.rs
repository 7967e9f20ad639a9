//! A part of the tree kept as it is: JSON structures with expressions in them, settings that only the owner of
//! a kind understands.

use crate::config::{Node, deserialize};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// Any value, kept as a [`Node`] with its places.
#[derive(Debug, Clone, PartialEq)]
pub struct RawNode(pub Node);

impl Deref for RawNode {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl<'de> Deserialize<'de> for RawNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_newtype_struct(deserialize::RAW, RawVisitor)
            .map(RawNode)
    }
}

/// Takes the node that the deserializer hands over. Its `Option` is `None` only for a missing key.
struct RawVisitor;

impl Visitor<'_> for RawVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a configuration")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        deserialize::take_handed()
    }
}

impl JsonSchema for RawNode {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}
