//! A YAML structure as a template of a JSON value: string leaves may hold `${ ... }`, everything else is as written.

use super::{Escape, Template};
use crate::build::Build;
use crate::config::{Node, NodeValue, Text};
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::mediator::Needs;
use serde_json::{Map, Value as Json};

/// A compiled structure.
pub enum Structure {
    /// Nothing to evaluate below.
    Constant(Json),
    /// A string with expressions. Alone in its string, an expression keeps its type.
    Template(Template),
    /// A list.
    Array(Vec<Structure>),
    /// An object, in order.
    Object(Vec<(String, Structure)>),
}

impl Structure {
    /// Compiles a node; problems go to `cx`.
    pub(crate) fn compile(node: &Node, cx: &mut Build<'_>) -> Option<Self> {
        let compiled = match &node.value {
            NodeValue::Null => Self::Constant(Json::Null),
            NodeValue::Scalar(scalar) if !scalar.text().contains("${") => Self::Constant(node.to_json()),
            NodeValue::Scalar(_) => {
                let template = cx.template(&Text::from_node(node)?, Escape::None)?;
                match template.as_literal() {
                    Some(text) => Self::Constant(Json::String(text)),
                    None => Self::Template(template),
                }
            }
            NodeValue::Sequence(items) => {
                let compiled: Vec<_> = items.iter().map(|item| Self::compile(item, cx)).collect();
                Self::Array(compiled.into_iter().collect::<Option<_>>()?)
            }
            NodeValue::Mapping(entries) => {
                let members = entries
                    .iter()
                    .map(|(key, value)| Some((key.text.to_string(), Self::compile(value, cx)?)));
                let compiled: Vec<_> = members.collect();
                Self::Object(compiled.into_iter().collect::<Option<_>>()?)
            }
        };
        Some(compiled.folded())
    }

    /// A structure of constants is a constant.
    fn folded(self) -> Self {
        let constant = |part: &Self| matches!(part, Self::Constant(_));
        let is_constant = match &self {
            Self::Array(items) => items.iter().all(constant),
            Self::Object(members) => members.iter().all(|(_, member)| constant(member)),
            _ => false,
        };
        if is_constant {
            Self::Constant(self.into_constant())
        } else {
            self
        }
    }

    fn into_constant(self) -> Json {
        match self {
            Self::Constant(value) => value,
            Self::Template(_) => Json::Null,
            Self::Array(items) => items.into_iter().map(Self::into_constant).collect(),
            Self::Object(members) => members
                .into_iter()
                .map(|(key, member)| (key, member.into_constant()))
                .collect(),
        }
    }

    /// How much of the payload it reads.
    #[must_use]
    pub fn needs(&self) -> Needs {
        match self {
            Self::Constant(_) => Needs::Headers,
            Self::Template(template) => template.needs(),
            Self::Array(items) => items.iter().map(Self::needs).max().unwrap_or_default(),
            Self::Object(members) => members
                .iter()
                .map(|(_, member)| member.needs())
                .max()
                .unwrap_or_default(),
        }
    }

    /// The value for this exchange.
    ///
    /// # Errors
    /// `gateway.expression`.
    pub fn evaluate(&self, exchange: &Exchange) -> Result<Json, Fault> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Template(template) => template.value(exchange)?.to_json(),
            Self::Array(items) => items
                .iter()
                .map(|item| item.evaluate(exchange))
                .collect::<Result<_, _>>()?,
            Self::Object(members) => {
                let mut object = Map::with_capacity(members.len());
                for (key, member) in members {
                    object.insert(key.clone(), member.evaluate(exchange)?);
                }
                Json::Object(object)
            }
        })
    }
}
