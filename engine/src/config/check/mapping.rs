//! Keys: unknown ones with the nearest valid key, missing ones at the key they belong to.

use super::{Checker, head};
use crate::config::nearest::{nearest, suggestion};
use crate::config::{Diagnostic, Key, Node, Span, summary_and_text};
use serde_json::Value;

/// The keys a schema knows.
pub(super) fn keys(schema: &Value) -> impl Iterator<Item = &str> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
}

impl Checker<'_> {
    /// A mapping, or nothing, which is a mapping without keys.
    pub(super) fn mapping(&mut self, node: &Node, schema: &Value, owner: Span) -> Option<Node> {
        let mut kept: Vec<(Key, Node)> = Vec::with_capacity(node.entries().len());
        let mut taken_for: Vec<&str> = Vec::new();
        for (key, value) in node.entries() {
            let Some(property) = self.property(schema, &key.text) else {
                taken_for.extend(self.unknown_key(node, key, schema));
                continue;
            };
            if let Some(value) = self.check(value, property, key.span) {
                kept.push((key.clone(), value));
            }
        }
        let mut complete = true;
        for name in required(schema) {
            complete &= kept.iter().any(|(key, _)| &*key.text == name);
            if node.get(name).is_none() && !taken_for.contains(&name) {
                self.missing_key(node, name, schema, owner);
            }
        }
        complete.then(|| Node::mapping(node.span, kept))
    }

    /// The schema of the value under a key; `None` if the key is unknown.
    fn property<'s>(&self, schema: &'s Value, key: &str) -> Option<&'s Value> {
        if let Some(property) = schema
            .get("properties")
            .and_then(|properties| properties.get(key))
        {
            return Some(property);
        }
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let matching = patterns
            .into_iter()
            .flatten()
            .find(|(pattern, _)| regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(key)));
        if let Some((_, property)) = matching {
            return Some(property);
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(rest) => Some(rest),
            None => Some(&Value::Bool(true)),
        }
    }

    /// Returns the key that was probably meant.
    fn unknown_key<'s>(&mut self, node: &Node, key: &Key, schema: &'s Value) -> Option<&'s str> {
        let meant = nearest(&key.text, keys(schema));
        let help = match meant.filter(|name| node.get(name).is_some()) {
            Some(given) => Some(format!("did you mean `{given}`? It is given already")),
            None => suggestion(&key.text, keys(schema).filter(|name| node.get(name).is_none())),
        };
        let message = format!("unknown key `{}`", key.text);
        self.diagnostics
            .push(Diagnostic::error("config.unknown_key", key.span, message).maybe_help(help));
        meant
    }

    fn missing_key(&mut self, node: &Node, name: &str, schema: &Value, owner: Span) {
        let property = schema
            .get("properties")
            .and_then(|properties| properties.get(name));
        let description = property.and_then(|property| self.description(property));
        let message = format!("the key `{name}` is missing");
        let place = if owner == node.span { head(node) } else { owner };
        let help = description.map(|it| format!("`{name}`: {it}"));
        self.diagnostics.push(
            Diagnostic::error("config.missing_key", place, message)
                .label("needed here")
                .maybe_help(help),
        );
    }

    /// The first sentence of what the documentation says.
    fn description(&self, property: &Value) -> Option<String> {
        let own = property.get("description");
        let text = own.or_else(|| self.resolve(property)?.get("description"))?;
        Some(summary_and_text(text.as_str()?).0)
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}
