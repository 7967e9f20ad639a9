//! From a node to a configuration type, with every problem reported.

use super::deserialize::NodeDeserializer;
use super::{Diagnostic, Diagnostics, Key, Node, NodeValue, check, schema_of};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Reads a type. Everything wrong is added to the diagnostics: unknown and missing keys, wrong types, words that
/// are not allowed, bad durations and the like. Whatever is wrong but optional is left out, so that the rest is
/// returned and can be examined further; a value is no proof that there were no errors.
pub fn read<T: DeserializeOwned + JsonSchema + 'static>(
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let schema = schema_of::<T>();
    let checked = check::check(node, schema.as_value(), diagnostics)?;
    match T::deserialize(NodeDeserializer(&checked)) {
        Ok(value) => Some(value),
        Err(error) => {
            let span = error.span.unwrap_or(node.span);
            diagnostics.push(Diagnostic::error("config.bad_value", span, error.message));
            None
        }
    }
}

/// Reads a type whose main setting may be given alone: anything that is no mapping is taken as the value of
/// `key`, so that `- log: "text"` means `- log: { text: "text" }`.
pub fn read_with_shorthand<T: DeserializeOwned + JsonSchema + 'static>(
    node: &Node,
    key: &str,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    read(&expand_shorthand(node, key), diagnostics)
}

/// A mapping as it is; anything else but nothing as `{ key: it }`, at its own place.
pub fn expand_shorthand(node: &Node, key: &str) -> Node {
    match &node.value {
        NodeValue::Mapping(_) | NodeValue::Null => node.clone(),
        _ => {
            let key = Key {
                text: Arc::from(key),
                span: node.span,
            };
            Node::mapping(node.span, vec![(key, node.clone())])
        }
    }
}
