//! Evaluation.
//!
//! A path that yields its nodes in document order is walked depth first, one node at a time, so that
//! whoever wants only the first node or only whether there is one stops there. Any other path goes step by
//! step over whole node-sets. Every node that is looked at costs one unit of the budget.

use super::axis::{Walk, counts};
use super::expression::{Axis, Expression, Path, Predicate, Start, Step, Test};
use super::node::{Node, canonical, top_of};
use super::value::{Value, Variables};
use super::{XPathError, XPathErrorKind, number};
use crate::symbols::Symbol;
use crate::tree::{Document, NodeId, NodeKind};
use std::borrow::Cow;
use std::cell::Cell;

pub(super) type Evaluated<T> = Result<T, XPathError>;

/// Node, position and size (XPath 1.0 section 1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub(super) node: Node,
    pub(super) position: usize,
    pub(super) size: usize,
}

impl Context {
    pub(super) fn of(document: &Document, node: NodeId) -> Self {
        Self {
            node: Node::Tree(canonical(document, node)),
            position: 1,
            size: 1,
        }
    }
}

pub(crate) struct Evaluator<'a> {
    pub(super) document: &'a Document,
    variables: &'a dyn Variables,
    /// The names of the tests as this document knows them. A name it does not know matches nothing.
    names: Vec<Option<(Symbol, Option<Symbol>)>>,
    budget: Cell<u64>,
}

/// Takes a node and says whether that was enough.
type Sink<'s> = &'s mut dyn FnMut(Node) -> Evaluated<bool>;

impl<'a> Evaluator<'a> {
    pub(super) fn new(
        document: &'a Document,
        variables: &'a dyn Variables,
        names: &[(String, Option<String>)],
        budget: u64,
    ) -> Self {
        let known = |(namespace, local): &(String, Option<String>)| {
            let namespace = document.symbols.find(namespace)?;
            match local {
                Some(local) => Some((namespace, Some(document.symbols.find(local)?))),
                None => Some((namespace, None)),
            }
        };
        let names = names.iter().map(known).collect();
        Self {
            document,
            variables,
            names,
            budget: Cell::new(budget),
        }
    }

    pub(super) fn charge(&self, cost: usize) -> Evaluated<()> {
        match self.budget.get().checked_sub(cost as u64) {
            Some(rest) => {
                self.budget.set(rest);
                Ok(())
            }
            None => Err(XPathError::new(
                XPathErrorKind::Budget,
                0,
                "the evaluation visits too many nodes",
            )),
        }
    }

    /// The string value of a node, charged by its length.
    pub(super) fn string_value(&self, node: Node) -> Evaluated<Cow<'a, str>> {
        let value = node.string_value(self.document);
        self.charge(1 + value.len() / 16)?;
        Ok(value)
    }

    pub(super) fn value(&self, expression: &Expression, context: &Context) -> Evaluated<Value> {
        match expression {
            Expression::Number(number) => Ok(Value::Number(*number)),
            Expression::Literal(text) => Ok(Value::String(text.clone())),
            Expression::Variable {
                namespace,
                local,
                offset,
            } => {
                let value = self.variables.variable(namespace, local).ok_or_else(|| {
                    let message = format!("the variable ${local} has no value");
                    XPathError::new(XPathErrorKind::Variable, *offset, message)
                })?;
                self.charge(1)?;
                Ok(value)
            }
            Expression::Negate(_) => self.number(expression, context).map(Value::Number),
            Expression::Chain { first, rest, .. } => self.chain(first, rest, context),
            Expression::Call {
                function, arguments, ..
            } => self.call(*function, arguments, context),
            Expression::Custom {
                function,
                arguments,
                offset,
            } => self.call_custom(function, arguments, *offset, context),
            Expression::Filter { .. } | Expression::Path(_) => {
                self.nodes(expression, context).map(Value::Nodes)
            }
        }
    }

    pub(super) fn boolean(&self, expression: &Expression, context: &Context) -> Evaluated<bool> {
        match expression {
            Expression::Filter { .. } | Expression::Path(_) => {
                self.each(expression, context, &mut |_| Ok(true))
            }
            _ => Ok(self.value(expression, context)?.boolean()),
        }
    }

    pub(super) fn number(&self, expression: &Expression, context: &Context) -> Evaluated<f64> {
        match expression {
            Expression::Negate(inner) => Ok(-self.number(inner, context)?),
            Expression::Number(number) => Ok(*number),
            Expression::Filter { .. } | Expression::Path(_) => {
                Ok(number::parse(&self.string(expression, context)?))
            }
            _ => Ok(self.value(expression, context)?.number(self.document)),
        }
    }

    pub(super) fn string(&self, expression: &Expression, context: &Context) -> Evaluated<String> {
        match expression {
            Expression::Filter { .. } | Expression::Path(_) => match self.first(expression, context)? {
                Some(node) => Ok(self.string_value(node)?.into_owned()),
                None => Ok(String::new()),
            },
            _ => match self.value(expression, context)? {
                Value::String(text) => Ok(text),
                value => Ok(value.string(self.document)),
            },
        }
    }

    /// The first node in document order.
    pub(super) fn first(&self, expression: &Expression, context: &Context) -> Evaluated<Option<Node>> {
        let mut first = None;
        self.each(expression, context, &mut |node| {
            first = Some(node);
            Ok(true)
        })?;
        Ok(first)
    }

    /// All nodes in document order.
    pub(super) fn nodes(&self, expression: &Expression, context: &Context) -> Evaluated<Vec<Node>> {
        match expression {
            Expression::Path(path) if !path.streams => self.path_sets(path, context),
            Expression::Path(_) | Expression::Filter { .. } => {
                let mut nodes = Vec::new();
                self.each(expression, context, &mut |node| {
                    nodes.push(node);
                    Ok(false)
                })?;
                Ok(nodes)
            }
            _ => match self.value(expression, context)? {
                Value::Nodes(nodes) => Ok(nodes),
                _ => {
                    let message = "the value is not a node-set";
                    Err(XPathError::new(
                        XPathErrorKind::Type,
                        expression.offset(),
                        message,
                    ))
                }
            },
        }
    }

    /// Hands nodes to `sink` in document order until it has enough; says whether it had.
    pub(super) fn each(&self, expression: &Expression, context: &Context, sink: Sink<'_>) -> Evaluated<bool> {
        match expression {
            Expression::Path(path) if path.streams => {
                let start = match path.start {
                    Start::Root => Node::Tree(top_of(self.document, context.node.element_or_self())),
                    _ => context.node,
                };
                self.stream(&path.steps, start, sink)
            }
            Expression::Filter { base, predicates, .. } => {
                self.each_filtered(base, predicates, context, sink)
            }
            _ => {
                for node in self.nodes(expression, context)? {
                    if sink(node)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    fn each_filtered(
        &self,
        base: &Expression,
        predicates: &[Predicate],
        context: &Context,
        sink: Sink<'_>,
    ) -> Evaluated<bool> {
        let mut filter = Filter::new(predicates);
        if filter.needs_size {
            let nodes = self.filter_sized(self.nodes(base, context)?, predicates)?;
            return feed(nodes, sink);
        }
        let mut enough = false;
        self.each(base, context, &mut |node| {
            if self.passes(&mut filter, node)? && sink(node)? {
                enough = true;
                return Ok(true);
            }
            Ok(filter.is_exhausted())
        })?;
        Ok(enough)
    }

    /// Walks the steps depth first.
    fn stream(&self, steps: &[Step], node: Node, sink: Sink<'_>) -> Evaluated<bool> {
        match steps.split_first() {
            None => sink(node),
            Some((step, [])) => self.step(step, node, sink),
            Some((step, rest)) => self.step(step, node, &mut |next| self.stream(rest, next, sink)),
        }
    }

    /// The nodes that one step selects from `node`, in axis order.
    fn step(&self, step: &Step, node: Node, sink: Sink<'_>) -> Evaluated<bool> {
        let mut filter = Filter::new(&step.predicates);
        if filter.needs_size {
            let mut candidates = Vec::new();
            for candidate in Walk::new(self.document, step.axis, node) {
                if self.matches(step, candidate)? {
                    candidates.push(candidate);
                }
            }
            return feed(self.filter_sized(candidates, &step.predicates)?, sink);
        }
        for candidate in Walk::new(self.document, step.axis, node) {
            if self.matches(step, candidate)? && self.passes(&mut filter, candidate)? && sink(candidate)? {
                return Ok(true);
            }
            if filter.is_exhausted() {
                break;
            }
        }
        Ok(false)
    }

    /// Whether the node passes the test of a step.
    fn matches(&self, step: &Step, node: Node) -> Evaluated<bool> {
        self.charge(1)?;
        if !self.test(&step.test, step.axis, node) {
            return Ok(false);
        }
        let (Some(wanted), Some(id)) = (step.among_siblings, node.tree_node()) else {
            return Ok(true);
        };
        let mut position = 1;
        let mut current = id;
        while let Some(previous) = self.document.previous_sibling(current) {
            self.charge(1)?;
            position += usize::from(self.test(&step.test, step.axis, Node::Tree(previous)));
            if position > wanted {
                return Ok(false);
            }
            current = previous;
        }
        Ok(position == wanted)
    }

    fn test(&self, test: &Test, axis: Axis, node: Node) -> bool {
        let document = self.document;
        let Node::Tree(id) = node else {
            return self.test_leaf(test, axis, node);
        };
        match test {
            Test::Node => counts(document, node),
            Test::Principal => !matches!(axis, Axis::Attribute | Axis::Namespace) && document.is_element(id),
            Test::Name(index) => {
                let Some(element) = document.element(id) else {
                    return false;
                };
                let is_principal = !matches!(axis, Axis::Attribute | Axis::Namespace);
                is_principal && self.test_name(*index, element.name)
            }
            Test::Text => document.is_text(id) && counts(document, node),
            Test::Comment => document.kind(id) == NodeKind::Comment,
            Test::Instruction(target) => {
                document.kind(id) == NodeKind::ProcessingInstruction
                    && target
                        .as_deref()
                        .is_none_or(|target| document.name(id).is_some_and(|name| name.local == target))
            }
        }
    }

    /// Attributes and namespaces pass `*` and names only on their own axis.
    fn test_leaf(&self, test: &Test, axis: Axis, node: Node) -> bool {
        match (test, node) {
            (Test::Node, _) => true,
            (Test::Principal, Node::Attribute { .. }) => axis == Axis::Attribute,
            (Test::Principal, Node::Namespace(_)) => axis == Axis::Namespace,
            (Test::Name(index), Node::Attribute { id, .. }) => {
                axis == Axis::Attribute && self.test_name(*index, self.document.attributes[id.index()].name)
            }
            (Test::Name(index), Node::Namespace(found)) => {
                axis == Axis::Namespace && self.names[*index] == Some((Symbol::EMPTY, Some(found.prefix)))
            }
            _ => false,
        }
    }

    fn test_name(&self, index: usize, name: crate::symbols::NameId) -> bool {
        let Some((namespace, local)) = self.names[index] else {
            return false;
        };
        let parts = self.document.symbols.parts(name);
        parts.namespace == namespace && local.is_none_or(|local| parts.local == local)
    }

    /// Whether the node passes the predicates, which count the nodes that come.
    fn passes(&self, filter: &mut Filter<'_>, node: Node) -> Evaluated<bool> {
        for (predicate, seen) in filter.predicates.iter().zip(&mut filter.seen) {
            *seen += 1;
            let context = Context {
                node,
                position: *seen,
                size: 0,
            };
            if !self.holds(predicate, &context)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Applies the predicates one after the other, each with the size of what the one before left.
    fn filter_sized(&self, mut nodes: Vec<Node>, predicates: &[Predicate]) -> Evaluated<Vec<Node>> {
        for predicate in predicates {
            let size = nodes.len();
            let mut kept = Vec::new();
            for (index, node) in nodes.into_iter().enumerate() {
                if self.holds(
                    predicate,
                    &Context {
                        node,
                        position: index + 1,
                        size,
                    },
                )? {
                    kept.push(node);
                }
            }
            nodes = kept;
        }
        Ok(nodes)
    }

    fn holds(&self, predicate: &Predicate, context: &Context) -> Evaluated<bool> {
        if let Some(position) = predicate.position {
            return Ok(position == context.position);
        }
        if !predicate.may_be_number {
            return self.boolean(&predicate.expression, context);
        }
        match self.value(&predicate.expression, context)? {
            Value::Number(number) => Ok(number == context.position as f64),
            value => Ok(value.boolean()),
        }
    }

    /// Evaluates a path one whole node-set after the other.
    fn path_sets(&self, path: &Path, context: &Context) -> Evaluated<Vec<Node>> {
        let mut nodes = match &path.start {
            Start::Root => vec![Node::Tree(top_of(self.document, context.node.element_or_self()))],
            Start::Context => vec![context.node],
            Start::Expression(expression) => self.nodes(expression, context)?,
        };
        for step in &path.steps {
            let mut next = Vec::new();
            let mut covered = None;
            for node in nodes {
                if !self.is_covered(step, node, &mut covered) {
                    self.step(step, node, &mut |found| {
                        next.push(found);
                        Ok(false)
                    })?;
                }
            }
            nodes = self.in_order(next);
        }
        Ok(nodes)
    }

    /// Whether an earlier, enclosing node has already yielded all that `node` would: descendants inside
    /// descendants. `covered` is the rank at which what was yielded ends.
    fn is_covered(&self, step: &Step, node: Node, covered: &mut Option<u32>) -> bool {
        let is_descent = matches!(step.axis, Axis::Descendant | Axis::DescendantOrSelf);
        let Some(id) = node.tree_node().filter(|_| is_descent) else {
            return false;
        };
        if step.predicates.iter().any(Predicate::is_positional) {
            return false;
        }
        let rank = self.document.rank(id);
        if covered.is_some_and(|end| rank < end) {
            return true;
        }
        let after = self.document.following_past(id, top_of(self.document, id));
        *covered = Some(after.map_or(u32::MAX, |after| self.document.rank(after)));
        false
    }

    /// Sorts into document order and drops duplicates; a single pass when nothing is to be done.
    pub(super) fn in_order(&self, mut nodes: Vec<Node>) -> Vec<Node> {
        let order = |node: &Node| node.order(self.document);
        if !nodes.is_sorted_by(|left, right| order(left) < order(right)) {
            nodes.sort_by_cached_key(order);
            nodes.dedup();
        }
        nodes
    }
}

/// Predicates with how many nodes each has seen.
struct Filter<'a> {
    predicates: &'a [Predicate],
    seen: Vec<usize>,
    needs_size: bool,
}

impl<'a> Filter<'a> {
    fn new(predicates: &'a [Predicate]) -> Self {
        let needs_size = predicates.iter().any(|predicate| predicate.uses_last);
        Self {
            predicates,
            seen: vec![0; predicates.len()],
            needs_size,
        }
    }

    /// Whether a fixed position has passed, so that no further node can pass.
    fn is_exhausted(&self) -> bool {
        let mut pairs = self.predicates.iter().zip(&self.seen);
        pairs.any(|(predicate, seen)| predicate.position.is_some_and(|position| *seen >= position))
    }
}

fn feed(nodes: Vec<Node>, sink: Sink<'_>) -> Evaluated<bool> {
    for node in nodes {
        if sink(node)? {
            return Ok(true);
        }
    }
    Ok(false)
}
