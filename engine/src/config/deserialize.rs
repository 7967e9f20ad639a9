//! serde over [`Node`]. By the time it runs the tree has been checked against the type's schema, so the errors
//! here come from types with rules of their own, each with the place of the value it was given.
//!
//! Types that want more than serde's data model (the place of a value, the value as a node, one value where a
//! list may stand) ask for a newtype struct with a reserved name; the node is then handed over through a
//! thread-local, because serde has no other channel that works without `unsafe`.

use super::plain::{self, Plain};
use super::{Key, Node, NodeValue, Scalar, Span};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use std::cell::RefCell;
use std::fmt;

/// Newtype name: the visitor is given a unit and takes the node with [`take_handed`].
pub(super) const RAW: &str = "$mediary::raw";
/// Newtype name: the visitor takes the node for its place, then reads the value as usual.
pub(super) const SPANNED: &str = "$mediary::spanned";
/// Newtype name: anything that is no list is given as a list of one.
pub(super) const ONE_OR_MANY: &str = "$mediary::one_or_many";

thread_local! {
    static HANDED: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// The node of the reserved newtype being read.
pub(super) fn take_handed<E: de::Error>() -> Result<Node, E> {
    let node = HANDED.with(RefCell::take);
    node.ok_or_else(|| E::custom("this type can only be read from a configuration"))
}

fn hand(node: &Node) {
    HANDED.with(|handed| handed.replace(Some(node.clone())));
}

/// What a type had to say against a value.
#[derive(Debug, Clone)]
pub(super) struct Error {
    pub message: String,
    pub span: Option<Span>,
}

impl Error {
    /// The innermost value is the one to blame.
    fn at(mut self, node: &Node) -> Self {
        if self.span.is_none() {
            self.span = Some(node.span);
            if node.secret() {
                "the secret's value does not fit here".clone_into(&mut self.message);
            }
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            span: None,
        }
    }
}

/// Reads a type from a node.
#[derive(Clone, Copy)]
pub(super) struct NodeDeserializer<'a>(pub &'a Node);

impl NodeDeserializer<'_> {
    fn wrong(self, expected: &str) -> Error {
        let message = format!("expected {expected}, found {}", self.0.describe());
        Error {
            message,
            span: Some(self.0.span),
        }
    }

    fn scalar(&self) -> Option<&Scalar> {
        self.0.as_scalar()
    }

    fn integer(self) -> Result<i128, Error> {
        let plain = self.scalar().filter(|scalar| scalar.may_be_plain());
        plain
            .and_then(|scalar| plain::integer(scalar.text()))
            .ok_or_else(|| self.wrong("a whole number"))
    }

    fn float(self) -> Result<f64, Error> {
        let plain = self.scalar().filter(|scalar| scalar.may_be_plain());
        plain
            .and_then(|scalar| plain::float(scalar.text()))
            .ok_or_else(|| self.wrong("a number"))
    }

    fn visit_plain<'de, V: Visitor<'de>>(scalar: &Scalar, visitor: V) -> Result<V::Value, Error> {
        match plain::classify(scalar.text()) {
            _ if !scalar.may_be_plain() => visitor.visit_str(scalar.text()),
            Plain::Bool(value) => visitor.visit_bool(value),
            Plain::Number(text) => match plain::integer(text).map(i64::try_from) {
                Some(Ok(value)) if value >= 0 => visitor.visit_u64(value.unsigned_abs()),
                Some(Ok(value)) => visitor.visit_i64(value),
                _ => match plain::float(text) {
                    Some(value) => visitor.visit_f64(value),
                    None => visitor.visit_str(text),
                },
            },
            Plain::Null | Plain::Text => visitor.visit_str(scalar.text()),
        }
    }
}

/// Numbers of every width: out of range is an error of the value.
macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let value = <$type>::try_from(self.integer()?).map_err(|_| {
                self.wrong(concat!("a whole number that fits ", stringify!($type)))
            })?;
            visitor.$visit(value).map_err(|error: Error| error.at(self.0))
        }
    )*};
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.0.value {
            NodeValue::Null => visitor.visit_unit(),
            NodeValue::Scalar(scalar) => Self::visit_plain(scalar, visitor),
            NodeValue::Sequence(items) => visitor.visit_seq(Items(items.iter())),
            NodeValue::Mapping(entries) => visitor.visit_map(Entries {
                rest: entries.iter(),
                value: None,
            }),
        };
        result.map_err(|error| error.at(self.0))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self
            .scalar()
            .map(|scalar| (scalar.may_be_plain(), plain::classify(scalar.text())))
        {
            Some((true, Plain::Bool(value))) => visitor.visit_bool(value),
            _ => Err(self.wrong("`true` or `false`")),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_u128 visit_u128 u128
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor
            .visit_f64(self.float()?)
            .map_err(|error: Error| error.at(self.0))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Some(scalar) = self.scalar() else {
            return Err(self.wrong("text"));
        };
        visitor
            .visit_str(scalar.text())
            .map_err(|error: Error| error.at(self.0))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() {
            visitor.visit_unit()
        } else {
            Err(self.wrong("nothing"))
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = match name {
            RAW => {
                hand(self.0);
                visitor.visit_unit()
            }
            SPANNED => {
                hand(self.0);
                visitor.visit_newtype_struct(self)
            }
            ONE_OR_MANY if !matches!(self.0.value, NodeValue::Sequence(_)) => {
                visitor.visit_seq(Items(std::slice::from_ref(self.0).iter()))
            }
            ONE_OR_MANY => self.deserialize_seq(visitor),
            _ => visitor.visit_newtype_struct(self),
        };
        result.map_err(|error| error.at(self.0))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let NodeValue::Sequence(items) = &self.0.value else {
            return Err(self.wrong("a list"));
        };
        visitor
            .visit_seq(Items(items.iter()))
            .map_err(|error: Error| error.at(self.0))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !matches!(self.0.value, NodeValue::Mapping(_) | NodeValue::Null) {
            return Err(self.wrong("a mapping"));
        }
        let entries = Entries {
            rest: self.0.entries().iter(),
            value: None,
        };
        visitor
            .visit_map(entries)
            .map_err(|error: Error| error.at(self.0))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = match (&self.0.value, self.0.only_entry()) {
            (NodeValue::Scalar(scalar), _) => Variant {
                name: scalar.text(),
                settings: None,
            },
            (_, Some((key, settings))) => Variant {
                name: &key.text,
                settings: Some(settings),
            },
            _ => return Err(self.wrong("a word or a mapping with one key")),
        };
        visitor
            .visit_enum(variant)
            .map_err(|error: Error| error.at(self.0))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(NodeDeserializer(node))
            .map(Some)
            .map_err(|error| error.at(node))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a Node>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        let node = key.to_node();
        seed.deserialize(NodeDeserializer(&node))
            .map(Some)
            .map_err(|error| error.at(&node))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(node) = self.value.take() else {
            return Err(de::Error::custom("a value without a key"));
        };
        seed.deserialize(NodeDeserializer(node))
            .map_err(|error| error.at(node))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// An enum's variant: a bare word, or the only key of a mapping and its value.
struct Variant<'a> {
    name: &'a str,
    settings: Option<&'a Node>,
}

impl<'a> Variant<'a> {
    fn settings(&self) -> Result<&'a Node, Error> {
        self.settings
            .ok_or_else(|| de::Error::custom(format!("`{}` needs a value", self.name)))
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.settings {
            Some(node) if !node.is_null() => Err(NodeDeserializer(node).wrong("nothing")),
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let node = self.settings()?;
        seed.deserialize(NodeDeserializer(node))
            .map_err(|error| error.at(node))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        NodeDeserializer(self.settings()?).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        NodeDeserializer(self.settings()?).deserialize_map(visitor)
    }
}
