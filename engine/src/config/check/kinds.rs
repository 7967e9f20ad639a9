//! Which kinds of values a schema allows.

use super::{Checker, alternatives, words};
use crate::config::plain::{self, Plain};
use crate::config::{Node, NodeValue};
use serde_json::Value;

/// What may stand at a place.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent kinds")]
pub(super) struct Kinds {
    pub(super) null: bool,
    pub(super) boolean: bool,
    pub(super) integer: bool,
    pub(super) number: bool,
    pub(super) text: bool,
    pub(super) sequence: bool,
    pub(super) mapping: bool,
}

const ANYTHING: Kinds = Kinds {
    null: true,
    boolean: true,
    integer: true,
    number: true,
    text: true,
    sequence: true,
    mapping: true,
};

impl Kinds {
    fn one(name: &str) -> Self {
        let mut kinds = Kinds::default();
        match name {
            "null" => kinds.null = true,
            "boolean" => kinds.boolean = true,
            "integer" => kinds.integer = true,
            "number" => kinds.number = true,
            "string" => kinds.text = true,
            "array" => kinds.sequence = true,
            "object" => kinds.mapping = true,
            _ => {}
        }
        kinds
    }

    pub(super) fn or(self, other: Kinds) -> Kinds {
        Kinds {
            null: self.null || other.null,
            boolean: self.boolean || other.boolean,
            integer: self.integer || other.integer,
            number: self.number || other.number,
            text: self.text || other.text,
            sequence: self.sequence || other.sequence,
            mapping: self.mapping || other.mapping,
        }
    }

    pub(super) fn any_scalar(self) -> bool {
        self.boolean || self.integer || self.number || self.text
    }

    /// Whether no collection is allowed where a text is.
    pub(super) fn only_text(self) -> bool {
        self.text && !self.mapping && !self.sequence
    }

    /// Whether a node may be one of them. An unquoted number is text too, where text is wanted.
    pub(super) fn fit(self, node: &Node) -> bool {
        match &node.value {
            NodeValue::Null => self.null || self.mapping,
            NodeValue::Mapping(_) => self.mapping,
            NodeValue::Sequence(_) => self.sequence,
            NodeValue::Scalar(scalar) if self.text => !scalar.text().is_empty() || scalar.quoted(),
            NodeValue::Scalar(scalar) => match plain::classify(scalar.text()) {
                Plain::Bool(_) => self.boolean,
                Plain::Number(_) => self.integer || self.number,
                _ => false,
            },
        }
    }

    /// For messages.
    pub(super) fn describe(self) -> String {
        let names = [
            (self.mapping, "a mapping"),
            (self.sequence, "a list"),
            (self.boolean && !self.text, "`true` or `false`"),
            (self.integer && !self.number && !self.text, "a whole number"),
            (self.number && !self.text, "a number"),
            (self.text, "text"),
        ];
        let names: Vec<&str> = names
            .iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, name)| *name)
            .collect();
        match names.as_slice() {
            [] => "nothing".to_owned(),
            [one] => (*one).to_owned(),
            [most @ .., last] => format!("{} or {last}", most.join(", ")),
        }
    }
}

impl Checker<'_> {
    /// The kinds a schema allows; references are followed.
    pub(super) fn kinds(&self, schema: &Value) -> Kinds {
        self.kinds_within(schema, DEPTH_MAX)
    }

    fn kinds_within(&self, schema: &Value, depth: usize) -> Kinds {
        match schema.get("$ref").and_then(Value::as_str) {
            Some("#/$defs/steps") => {
                return Kinds {
                    null: false,
                    boolean: false,
                    integer: false,
                    number: false,
                    ..ANYTHING
                };
            }
            Some("#/$defs/step") => {
                return Kinds {
                    text: true,
                    mapping: true,
                    ..Kinds::default()
                };
            }
            _ => {}
        }
        let Some(schema) = self.resolve(schema).filter(|_| depth > 0) else {
            return ANYTHING;
        };
        if let Some(alternatives) = alternatives(schema) {
            let kinds = alternatives.iter().map(|it| self.kinds_within(it, depth - 1));
            return kinds.fold(Kinds::default(), Kinds::or);
        }
        match schema.get("type") {
            Some(Value::String(name)) => Kinds::one(name),
            Some(Value::Array(names)) => names
                .iter()
                .filter_map(Value::as_str)
                .map(Kinds::one)
                .fold(Kinds::default(), Kinds::or),
            _ if words(schema).is_some() => Kinds::one("string"),
            _ => ANYTHING,
        }
    }
}

/// Alternatives within alternatives; a recursive type is not followed further.
const DEPTH_MAX: usize = 8;
