//! Keys, uniqueness and references between values (XML Schema 1.0 part 1 section 3.11).

use super::component::{Constraint, ConstraintKind, QName};
use super::validate::{Frame, Validator};
use super::value::Scope;
use crate::xpath::{Node, Value, XPath};
use std::collections::{HashMap, HashSet};

/// The keys that are known at an element: its own, and those of the elements inside.
#[derive(Debug, Default)]
pub(super) struct Tables(HashMap<QName, HashSet<Vec<String>>>);

impl Tables {
    /// Adds what an element inside knows.
    pub(super) fn absorb(&mut self, inner: Self) {
        for (name, keys) in inner.0 {
            self.0.entry(name).or_default().extend(keys);
        }
    }
}

impl<'a> Validator<'a> {
    /// Checks the constraints of an element that has been validated with all in it.
    pub(super) fn check_constraints(&mut self, frame: &mut Frame<'a>) {
        let components = self.components;
        let Some(declaration) = frame.declaration else {
            return;
        };
        let constraints = &components.element(declaration).constraints;
        for constraint in constraints {
            if !matches!(constraint.kind, ConstraintKind::Reference(_)) {
                let keys = self.collect(frame, constraint);
                frame
                    .tables
                    .0
                    .entry(constraint.name.clone())
                    .or_default()
                    .extend(keys);
            }
        }
        for constraint in constraints {
            if let ConstraintKind::Reference(key) = &constraint.kind {
                self.check_reference(frame, constraint, key);
            }
        }
    }

    /// The keys that a constraint selects; reports those that occur twice.
    fn collect(&mut self, frame: &Frame<'a>, constraint: &Constraint) -> HashSet<Vec<String>> {
        let mut keys = HashSet::new();
        for (node, key) in self.tuples(frame, constraint) {
            if !keys.insert(key) {
                self.report(node, format!("the values of {} occur twice", constraint.name));
            }
        }
        keys
    }

    fn check_reference(&mut self, frame: &Frame<'a>, constraint: &Constraint, key: &QName) {
        for (node, reference) in self.tuples(frame, constraint) {
            if !frame
                .tables
                .0
                .get(key)
                .is_some_and(|keys| keys.contains(&reference))
            {
                self.report(node, format!("{} finds no value of {key}", constraint.name));
            }
        }
    }

    /// The selected nodes with the values of their fields; nodes that lack a field are left out.
    fn tuples(&mut self, frame: &Frame<'a>, constraint: &Constraint) -> Vec<(Node, Vec<String>)> {
        let selected = self.select(&constraint.selector, Node::Tree(frame.node));
        let mut tuples = Vec::new();
        for node in selected {
            let fields: Option<Vec<String>> = constraint
                .fields
                .iter()
                .map(|field| self.field(node, field, constraint))
                .collect();
            match fields {
                Some(fields) => tuples.push((node, fields)),
                None if constraint.kind == ConstraintKind::Key => {
                    self.report(node, format!("a field of the key {} is missing", constraint.name));
                }
                None => {}
            }
        }
        tuples
    }

    fn select(&mut self, path: &XPath, from: Node) -> Vec<Node> {
        let context = from.element_or_self();
        match path.evaluate(self.document, context, &()) {
            Ok(Value::Nodes(nodes)) => nodes,
            Ok(_) => Vec::new(),
            Err(error) => {
                self.report(from, error.to_string());
                Vec::new()
            }
        }
    }

    /// The value of a field in a form that equal values share.
    fn field(&mut self, node: Node, field: &XPath, constraint: &Constraint) -> Option<String> {
        let found = self.select(field, node);
        if found.len() > 1 {
            self.report(
                node,
                format!("a field of {} occurs more than once", constraint.name),
            );
        }
        let found = *found.first()?;
        let text = found.string_value(self.document);
        let Some(&type_id) = self.typed.get(&found) else {
            // An element that is nil, or has no simple type, is no value.
            return matches!(found, Node::Attribute { .. }).then(|| format!("s{text}"));
        };
        let scope = Scope {
            document: self.document,
            node: found.element_or_self(),
        };
        self.components
            .check(type_id, &text, scope)
            .ok()
            .map(|value| value.key())
    }
}
