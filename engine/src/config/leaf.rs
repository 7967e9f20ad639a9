//! Leaves with a syntax of their own: durations, sizes, rates, and whatever else a crate adds. A leaf's parser
//! serves twice: when the tree is checked, so that every bad value of a project is reported, and when it is
//! read. The schema names the leaf under `x-leaf`; generating the schema registers the parser.

use parking_lot::RwLock;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::collections::HashMap;
use std::sync::LazyLock;

/// A configuration value written as a short text with a syntax of its own. Implement it, then call
/// [`configuration_leaf!`](crate::configuration_leaf) for serde and the schema.
pub trait Leaf: Sized + 'static {
    /// One word in snake_case, unique among all leaves.
    const NAME: &'static str;
    /// For documentation and editors.
    const DESCRIPTION: &'static str;
    /// A regular expression for editors. What [`Leaf::parse`] says is what counts.
    const PATTERN: &'static str;
    /// Values as they would be written.
    const EXAMPLES: &'static [&'static str];

    /// Reads the text.
    ///
    /// # Errors
    /// Says what is wrong and what to do about it.
    fn parse(text: &str) -> Result<Self, LeafError>;
}

/// Why a text is no value of a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafError {
    /// One sentence without a full stop. Must not quote the value, which may be a secret.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl LeafError {
    /// An error with help.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: Some(help.into()),
        }
    }
}

impl std::fmt::Display for LeafError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

type Check = fn(&str) -> Result<(), LeafError>;

static CHECKS: LazyLock<RwLock<HashMap<&'static str, Check>>> = LazyLock::new(RwLock::default);

/// The schema of a leaf.
pub fn leaf_schema<T: Leaf>(_: &mut SchemaGenerator) -> Schema {
    CHECKS.write().insert(T::NAME, |text| T::parse(text).map(drop));
    json_schema!({
        "type": "string",
        "description": T::DESCRIPTION,
        "pattern": T::PATTERN,
        "examples": T::EXAMPLES,
        "x-leaf": T::NAME,
    })
}

/// Checks a text against the leaf registered under a name.
pub(super) fn check(name: &str, text: &str) -> Result<(), LeafError> {
    let check = CHECKS.read().get(name).copied();
    check.map_or(Ok(()), |check| check(text))
}

/// The schema of an optional or repeated leaf is that of the leaf.
pub(super) fn delegate<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Implements `Deserialize` and `JsonSchema` for a [`Leaf`](crate::config::Leaf), and `Serialize` by its
/// `Display`, so that defaults show in the schema.
#[macro_export]
macro_rules! configuration_leaf {
    ($type:ty) => {
        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <::std::string::String as ::serde::Deserialize>::deserialize(deserializer)?;
                <$type as $crate::config::Leaf>::parse(&text).map_err(::serde::de::Error::custom)
            }
        }

        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl ::schemars::JsonSchema for $type {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                <$type as $crate::config::Leaf>::NAME.into()
            }

            fn schema_id() -> ::std::borrow::Cow<'static, str> {
                ::std::any::type_name::<$type>().into()
            }

            fn json_schema(generator: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                $crate::config::leaf_schema::<$type>(generator)
            }
        }
    };
}
