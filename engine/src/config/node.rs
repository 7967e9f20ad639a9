//! The tree between YAML text and typed configuration. Scalars stay text, so `1.10`, `012` and `yes` are what
//! the author wrote until somebody who knows the wanted type reads them; every key and value knows its place.
//! Cloning is cheap: children are shared.

use super::plain::{self, Plain};
use super::{Span, offsets};
use serde_json::Value;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A value and its place. Two nodes are equal if their values are, wherever they were written.
#[derive(Clone)]
pub struct Node {
    /// Where it is written. For a block mapping or sequence: from its first entry to its last.
    pub span: Span,
    /// What it is.
    pub value: NodeValue,
}

/// What a node is.
#[derive(Clone, PartialEq)]
pub enum NodeValue {
    /// Nothing, `~` or `null`.
    Null,
    /// Any text, quoted or not.
    Scalar(Scalar),
    /// A list.
    Sequence(Arc<[Node]>),
    /// Keys and values in the order in which they were written; no key occurs twice.
    Mapping(Arc<[(Key, Node)]>),
}

/// The key of a mapping entry. Always text: `404:` has the key `404`. Equal if the text is.
#[derive(Clone)]
pub struct Key {
    /// The key.
    pub text: Arc<str>,
    /// Where it is written.
    pub span: Span,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl Key {
    /// The key as a value, to be read like one.
    pub(super) fn to_node(&self) -> Node {
        Node::scalar(self.span, Arc::clone(&self.text), ScalarStyle::Plain)
    }
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarStyle {
    /// Without quotes, so that it may mean a number, a boolean or nothing.
    Plain,
    /// In single quotes: always text.
    SingleQuoted,
    /// In double quotes: always text.
    DoubleQuoted,
    /// A block introduced by `|` or `>`: always text.
    Block,
}

/// A scalar: its text after unescaping, folding and substitution.
#[derive(Clone)]
pub struct Scalar {
    pub(super) text: Arc<str>,
    pub(super) style: ScalarStyle,
    /// The whole text of the source, from which positions inside the scalar are worked out.
    pub(super) file: Option<Arc<str>>,
    pub(super) substituted: Option<Arc<Substituted>>,
}

/// What substitution made of a scalar.
pub(super) struct Substituted {
    /// The text before substitution.
    pub written: Arc<str>,
    pub segments: Vec<Segment>,
    pub secret: bool,
    /// The scalar was nothing but one reference, so that its value may be read as a number or boolean.
    pub whole: bool,
    /// A reference led nowhere, which has been reported.
    pub failed: bool,
}

/// A piece of a string leaf.
#[derive(Clone, PartialEq, Eq)]
pub enum Segment {
    /// As written; the `${...}` in it are evaluated per message.
    Template {
        /// The text, in which `$${` still stands for a literal `${`.
        text: Arc<str>,
        /// Byte offset in the text as written, for [`Node::span_within`].
        start: usize,
    },
    /// From the environment or a secret: inserted as it is, never evaluated.
    Data {
        /// The value.
        text: Arc<str>,
        /// Where the reference is written.
        span: Span,
        /// Whether it must never be shown.
        secret: bool,
    },
}

impl Segment {
    /// The text, secret or not.
    pub fn text(&self) -> &str {
        match self {
            Segment::Template { text, .. } | Segment::Data { text, .. } => text,
        }
    }
}

impl Scalar {
    /// The text, after substitution.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is text for sure: quoted or a block.
    pub fn quoted(&self) -> bool {
        self.style != ScalarStyle::Plain
    }

    /// How it was written.
    pub fn style(&self) -> ScalarStyle {
        self.style
    }

    /// Whether part of it comes from a secret, so that it must never be shown.
    pub fn secret(&self) -> bool {
        self.substituted.as_ref().is_some_and(|it| it.secret)
    }

    /// Whether part of it was substituted.
    pub fn substituted(&self) -> bool {
        self.substituted.is_some()
    }

    /// Whether it may be read as a number or a boolean.
    pub(super) fn may_be_plain(&self) -> bool {
        !self.quoted() || self.substituted.as_ref().is_some_and(|it| it.whole)
    }

    /// The pieces, in order: one template unless something was substituted.
    pub fn segments(&self) -> Vec<Segment> {
        match &self.substituted {
            Some(substituted) => substituted.segments.clone(),
            None => vec![Segment::Template {
                text: Arc::clone(&self.text),
                start: 0,
            }],
        }
    }

    fn written(&self) -> &str {
        self.substituted.as_ref().map_or(&self.text, |it| &it.written)
    }

    fn to_json(&self) -> Value {
        match plain::classify(&self.text) {
            _ if self.quoted() || self.substituted() => Value::from(&*self.text),
            Plain::Bool(value) => Value::Bool(value),
            Plain::Number(number) => plain::json_number(number),
            Plain::Null | Plain::Text => Value::from(&*self.text),
        }
    }
}

/// Equal if they mean the same: the same text, both quoted or both plain.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.quoted() == other.quoted()
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// Nothing.
    pub fn null(span: Span) -> Self {
        Self {
            span,
            value: NodeValue::Null,
        }
    }

    /// A text that was not written in a source, at the place it was made for.
    pub fn scalar(span: Span, text: impl Into<Arc<str>>, style: ScalarStyle) -> Self {
        let scalar = Scalar {
            text: text.into(),
            style,
            file: None,
            substituted: None,
        };
        Self {
            span,
            value: NodeValue::Scalar(scalar),
        }
    }

    /// A list.
    pub fn sequence(span: Span, items: impl Into<Arc<[Node]>>) -> Self {
        Self {
            span,
            value: NodeValue::Sequence(items.into()),
        }
    }

    /// A mapping; the caller sees to it that no key occurs twice.
    pub fn mapping(span: Span, entries: impl Into<Arc<[(Key, Node)]>>) -> Self {
        Self {
            span,
            value: NodeValue::Mapping(entries.into()),
        }
    }

    /// Whether it is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.value, NodeValue::Null)
    }

    /// The scalar, if it is one.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            NodeValue::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub fn as_str(&self) -> Option<&str> {
        self.as_scalar().map(Scalar::text)
    }

    /// Whether the node is a scalar with a secret in it.
    pub fn secret(&self) -> bool {
        self.as_scalar().is_some_and(Scalar::secret)
    }

    /// A value that was refused and reported; it is not reported again when it is read.
    pub(super) fn refused(span: Span) -> Self {
        let written = Arc::from("");
        let (segments, secret, whole) = (Vec::new(), false, false);
        let substituted = Substituted {
            written,
            segments,
            secret,
            whole,
            failed: true,
        };
        let style = ScalarStyle::Plain;
        let scalar = Scalar {
            text: "".into(),
            style,
            file: None,
            substituted: Some(Arc::new(substituted)),
        };
        Self {
            span,
            value: NodeValue::Scalar(scalar),
        }
    }

    /// Whether it was refused, or its reference led nowhere; either has been reported.
    pub(super) fn failed(&self) -> bool {
        let substituted = self.as_scalar().and_then(|scalar| scalar.substituted.as_ref());
        substituted.is_some_and(|it| it.failed)
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            NodeValue::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence; none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            NodeValue::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// The key as written, and the value under it.
    pub fn entry(&self, key: &str) -> Option<&(Key, Node)> {
        self.entries()
            .iter()
            .find(|(candidate, _)| &*candidate.text == key)
    }

    /// The entry of a mapping that has exactly one, such as a step.
    pub fn only_entry(&self) -> Option<&(Key, Node)> {
        match self.entries() {
            [entry] => Some(entry),
            _ => None,
        }
    }

    /// What it is, for messages: `a mapping`, `a list`, `the text ...`, `nothing`. Secrets are masked.
    pub fn describe(&self) -> String {
        match &self.value {
            NodeValue::Null => "nothing".to_owned(),
            NodeValue::Sequence(_) => "a list".to_owned(),
            NodeValue::Mapping(_) => "a mapping".to_owned(),
            NodeValue::Scalar(scalar) => describe_scalar(scalar),
        }
    }

    /// Where a part of a scalar is written: `range` counts bytes of its text before substitution (which is its
    /// text, unless part of it was substituted). Exact for every style, escapes and folded lines included.
    pub fn span_within(&self, range: Range<usize>) -> Span {
        match self.as_scalar() {
            Some(Scalar { file: Some(file), .. }) if self.span.start == self.span.end || file.is_empty() => {
                self.span
            }
            Some(scalar @ Scalar { file: Some(file), .. }) => {
                offsets::span_within(file, self.span, scalar.style, scalar.written(), range)
            }
            _ => self.span,
        }
    }

    /// The JSON value. Plain scalars are typed by YAML 1.2's core rules, but numbers keep their text, and a
    /// number with a leading zero, which JSON does not have, stays text, as does anything substituted.
    pub fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Scalar(scalar) => scalar.to_json(),
            NodeValue::Sequence(items) => items.iter().map(Node::to_json).collect(),
            NodeValue::Mapping(entries) => entries
                .iter()
                .map(|(key, node)| (key.text.to_string(), node.to_json()))
                .collect(),
        }
    }
}

/// What a secret looks like wherever something is shown.
pub(super) const MASK: &str = "***";

/// Characters of a value that messages quote.
const SHOWN_MAX: usize = 60;

fn describe_scalar(scalar: &Scalar) -> String {
    if scalar.secret() {
        return format!("`{MASK}`");
    }
    let shown: String = scalar.text.chars().take(SHOWN_MAX).flat_map(visible).collect();
    let dots = if scalar.text.chars().nth(SHOWN_MAX).is_some() {
        "..."
    } else {
        ""
    };
    match scalar.quoted() && plain::classify(&scalar.text) != Plain::Text {
        true => format!("the text \"{shown}\""),
        false => format!("`{shown}{dots}`"),
    }
}

/// Control characters would garble a message of one line.
fn visible(character: char) -> impl Iterator<Item = char> {
    let control = character.is_control();
    let escaped = control.then(|| character.escape_debug()).into_iter().flatten();
    escaped.chain((!control).then_some(character))
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            NodeValue::Null => f.write_str("null"),
            NodeValue::Scalar(scalar) => scalar.fmt(f),
            NodeValue::Sequence(items) => f.debug_list().entries(items.iter()).finish(),
            NodeValue::Mapping(entries) => f
                .debug_map()
                .entries(entries.iter().map(|(key, node)| (key, node)))
                .finish(),
        }
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.secret(), self.quoted()) {
            (true, _) => f.write_str(MASK),
            (_, true) => write!(f, "{:?}", self.text),
            (_, false) => f.write_str(&self.text),
        }
    }
}

impl fmt::Debug for NodeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Node {
            span: Span::default(),
            value: self.clone(),
        }
        .fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Segment::Template { text, .. } => write!(f, "Template({text:?})"),
            Segment::Data { secret: true, .. } => write!(f, "Data({MASK})"),
            Segment::Data { text, .. } => write!(f, "Data({text:?})"),
        }
    }
}
