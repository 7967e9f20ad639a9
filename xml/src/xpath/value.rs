//! Values, their conversions (XPath 1.0 sections 3.2 and 4), and variables.

use super::node::Node;
use super::number;
use crate::tree::Document;
use std::collections::{BTreeMap, HashMap};

/// What an expression evaluates to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nodes, each once, in document order.
    Nodes(Vec<Node>),
    /// A boolean.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A string.
    String(String),
}

impl Value {
    /// As `string()` converts: of nodes the first one's string value, or nothing.
    pub fn string(&self, document: &Document) -> String {
        match self {
            Self::Nodes(nodes) => nodes
                .first()
                .map(|node| node.string_value(document).into_owned())
                .unwrap_or_default(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Number(number) => number::format(*number),
            Self::String(text) => text.clone(),
        }
    }

    /// As `number()` converts: NaN for what is no number.
    pub fn number(&self, document: &Document) -> f64 {
        match self {
            Self::Nodes(_) => number::parse(&self.string(document)),
            Self::Boolean(boolean) => f64::from(u8::from(*boolean)),
            Self::Number(number) => *number,
            Self::String(text) => number::parse(text),
        }
    }

    /// As `boolean()` converts: whether there are nodes, or characters, or a number but zero and NaN.
    pub fn boolean(&self) -> bool {
        match self {
            Self::Nodes(nodes) => !nodes.is_empty(),
            Self::Boolean(boolean) => *boolean,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::String(text) => !text.is_empty(),
        }
    }

    /// The nodes, if the value is a node-set.
    pub fn nodes(&self) -> Option<&[Node]> {
        match self {
            Self::Nodes(nodes) => Some(nodes),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}
from!(bool => Boolean, f64 => Number, String => String, &str => String, Vec<Node> => Nodes);

/// Where an evaluation finds the values of `$variables`.
pub trait Variables {
    /// The value of the variable with this namespace (empty for none) and local name.
    fn variable(&self, namespace: &str, local: &str) -> Option<Value>;
}

/// No variables.
impl Variables for () {
    fn variable(&self, _namespace: &str, _local: &str) -> Option<Value> {
        None
    }
}

/// Variables in no namespace.
impl Variables for HashMap<String, Value> {
    fn variable(&self, namespace: &str, local: &str) -> Option<Value> {
        self.get(local).filter(|_| namespace.is_empty()).cloned()
    }
}

/// Variables in no namespace.
impl Variables for BTreeMap<String, Value> {
    fn variable(&self, namespace: &str, local: &str) -> Option<Value> {
        self.get(local).filter(|_| namespace.is_empty()).cloned()
    }
}
