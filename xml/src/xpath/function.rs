//! The core function library (XPath 1.0 section 4), and functions of the application.

use super::evaluate::{Context, Evaluated, Evaluator};
use super::expression::{Expression, Type};
use super::node::Node;
use super::value::Value;
use super::{XPathError, XPathErrorKind, number};
use crate::tree::Document;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The functions of the core library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    Last,
    Position,
    Count,
    Id,
    LocalName,
    NamespaceUri,
    Name,
    String,
    Concat,
    StartsWith,
    Contains,
    SubstringBefore,
    SubstringAfter,
    Substring,
    StringLength,
    NormalizeSpace,
    Translate,
    Boolean,
    Not,
    True,
    False,
    Lang,
    Number,
    Sum,
    Floor,
    Ceiling,
    Round,
}

const ANY: usize = usize::MAX;

/// Name, function, fewest and most arguments, type of the result.
const LIBRARY: [(&str, Core, usize, usize, Type); 27] = [
    ("last", Core::Last, 0, 0, Type::Number),
    ("position", Core::Position, 0, 0, Type::Number),
    ("count", Core::Count, 1, 1, Type::Number),
    ("id", Core::Id, 1, 1, Type::Nodes),
    ("local-name", Core::LocalName, 0, 1, Type::String),
    ("namespace-uri", Core::NamespaceUri, 0, 1, Type::String),
    ("name", Core::Name, 0, 1, Type::String),
    ("string", Core::String, 0, 1, Type::String),
    ("concat", Core::Concat, 2, ANY, Type::String),
    ("starts-with", Core::StartsWith, 2, 2, Type::Boolean),
    ("contains", Core::Contains, 2, 2, Type::Boolean),
    ("substring-before", Core::SubstringBefore, 2, 2, Type::String),
    ("substring-after", Core::SubstringAfter, 2, 2, Type::String),
    ("substring", Core::Substring, 2, 3, Type::String),
    ("string-length", Core::StringLength, 0, 1, Type::Number),
    ("normalize-space", Core::NormalizeSpace, 0, 1, Type::String),
    ("translate", Core::Translate, 3, 3, Type::String),
    ("boolean", Core::Boolean, 1, 1, Type::Boolean),
    ("not", Core::Not, 1, 1, Type::Boolean),
    ("true", Core::True, 0, 0, Type::Boolean),
    ("false", Core::False, 0, 0, Type::Boolean),
    ("lang", Core::Lang, 1, 1, Type::Boolean),
    ("number", Core::Number, 0, 1, Type::Number),
    ("sum", Core::Sum, 1, 1, Type::Number),
    ("floor", Core::Floor, 1, 1, Type::Number),
    ("ceiling", Core::Ceiling, 1, 1, Type::Number),
    ("round", Core::Round, 1, 1, Type::Number),
];

impl Core {
    pub(super) fn result(self) -> Type {
        LIBRARY
            .iter()
            .find(|entry| entry.1 == self)
            .map_or(Type::Unknown, |entry| entry.4)
    }

    /// Whether the argument has to be a node-set.
    pub(super) fn takes_nodes(self) -> bool {
        matches!(
            self,
            Self::Count | Self::Sum | Self::LocalName | Self::NamespaceUri | Self::Name
        )
    }

    /// Whether a missing argument means the context node.
    pub(super) fn defaults_to_context(self) -> bool {
        matches!(
            self,
            Self::LocalName
                | Self::NamespaceUri
                | Self::Name
                | Self::String
                | Self::StringLength
                | Self::NormalizeSpace
                | Self::Number
        )
    }
}

/// What a function of the application is told about the place of the call.
#[derive(Clone, Copy, Debug)]
pub struct CallContext<'a> {
    /// The document that is evaluated.
    pub document: &'a Document,
    /// The context node.
    pub node: Node,
    /// The context position, counted from 1.
    pub position: usize,
}

type Implementation = dyn Fn(&CallContext<'_>, Vec<Value>) -> Result<Value, String> + Send + Sync;

/// A function of the application.
#[derive(Clone)]
pub(crate) struct Custom {
    least: usize,
    most: usize,
    run: Arc<Implementation>,
}

impl fmt::Debug for Custom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Custom")
            .field("least", &self.least)
            .field("most", &self.most)
            .finish()
    }
}

/// Functions of the application, by namespace and local name. They come before the core library.
#[derive(Clone, Debug, Default)]
pub struct Functions(BTreeMap<(String, String), Custom>);

pub(super) enum Resolved {
    Core(Core),
    Custom(Custom),
}

impl Resolved {
    pub(super) fn arity(&self) -> (usize, usize) {
        match self {
            Self::Core(core) => LIBRARY
                .iter()
                .find(|entry| entry.1 == *core)
                .map_or((0, ANY), |entry| (entry.2, entry.3)),
            Self::Custom(custom) => (custom.least, custom.most),
        }
    }
}

impl Functions {
    /// Only the core library.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function that takes as many arguments as `arguments` allows. What it returns as an error
    /// ends the evaluation.
    pub fn register(
        &mut self,
        namespace: impl Into<String>,
        local: impl Into<String>,
        arguments: std::ops::RangeInclusive<usize>,
        run: impl Fn(&CallContext<'_>, Vec<Value>) -> Result<Value, String> + Send + Sync + 'static,
    ) {
        let custom = Custom {
            least: *arguments.start(),
            most: *arguments.end(),
            run: Arc::new(run),
        };
        self.0.insert((namespace.into(), local.into()), custom);
    }

    pub(super) fn resolve(&self, namespace: &str, local: &str) -> Option<Resolved> {
        let key = (namespace.to_owned(), local.to_owned());
        if let Some(custom) = self.0.get(&key) {
            return Some(Resolved::Custom(custom.clone()));
        }
        let core = LIBRARY
            .iter()
            .find(|entry| namespace.is_empty() && entry.0 == local)?;
        Some(Resolved::Core(core.1))
    }

    /// What to say about a function that does not exist.
    pub(super) fn unknown(&self, namespace: &str, local: &str) -> String {
        let own = self
            .0
            .keys()
            .filter(|(known, _)| known == namespace)
            .map(|(_, name)| name.as_str());
        let core = LIBRARY
            .iter()
            .filter(|_| namespace.is_empty())
            .map(|entry| entry.0);
        let nearest = own.chain(core).map(|name| (distance(name, local), name)).min();
        match nearest {
            Some((distance, name)) if distance <= 1 + local.len() / 3 => {
                format!("there is no function {local}(); did you mean {name}()?")
            }
            _ => format!("there is no function {local}()"),
        }
    }
}

/// The number of characters to add, drop or change to come from one name to the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, character) in left.chars().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (column, other) in right.iter().enumerate() {
            let change = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

impl Evaluator<'_> {
    pub(super) fn call_custom(
        &self,
        function: &Custom,
        arguments: &[Expression],
        offset: usize,
        context: &Context,
    ) -> Evaluated<Value> {
        let values: Evaluated<Vec<Value>> = arguments.iter().map(|each| self.value(each, context)).collect();
        let call = CallContext {
            document: self.document,
            node: context.node,
            position: context.position,
        };
        self.charge(1)?;
        (function.run)(&call, values?)
            .map_err(|message| XPathError::new(XPathErrorKind::Function, offset, message))
    }

    pub(super) fn call(
        &self,
        function: Core,
        arguments: &[Expression],
        context: &Context,
    ) -> Evaluated<Value> {
        match function.result() {
            Type::Number => self
                .number_function(function, arguments, context)
                .map(Value::Number),
            Type::Boolean => self
                .boolean_function(function, arguments, context)
                .map(Value::Boolean),
            Type::Nodes => self.nodes_by_id(&arguments[0], context).map(Value::Nodes),
            _ => self
                .string_function(function, arguments, context)
                .map(Value::String),
        }
    }

    fn number_function(&self, function: Core, arguments: &[Expression], context: &Context) -> Evaluated<f64> {
        match function {
            Core::Last => Ok(context.size as f64),
            Core::Position => Ok(context.position as f64),
            Core::Count => {
                let mut count = 0_usize;
                self.each(&arguments[0], context, &mut |_| {
                    count += 1;
                    Ok(false)
                })?;
                Ok(count as f64)
            }
            Core::Sum => {
                let mut sum = 0.0;
                self.each(&arguments[0], context, &mut |node| {
                    sum += number::parse(&self.string_value(node)?);
                    Ok(false)
                })?;
                Ok(sum)
            }
            Core::StringLength => Ok(self.string(&arguments[0], context)?.chars().count() as f64),
            Core::Floor => Ok(self.number(&arguments[0], context)?.floor()),
            Core::Ceiling => Ok(self.number(&arguments[0], context)?.ceil()),
            Core::Round => Ok(number::round(self.number(&arguments[0], context)?)),
            _ => self.number(&arguments[0], context),
        }
    }

    fn boolean_function(
        &self,
        function: Core,
        arguments: &[Expression],
        context: &Context,
    ) -> Evaluated<bool> {
        match function {
            Core::True => Ok(true),
            Core::False => Ok(false),
            Core::Not => Ok(!self.boolean(&arguments[0], context)?),
            Core::Boolean => self.boolean(&arguments[0], context),
            Core::Lang => Ok(self.has_language(context.node, &self.string(&arguments[0], context)?)),
            _ => {
                let text = self.string(&arguments[0], context)?;
                let part = self.string(&arguments[1], context)?;
                Ok(if function == Core::Contains {
                    text.contains(&part)
                } else {
                    text.starts_with(&part)
                })
            }
        }
    }

    fn string_function(
        &self,
        function: Core,
        arguments: &[Expression],
        context: &Context,
    ) -> Evaluated<String> {
        if function.takes_nodes() {
            let node = self.first(&arguments[0], context)?;
            return Ok(node
                .map(|node| self.name_part(function, node))
                .unwrap_or_default());
        }
        let mut texts = arguments.iter().map(|argument| self.string(argument, context));
        let mut next = || texts.next().unwrap_or_else(|| Ok(String::new()));
        let text = next()?;
        match function {
            Core::Concat => {
                let mut whole = text;
                for part in texts {
                    whole.push_str(&part?);
                    self.charge(1 + whole.len() / 1024)?;
                }
                Ok(whole)
            }
            Core::SubstringBefore => {
                let part = next()?;
                Ok(text
                    .split_once(&part)
                    .map(|(before, _)| before.to_owned())
                    .unwrap_or_default())
            }
            Core::SubstringAfter => {
                let part = next()?;
                Ok(text
                    .split_once(&part)
                    .map(|(_, after)| after.to_owned())
                    .unwrap_or_default())
            }
            Core::Substring => self.substring(&text, arguments, context),
            Core::NormalizeSpace => Ok(normalize_space(&text)),
            Core::Translate => {
                let (from, to) = (next()?, next()?);
                self.charge(text.len().saturating_mul(from.len()) / 64)?;
                Ok(translate(&text, &from, &to))
            }
            _ => Ok(text),
        }
    }

    fn name_part(&self, function: Core, node: Node) -> String {
        let Some(name) = node.name(self.document) else {
            return String::new();
        };
        match function {
            Core::LocalName => name.local.to_owned(),
            Core::NamespaceUri => name.namespace.to_owned(),
            _ => name.to_string(),
        }
    }

    /// The characters whose position is at least the rounded start, and below it plus the rounded length.
    fn substring(&self, text: &str, arguments: &[Expression], context: &Context) -> Evaluated<String> {
        let start = number::round(self.number(&arguments[1], context)?);
        let end = match arguments.get(2) {
            Some(length) => start + number::round(self.number(length, context)?),
            None => f64::INFINITY,
        };
        let is_inside = |index: usize| (index + 1) as f64 >= start && ((index + 1) as f64) < end;
        let characters = text.chars().enumerate().filter(|(index, _)| is_inside(*index));
        Ok(characters.map(|(_, character)| character).collect())
    }

    /// Whether the nearest `xml:lang` is `language` or a sublanguage of it.
    fn has_language(&self, node: Node, language: &str) -> bool {
        let element = node.element_or_self();
        let mut above = std::iter::once(element).chain(self.document.ancestors(element));
        let found = above.find_map(|id| self.document.attribute(id, crate::XML_NAMESPACE, "lang"));
        let Some(found) = found else { return false };
        let head = found.get(..language.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(language))
            && matches!(found.as_bytes().get(language.len()), None | Some(b'-'))
    }

    /// The elements whose `xml:id` is among the words of the argument. Without a document type, no other
    /// attribute is an id.
    fn nodes_by_id(&self, argument: &Expression, context: &Context) -> Evaluated<Vec<Node>> {
        let mut wanted = String::new();
        match self.value(argument, context)? {
            Value::Nodes(nodes) => {
                for node in nodes {
                    wanted.push_str(&self.string_value(node)?);
                    wanted.push(' ');
                }
            }
            other => wanted = other.string(self.document),
        }
        let wanted: std::collections::HashSet<&str> = wanted.split_ascii_whitespace().collect();
        let top = super::node::top_of(self.document, context.node.element_or_self());
        let mut found = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for id in self.document.descendants(top) {
            self.charge(1)?;
            let name = self.document.attribute(id, crate::XML_NAMESPACE, "id");
            if name.is_some_and(|name| wanted.contains(name) && seen.insert(name)) {
                found.push(Node::Tree(id));
            }
        }
        Ok(found)
    }
}

fn normalize_space(text: &str) -> String {
    let words = text
        .split([' ', '\t', '\n', '\r'])
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn translate(text: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    text.chars()
        .filter_map(
            |character| match from.chars().position(|wanted| wanted == character) {
                Some(index) => to.get(index).copied(),
                None => Some(character),
            },
        )
        .collect()
}
