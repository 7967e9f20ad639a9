//! Element declarations, substitution groups and identity constraints (XML Schema 1.0 part 1 sections 3.3
//! and 3.11).

use super::SchemaError;
use super::compile::{ANY_TYPE, Compiled, Compiler, value_constraint};
use super::component::TypeId;
use super::component::{Constraint, ConstraintKind, Derivations, ElementId, QName};
use super::load::{Kind, SchemaDocument};
use crate::NodeId;
use crate::xpath::{Namespaces, XPath};
use std::collections::{HashMap, HashSet};

impl Compiler<'_> {
    pub(super) fn global_elements(&mut self) -> Compiled<()> {
        let mut all: Vec<_> = self
            .out
            .global_elements
            .iter()
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        all.sort();
        for (name, id) in &all {
            let place = self.documents.globals[&(Kind::Element, name.clone())];
            self.element(place.document, place.node, *id)?;
        }
        self.substitution_groups(&all)
    }

    /// Fills in the declaration `id` from its node.
    pub(super) fn element(&mut self, document: usize, node: NodeId, id: ElementId) -> Compiled<()> {
        let schema = self.schema(document);
        let type_id = match (schema.attribute(node, "type"), self.inline_type(document, node)?) {
            (Some(_), Some(_)) => return Err(schema.error(node, "an element has only one type")),
            (Some(name), None) => self.named_type(document, node, name)?,
            (None, Some(inline)) => inline,
            (None, None) => self.head_type(document, node)?,
        };
        let block = schema
            .attribute(node, "block")
            .or_else(|| schema.attribute(schema.root, "blockDefault"));
        let value = value_constraint(schema, node)?;
        let constraints = self.constraints(document, node)?;
        self.out.has_constraints |= !constraints.is_empty();
        let element = &mut self.out.elements[id.0];
        element.type_id = type_id;
        element.nillable = schema.flag(node, "nillable");
        element.is_abstract = schema.flag(node, "abstract");
        element.block = Derivations::parse(block.unwrap_or(""));
        element.value = value;
        element.constraints = constraints;
        Ok(())
    }

    /// An element without a type has that of the head of its substitution group.
    fn head_type(&mut self, document: usize, node: NodeId) -> Compiled<TypeId> {
        let schema = self.schema(document);
        let Some(head) = schema.attribute(node, "substitutionGroup") else {
            return Ok(ANY_TYPE);
        };
        let (_, place) = self.global(document, node, Kind::Element, head)?;
        let head_schema = self.schema(place.document);
        match head_schema.attribute(place.node, "type") {
            Some(name) => self.named_type(place.document, place.node, name),
            None => self.nested(schema, node, |this| {
                match this.inline_type(place.document, place.node)? {
                    Some(inline) => Ok(inline),
                    None => this.head_type(place.document, place.node),
                }
            }),
        }
    }

    fn substitution_groups(&mut self, all: &[(QName, ElementId)]) -> Compiled<()> {
        let mut heads: HashMap<ElementId, ElementId> = HashMap::new();
        for (name, id) in all {
            let place = self.documents.globals[&(Kind::Element, name.clone())];
            let schema = self.schema(place.document);
            let Some(head) = schema.attribute(place.node, "substitutionGroup") else {
                continue;
            };
            let head = schema.resolve(place.node, head)?;
            let Some(head_id) = self.out.global_elements.get(&head) else {
                return Err(schema.error(place.node, format!("there is no element {head}")));
            };
            heads.insert(*id, *head_id);
        }
        for (_, id) in all {
            let mut head = heads.get(id).copied();
            let mut passed = HashSet::from([*id]);
            while let Some(current) = head.filter(|current| passed.insert(*current)) {
                if self.may_substitute(*id, current) {
                    self.out.substitutes.entry(current).or_default().push(*id);
                }
                head = heads.get(&current).copied();
            }
        }
        Ok(())
    }

    fn may_substitute(&self, member: ElementId, head: ElementId) -> bool {
        let (member, head) = (self.out.element(member), self.out.element(head));
        let used = self.out.derivation(member.type_id, head.type_id);
        !head.block.substitution && used.is_some_and(|used| !head.block.blocks(used))
    }

    fn constraints(&mut self, document: usize, node: NodeId) -> Compiled<Vec<Constraint>> {
        let schema = self.schema(document);
        let mut constraints = Vec::new();
        for (tag, child) in schema.children(node) {
            let kind = match tag {
                "unique" => ConstraintKind::Unique,
                "key" => ConstraintKind::Key,
                "keyref" => {
                    let refer = schema.attribute(child, "refer");
                    let refer = refer.ok_or_else(|| schema.error(child, "xs:keyref needs a refer"))?;
                    ConstraintKind::Reference(schema.resolve(child, refer)?)
                }
                _ => continue,
            };
            let name = QName::new(
                schema.target.clone(),
                schema.attribute(child, "name").unwrap_or(""),
            );
            let selector = schema.child(child, "selector");
            let selector =
                selector.ok_or_else(|| schema.error(child, format!("xs:{tag} needs a selector")))?;
            let selector = restricted_path(schema, selector)?;
            let fields = schema
                .children(child)
                .into_iter()
                .filter(|(tag, _)| *tag == "field");
            let fields = fields
                .map(|(_, field)| restricted_path(schema, field))
                .collect::<Compiled<Vec<_>>>()?;
            if fields.is_empty() {
                return Err(schema.error(child, format!("xs:{tag} needs a field")));
            }
            constraints.push(Constraint {
                name,
                kind,
                selector,
                fields,
            });
        }
        Ok(constraints)
    }

    /// References of `xs:keyref` have to find their keys.
    pub(super) fn check_references(&self) -> Compiled<()> {
        let all = || self.out.elements.iter().flat_map(|element| &element.constraints);
        let keys: HashSet<&QName> = all()
            .filter(|constraint| !matches!(constraint.kind, ConstraintKind::Reference(_)))
            .map(|constraint| &constraint.name)
            .collect();
        for constraint in all() {
            if let ConstraintKind::Reference(key) = &constraint.kind
                && !keys.contains(key)
            {
                let message = format!("the reference {} finds no key {key}", constraint.name);
                let location = self.schema(0).location.clone();
                return Err(SchemaError {
                    location,
                    line: 0,
                    column: 0,
                    message,
                });
            }
        }
        Ok(())
    }
}

/// The path of a selector or field, with the prefixes that are in scope there.
fn restricted_path(schema: &SchemaDocument, node: NodeId) -> Compiled<XPath> {
    let document = &schema.document;
    let mut namespaces = Namespaces::new();
    for (prefix, namespace) in document.scope(node) {
        namespaces.bind(
            document.symbols.resolve(prefix),
            document.symbols.resolve(namespace),
        );
    }
    let text = schema.attribute(node, "xpath").unwrap_or("");
    if text.contains(['[', '(', '$']) {
        return Err(schema.error(node, "selectors and fields are plain paths"));
    }
    XPath::compile(text, &namespaces).map_err(|error| schema.error(node, error.to_string()))
}
