//! What a document may cost, and how parsing fails.

use std::fmt;

/// The limits that parsing keeps. Each has its own [`ParseErrorKind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nested elements at most; default 128.
    pub depth: usize,
    /// Bytes at most, counted before and after decoding to UTF-8; default 64 MiB. Never above 2 GiB.
    pub bytes: usize,
    /// Attributes and namespace declarations of one element at most; default 256.
    pub attributes: usize,
    /// Nodes (elements, texts, comments, instructions and attributes) at most; default 8 million.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 128,
            bytes: 64 << 20,
            attributes: 256,
            nodes: 8_000_000,
        }
    }
}

/// What kind of rule a document broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Not well-formed (XML 1.0 fifth edition).
    Syntax,
    /// Well-formed, but not namespace-well-formed (Namespaces in XML 1.0).
    Namespace,
    /// The bytes are not text in the encoding they claim, or the encoding is unknown.
    Encoding,
    /// A document type declaration, which is never accepted.
    Doctype,
    /// More nested elements than [`Limits::depth`].
    DepthLimit,
    /// More bytes than [`Limits::bytes`].
    BytesLimit,
    /// More attributes on one element than [`Limits::attributes`].
    AttributeLimit,
    /// More nodes than [`Limits::nodes`].
    NodeLimit,
}

/// Why a document was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The rule that was broken.
    pub kind: ParseErrorKind,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "line {}, column {}: {}",
            self.line, self.column, self.message
        )
    }
}

impl std::error::Error for ParseError {}
