//! Simple types: restriction, list and union (XML Schema 1.0 part 1 section 3.14).

use super::compile::{ANY_SIMPLE_TYPE, Compiled, Compiler, scope};
use super::component::{Definition, Method, SimpleType, Type, TypeId, Variety};
use super::facet::{Facets, Side, WhiteSpace};
use super::load::SchemaDocument;
use super::pattern;
use crate::NodeId;

impl Compiler<'_> {
    pub(super) fn simple_type(&mut self, document: usize, node: NodeId) -> Compiled<Type> {
        let schema = self.schema(document);
        let children = schema.children(node);
        match children.as_slice() {
            [("restriction", child)] => {
                let base = self.simple_base(document, *child, "base")?;
                self.restricted(document, *child, base)
            }
            [("list", child)] => {
                let item = self.simple_base(document, *child, "itemType")?;
                Ok(derived(Variety::List(item)))
            }
            [("union", child)] => self.union(document, *child),
            _ => Err(schema.error(node, "a simple type is a restriction, a list or a union")),
        }
    }

    /// The simple type that `attribute` names or that is written inside.
    fn simple_base(&mut self, document: usize, node: NodeId, attribute: &str) -> Compiled<TypeId> {
        let schema = self.schema(document);
        let id = match (
            schema.attribute(node, attribute),
            self.inline_type(document, node)?,
        ) {
            (Some(name), None) => self.named_type(document, node, name)?,
            (None, Some(inline)) => inline,
            _ => return Err(schema.error(node, format!("either {attribute} or a type inside is needed"))),
        };
        self.require(id, Some((document, node)))?;
        if self.out.simple(id).is_none() {
            return Err(schema.error(node, format!("{} is not a simple type", self.out.describe(id))));
        }
        Ok(id)
    }

    fn union(&mut self, document: usize, node: NodeId) -> Compiled<Type> {
        let schema = self.schema(document);
        let mut members = Vec::new();
        for name in schema
            .attribute(node, "memberTypes")
            .unwrap_or("")
            .split_ascii_whitespace()
        {
            let id = self.named_type(document, node, name)?;
            self.require(id, Some((document, node)))?;
            members.push(id);
        }
        for (_, child) in schema.children(node) {
            let built = self.nested(schema, child, |this| this.simple_type(document, child))?;
            members.push(self.push_type(None, built));
        }
        if members.is_empty() || members.iter().any(|&member| self.out.simple(member).is_none()) {
            return Err(schema.error(node, "a union needs simple types"));
        }
        Ok(derived(Variety::Union(members)))
    }

    /// The restriction of `base` by the facets in `node`.
    pub(super) fn restricted(&mut self, document: usize, node: NodeId, base: TypeId) -> Compiled<Type> {
        let schema = self.schema(document);
        let Some(SimpleType { variety, facets }) = self.out.simple(base).cloned() else {
            return Err(schema.error(node, "only simple types have facets"));
        };
        let mut facets = facets;
        let (mut patterns, mut enumeration) = (Vec::new(), Vec::new());
        for (tag, child) in schema.children(node) {
            let Some(text) = schema.attribute(child, "value") else {
                if matches!(
                    tag,
                    "simpleType" | "attribute" | "attributeGroup" | "anyAttribute"
                ) {
                    continue;
                }
                return Err(schema.error(child, format!("xs:{tag} needs a value")));
            };
            match tag {
                "pattern" => {
                    patterns.push(pattern::compile(text).map_err(|error| schema.error(child, error))?);
                }
                "enumeration" => {
                    let value = self.out.check(base, text, scope(&schema.document, child));
                    enumeration.push(value.map_err(|error| schema.error(child, error))?);
                }
                _ => self.facet(schema, child, (tag, text), base, &mut facets)?,
            }
        }
        if !patterns.is_empty() {
            facets.patterns.push(patterns);
        }
        if !enumeration.is_empty() {
            facets.enumeration = Some(enumeration);
        }
        let definition = Definition::Simple(SimpleType { variety, facets });
        Ok(Type {
            name: None,
            base: Some(base),
            method: Method::Restriction,
            definition,
        })
    }

    fn facet(
        &self,
        schema: &SchemaDocument,
        node: NodeId,
        (tag, text): (&str, &str),
        base: TypeId,
        facets: &mut Facets,
    ) -> Compiled<()> {
        let number = || {
            let number = text.trim().parse::<usize>();
            number.map_err(|_| schema.error(node, format!("{text:?} is not a count")))
        };
        let side = match tag {
            "minInclusive" => Side::MinInclusive,
            "minExclusive" => Side::MinExclusive,
            "maxInclusive" => Side::MaxInclusive,
            "maxExclusive" => Side::MaxExclusive,
            _ => {
                match tag {
                    "length" => facets.lengths.push((number()?, number()?)),
                    "minLength" => facets.lengths.push((number()?, usize::MAX)),
                    "maxLength" => facets.lengths.push((0, number()?)),
                    "totalDigits" => facets.total_digits = Some(number()?),
                    "fractionDigits" => facets.fraction_digits = Some(number()?),
                    "whiteSpace" => facets.white_space = white_space(schema, node, text, facets.white_space)?,
                    _ => return Err(schema.error(node, format!("xs:{tag} is not a facet"))),
                }
                return Ok(());
            }
        };
        let value = self.out.check(base, text, scope(&schema.document, node));
        let value = value.map_err(|error| schema.error(node, error))?;
        if value.compare(&value).is_none() {
            return Err(schema.error(
                node,
                format!("values of {} have no order", self.out.describe(base)),
            ));
        }
        facets.bounds.push((side, value, text.trim().to_owned()));
        Ok(())
    }
}

fn white_space(schema: &SchemaDocument, node: NodeId, text: &str, base: WhiteSpace) -> Compiled<WhiteSpace> {
    let wanted = match text.trim() {
        "preserve" => WhiteSpace::Preserve,
        "replace" => WhiteSpace::Replace,
        "collapse" => WhiteSpace::Collapse,
        _ => return Err(schema.error(node, "white space is preserved, replaced or collapsed")),
    };
    if wanted < base {
        return Err(schema.error(node, "a restriction cannot keep more white space than its base"));
    }
    Ok(wanted)
}

/// A list or union: its white space is collapsed, or left to the members.
fn derived(variety: Variety) -> Type {
    let white_space = match variety {
        Variety::List(_) => WhiteSpace::Collapse,
        _ => WhiteSpace::Preserve,
    };
    let facets = Facets {
        white_space,
        ..Facets::default()
    };
    let definition = Definition::Simple(SimpleType { variety, facets });
    Type {
        name: None,
        base: Some(ANY_SIMPLE_TYPE),
        method: Method::Restriction,
        definition,
    }
}
