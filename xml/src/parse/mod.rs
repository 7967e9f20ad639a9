//! From bytes to a tree: a strict, non-validating XML 1.0 parser with namespaces.
//!
//! It is our own because a gateway needs three things together that no token source gives: every
//! well-formedness and namespace rule checked, work that grows with the bytes whatever a hostile sender
//! writes (attributes, scopes and names included), and text left where it came in. One pass, no recursion.

mod declaration;
mod encoding;
mod markup;
mod tag;
#[cfg(test)]
mod tests;
mod text;

use crate::limits::{Limits, ParseError, ParseErrorKind};
use crate::symbols::Bindings;
use crate::tree::{Content, Document, NodeData, NodeId, line_and_column};
use bytes::Bytes;
use bytestring::ByteString;
pub(crate) use tag::declaration_error;
use tag::{OpenElement, QualifiedNames, RawAttribute};

/// What went wrong at a byte offset; becomes a [`ParseError`] once, at the end.
pub(crate) struct Failure {
    kind: ParseErrorKind,
    at: usize,
    message: String,
}

type Parsed<T> = Result<T, Failure>;

impl Document {
    /// Parses a document. The encoding comes from the byte order mark, else from the XML declaration, else
    /// it is UTF-8; text in UTF-8 stays where it is in `source`.
    ///
    /// # Errors
    /// The first rule that is broken, with its place. Document type declarations are always refused.
    pub fn parse(source: Bytes, limits: &Limits) -> Result<Self, ParseError> {
        Self::parse_as(source, None, limits)
    }

    /// Parses a document whose transport names a `charset`, which then wins over the XML declaration but
    /// not over a byte order mark (RFC 7303 section 3).
    ///
    /// # Errors
    /// As [`Self::parse`], and [`ParseErrorKind::Encoding`] for a charset that is not known.
    pub fn parse_as(source: Bytes, charset: Option<&str>, limits: &Limits) -> Result<Self, ParseError> {
        let decoded = encoding::decode(source, charset, limits).map_err(|failure| failure.locate(""))?;
        let mut document = Self::parse_text(decoded.text, limits)?;
        if !decoded.was_utf8 {
            document.declaration.is_utf8 = false;
            document.node_mut(NodeId::DOCUMENT).end = 0;
        }
        Ok(document)
    }

    /// Parses text with the default limits. An encoding that it declares is ignored.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_str(text: &str) -> Result<Self, ParseError> {
        let limits = Limits::default();
        encoding::check_size(text.len(), &limits).map_err(|failure| failure.locate(""))?;
        Self::parse_text(
            ByteString::from(text.strip_prefix('\u{FEFF}').unwrap_or(text)),
            &limits,
        )
    }

    fn parse_text(text: ByteString, limits: &Limits) -> Result<Self, ParseError> {
        let parser = Parser::new(&text, limits);
        let mut document = parser.run().map_err(|failure| failure.locate(&text))?;
        document.source = text;
        Ok(document)
    }
}

impl Failure {
    fn locate(self, text: &str) -> ParseError {
        let (line, column) = line_and_column(text, self.at);
        ParseError {
            kind: self.kind,
            line,
            column,
            message: self.message,
        }
    }
}

/// The state of one parse.
struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    limits: &'a Limits,
    document: Document,
    bindings: Bindings,
    names: QualifiedNames,
    open: Vec<OpenElement>,
    /// The last child of the innermost open element, and of the document when none is open.
    last: Option<NodeId>,
    attributes: Vec<RawAttribute>,
    node_count: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, limits: &'a Limits) -> Self {
        let expected = (text.len() / 20).min(limits.nodes).min(1 << 20);
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            limits,
            document: Document::with_source(ByteString::new(), expected),
            bindings: Bindings::new(),
            names: QualifiedNames::default(),
            open: Vec::with_capacity(16),
            last: None,
            attributes: Vec::new(),
            node_count: 0,
        }
    }

    fn run(mut self) -> Parsed<Document> {
        self.xml_declaration()?;
        self.outside_root()?;
        if self.peek() != Some(b'<') {
            return Err(self.syntax(if self.at == self.bytes.len() {
                "the document has no root element"
            } else {
                "text before the root element"
            }));
        }
        self.start_tag()?;
        self.content()?;
        self.outside_root()?;
        if self.at < self.bytes.len() {
            return Err(self.syntax("only comments and processing instructions may follow the root element"));
        }
        Ok(self.finish())
    }

    fn finish(mut self) -> Document {
        let document = &mut self.document;
        document.tail = NodeId::from_index(document.nodes.len() - 1);
        let is_utf8 = document.declaration.is_utf8;
        let top = document.node_mut(NodeId::DOCUMENT);
        top.last = self.last;
        top.start = 0;
        top.end = if is_utf8 { position(self.bytes.len()) } else { 0 };
        self.document
    }

    /// Comments, processing instructions and white space around the root element.
    fn outside_root(&mut self) -> Parsed<()> {
        loop {
            self.skip_space();
            match self.bytes.get(self.at..self.at + 2) {
                Some(b"<?") => self.instruction()?,
                Some(b"<!") => self.comment_or_doctype()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment_or_doctype(&mut self) -> Parsed<()> {
        if self.starts_with("<!DOCTYPE") {
            return Err(self.fail(
                ParseErrorKind::Doctype,
                "document type declarations are not accepted",
            ));
        }
        self.comment()
    }

    /// Everything up to the end of the root element.
    fn content(&mut self) -> Parsed<()> {
        while !self.open.is_empty() {
            match (self.peek(), self.bytes.get(self.at + 1)) {
                (Some(b'<'), Some(b'/')) => self.end_tag()?,
                (Some(b'<'), Some(b'?')) => self.instruction()?,
                (Some(b'<'), Some(b'!')) if self.starts_with("<![") => self.cdata()?,
                (Some(b'<'), Some(b'!')) => self.comment()?,
                (Some(b'<'), _) => self.start_tag()?,
                (Some(_), _) => self.character_data()?,
                (None, _) => return Err(self.unclosed()),
            }
        }
        Ok(())
    }

    fn unclosed(&self) -> Failure {
        let name = self.open.last().map_or("", |element| element.raw_name(self.text));
        self.syntax(format!("the document ends inside the element <{name}>"))
    }

    /// Adds a node as the last child of the innermost open element.
    fn push(&mut self, start: usize, content: Content) -> Parsed<NodeId> {
        self.count_nodes(1)?;
        let id = NodeId::from_index(self.document.nodes.len());
        let parent = self.open.last().map_or(NodeId::DOCUMENT, |element| element.node);
        match self.last {
            Some(last) => self.document.node_mut(last).next = Some(id),
            None => self.document.node_mut(parent).first = Some(id),
        }
        let mut node = NodeData::new(content);
        node.parent = Some(parent);
        node.previous = self.last;
        node.start = position(start);
        node.end = position(self.at);
        self.document.nodes.push(node);
        self.last = Some(id);
        Ok(id)
    }

    fn count_nodes(&mut self, more: usize) -> Parsed<()> {
        self.node_count += more;
        if self.node_count > self.limits.nodes {
            let message = format!("more than {} nodes", self.limits.nodes);
            return Err(self.fail(ParseErrorKind::NodeLimit, message));
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn starts_with(&self, expected: &str) -> bool {
        self.bytes[self.at..].starts_with(expected.as_bytes())
    }

    /// Skips white space and says whether there was any.
    fn skip_space(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(crate::characters::is_space) {
            self.at += 1;
        }
        self.at > start
    }

    fn expect(&mut self, expected: &str) -> Parsed<()> {
        if !self.starts_with(expected) {
            return Err(self.syntax(format!("expected {expected:?}")));
        }
        self.at += expected.len();
        Ok(())
    }

    fn fail(&self, kind: ParseErrorKind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            at: self.at,
            message: message.into(),
        }
    }

    fn syntax(&self, message: impl Into<String>) -> Failure {
        self.fail(ParseErrorKind::Syntax, message)
    }
}

/// A byte offset as nodes keep it.
fn position(offset: usize) -> u32 {
    u32::try_from(offset).expect("decoding refuses text above 2 GiB")
}
