//! Complex types and content models (XML Schema 1.0 part 1 sections 3.4, 3.7 and 3.8).

use super::compile::{ANY_TYPE, Compiled, Compiler};
use super::component::{
    Allowed, AttributeUse, ComplexType, Content, Definition, Derivations, Method, Particle, Process, QName,
    Term, Type, TypeId, Wildcard,
};
use super::load::{Kind, Place};
use crate::NodeId;

impl Compiler<'_> {
    /// `xs:anyType`: anything, looked at as far as declarations are known.
    pub(super) fn any_type() -> Type {
        let wildcard = Wildcard {
            allowed: Allowed::Any,
            process: Process::Lax,
        };
        let particle = Particle {
            least: 0,
            most: None,
            term: Term::Any(wildcard.clone()),
        };
        let complex = ComplexType {
            is_abstract: false,
            mixed: true,
            block: Derivations::default(),
            content: Self::content(Some(particle)),
            attributes: Vec::new(),
            wildcard: Some(wildcard),
        };
        let name = Some(QName::new(super::XSD_NAMESPACE, "anyType"));
        Type {
            name,
            base: None,
            method: Method::Restriction,
            definition: Definition::Complex(complex),
        }
    }

    pub(super) fn complex_type(&mut self, document: usize, node: NodeId) -> Compiled<Type> {
        let schema = self.schema(document);
        let block = schema
            .attribute(node, "block")
            .or_else(|| schema.attribute(schema.root, "blockDefault"));
        let mut complex = ComplexType {
            is_abstract: schema.flag(node, "abstract"),
            mixed: schema.flag(node, "mixed"),
            block: Derivations::parse(block.unwrap_or("")),
            content: Content::Empty,
            attributes: Vec::new(),
            wildcard: None,
        };
        let (mut base, mut method) = (ANY_TYPE, Method::Restriction);
        if let Some(child) = schema.child(node, "simpleContent") {
            (base, method) = self.simple_content(document, child, &mut complex)?;
        } else if let Some(child) = schema.child(node, "complexContent") {
            complex.mixed |= schema.flag(child, "mixed");
            (base, method) = self.complex_content(document, child, &mut complex)?;
        } else {
            complex.content = Self::content(self.own_particle(document, node)?);
            self.attribute_uses(document, node, &mut complex.attributes, &mut complex.wildcard)?;
        }
        Ok(Type {
            name: None,
            base: Some(base),
            method,
            definition: Definition::Complex(complex),
        })
    }

    /// The derivation inside `simpleContent` or `complexContent`: its node, base and method.
    fn derivation(&mut self, document: usize, node: NodeId) -> Compiled<(NodeId, TypeId, Method)> {
        let schema = self.schema(document);
        let (child, method) = match schema.children(node).as_slice() {
            [("extension", child)] => (*child, Method::Extension),
            [("restriction", child)] => (*child, Method::Restriction),
            _ => return Err(schema.error(node, "either an extension or a restriction is needed")),
        };
        let Some(base) = schema.attribute(child, "base") else {
            return Err(schema.error(child, "a derivation needs a base"));
        };
        let base = self.named_type(document, child, base)?;
        self.require(base, Some((document, child)))?;
        Ok((child, base, method))
    }

    fn simple_content(
        &mut self,
        document: usize,
        node: NodeId,
        complex: &mut ComplexType,
    ) -> Compiled<(TypeId, Method)> {
        let schema = self.schema(document);
        let (child, base, method) = self.derivation(document, node)?;
        let mut content = self.out.simple_content(base);
        if method == Method::Restriction {
            if let Some(inline) = self.inline_type(document, child)? {
                content = Some(inline);
            }
            if let Some(restricted) = content {
                let built = self.restricted(document, child, restricted)?;
                content = Some(self.push_type(None, built));
            }
        }
        let Some(content) = content else {
            return Err(schema.error(
                child,
                format!("{} has no simple content", self.out.describe(base)),
            ));
        };
        complex.content = Content::Simple(content);
        self.attribute_uses(document, child, &mut complex.attributes, &mut complex.wildcard)?;
        self.inherit_attributes(base, method, complex);
        Ok((base, method))
    }

    fn complex_content(
        &mut self,
        document: usize,
        node: NodeId,
        complex: &mut ComplexType,
    ) -> Compiled<(TypeId, Method)> {
        let schema = self.schema(document);
        let (child, base, method) = self.derivation(document, node)?;
        let own = self.own_particle(document, child)?;
        let Definition::Complex(base_type) = &self.out.type_of(base).definition else {
            return Err(schema.error(
                child,
                format!("{} is not a complex type", self.out.describe(base)),
            ));
        };
        let particle = match (method, &base_type.content, own) {
            (Method::Restriction, _, own) => own,
            (Method::Extension, Content::Simple(_), _) => {
                return Err(schema.error(child, "a type with simple content is extended by simpleContent"));
            }
            (Method::Extension, Content::Empty, own) => own,
            (Method::Extension, Content::Children { particle, .. }, None) => {
                complex.mixed |= base_type.mixed;
                Some(particle.clone())
            }
            (Method::Extension, Content::Children { particle, .. }, Some(own)) => {
                complex.mixed |= base_type.mixed && base != ANY_TYPE;
                Some(once(Term::Sequence(vec![particle.clone(), own])))
            }
        };
        complex.content = Self::content(particle);
        self.attribute_uses(document, child, &mut complex.attributes, &mut complex.wildcard)?;
        self.inherit_attributes(base, method, complex);
        Ok((base, method))
    }

    /// Adds what the base allows: an extension adds to it, a restriction replaces what it names again.
    fn inherit_attributes(&self, base: TypeId, method: Method, complex: &mut ComplexType) {
        let Definition::Complex(base_type) = &self.out.type_of(base).definition else {
            return;
        };
        for inherited in &base_type.attributes {
            let is_named = |own: &AttributeUse| own.declaration.name == inherited.declaration.name;
            if !complex.attributes.iter().any(is_named) {
                complex.attributes.push(inherited.clone());
            }
        }
        if method == Method::Extension {
            complex.wildcard = match (complex.wildcard.take(), &base_type.wildcard) {
                (Some(own), Some(inherited)) => Some(union(&own, inherited)),
                (own, inherited) => own.or_else(|| inherited.clone()),
            };
        }
    }

    /// The content model written inside a type, a derivation or a group.
    fn own_particle(&mut self, document: usize, node: NodeId) -> Compiled<Option<Particle>> {
        let schema = self.schema(document);
        let mut found = None;
        for (tag, child) in schema.children(node) {
            match tag {
                "sequence" | "choice" | "all" | "group" if found.is_none() => {
                    found = self.particle(document, child)?;
                }
                "attribute" | "attributeGroup" | "anyAttribute" => {}
                _ => return Err(schema.error(child, format!("xs:{tag} cannot stand here"))),
            }
        }
        Ok(found)
    }

    /// A particle; `None` if it may not occur.
    fn particle(&mut self, document: usize, node: NodeId) -> Compiled<Option<Particle>> {
        let schema = self.schema(document);
        let count = |name, absent| match schema.attribute(node, name).map(str::trim) {
            None => Ok(Some(absent)),
            Some("unbounded") if name == "maxOccurs" => Ok(None),
            Some(text) => match text.parse::<u32>() {
                Ok(count) => Ok(Some(count)),
                Err(_) => Err(schema.error(node, format!("{text:?} is not a number of occurrences"))),
            },
        };
        let least = count("minOccurs", 1)?.unwrap_or(0);
        let most = count("maxOccurs", 1)?;
        if most.is_some_and(|most| most < least) {
            return Err(schema.error(node, "minOccurs is larger than maxOccurs"));
        }
        let term = self.nested(schema, node, |this| this.term(document, node))?;
        Ok((most != Some(0)).then_some(Particle { least, most, term }))
    }

    fn term(&mut self, document: usize, node: NodeId) -> Compiled<Term> {
        let schema = self.schema(document);
        match schema.tag(node) {
            Some("element") => self.element_term(document, node),
            Some("any") => Ok(Term::Any(self.wildcard(document, node)?)),
            Some("sequence") => self.particles(document, node).map(Term::Sequence),
            Some("choice") => self.particles(document, node).map(Term::Choice),
            Some("all") => self.particles(document, node).map(Term::All),
            Some("group") => {
                let Some(name) = schema.attribute(node, "ref") else {
                    return Err(schema.error(node, "a group inside a type is a reference"));
                };
                let (_, place) = self.global(document, node, Kind::Group, name)?;
                match self.group_definition(place)? {
                    Some(particle) if (particle.least, particle.most) == (1, Some(1)) => Ok(particle.term),
                    Some(particle) => Ok(Term::Sequence(vec![particle])),
                    None => Ok(Term::Sequence(Vec::new())),
                }
            }
            _ => Err(schema.error(node, "this cannot stand in a content model")),
        }
    }

    pub(super) fn group_definition(&mut self, place: Place) -> Compiled<Option<Particle>> {
        let schema = self.schema(place.document);
        let name = schema.attribute(place.node, "name").unwrap_or("").trim();
        let name = place.redefines.then(|| QName::new(schema.target.clone(), name));
        let outer = std::mem::replace(&mut self.redefining, name);
        let particle = self.nested(schema, place.node, |this| {
            this.own_particle(place.document, place.node)
        });
        self.redefining = outer;
        particle
    }

    fn particles(&mut self, document: usize, node: NodeId) -> Compiled<Vec<Particle>> {
        let children = self.schema(document).children(node);
        let mut particles = Vec::with_capacity(children.len());
        for (_, child) in children {
            particles.extend(self.particle(document, child)?);
        }
        Ok(particles)
    }

    fn element_term(&mut self, document: usize, node: NodeId) -> Compiled<Term> {
        let schema = self.schema(document);
        if let Some(reference) = schema.attribute(node, "ref") {
            let name = schema.resolve(node, reference)?;
            let found = self.out.global_elements.get(&name).copied();
            let missing = || schema.error(node, format!("there is no element {name}"));
            return found.map(Term::Element).ok_or_else(missing);
        }
        let Some(name) = schema.attribute(node, "name") else {
            return Err(schema.error(node, "an element needs a name or a reference"));
        };
        let name = QName::new(
            self.local_namespace(document, node, "elementFormDefault"),
            name.trim(),
        );
        let id = self.push_element(name);
        self.element(document, node, id)?;
        Ok(Term::Element(id))
    }

    /// The namespace of a local declaration: that of the schema if it is qualified.
    pub(super) fn local_namespace(&self, document: usize, node: NodeId, default: &str) -> String {
        let schema = self.schema(document);
        let form = schema
            .attribute(node, "form")
            .or_else(|| schema.attribute(schema.root, default));
        if form.map(str::trim) == Some("qualified") {
            schema.target.clone()
        } else {
            String::new()
        }
    }

    pub(super) fn wildcard(&self, document: usize, node: NodeId) -> Compiled<Wildcard> {
        let schema = self.schema(document);
        let process = match schema.attribute(node, "processContents").map(str::trim) {
            None | Some("strict") => Process::Strict,
            Some("lax") => Process::Lax,
            Some("skip") => Process::Skip,
            Some(_) => return Err(schema.error(node, "processContents is strict, lax or skip")),
        };
        let allowed = match schema.attribute(node, "namespace").map(str::trim) {
            None | Some("##any") => Allowed::Any,
            Some("##other") => Allowed::Other(schema.target.clone()),
            Some(list) => Allowed::Listed(
                list.split_ascii_whitespace()
                    .map(|word| match word {
                        "##targetNamespace" => schema.target.clone(),
                        "##local" => String::new(),
                        namespace => namespace.to_owned(),
                    })
                    .collect(),
            ),
        };
        Ok(Wildcard { allowed, process })
    }
}

fn once(term: Term) -> Particle {
    Particle {
        least: 1,
        most: Some(1),
        term,
    }
}

/// What either wildcard allows, handled as the first says (section 3.10.6).
fn union(own: &Wildcard, other: &Wildcard) -> Wildcard {
    let allowed = match (&own.allowed, &other.allowed) {
        (Allowed::Any, _) | (_, Allowed::Any) => Allowed::Any,
        (Allowed::Listed(left), Allowed::Listed(right)) => {
            Allowed::Listed(left.iter().chain(right).cloned().collect())
        }
        (Allowed::Other(target), Allowed::Listed(list)) | (Allowed::Listed(list), Allowed::Other(target)) => {
            match (list.contains(target), list.iter().any(String::is_empty)) {
                (true, true) => Allowed::Any,
                (true, false) => Allowed::Other(String::new()),
                _ => Allowed::Other(target.clone()),
            }
        }
        (Allowed::Other(left), Allowed::Other(right)) if left == right => Allowed::Other(left.clone()),
        (Allowed::Other(_), Allowed::Other(_)) => Allowed::Other(String::new()),
    };
    Wildcard {
        allowed,
        process: own.process,
    }
}
