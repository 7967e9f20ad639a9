//! XPath 1.0, compiled once and evaluated on any thread.
//!
//! The evaluator is our own: a gateway binds variables and functions of its own, stops at the first node
//! where only one is wanted, and ends a hostile expression by a budget instead of a timeout. Adjacent text
//! and CDATA nodes of the tree are one text node here, as XPath 1.0 section 5.7 demands.
//!
//! Compilation resolves prefixes and functions, rewrites `//x` to a descendant step where that means the
//! same, and notes which paths yield their nodes in document order while they are walked (`plan`).

mod axis;
mod compare;
mod evaluate;
mod expression;
mod function;
mod lexer;
mod node;
mod number;
mod operator;
mod parser;
mod plan;
#[cfg(test)]
mod tests;
mod value;

pub use function::{CallContext, Functions};
pub use node::{NamespaceNode, Node};
pub use value::{Value, Variables};

use crate::tree::{Document, NodeId};
use expression::Compiled;
use std::collections::BTreeMap;
use std::fmt;

/// Nodes that an evaluation may visit unless it is given another budget: some tenths of a second.
pub const BUDGET_DEFAULT: u64 = 20_000_000;

/// The prefixes that an expression may use. `xml` is always bound; names without a prefix are in no
/// namespace (XPath 1.0 section 2.3), whatever the document's default namespace is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(BTreeMap<String, String>);

impl Namespaces {
    /// No prefix but `xml`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds `prefix` to `namespace`.
    #[must_use]
    pub fn with(mut self, prefix: impl Into<String>, namespace: impl Into<String>) -> Self {
        self.bind(prefix, namespace);
        self
    }

    /// Binds `prefix` to `namespace`.
    pub fn bind(&mut self, prefix: impl Into<String>, namespace: impl Into<String>) {
        self.0.insert(prefix.into(), namespace.into());
    }

    /// The namespace of `prefix`.
    pub fn lookup(&self, prefix: &str) -> Option<&str> {
        match prefix {
            "xml" => Some(crate::XML_NAMESPACE),
            _ => self.0.get(prefix).map(String::as_str),
        }
    }

    /// Prefixes and namespaces.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(prefix, namespace)| (prefix.as_str(), namespace.as_str()))
    }
}

impl<P: Into<String>, N: Into<String>> FromIterator<(P, N)> for Namespaces {
    fn from_iter<I: IntoIterator<Item = (P, N)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(prefix, namespace)| (prefix.into(), namespace.into()))
                .collect(),
        )
    }
}

/// What kind of mistake an [`XPathError`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum XPathErrorKind {
    /// The expression is malformed, or longer or deeper nested than is accepted.
    Syntax,
    /// A function that does not exist, or not with so many arguments.
    Function,
    /// A prefix that is not bound.
    Prefix,
    /// A variable that the evaluation was not given.
    Variable,
    /// A value where only a node-set will do.
    Type,
    /// The evaluation visited more nodes than its budget allows.
    Budget,
}

/// Why an expression does not compile, or ended without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XPathError {
    /// The kind of mistake.
    pub kind: XPathErrorKind,
    /// Byte offset in the expression.
    pub offset: usize,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
}

impl XPathError {
    pub(crate) fn new(kind: XPathErrorKind, offset: usize, message: impl Into<String>) -> Self {
        Self {
            kind,
            offset,
            message: message.into(),
        }
    }
}

impl fmt::Display for XPathError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (at offset {})", self.message, self.offset)
    }
}

impl std::error::Error for XPathError {}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct XPath {
    text: String,
    compiled: Compiled,
}

impl XPath {
    /// Compiles an expression that uses the core function library.
    ///
    /// # Errors
    /// Syntax, unknown functions (with the nearest known name), unbound prefixes.
    pub fn compile(text: &str, namespaces: &Namespaces) -> Result<Self, XPathError> {
        Self::compile_with(text, namespaces, &Functions::new())
    }

    /// Compiles an expression that may also use `functions`.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_with(
        text: &str,
        namespaces: &Namespaces,
        functions: &Functions,
    ) -> Result<Self, XPathError> {
        let compiled = parser::parse(text, namespaces, functions)?;
        Ok(Self {
            text: text.to_owned(),
            compiled,
        })
    }

    /// Evaluates the expression with `context` as context node. Nodes come in document order.
    ///
    /// # Errors
    /// Missing variables, values where nodes are needed, and an exhausted [`BUDGET_DEFAULT`].
    pub fn evaluate(
        &self,
        document: &Document,
        context: NodeId,
        variables: &dyn Variables,
    ) -> Result<Value, XPathError> {
        self.evaluate_within(document, context, variables, BUDGET_DEFAULT)
    }

    /// As [`Self::evaluate`], visiting at most about `budget` nodes.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn evaluate_within(
        &self,
        document: &Document,
        context: NodeId,
        variables: &dyn Variables,
        budget: u64,
    ) -> Result<Value, XPathError> {
        let evaluator = self.evaluator(document, variables, budget);
        evaluator.value(
            &self.compiled.expression,
            &evaluate::Context::of(document, context),
        )
    }

    /// The value as a string: of nodes, the first one's. Stops at the first node where it can.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn evaluate_string(
        &self,
        document: &Document,
        context: NodeId,
        variables: &dyn Variables,
    ) -> Result<String, XPathError> {
        let evaluator = self.evaluator(document, variables, BUDGET_DEFAULT);
        evaluator.string(
            &self.compiled.expression,
            &evaluate::Context::of(document, context),
        )
    }

    /// The value as a boolean: of nodes, whether there is one. Stops at the first node where it can.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn evaluate_boolean(
        &self,
        document: &Document,
        context: NodeId,
        variables: &dyn Variables,
    ) -> Result<bool, XPathError> {
        let evaluator = self.evaluator(document, variables, BUDGET_DEFAULT);
        evaluator.boolean(
            &self.compiled.expression,
            &evaluate::Context::of(document, context),
        )
    }

    /// The first node in document order. Stops there where it can.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and a value that is not a node-set.
    pub fn first_node(
        &self,
        document: &Document,
        context: NodeId,
        variables: &dyn Variables,
    ) -> Result<Option<Node>, XPathError> {
        let evaluator = self.evaluator(document, variables, BUDGET_DEFAULT);
        evaluator.first(
            &self.compiled.expression,
            &evaluate::Context::of(document, context),
        )
    }

    fn evaluator<'a>(
        &'a self,
        document: &'a Document,
        variables: &'a dyn Variables,
        budget: u64,
    ) -> evaluate::Evaluator<'a> {
        evaluate::Evaluator::new(document, variables, &self.compiled.names, budget)
    }

    /// The variables that the expression uses, as they are written, each once.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.compiled.variables.iter().map(String::as_str)
    }

    /// The text that was compiled.
    pub fn text(&self) -> &str {
        &self.text
    }
}
