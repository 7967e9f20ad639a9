//! XML for programs that must not be fooled: a tree, XPath 1.0 and XSD 1.0 validation.
//!
//! The tree ([`Document`]) parses strictly, refuses document type declarations, keeps limits on
//! everything, and writes back byte for byte what nobody changed. [`xpath`] compiles expressions once and
//! evaluates them on any thread within a budget. [`schema`] validates against XSD 1.0. No function here
//! recurses over a document, reads a file or opens a connection.

mod characters;
mod limits;
mod parse;
pub mod schema;
mod symbols;
mod tree;
mod write;
pub mod xpath;

pub use characters::{first_illegal, is_blank, is_char, is_name_char, is_name_start, is_ncname};
pub use limits::{Limits, ParseError, ParseErrorKind};
pub use symbols::{XML_NAMESPACE, XMLNS_NAMESPACE};
pub use tree::{
    Attribute, AttributeId, Attributes, Children, Descendants, Document, EditError, Name,
    NamespaceDeclarations, NodeId, NodeKind,
};
pub use write::{Declaration, WriteOptions};
