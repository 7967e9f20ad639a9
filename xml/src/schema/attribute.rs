//! Attribute declarations, uses and groups (XML Schema 1.0 part 1 sections 3.2, 3.5 and 3.6).

use super::compile::{ANY_SIMPLE_TYPE, Compiled, Compiler, value_constraint};
use super::component::{Allowed, AttributeDeclaration, AttributeUse, QName, Wildcard};
use super::load::{Kind, Place};
use crate::NodeId;

impl Compiler<'_> {
    /// Adds the attributes that are written inside `node` to `uses` and `wildcard`.
    pub(super) fn attribute_uses(
        &mut self,
        document: usize,
        node: NodeId,
        uses: &mut Vec<AttributeUse>,
        wildcard: &mut Option<Wildcard>,
    ) -> Compiled<()> {
        let schema = self.schema(document);
        for (tag, child) in schema.children(node) {
            match tag {
                "attribute" => {
                    let found = self.attribute_use(document, child)?;
                    if uses
                        .iter()
                        .any(|known| known.declaration.name == found.declaration.name)
                    {
                        let message = format!("the attribute {} occurs twice", found.declaration.name);
                        return Err(schema.error(child, message));
                    }
                    uses.push(found);
                }
                "attributeGroup" => self.attribute_group(document, child, uses, wildcard)?,
                "anyAttribute" => {
                    let own = self.wildcard(document, child)?;
                    *wildcard = Some(match wildcard.take() {
                        Some(other) => intersection(&own, &other),
                        None => own,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn attribute_group(
        &mut self,
        document: usize,
        node: NodeId,
        uses: &mut Vec<AttributeUse>,
        wildcard: &mut Option<Wildcard>,
    ) -> Compiled<()> {
        let schema = self.schema(document);
        let Some(name) = schema.attribute(node, "ref") else {
            return Err(schema.error(node, "an attribute group inside a type is a reference"));
        };
        let (_, place) = self.global(document, node, Kind::AttributeGroup, name)?;
        let definition = self.schema(place.document);
        let own = QName::new(
            definition.target.clone(),
            definition.attribute(place.node, "name").unwrap_or(""),
        );
        let outer = std::mem::replace(&mut self.redefining, place.redefines.then_some(own));
        let result = self.nested(schema, node, |this| {
            this.attribute_uses(place.document, place.node, uses, wildcard)
        });
        self.redefining = outer;
        result
    }

    fn attribute_use(&mut self, document: usize, node: NodeId) -> Compiled<AttributeUse> {
        let schema = self.schema(document);
        let usage = schema.attribute(node, "use").map_or("optional", str::trim);
        let mut declaration = match schema.attribute(node, "ref") {
            Some(reference) => self.referenced_attribute(document, node, reference)?,
            None => {
                let Some(name) = schema.attribute(node, "name") else {
                    return Err(schema.error(node, "an attribute needs a name or a reference"));
                };
                let namespace = self.local_namespace(document, node, "attributeFormDefault");
                self.attribute_declaration(document, node, QName::new(namespace, name.trim()))?
            }
        };
        if let Some(value) = value_constraint(schema, node)? {
            declaration.value = Some(value);
        }
        Ok(AttributeUse {
            declaration,
            required: usage == "required",
            prohibited: usage == "prohibited",
        })
    }

    fn referenced_attribute(
        &mut self,
        document: usize,
        node: NodeId,
        reference: &str,
    ) -> Compiled<AttributeDeclaration> {
        let name = self.schema(document).resolve(node, reference)?;
        if let Some(known) = self.attributes.get(&name) {
            return Ok(known.clone());
        }
        let (name, place) = self.global(document, node, Kind::Attribute, reference)?;
        self.global_attribute(&name, place)
    }

    pub(super) fn global_attribute(&mut self, name: &QName, place: Place) -> Compiled<AttributeDeclaration> {
        if let Some(known) = self.attributes.get(name) {
            return Ok(known.clone());
        }
        let declaration = self.attribute_declaration(place.document, place.node, name.clone())?;
        self.attributes.insert(name.clone(), declaration.clone());
        Ok(declaration)
    }

    fn attribute_declaration(
        &mut self,
        document: usize,
        node: NodeId,
        name: QName,
    ) -> Compiled<AttributeDeclaration> {
        let schema = self.schema(document);
        let type_id = match (schema.attribute(node, "type"), self.inline_type(document, node)?) {
            (Some(_), Some(_)) => return Err(schema.error(node, "an attribute has only one type")),
            (Some(text), None) => self.named_type(document, node, text)?,
            (None, Some(inline)) => inline,
            (None, None) => ANY_SIMPLE_TYPE,
        };
        self.require(type_id, Some((document, node)))?;
        if self.out.simple(type_id).is_none() {
            return Err(schema.error(node, "the type of an attribute is simple"));
        }
        Ok(AttributeDeclaration {
            name,
            type_id,
            value: value_constraint(schema, node)?,
        })
    }
}

/// What both wildcards allow, handled as the first says (section 3.10.6).
fn intersection(own: &Wildcard, other: &Wildcard) -> Wildcard {
    let listed = |list: &[String], keep: &Wildcard| {
        Allowed::Listed(
            list.iter()
                .filter(|namespace| keep.allows(namespace))
                .cloned()
                .collect(),
        )
    };
    let allowed = match (&own.allowed, &other.allowed) {
        (Allowed::Any, allowed) | (allowed, Allowed::Any) => allowed.clone(),
        (Allowed::Listed(list), _) => listed(list, other),
        (_, Allowed::Listed(list)) => listed(list, own),
        (allowed, Allowed::Other(target)) if target.is_empty() => allowed.clone(),
        (Allowed::Other(_), allowed) => allowed.clone(),
    };
    Wildcard {
        allowed,
        process: own.process,
    }
}
