//! Where one of several forms may stand: an optional value, a word or a mapping with one of several keys (an
//! enum), a text or a mapping, one value or a list.

use super::kinds::Kinds;
use super::{Checker, words};
use crate::config::nearest::suggestion;
use crate::config::{Diagnostic, Diagnostics, Key, Node, NodeValue, Span};
use serde_json::Value;

/// The alternatives of an enum: bare words, and the keys of one-key mappings.
#[derive(Default)]
struct Variants<'a> {
    words: Vec<&'a str>,
    keys: Vec<(&'a str, &'a Value)>,
}

impl<'a> Variants<'a> {
    fn names(&self) -> Vec<&'a str> {
        self.words
            .iter()
            .copied()
            .chain(self.keys.iter().map(|(name, _)| *name))
            .collect()
    }
}

impl Checker<'_> {
    pub(super) fn union(&mut self, node: &Node, alternatives: &[Value], owner: Span) -> Option<Node> {
        let nullable = alternatives
            .iter()
            .any(|it| it.get("type").and_then(Value::as_str) == Some("null"));
        if nullable && node.is_null() {
            return Some(node.clone());
        }
        let rest: Vec<&Value> = alternatives
            .iter()
            .filter(|it| it.get("type").and_then(Value::as_str) != Some("null"))
            .collect();
        if let [only] = rest.as_slice() {
            return self.check(node, only, owner);
        }
        match variants(&rest) {
            Some(variants) => self.variant(node, &variants, owner),
            None => self.by_kind(node, &rest, owner),
        }
    }

    fn variant(&mut self, node: &Node, variants: &Variants<'_>, owner: Span) -> Option<Node> {
        match &node.value {
            NodeValue::Scalar(scalar) if variants.words.contains(&scalar.text()) => Some(node.clone()),
            NodeValue::Scalar(scalar) => {
                if let Some((name, _)) = variants.keys.iter().find(|(name, _)| *name == scalar.text()) {
                    self.needs_value(node, name);
                } else {
                    self.not_allowed(node, &variants.names());
                }
                None
            }
            NodeValue::Mapping(entries) if !variants.keys.is_empty() => {
                self.one_key(node, entries, variants, owner)
            }
            _ => {
                let names = super::scalar::quoted_list(&variants.names());
                self.wrong_type(node, &format!("one of {names}"), &Value::Null)
            }
        }
    }

    fn one_key(
        &mut self,
        node: &Node,
        entries: &[(Key, Node)],
        variants: &Variants<'_>,
        owner: Span,
    ) -> Option<Node> {
        let [(key, value)] = entries else {
            self.not_one_key(node, entries, &variants.names(), owner);
            return None;
        };
        if variants.words.contains(&&*key.text) && value.is_null() {
            return Some(node.clone());
        }
        let Some((_, schema)) = variants.keys.iter().find(|(name, _)| *name == &*key.text) else {
            let message = format!("unknown key `{}`", key.text);
            let help = suggestion(&key.text, variants.names());
            self.diagnostics
                .push(Diagnostic::error("config.unknown_key", key.span, message).maybe_help(help));
            return None;
        };
        let value = self.check(value, schema, key.span)?;
        Some(Node::mapping(node.span, vec![(key.clone(), value)]))
    }

    fn not_one_key(&mut self, node: &Node, entries: &[(Key, Node)], names: &[&str], owner: Span) {
        let list = super::scalar::quoted_list(names);
        let diagnostic = match entries {
            [(first, _), (second, _), ..] => {
                let message = format!("`{}` and `{}` exclude each other", first.text, second.text);
                Diagnostic::error("config.one_key", second.span, message)
                    .secondary(first.span, "already chosen here")
            }
            _ => {
                let place = if node.span.start == node.span.end {
                    owner
                } else {
                    node.span
                };
                Diagnostic::error("config.one_key", place, "one key is needed here")
            }
        };
        self.diagnostics
            .push(diagnostic.help(format!("use exactly one of {list}")));
    }

    fn needs_value(&mut self, node: &Node, name: &str) {
        let message = format!("`{name}` needs a value");
        let help = format!("write `{name}: ...`");
        self.diagnostics
            .push(Diagnostic::error("config.wrong_type", node.span, message).help(help));
    }

    /// The alternative whose kind fits; of several, the one with the fewest problems.
    fn by_kind(&mut self, node: &Node, alternatives: &[&Value], owner: Span) -> Option<Node> {
        let fitting: Vec<&Value> = alternatives
            .iter()
            .copied()
            .filter(|it| self.kinds(it).fit(node))
            .collect();
        match fitting.as_slice() {
            [] => {
                let kinds = alternatives
                    .iter()
                    .map(|it| self.kinds(it))
                    .fold(Kinds::default(), Kinds::or);
                self.wrong_type(node, &kinds.describe(), &Value::Null)
            }
            [only] => self.check(node, only, owner),
            several => self.best(node, several, owner),
        }
    }

    fn best(&mut self, node: &Node, alternatives: &[&Value], owner: Span) -> Option<Node> {
        let attempts = alternatives.iter().map(|schema| {
            let mut diagnostics = Diagnostics::new();
            let checked = Checker {
                root: self.root,
                diagnostics: &mut diagnostics,
            }
            .check(node, schema, owner);
            (checked, diagnostics)
        });
        let (checked, diagnostics) = attempts.min_by_key(|(_, diagnostics)| diagnostics.errors())?;
        self.diagnostics.extend(diagnostics);
        checked
    }
}

/// The variants if every alternative is one.
fn variants<'s>(alternatives: &[&'s Value]) -> Option<Variants<'s>> {
    let mut variants = Variants::default();
    for alternative in alternatives {
        match words(alternative) {
            Some(words) => variants.words.extend(words),
            None => variants.keys.push(only_key(alternative)?),
        }
    }
    Some(variants)
}

/// The key of an alternative that is a mapping with exactly one, and the schema of its value.
fn only_key(alternative: &Value) -> Option<(&str, &Value)> {
    let properties = alternative.get("properties")?.as_object()?;
    let required = alternative.get("required")?.as_array()?;
    let closed = alternative.get("additionalProperties") == Some(&Value::Bool(false));
    let mut entries = properties.iter();
    let (name, schema) = entries.next()?;
    (closed && entries.next().is_none() && required.len() == 1).then_some((name.as_str(), schema))
}
