//! The components of a compiled schema (XML Schema 1.0 part 1 section 2.2), in arenas.

use super::content::Program;
use super::facet::Facets;
use super::value::Primitive;
use crate::xpath::XPath;
use std::collections::HashMap;
use std::fmt;

/// A namespace (empty for none) and a local name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct QName {
    pub(super) namespace: String,
    pub(super) local: String,
}

impl QName {
    pub(super) fn new(namespace: impl Into<String>, local: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            local: local.into(),
        }
    }

    pub(super) fn is(&self, name: crate::Name<'_>) -> bool {
        self.local == name.local && self.namespace == name.namespace
    }
}

impl fmt::Display for QName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => formatter.write_str(&self.local),
            namespace => write!(formatter, "{{{namespace}}}{}", self.local),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TypeId(pub(super) usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ElementId(pub(super) usize);

/// Everything that validation looks at.
#[derive(Debug, Default)]
pub(super) struct Components {
    pub(super) types: Vec<Type>,
    pub(super) type_names: HashMap<QName, TypeId>,
    pub(super) elements: Vec<Element>,
    pub(super) global_elements: HashMap<QName, ElementId>,
    pub(super) global_attributes: HashMap<QName, AttributeDeclaration>,
    /// Elements that may stand in the place of a head, transitively.
    pub(super) substitutes: HashMap<ElementId, Vec<ElementId>>,
    pub(super) has_constraints: bool,
}

impl Components {
    pub(super) fn type_of(&self, id: TypeId) -> &Type {
        &self.types[id.0]
    }

    pub(super) fn element(&self, id: ElementId) -> &Element {
        &self.elements[id.0]
    }

    /// The simple type that a type's text has: the type itself, or the simple content of a complex one.
    pub(super) fn simple_content(&self, id: TypeId) -> Option<TypeId> {
        match &self.type_of(id).definition {
            Definition::Simple(_) => Some(id),
            Definition::Complex(complex) => match complex.content {
                Content::Simple(simple) => Some(simple),
                _ => None,
            },
        }
    }

    pub(super) fn simple(&self, id: TypeId) -> Option<&SimpleType> {
        match &self.type_of(id).definition {
            Definition::Simple(simple) => Some(simple),
            Definition::Complex(_) => None,
        }
    }

    /// How `derived` comes from `base`: the kinds of derivation on the way, or `None` if it does not.
    pub(super) fn derivation(&self, derived: TypeId, base: TypeId) -> Option<Derivations> {
        let mut methods = Derivations::default();
        let mut current = derived;
        loop {
            if current == base {
                return Some(methods);
            }
            let found = self.type_of(current);
            methods.extension |= found.method == Method::Extension;
            methods.restriction |= found.method == Method::Restriction;
            if let Definition::Simple(SimpleType {
                variety: Variety::Union(members),
                ..
            }) = &self.type_of(base).definition
                && members
                    .iter()
                    .any(|&member| self.derivation(current, member).is_some())
            {
                return Some(methods);
            }
            match found.base {
                Some(next) if next != current => current = next,
                _ => return None,
            }
        }
    }
}

/// A set of kinds of derivation, as `block` and `final` name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Derivations {
    pub(super) extension: bool,
    pub(super) restriction: bool,
    pub(super) substitution: bool,
}

impl Derivations {
    pub(super) fn parse(text: &str) -> Self {
        let all = text.trim() == "#all";
        let has = |wanted| all || text.split_ascii_whitespace().any(|word| word == wanted);
        Self {
            extension: has("extension"),
            restriction: has("restriction"),
            substitution: has("substitution"),
        }
    }

    pub(super) fn blocks(self, used: Self) -> bool {
        self.extension && used.extension || self.restriction && used.restriction
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self {
            extension: self.extension || other.extension,
            restriction: self.restriction || other.restriction,
            substitution: self.substitution || other.substitution,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Extension,
    Restriction,
}

#[derive(Debug)]
pub(super) struct Type {
    /// `None` for a type that is defined where it is used.
    pub(super) name: Option<QName>,
    pub(super) base: Option<TypeId>,
    pub(super) method: Method,
    pub(super) definition: Definition,
}

#[derive(Debug)]
pub(super) enum Definition {
    Simple(SimpleType),
    Complex(ComplexType),
}

#[derive(Clone, Debug)]
pub(super) struct SimpleType {
    pub(super) variety: Variety,
    pub(super) facets: Facets,
}

#[derive(Clone, Debug)]
pub(super) enum Variety {
    Atomic(Primitive),
    List(TypeId),
    Union(Vec<TypeId>),
}

#[derive(Debug)]
pub(super) struct ComplexType {
    pub(super) is_abstract: bool,
    pub(super) mixed: bool,
    pub(super) block: Derivations,
    pub(super) content: Content,
    pub(super) attributes: Vec<AttributeUse>,
    pub(super) wildcard: Option<Wildcard>,
}

#[derive(Debug)]
pub(super) enum Content {
    Empty,
    Simple(TypeId),
    Children { particle: Particle, program: Program },
}

#[derive(Clone, Debug)]
pub(super) struct Particle {
    pub(super) least: u32,
    /// `None` for unbounded.
    pub(super) most: Option<u32>,
    pub(super) term: Term,
}

#[derive(Clone, Debug)]
pub(super) enum Term {
    Element(ElementId),
    Any(Wildcard),
    Sequence(Vec<Particle>),
    Choice(Vec<Particle>),
    All(Vec<Particle>),
}

#[derive(Clone, Debug)]
pub(super) struct Wildcard {
    pub(super) allowed: Allowed,
    pub(super) process: Process,
}

impl Wildcard {
    pub(super) fn allows(&self, namespace: &str) -> bool {
        match &self.allowed {
            Allowed::Any => true,
            Allowed::Other(target) => !namespace.is_empty() && namespace != target,
            Allowed::Listed(namespaces) => namespaces.iter().any(|listed| listed == namespace),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Any,
    /// Any namespace but this one and none.
    Other(String),
    Listed(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    Strict,
    Lax,
    Skip,
}

#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: QName,
    pub(super) type_id: TypeId,
    pub(super) nillable: bool,
    pub(super) is_abstract: bool,
    pub(super) block: Derivations,
    pub(super) value: Option<ValueConstraint>,
    pub(super) constraints: Vec<Constraint>,
}

#[derive(Clone, Debug)]
pub(super) enum ValueConstraint {
    Default(String),
    Fixed(String),
}

#[derive(Clone, Debug)]
pub(super) struct AttributeDeclaration {
    pub(super) name: QName,
    pub(super) type_id: TypeId,
    pub(super) value: Option<ValueConstraint>,
}

#[derive(Clone, Debug)]
pub(super) struct AttributeUse {
    pub(super) declaration: AttributeDeclaration,
    pub(super) required: bool,
    pub(super) prohibited: bool,
}

/// `xs:unique`, `xs:key` or `xs:keyref`. The restricted paths are plain XPath 1.0.
#[derive(Debug)]
pub(super) struct Constraint {
    pub(super) name: QName,
    pub(super) kind: ConstraintKind,
    pub(super) selector: XPath,
    pub(super) fields: Vec<XPath>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConstraintKind {
    Unique,
    Key,
    Reference(QName),
}
