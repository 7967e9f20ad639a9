//! A map from name to definition, in the order in which it is written, with the place of each name.

use super::Spanned;
use crate::config::Span;
use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Definitions by name. Iterates in the order of the text.
#[derive(Clone, PartialEq)]
pub struct Named<T>(IndexMap<String, Spanned<T>>);

impl<T> Named<T> {
    /// The definition under a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.get(name).map(|it| &it.value)
    }

    /// Where a name is defined.
    pub fn span(&self, name: &str) -> Option<Span> {
        self.0.get(name).map(|it| it.span)
    }

    /// Names, the places of the names, and definitions.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Span, &T)> {
        self.0
            .iter()
            .map(|(name, it)| (name.as_str(), it.span, &it.value))
    }

    /// The names, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(IndexMap::new())
    }
}

impl<T: fmt::Debug> fmt::Debug for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, _, value)| (name, value)))
            .finish()
    }
}

impl<T> FromIterator<(Spanned<String>, T)> for Named<T> {
    fn from_iter<I: IntoIterator<Item = (Spanned<String>, T)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        Self(
            entries
                .map(|(name, value)| (name.value, Spanned::new(value, name.span)))
                .collect(),
        )
    }
}

impl<T> IntoIterator for Named<T> {
    type Item = (Spanned<String>, T);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        let entries = self
            .0
            .into_iter()
            .map(|(name, it)| (Spanned::new(name, it.span), it.value));
        entries.collect::<Vec<_>>().into_iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping from name to definition")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Named<T>, A::Error> {
        let mut named = IndexMap::new();
        while let Some((name, value)) = access.next_entry::<Spanned<String>, T>()? {
            named.insert(name.value, Spanned::new(value, name.span));
        }
        Ok(Named(named))
    }
}

/// So that an empty default shows in the schema.
impl<T> serde::Serialize for Named<T>
where
    T: serde::Serialize,
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("map_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let definition = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": definition })
    }
}
