//! From schema documents to components: names are resolved, types completed from their bases, content
//! models compiled.

use super::component::{
    AttributeDeclaration, Components, Content, Definition, Derivations, Element, ElementId, Method, QName,
    SimpleType, Term, Type, TypeId, ValueConstraint, Variety,
};
use super::content::Program;
use super::facet::{BUILT_INS, Facets, Side, WhiteSpace};
use super::load::{Documents, Kind, Place, SchemaDocument, redefined};
use super::value::{Primitive, Scope};
use super::{SchemaError, XSD_NAMESPACE};
use crate::{Document, NodeId};
use std::collections::{HashMap, HashSet};

/// Definitions that may nest or derive from each other at most.
const DEPTH_MAX: usize = 200;

/// `xs:anyType`.
pub(super) const ANY_TYPE: TypeId = TypeId(0);
/// `xs:anySimpleType`.
pub(super) const ANY_SIMPLE_TYPE: TypeId = TypeId(1);

pub(super) type Compiled<T> = Result<T, SchemaError>;

pub(super) struct Compiler<'a> {
    pub(super) documents: &'a Documents,
    pub(super) out: Components,
    /// Named types that were not needed yet.
    pending: HashMap<TypeId, Place>,
    /// Named types whose base is being compiled.
    busy: HashSet<TypeId>,
    pub(super) attributes: HashMap<QName, AttributeDeclaration>,
    /// The component that is redefined, which refers to its former self by its own name.
    pub(super) redefining: Option<QName>,
    pub(super) depth: usize,
}

pub(super) fn compile(documents: &Documents) -> Compiled<Components> {
    let mut compiler = Compiler {
        documents,
        out: Components::default(),
        pending: HashMap::new(),
        busy: HashSet::new(),
        attributes: HashMap::new(),
        redefining: None,
        depth: 0,
    };
    compiler.built_ins();
    compiler.declare();
    for id in (0..compiler.out.types.len()).map(TypeId) {
        compiler.require(id, None)?;
    }
    compiler.global_elements()?;
    compiler.global_attributes()?;
    compiler.check_references()?;
    compiler.check_groups()?;
    Ok(compiler.out)
}

impl<'a> Compiler<'a> {
    pub(super) fn schema(&self, index: usize) -> &'a SchemaDocument {
        &self.documents.all[index]
    }

    fn built_ins(&mut self) {
        self.push_type(Some(QName::new(XSD_NAMESPACE, "anyType")), Self::any_type());
        let any_simple = SimpleType {
            variety: Variety::Atomic(Primitive::String),
            facets: Facets::default(),
        };
        let any_simple = Definition::Simple(any_simple);
        self.push_built_in("anySimpleType", ANY_TYPE, any_simple);
        for built_in in &BUILT_INS {
            let base = self.built_in(built_in.base);
            let mut facets = Facets {
                white_space: built_in.white_space,
                form: built_in.form,
                identity: built_in.identity,
                ..Facets::default()
            };
            let sides = [
                (Side::MinInclusive, built_in.bounds.0),
                (Side::MaxInclusive, built_in.bounds.1),
            ];
            for (side, bound) in sides {
                let decimal = bound
                    .and_then(super::decimal::Decimal::parse)
                    .map(super::value::Value::Decimal);
                facets
                    .bounds
                    .extend(decimal.map(|value| (side, value, bound.unwrap_or("").to_owned())));
            }
            let variety = Variety::Atomic(built_in.primitive);
            self.push_built_in(
                built_in.name,
                base,
                Definition::Simple(SimpleType { variety, facets }),
            );
        }
        for (name, item) in [
            ("NMTOKENS", "NMTOKEN"),
            ("IDREFS", "IDREF"),
            ("ENTITIES", "ENTITY"),
        ] {
            let lengths = vec![(1, usize::MAX)];
            let facets = Facets {
                white_space: WhiteSpace::Collapse,
                lengths,
                ..Facets::default()
            };
            let variety = Variety::List(self.built_in(item));
            self.push_built_in(
                name,
                ANY_SIMPLE_TYPE,
                Definition::Simple(SimpleType { variety, facets }),
            );
        }
        for local in ["lang", "space", "base", "id"] {
            let name = QName::new(crate::XML_NAMESPACE, local);
            let type_id = self.built_in(if local == "id" { "ID" } else { "string" });
            self.attributes.insert(
                name.clone(),
                AttributeDeclaration {
                    name,
                    type_id,
                    value: None,
                },
            );
        }
    }

    fn push_built_in(&mut self, name: &str, base: TypeId, definition: Definition) {
        let name = Some(QName::new(XSD_NAMESPACE, name));
        self.push_type(
            name.clone(),
            Type {
                name,
                base: Some(base),
                method: Method::Restriction,
                definition,
            },
        );
    }

    pub(super) fn built_in(&self, name: &str) -> TypeId {
        let found = self.out.type_names.get(&QName::new(XSD_NAMESPACE, name));
        found.copied().unwrap_or(ANY_SIMPLE_TYPE)
    }

    pub(super) fn push_type(&mut self, name: Option<QName>, definition: Type) -> TypeId {
        let id = TypeId(self.out.types.len());
        self.out.types.push(definition);
        if let Some(name) = name {
            self.out.type_names.insert(name, id);
        }
        id
    }

    /// Gives every global type and element its number, so that they can refer to each other in circles.
    fn declare(&mut self) {
        let mut globals: Vec<_> = self.documents.globals.iter().collect();
        globals.sort_by(|left, right| left.0.1.cmp(&right.0.1));
        for ((kind, name), place) in globals {
            match kind {
                Kind::Type => {
                    let id = self.push_type(Some(name.clone()), Self::placeholder());
                    self.pending.insert(id, *place);
                }
                Kind::Element => {
                    let id = self.push_element(name.clone());
                    self.out.global_elements.insert(name.clone(), id);
                }
                _ => {}
            }
        }
    }

    pub(super) fn placeholder() -> Type {
        let simple = SimpleType {
            variety: Variety::Atomic(Primitive::String),
            facets: Facets::default(),
        };
        Type {
            name: None,
            base: Some(ANY_TYPE),
            method: Method::Restriction,
            definition: Definition::Simple(simple),
        }
    }

    pub(super) fn push_element(&mut self, name: QName) -> ElementId {
        self.out.elements.push(Element {
            name,
            type_id: ANY_TYPE,
            nillable: false,
            is_abstract: false,
            block: Derivations::default(),
            value: None,
            constraints: Vec::new(),
        });
        ElementId(self.out.elements.len() - 1)
    }

    /// Goes one definition deeper, within limits.
    pub(super) fn nested<T>(
        &mut self,
        schema: &SchemaDocument,
        node: NodeId,
        run: impl FnOnce(&mut Self) -> Compiled<T>,
    ) -> Compiled<T> {
        if self.depth >= DEPTH_MAX {
            return Err(schema.error(node, "definitions are nested in a circle or too deeply"));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    /// Sees to it that a type is complete. `user` is where it is needed as a base.
    pub(super) fn require(&mut self, id: TypeId, user: Option<(usize, NodeId)>) -> Compiled<()> {
        if self.busy.contains(&id) {
            let (document, node) = user.unwrap_or((0, NodeId::DOCUMENT));
            return Err(self.schema(document).error(node, "a type derives from itself"));
        }
        let Some(place) = self.pending.remove(&id) else {
            return Ok(());
        };
        self.busy.insert(id);
        let schema = self.schema(place.document);
        let name = QName::new(
            schema.target.clone(),
            schema.attribute(place.node, "name").unwrap_or("").trim(),
        );
        let outer = std::mem::replace(&mut self.redefining, place.redefines.then(|| name.clone()));
        let built = self.nested(schema, place.node, |this| {
            this.definition(place.document, place.node)
        })?;
        self.redefining = outer;
        self.busy.remove(&id);
        self.out.types[id.0] = Type {
            name: Some(name),
            ..built
        };
        Ok(())
    }

    fn definition(&mut self, document: usize, node: NodeId) -> Compiled<Type> {
        match self.schema(document).tag(node) {
            Some("complexType") => self.complex_type(document, node),
            _ => self.simple_type(document, node),
        }
    }

    /// The type that is written inside an element or attribute, if there is one.
    pub(super) fn inline_type(&mut self, document: usize, node: NodeId) -> Compiled<Option<TypeId>> {
        let schema = self.schema(document);
        let children = schema.children(node);
        let inline = children
            .iter()
            .find(|(tag, _)| matches!(*tag, "simpleType" | "complexType"));
        let Some(&(_, child)) = inline else {
            return Ok(None);
        };
        let built = self.nested(schema, child, |this| this.definition(document, child))?;
        Ok(Some(self.push_type(None, built)))
    }

    /// The type of the name `text`.
    pub(super) fn named_type(&mut self, document: usize, node: NodeId, text: &str) -> Compiled<TypeId> {
        let schema = self.schema(document);
        let mut name = schema.resolve(node, text)?;
        if self.redefining.as_ref() == Some(&name) && self.out.type_names.contains_key(&redefined(&name)) {
            name = redefined(&name);
        }
        let found = self.out.type_names.get(&name).copied();
        found.ok_or_else(|| schema.error(node, format!("there is no type {name}")))
    }

    /// Finds a global component of any kind but types and elements.
    pub(super) fn global(
        &self,
        document: usize,
        node: NodeId,
        kind: Kind,
        text: &str,
    ) -> Compiled<(QName, Place)> {
        let schema = self.schema(document);
        let mut name = schema.resolve(node, text)?;
        if self.redefining.as_ref() == Some(&name) {
            name = redefined(&name);
        }
        match self.documents.globals.get(&(kind, name.clone())) {
            Some(place) => Ok((name, *place)),
            None => Err(schema.error(node, format!("there is no definition of {name}"))),
        }
    }

    fn global_attributes(&mut self) -> Compiled<()> {
        let documents = self.documents;
        for ((kind, name), place) in &documents.globals {
            if *kind == Kind::Attribute {
                self.global_attribute(name, *place)?;
            }
        }
        self.out.global_attributes = self.attributes.clone();
        Ok(())
    }

    /// Groups that no type uses have to be right as well.
    fn check_groups(&mut self) -> Compiled<()> {
        let documents = self.documents;
        for ((kind, _), place) in &documents.globals {
            match kind {
                Kind::Group => {
                    self.group_definition(*place)?;
                }
                Kind::AttributeGroup => {
                    let (mut uses, mut wildcard) = (Vec::new(), None);
                    self.attribute_uses(place.document, place.node, &mut uses, &mut wildcard)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The content for a particle, compiled.
    pub(super) fn content(particle: Option<super::component::Particle>) -> Content {
        match particle {
            None => Content::Empty,
            Some(particle) => {
                let is_empty =
                    matches!(&particle.term, Term::Sequence(all) | Term::All(all) if all.is_empty());
                if is_empty {
                    return Content::Empty;
                }
                let program = Program::compile(&particle);
                Content::Children { particle, program }
            }
        }
    }
}

pub(super) fn value_constraint(schema: &SchemaDocument, node: NodeId) -> Compiled<Option<ValueConstraint>> {
    match (schema.attribute(node, "default"), schema.attribute(node, "fixed")) {
        (Some(_), Some(_)) => Err(schema.error(node, "default and fixed exclude each other")),
        (Some(value), None) => Ok(Some(ValueConstraint::Default(value.to_owned()))),
        (None, Some(value)) => Ok(Some(ValueConstraint::Fixed(value.to_owned()))),
        (None, None) => Ok(None),
    }
}

pub(super) fn scope(document: &Document, node: NodeId) -> Scope<'_> {
    Scope { document, node }
}
