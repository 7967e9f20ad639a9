//! A tree against the JSON Schema of the type it is to become. Unlike serde, which stops at the first problem,
//! this goes on: it reports every problem at the exact key or value, and returns the tree without the offending
//! parts, so that what is left can still be read and its own problems be found in the same run.

mod kinds;
mod mapping;
mod scalar;
mod steps;
mod union;

use super::nearest::suggestion;
use super::{Diagnostic, Diagnostics, Node, NodeValue, Span};
use serde_json::Value;

/// Checks nodes against parts of one root schema.
pub(super) struct Checker<'a> {
    /// Where `#/$defs/...` leads.
    root: &'a Value,
    diagnostics: &'a mut Diagnostics,
}

/// Reports everything wrong with `node`, and returns what is right of it. `None` if nothing sensible is left.
pub(super) fn check(node: &Node, schema: &Value, diagnostics: &mut Diagnostics) -> Option<Node> {
    Checker {
        root: schema,
        diagnostics,
    }
    .check(node, schema, head(node))
}

/// Where a problem of a whole mapping or list is shown if no key leads to it.
fn head(node: &Node) -> Span {
    node.entries().first().map_or(node.span, |(key, _)| key.span)
}

impl<'a> Checker<'a> {
    /// `owner` is the key that leads to the node: where missing keys are reported.
    fn check(&mut self, node: &Node, schema: &Value, owner: Span) -> Option<Node> {
        if node.failed() {
            return None;
        }
        match schema.get("$ref").and_then(Value::as_str) {
            Some("#/$defs/steps") => return self.steps(node, owner),
            Some("#/$defs/step") => return self.step(node),
            _ => {}
        }
        let schema = self.resolve(schema)?;
        if let Some(leaf) = schema.get("x-leaf").and_then(Value::as_str) {
            return self.leaf(node, leaf, schema);
        }
        if let Some(alternatives) = alternatives(schema) {
            return self.union(node, alternatives, owner);
        }
        if let Some(words) = words(schema) {
            return self.word(node, &words);
        }
        self.typed(node, schema, owner)
    }

    /// Follows references; a reference that leads nowhere is filled in by somebody else and accepts anything.
    fn resolve<'s>(&self, schema: &'s Value) -> Option<&'s Value>
    where
        'a: 's,
    {
        let mut schema = schema;
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else {
                return Some(schema);
            };
            let pointer = reference.strip_prefix('#').unwrap_or(reference);
            schema = self.root.pointer(pointer).unwrap_or(&Value::Bool(true));
        }
        Some(schema)
    }

    fn typed(&mut self, node: &Node, schema: &Value, owner: Span) -> Option<Node> {
        let kinds = self.kinds(schema);
        if node.is_null() && kinds.null {
            return Some(node.clone());
        }
        match &node.value {
            NodeValue::Null | NodeValue::Mapping(_) if kinds.mapping => self.mapping(node, schema, owner),
            NodeValue::Sequence(items) if kinds.sequence => self.sequence(node, items, schema),
            NodeValue::Scalar(scalar) if kinds.any_scalar() => self.scalar(node, scalar, kinds, schema),
            _ => self.wrong_type(node, &kinds.describe(), schema),
        }
    }

    fn sequence(&mut self, node: &Node, items: &[Node], schema: &Value) -> Option<Node> {
        let anything = Value::Bool(true);
        let fixed = schema.get("prefixItems").and_then(Value::as_array);
        let rest = schema.get("items").unwrap_or(&anything);
        let schema_at = |index: usize| fixed.and_then(|fixed| fixed.get(index)).unwrap_or(rest);
        let kept: Vec<Node> = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self.check(item, schema_at(index), head(item)))
            .collect();
        let complete = kept.len() == items.len();
        if !self.length(node, items.len(), schema) || (fixed.is_some() && !complete) {
            return None;
        }
        Some(Node::sequence(node.span, kept))
    }

    fn length(&mut self, node: &Node, length: usize, schema: &Value) -> bool {
        let limit = |name: &str| schema.get(name).and_then(Value::as_u64);
        let fewest = limit("minItems").unwrap_or(0);
        let most = limit("maxItems").unwrap_or(u64::MAX);
        let fits = (fewest..=most).contains(&(length as u64));
        if !fits {
            let wanted = match (fewest, most) {
                (fewest, most) if fewest == most => format!("exactly {fewest}"),
                (fewest, u64::MAX) => format!("at least {fewest}"),
                (_, most) => format!("at most {most}"),
            };
            let message = format!("this list needs {wanted} items and has {length}");
            self.diagnostics
                .push(Diagnostic::error("config.length", node.span, message));
        }
        fits
    }

    fn wrong_type(&mut self, node: &Node, expected: &str, schema: &Value) -> Option<Node> {
        let message = format!("expected {expected}, found {}", node.describe());
        let diagnostic = Diagnostic::error("config.wrong_type", node.span, message);
        self.diagnostics
            .push(diagnostic.maybe_help(self.wrong_type_help(node, schema)));
        None
    }

    fn wrong_type_help(&self, node: &Node, schema: &Value) -> Option<String> {
        let kinds = self.kinds(schema);
        match &node.value {
            NodeValue::Null => Some("give it a value, or remove the key".to_owned()),
            NodeValue::Mapping(_) if kinds.sequence => {
                Some("begin each item of the list with `- `".to_owned())
            }
            NodeValue::Mapping(_) | NodeValue::Sequence(_)
                if kinds.only_text() && schema.get("x-leaf").is_none() =>
            {
                Some("a text that begins with `{` or `[` needs quotes".to_owned())
            }
            NodeValue::Scalar(_) if kinds.sequence => {
                Some("write a list: `[a, b]`, or one `- ` item per line".into())
            }
            NodeValue::Scalar(_) if kinds.mapping => suggestion("", mapping::keys(schema)),
            _ => None,
        }
    }
}

/// A schema's references to references are at most this deep.
const REFERENCES_MAX: usize = 16;

fn alternatives(schema: &Value) -> Option<&[Value]> {
    let list = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    list.as_array().map(Vec::as_slice)
}

/// The words a schema allows, if it is a list of words.
fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const") {
        return word.as_str().map(|word| vec![word]);
    }
    let list = schema.get("enum")?.as_array()?;
    let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    (!words.is_empty()).then_some(words)
}
