//! The tree of a document.
//!
//! All nodes live in one vector and know each other by number: cloning is a few `memcpy`s, dropping a
//! deep tree does not recurse, and a document is `Send` and `Sync`. Text that needed no unescaping stays a
//! range of the bytes that came in. The tree distinguishes what a writer must reproduce (CDATA, prefixes,
//! declarations), not what XPath sees; [`crate::xpath`] merges neighbouring text itself.

mod edit;
mod graft;
mod navigate;
mod order;
mod scope;
#[cfg(test)]
mod tests;

pub use edit::EditError;
pub(crate) use navigate::line_and_column;
pub use navigate::{Attributes, Children, Descendants, NamespaceDeclarations};

use crate::symbols::{NameId, Symbol, Symbols};
use bytestring::ByteString;
use std::num::NonZeroU32;
use std::sync::OnceLock;

/// A node of one document. Meaningless in any other document, but never unsafe there.
///
/// The order of ids is document order as long as [`Document::is_ordered`] holds, which it does for every
/// parsed document that was not restructured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(NonZeroU32);

/// An attribute of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeId(NonZeroU32);

/// A namespace declaration (`xmlns="..."` or `xmlns:p="..."`) of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeclarationId(NonZeroU32);

macro_rules! index {
    ($id:ident) => {
        impl $id {
            pub(crate) fn index(self) -> usize {
                self.0.get() as usize - 1
            }

            pub(crate) fn from_index(index: usize) -> Self {
                let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
                Self(number.expect("memory ends before the ids of a document do"))
            }
        }
    };
}
index!(NodeId);
index!(AttributeId);
index!(DeclarationId);

impl NodeId {
    /// The document node, the same in every document.
    pub const DOCUMENT: Self = Self(NonZeroU32::MIN);
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// The document itself, parent of the root element.
    Document,
    /// An element.
    Element,
    /// Character data that is written escaped.
    Text,
    /// Character data in a `<![CDATA[` section.
    CData,
    /// A comment.
    Comment,
    /// A processing instruction.
    ProcessingInstruction,
}

/// A name with the prefix that it is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name<'a> {
    /// The prefix; empty when there is none.
    pub prefix: &'a str,
    /// The part after the prefix. The target of a processing instruction.
    pub local: &'a str,
    /// The namespace; empty when there is none.
    pub namespace: &'a str,
}

impl Name<'_> {
    /// Whether namespace and local part are these; prefixes do not count.
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.local == local && self.namespace == namespace
    }
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.prefix.is_empty() {
            write!(formatter, "{}:", self.prefix)?;
        }
        formatter.write_str(self.local)
    }
}

/// An attribute that is not a namespace declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its name; without a prefix the namespace is empty.
    pub name: Name<'a>,
    /// Its value, normalized and without references.
    pub value: &'a str,
    /// Its id, for [`Document::attribute_name`] and [`Document::attribute_value`].
    pub id: AttributeId,
}

/// Where a piece of text is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Text {
    /// Unescaped in the source.
    Source { start: u32, length: u32 },
    /// In the buffer of text that parsing had to change.
    Buffer { start: u32, length: u32 },
    /// Given by an edit.
    Edited(u32),
}

#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub(crate) name: NameId,
    pub(crate) attributes: Option<AttributeId>,
    pub(crate) declarations: Option<DeclarationId>,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Document,
    Element(Element),
    Text(Text),
    CData(Text),
    Comment(Text),
    Instruction { target: Symbol, text: Text },
}

/// A node. `start..end` is its place in the source; `start` is [`UNPARSED`] where it has none, `end` is 0
/// once something in it changed.
#[derive(Clone, Debug)]
pub(crate) struct NodeData {
    pub(crate) parent: Option<NodeId>,
    pub(crate) previous: Option<NodeId>,
    pub(crate) next: Option<NodeId>,
    pub(crate) first: Option<NodeId>,
    pub(crate) last: Option<NodeId>,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) content: Content,
}

/// [`NodeData::start`] of a node that an edit made.
pub(crate) const UNPARSED: u32 = u32::MAX;

impl NodeData {
    pub(crate) fn new(content: Content) -> Self {
        Self {
            parent: None,
            previous: None,
            next: None,
            first: None,
            last: None,
            start: UNPARSED,
            end: 0,
            content,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct AttributeData {
    pub(crate) name: NameId,
    pub(crate) value: Text,
    pub(crate) next: Option<AttributeId>,
}

/// A declaration. It is `carried` when a detached subtree holds it only because its old place had it in
/// scope; attaching drops it again where the new place says the same.
#[derive(Clone, Debug)]
pub(crate) struct DeclarationData {
    pub(crate) prefix: Symbol,
    pub(crate) namespace: Symbol,
    pub(crate) carried: bool,
    pub(crate) next: Option<DeclarationId>,
}

/// The XML declaration as it was parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct XmlDeclaration {
    /// Its text in the source, with the white space after it; 0 long when there was none.
    pub(crate) length: u32,
    /// Whether the text of the declaration is true of UTF-8 output.
    pub(crate) is_utf8: bool,
    pub(crate) standalone: Option<bool>,
}

/// An XML document, or a part of one that stands alone.
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) source: ByteString,
    pub(crate) buffer: String,
    pub(crate) edits: Vec<Box<str>>,
    pub(crate) nodes: Vec<NodeData>,
    pub(crate) attributes: Vec<AttributeData>,
    pub(crate) declarations: Vec<DeclarationData>,
    pub(crate) symbols: Symbols,
    pub(crate) declaration: XmlDeclaration,
    /// The last node in document order while `ordered` holds.
    pub(crate) tail: NodeId,
    pub(crate) ordered: bool,
    /// Whether a declaration moved above parsed nodes, so that their source text may mean something else.
    pub(crate) rescoped: bool,
    pub(crate) ranks: OnceLock<Box<[u32]>>,
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

impl Document {
    /// A document without a root element: only the document node.
    pub fn new() -> Self {
        Self::with_source(ByteString::new(), 0)
    }

    /// The empty tree over `source`, with room for `nodes`.
    pub(crate) fn with_source(source: ByteString, nodes: usize) -> Self {
        let mut all = Vec::with_capacity(nodes + 1);
        all.push(NodeData::new(Content::Document));
        Self {
            source,
            buffer: String::new(),
            edits: Vec::new(),
            nodes: all,
            attributes: Vec::new(),
            declarations: Vec::new(),
            symbols: Symbols::new(),
            declaration: XmlDeclaration::default(),
            tail: NodeId::DOCUMENT,
            ordered: true,
            rescoped: false,
            ranks: OnceLock::new(),
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> &NodeData {
        &self.nodes[id.index()]
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut NodeData {
        &mut self.nodes[id.index()]
    }

    pub(crate) fn element(&self, id: NodeId) -> Option<&Element> {
        match &self.node(id).content {
            Content::Element(element) => Some(element),
            _ => None,
        }
    }

    pub(crate) fn resolve_text(&self, text: Text) -> &str {
        match text {
            Text::Source { start, length } => &self.source[start as usize..(start + length) as usize],
            Text::Buffer { start, length } => &self.buffer[start as usize..(start + length) as usize],
            Text::Edited(index) => &self.edits[index as usize],
        }
    }

    pub(crate) fn resolve_name(&self, id: NameId) -> Name<'_> {
        let parts = self.symbols.parts(id);
        Name {
            prefix: self.symbols.resolve(parts.prefix),
            local: self.symbols.resolve(parts.local),
            namespace: self.symbols.resolve(parts.namespace),
        }
    }
}
