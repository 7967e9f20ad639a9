//! Validation of an element with all in it, without recursion.

use super::compile::ANY_TYPE;
use super::component::{
    AttributeDeclaration, ComplexType, Components, Content, Definition, ElementId, Process, TypeId,
    ValueConstraint, Wildcard,
};
use super::content::{Matched, Program, Run};
use super::facet::{Identity, shorten};
use super::identity::Tables;
use super::value::Scope;
use super::{VIOLATIONS_MAX, Violation, XSI_NAMESPACE};
use crate::characters::is_blank;
use crate::xpath::Node;
use crate::{Attribute, Document, NodeId};
use std::collections::{HashMap, HashSet};

pub(super) fn validate(components: &Components, document: &Document, element: NodeId) -> Vec<Violation> {
    let mut validator = Validator {
        components,
        document,
        violations: Vec::new(),
        frames: Vec::new(),
        identifiers: HashSet::new(),
        references: Vec::new(),
        typed: HashMap::new(),
    };
    validator.run(element);
    validator.check_references();
    validator.violations.truncate(VIOLATIONS_MAX);
    validator.violations
}

/// An element whose children are being validated.
pub(super) struct Frame<'a> {
    pub(super) node: NodeId,
    pub(super) declaration: Option<ElementId>,
    type_id: TypeId,
    content: Option<(&'a Program, Run)>,
    next: Option<NodeId>,
    pub(super) nil: bool,
    pub(super) tables: Tables,
}

pub(super) struct Validator<'a> {
    pub(super) components: &'a Components,
    pub(super) document: &'a Document,
    violations: Vec<Violation>,
    frames: Vec<Frame<'a>>,
    identifiers: HashSet<String>,
    references: Vec<(NodeId, String)>,
    /// The simple types of the values seen, for the fields of keys.
    pub(super) typed: HashMap<Node, TypeId>,
}

impl<'a> Validator<'a> {
    pub(super) fn report(&mut self, node: Node, message: impl Into<String>) {
        if self.violations.len() >= VIOLATIONS_MAX {
            return;
        }
        let element = node.element_or_self();
        let (line, column) = self.document.position(element).unwrap_or((0, 0));
        let mut path = path_of(self.document, element);
        if let Node::Attribute { id, .. } = node {
            path.push_str("/@");
            path.push_str(&self.document.attribute_name(id).to_string());
        }
        self.violations.push(Violation {
            line,
            column,
            path,
            message: message.into(),
        });
    }

    fn run(&mut self, root: NodeId) {
        let Some(name) = self.document.name(root) else {
            return;
        };
        let key = super::component::QName::new(name.namespace, name.local);
        let declaration = self.components.global_elements.get(&key).copied();
        if declaration.is_none() && self.instance_attribute(root, "type").is_none() {
            self.report(
                Node::Tree(root),
                format!("the schema does not declare the element {key}"),
            );
            return;
        }
        self.enter(root, declaration);
        while let Some(frame) = self.frames.last_mut() {
            match frame.next {
                Some(child) => {
                    frame.next = self.document.next_sibling(child);
                    if self.document.is_element(child) {
                        self.child(child);
                    }
                }
                None => self.leave(),
            }
            if self.violations.len() >= VIOLATIONS_MAX {
                return;
            }
        }
    }

    /// Begins an element whose declaration, if it has one, is known.
    fn enter(&mut self, node: NodeId, declaration: Option<ElementId>) {
        let components = self.components;
        let declared = declaration.map_or(ANY_TYPE, |id| components.element(id).type_id);
        if declaration.is_some_and(|id| components.element(id).is_abstract) {
            self.report(
                Node::Tree(node),
                "the element is abstract; another has to stand in its place",
            );
        }
        let type_id = self.actual_type(node, declaration, declared);
        let nil = self.is_nil(node, declaration);
        let definition = &components.type_of(type_id).definition;
        let complex = match definition {
            Definition::Complex(complex) => Some(complex),
            Definition::Simple(_) => None,
        };
        if complex.is_some_and(|complex| complex.is_abstract) {
            let message = format!(
                "{} is abstract; xsi:type has to name another",
                components.describe(type_id)
            );
            self.report(Node::Tree(node), message);
        }
        self.attributes(node, complex);
        let content = match complex.map(|complex| &complex.content) {
            Some(Content::Children { program, .. }) if !nil => Some((program, program.start())),
            _ => None,
        };
        let next = self.document.first_child(node);
        let tables = Tables::default();
        self.frames.push(Frame {
            node,
            declaration,
            type_id,
            content,
            next,
            nil,
            tables,
        });
    }

    fn instance_attribute(&self, node: NodeId, local: &str) -> Option<&'a str> {
        self.document.attribute(node, XSI_NAMESPACE, local)
    }

    /// The type that `xsi:type` names if it may stand for the declared one, else that.
    fn actual_type(&mut self, node: NodeId, declaration: Option<ElementId>, declared: TypeId) -> TypeId {
        let Some(text) = self.instance_attribute(node, "type") else {
            return declared;
        };
        let components = self.components;
        let (prefix, local) = text.trim().split_once(':').unwrap_or(("", text.trim()));
        let namespace = self.document.lookup_namespace(node, prefix).unwrap_or("");
        let name = super::component::QName::new(namespace, local);
        let Some(&actual) = components.type_names.get(&name) else {
            self.report(
                Node::Tree(node),
                format!("xsi:type names {name}, which is not a type"),
            );
            return declared;
        };
        let mut block = declaration
            .map(|id| components.element(id).block)
            .unwrap_or_default();
        if let Definition::Complex(complex) = &components.type_of(declared).definition {
            block = block.union(complex.block);
        }
        match components.derivation(actual, declared) {
            Some(used) if !block.blocks(used) => actual,
            _ => {
                let declared = components.describe(declared);
                self.report(
                    Node::Tree(node),
                    format!("{name} cannot stand in the place of {declared}"),
                );
                actual
            }
        }
    }

    fn is_nil(&mut self, node: NodeId, declaration: Option<ElementId>) -> bool {
        let Some(text) = self.instance_attribute(node, "nil") else {
            return false;
        };
        let nil = matches!(text.trim(), "true" | "1");
        let nillable = declaration.is_none_or(|id| self.components.element(id).nillable);
        if !nillable {
            self.report(
                Node::Tree(node),
                "the element is not nillable, so it cannot have xsi:nil",
            );
            return false;
        }
        if nil
            && self
                .document
                .children(node)
                .any(|child| self.document.is_element(child) || self.document.is_text(child))
        {
            self.report(Node::Tree(node), "an element with xsi:nil has to be empty");
        }
        nil
    }

    /// The next child element of the innermost element.
    fn child(&mut self, child: NodeId) {
        let (components, document) = (self.components, self.document);
        let (Some(frame), Some(name)) = (self.frames.last_mut(), document.name(child)) else {
            return;
        };
        let Some((program, run)) = &mut frame.content else {
            frame.next = None;
            let message = match (frame.nil, components.simple_content(frame.type_id)) {
                (true, _) => return,
                (_, Some(_)) => format!("the element {name} cannot stand here: only text is allowed"),
                _ => format!("the element {name} cannot stand here: no content is allowed"),
            };
            self.report(Node::Tree(child), message);
            return;
        };
        match program.step(run, components, name) {
            Some(Matched::Element(id)) => self.enter(child, Some(id)),
            Some(Matched::Any(wildcard)) => self.wildcard_child(child, &wildcard),
            None => {
                let expected = program.expected(run, components);
                // What follows cannot be told apart from the first mistake.
                (frame.next, frame.content) = (None, None);
                frame.nil = true;
                self.report(Node::Tree(child), unexpected(&name.to_string(), &expected));
            }
        }
    }

    fn wildcard_child(&mut self, child: NodeId, wildcard: &Wildcard) {
        let Some(name) = self.document.name(child) else {
            return;
        };
        let key = super::component::QName::new(name.namespace, name.local);
        let declaration = self.components.global_elements.get(&key).copied();
        let has_type = self.instance_attribute(child, "type").is_some();
        match wildcard.process {
            Process::Skip => {}
            Process::Strict if declaration.is_none() && !has_type => {
                self.report(
                    Node::Tree(child),
                    format!("the schema does not declare the element {key}"),
                );
            }
            _ => self.enter(child, declaration),
        }
    }

    /// Ends the innermost element.
    fn leave(&mut self) {
        let Some(mut frame) = self.frames.pop() else {
            return;
        };
        if !frame.nil {
            self.check_content(&frame);
        }
        if self.components.has_constraints {
            self.check_constraints(&mut frame);
            if let Some(parent) = self.frames.last_mut() {
                parent.tables.absorb(frame.tables);
            }
        }
    }

    fn check_content(&mut self, frame: &Frame<'a>) {
        let (components, node) = (self.components, frame.node);
        if let Some((program, run)) = &frame.content
            && !program.is_complete(run)
        {
            let expected = program.expected(run, components);
            self.report(
                Node::Tree(node),
                format!("the content is not complete{}", list(&expected)),
            );
        }
        if let Some(simple) = components.simple_content(frame.type_id) {
            return self.check_text(frame, simple);
        }
        let Definition::Complex(complex) = &components.type_of(frame.type_id).definition else {
            return;
        };
        // White space may stand between elements, but not where no content is allowed at all.
        let is_empty = matches!(complex.content, Content::Empty);
        let counts = |text: &str| {
            if is_empty {
                !text.is_empty()
            } else {
                !is_blank(text)
            }
        };
        let mut texts = self
            .document
            .children(node)
            .filter(|&child| self.document.is_text(child));
        if !complex.mixed && texts.any(|text| self.document.text(text).is_some_and(counts)) {
            self.report(Node::Tree(node), "text cannot stand here");
        }
        let value = frame
            .declaration
            .and_then(|id| components.element(id).value.as_ref());
        if let (Some(ValueConstraint::Fixed(fixed)), true) = (value, complex.mixed) {
            let text = self.document.string_value(node);
            if !text.is_empty() && *text != **fixed {
                self.report(Node::Tree(node), format!("the text has to be {fixed:?}"));
            }
        }
    }

    fn check_text(&mut self, frame: &Frame<'a>, simple: TypeId) {
        let (components, node) = (self.components, frame.node);
        let own = self.document.string_value(node);
        let value = frame
            .declaration
            .and_then(|id| components.element(id).value.as_ref());
        let text = match value {
            Some(ValueConstraint::Default(value) | ValueConstraint::Fixed(value)) if own.is_empty() => value,
            _ => &*own,
        };
        self.check_value(Node::Tree(node), simple, text, value);
    }

    /// Checks a text against its type, and against the value that it has to have.
    fn check_value(&mut self, node: Node, simple: TypeId, text: &str, constraint: Option<&ValueConstraint>) {
        let components = self.components;
        let scope = Scope {
            document: self.document,
            node: node.element_or_self(),
        };
        if components.has_constraints {
            self.typed.insert(node, simple);
        }
        let value = match components.check(simple, text, scope) {
            Ok(value) => value,
            Err(message) => return self.report(node, message),
        };
        if let Some(ValueConstraint::Fixed(fixed)) = constraint {
            let expected = components.check(simple, fixed, scope);
            if !expected.is_ok_and(|expected| expected.equals(&value)) {
                self.report(
                    node,
                    format!("the value has to be {fixed:?}, not {:?}", shorten(text)),
                );
            }
        }
        let mut found = Vec::new();
        components.identities(simple, text, &mut |identity, name| {
            found.push((identity, name.to_owned()));
        });
        for (identity, name) in found {
            match identity {
                Identity::Reference => self.references.push((node.element_or_self(), name)),
                Identity::Id if self.identifiers.contains(&name) => {
                    self.report(node, format!("the identifier {name:?} is taken already"));
                }
                Identity::Id => {
                    self.identifiers.insert(name);
                }
            }
        }
    }

    fn check_references(&mut self) {
        for (node, name) in std::mem::take(&mut self.references) {
            if !self.identifiers.contains(&name) {
                self.report(
                    Node::Tree(node),
                    format!("there is no element with the identifier {name:?}"),
                );
            }
        }
    }

    fn attributes(&mut self, owner: NodeId, complex: Option<&'a ComplexType>) {
        for attribute in self.document.attributes(owner) {
            let node = Node::Attribute {
                owner,
                id: attribute.id,
            };
            let is_instance = attribute.name.namespace == XSI_NAMESPACE
                && matches!(
                    attribute.name.local,
                    "type" | "nil" | "schemaLocation" | "noNamespaceSchemaLocation"
                );
            if !is_instance {
                self.attribute(node, &attribute, complex);
            }
        }
        for use_ in complex.iter().flat_map(|complex| &complex.attributes) {
            let name = &use_.declaration.name;
            if use_.required
                && self
                    .document
                    .attribute(owner, &name.namespace, &name.local)
                    .is_none()
            {
                self.report(Node::Tree(owner), format!("the attribute {name} is required"));
            }
        }
    }

    fn attribute(&mut self, node: Node, attribute: &Attribute<'_>, complex: Option<&'a ComplexType>) {
        let uses = complex
            .map(|complex| complex.attributes.as_slice())
            .unwrap_or_default();
        let found = uses
            .iter()
            .find(|use_| !use_.prohibited && use_.declaration.name.is(attribute.name));
        if let Some(use_) = found {
            return self.attribute_value(node, attribute, &use_.declaration);
        }
        let wildcard = complex.and_then(|complex| complex.wildcard.as_ref());
        let Some(wildcard) = wildcard.filter(|wildcard| wildcard.allows(attribute.name.namespace)) else {
            return self.report(node, format!("the attribute {} is not allowed", attribute.name));
        };
        let key = super::component::QName::new(attribute.name.namespace, attribute.name.local);
        match (wildcard.process, self.components.global_attributes.get(&key)) {
            (Process::Skip, _) | (Process::Lax, None) => {}
            (_, Some(declaration)) => self.attribute_value(node, attribute, declaration),
            (Process::Strict, None) => {
                self.report(node, format!("the schema does not declare the attribute {key}"));
            }
        }
    }

    fn attribute_value(&mut self, node: Node, attribute: &Attribute<'_>, declaration: &AttributeDeclaration) {
        self.check_value(
            node,
            declaration.type_id,
            attribute.value,
            declaration.value.as_ref(),
        );
    }
}

fn unexpected(name: &str, expected: &[String]) -> String {
    match expected {
        [] => format!("the element {name} cannot stand here: the content is complete"),
        _ => format!("the element {name} cannot stand here{}", list(expected)),
    }
}

fn list(expected: &[String]) -> String {
    match expected {
        [] => String::new(),
        [one] => format!("; expected {one}"),
        many => format!("; expected one of {}", many.join(", ")),
    }
}

/// The path of an element: names, with positions where several siblings share one.
fn path_of(document: &Document, element: NodeId) -> String {
    let mut parts = Vec::new();
    let mut current = Some(element);
    while let Some(node) = current {
        let Some(name) = document.name(node) else { break };
        let is_same = |other: &NodeId| document.name(*other).is_some_and(|found| found == name);
        let parent = document.parent(node);
        let mut position = String::new();
        if let Some(parent) = parent {
            let before = document.child_elements(parent).take_while(|&other| other != node);
            let index = before.filter(is_same).count();
            if index > 0 || document.child_elements(parent).filter(is_same).nth(1).is_some() {
                position = format!("[{}]", index + 1);
            }
        }
        parts.push(format!("/{name}{position}"));
        current = parent;
    }
    parts.reverse();
    parts.concat()
}
