//! The nodes of XPath's data model: those of the tree, attributes, and namespace nodes.

use crate::symbols::Symbol;
use crate::tree::{AttributeId, Document, Name, NodeId, NodeKind};
use std::borrow::Cow;

/// A node that an expression selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A node of the tree. Of adjacent text and CDATA nodes, which are one text node here, the first.
    Tree(NodeId),
    /// An attribute.
    Attribute {
        /// The element that has it.
        owner: NodeId,
        /// The attribute.
        id: AttributeId,
    },
    /// A namespace in scope on an element.
    Namespace(NamespaceNode),
}

/// A namespace node (XPath 1.0 section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NamespaceNode {
    pub(super) owner: NodeId,
    pub(super) prefix: Symbol,
    pub(super) namespace: Symbol,
}

impl Node {
    /// The node of the tree; for attributes and namespaces, the element that has them.
    pub fn element_or_self(self) -> NodeId {
        match self {
            Self::Tree(id) => id,
            Self::Attribute { owner, .. } => owner,
            Self::Namespace(node) => node.owner,
        }
    }

    /// The node of the tree, unless it is an attribute or a namespace.
    pub fn tree_node(self) -> Option<NodeId> {
        match self {
            Self::Tree(id) => Some(id),
            _ => None,
        }
    }

    /// The string value (XPath 1.0 section 5).
    pub fn string_value(self, document: &Document) -> Cow<'_, str> {
        match self {
            Self::Tree(id) if document.is_text(id) => text_run(document, id),
            Self::Tree(id) => document.string_value(id),
            Self::Attribute { id, .. } => Cow::Borrowed(document.attribute_value(id)),
            Self::Namespace(node) => Cow::Borrowed(document.symbols.resolve(node.namespace)),
        }
    }

    /// The name: of an element or attribute, the target of a processing instruction, the prefix of a
    /// namespace.
    pub fn name(self, document: &Document) -> Option<Name<'_>> {
        match self {
            Self::Tree(id) => document.name(id),
            Self::Attribute { id, .. } => Some(document.attribute_name(id)),
            Self::Namespace(node) => Some(Name {
                prefix: "",
                local: document.symbols.resolve(node.prefix),
                namespace: "",
            }),
        }
    }

    /// What document order sorts by: attributes and namespaces come right after their element.
    pub(super) fn order(self, document: &Document) -> (u32, u8, usize) {
        match self {
            Self::Tree(id) => (document.rank(id), 0, 0),
            Self::Namespace(node) => (document.rank(node.owner), 1, node.prefix.index()),
            Self::Attribute { owner, id } => (document.rank(owner), 2, id.index()),
        }
    }
}

/// The text of a text node and of those right after it.
fn text_run(document: &Document, id: NodeId) -> Cow<'_, str> {
    let first = document.text(id).unwrap_or("");
    let mut next = document.next_sibling(id).filter(|&next| document.is_text(next));
    if next.is_none() {
        return Cow::Borrowed(first);
    }
    let mut whole = first.to_owned();
    while let Some(node) = next {
        whole.push_str(document.text(node).unwrap_or(""));
        next = document.next_sibling(node).filter(|&next| document.is_text(next));
    }
    Cow::Owned(whole)
}

/// Whether XPath has a node here: a text node that continues another one is part of that, and text
/// without characters is no node.
pub(super) fn is_visible(document: &Document, id: NodeId) -> bool {
    if !document.is_text(id) {
        return true;
    }
    let continues = document
        .previous_sibling(id)
        .is_some_and(|previous| document.is_text(previous));
    !(continues || document.text(id) == Some("") && text_run(document, id).is_empty())
}

/// The node that stands for `id` in XPath: the first of adjacent text nodes.
pub(super) fn canonical(document: &Document, id: NodeId) -> NodeId {
    let mut first = id;
    if document.is_text(id) {
        while let Some(previous) = document
            .previous_sibling(first)
            .filter(|&node| document.is_text(node))
        {
            first = previous;
        }
    }
    first
}

/// The document node, or the top of a detached subtree.
pub(super) fn top_of(document: &Document, id: NodeId) -> NodeId {
    match document.kind(id) {
        NodeKind::Document => id,
        _ => document.ancestors(id).last().unwrap_or(id),
    }
}
