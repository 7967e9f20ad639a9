//! Validation against XML Schema 1.0.
//!
//! The validator is our own, over our own tree: positions are those of the message, a subtree is validated
//! in place, schemas are found through the caller alone, and any number of namespaces may import each other
//! in a circle, as the schemas inside a WSDL do. Compiling resolves every reference; validating allocates
//! little and never recurses over the message.
//!
//! Not checked when a schema is compiled: unique particle attribution and that restrictions of content
//! models are narrower than their base. A schema that breaks these rules is accepted, and means what it says.

mod attribute;
mod compile;
mod complex;
mod component;
mod content;
mod decimal;
mod element;
mod facet;
mod identity;
mod load;
mod pattern;
mod simple;
#[cfg(test)]
mod tests;
mod time;
mod validate;
mod value;

pub use load::Loader;

use crate::{Document, Limits, NodeId, ParseError};
use bytes::Bytes;
use component::Components;
use std::fmt;
use std::sync::Arc;

/// The namespace of XML Schema.
pub const XSD_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema";
/// The namespace of `xsi:type`, `xsi:nil` and their like.
pub const XSI_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Violations that one validation reports at most; it stops there.
pub const VIOLATIONS_MAX: usize = 100;

/// A schema document and where it is from.
#[derive(Clone, Debug)]
pub struct SchemaSource {
    /// Its location: how the loader knows it again, and the base for what it includes. May be empty.
    location: String,
    content: SourceContent,
}

#[derive(Clone, Debug)]
enum SourceContent {
    Bytes(Bytes),
    Document(Box<Document>),
}

impl SchemaSource {
    /// A schema document that is still to be parsed.
    pub fn bytes(location: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            location: location.into(),
            content: SourceContent::Bytes(bytes.into()),
        }
    }

    /// A schema document that was parsed, for instance extracted from a WSDL.
    pub fn document(location: impl Into<String>, document: Document) -> Self {
        Self {
            location: location.into(),
            content: SourceContent::Document(Box::new(document)),
        }
    }
}

/// Why a schema does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// The schema document.
    pub location: String,
    /// Line, counted from 1; 0 when the whole document is meant.
    pub line: usize,
    /// Column in characters, counted from 1; 0 when the whole document is meant.
    pub column: usize,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}:{}: {}",
            self.location, self.line, self.column, self.message
        )
    }
}

impl std::error::Error for SchemaError {}

/// One way in which a document breaks its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Line, counted from 1; 0 for nodes that were not parsed.
    pub line: usize,
    /// Column in characters, counted from 1; 0 for nodes that were not parsed.
    pub column: usize,
    /// The place as a path of names with positions, such as `/order/item[2]/@price`.
    pub path: String,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} (line {}, column {}): {}",
            self.path, self.line, self.column, self.message
        )
    }
}

/// A compiled schema. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Schema {
    components: Arc<Components>,
}

impl Schema {
    /// Compiles a schema document with all that it includes and imports.
    ///
    /// # Errors
    /// The first mistake in a schema document, or what the loader could not find.
    pub fn compile(root: SchemaSource, loader: &Loader<'_>) -> Result<Self, SchemaError> {
        Self::compile_many(vec![root], loader)
    }

    /// Compiles several schema documents to one schema. An import that one of them answers by its target
    /// namespace needs no location and is not loaded.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_many(roots: Vec<SchemaSource>, loader: &Loader<'_>) -> Result<Self, SchemaError> {
        let documents = load::Documents::load(roots, loader)?;
        let components = compile::compile(&documents)?;
        Ok(Self {
            components: Arc::new(components),
        })
    }

    /// Validates a document by its root element. An empty list means that it is valid.
    pub fn validate(&self, document: &Document) -> Vec<Violation> {
        match document.root_element() {
            Some(root) => self.validate_element(document, root),
            None => vec![Violation {
                line: 0,
                column: 0,
                path: "/".to_owned(),
                message: "the document has no root element".to_owned(),
            }],
        }
    }

    /// Parses and validates a document.
    ///
    /// # Errors
    /// Bytes that are not a well-formed document.
    pub fn validate_bytes(&self, bytes: Bytes, limits: &Limits) -> Result<Vec<Violation>, ParseError> {
        Ok(self.validate(&Document::parse(bytes, limits)?))
    }

    /// Validates an element with all in it, where it stands; what surrounds it only lends its namespaces.
    pub fn validate_element(&self, document: &Document, element: NodeId) -> Vec<Violation> {
        validate::validate(&self.components, document, element)
    }

    /// Whether the schema declares a global element of this name.
    pub fn declares_element(&self, namespace: &str, local: &str) -> bool {
        self.components
            .global_elements
            .contains_key(&component::QName::new(namespace, local))
    }
}
