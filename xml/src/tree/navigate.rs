//! Reading the tree: kinds, names, values, neighbours.

use super::{Attribute, AttributeId, Content, DeclarationId, Document, Name, NodeId, NodeKind, UNPARSED};
use crate::symbols::Symbol;
use std::borrow::Cow;

impl Document {
    /// The document node.
    pub fn document_node(&self) -> NodeId {
        NodeId::DOCUMENT
    }

    /// The root element; `None` in a document that is still being built.
    pub fn root_element(&self) -> Option<NodeId> {
        self.child_elements(NodeId::DOCUMENT).next()
    }

    /// What the node is.
    pub fn kind(&self, id: NodeId) -> NodeKind {
        match self.node(id).content {
            Content::Document => NodeKind::Document,
            Content::Element(_) => NodeKind::Element,
            Content::Text(_) => NodeKind::Text,
            Content::CData(_) => NodeKind::CData,
            Content::Comment(_) => NodeKind::Comment,
            Content::Instruction { .. } => NodeKind::ProcessingInstruction,
        }
    }

    /// Whether the node is an element.
    pub fn is_element(&self, id: NodeId) -> bool {
        matches!(self.node(id).content, Content::Element(_))
    }

    /// Whether the node is text or a CDATA section.
    pub fn is_text(&self, id: NodeId) -> bool {
        matches!(self.node(id).content, Content::Text(_) | Content::CData(_))
    }

    /// The name of an element, or the target of a processing instruction.
    pub fn name(&self, id: NodeId) -> Option<Name<'_>> {
        match self.node(id).content {
            Content::Element(ref element) => Some(self.resolve_name(element.name)),
            Content::Instruction { target, .. } => Some(Name {
                prefix: "",
                local: self.symbols.resolve(target),
                namespace: "",
            }),
            _ => None,
        }
    }

    /// The text that the node itself holds; `None` for elements and the document.
    pub fn text(&self, id: NodeId) -> Option<&str> {
        match self.node(id).content {
            Content::Text(text)
            | Content::CData(text)
            | Content::Comment(text)
            | Content::Instruction { text, .. } => Some(self.resolve_text(text)),
            Content::Document | Content::Element(_) => None,
        }
    }

    /// The string value as XPath 1.0 section 5 defines it: of an element or the document all text inside,
    /// of any other node its own text. Borrowed where it is in one piece.
    pub fn string_value(&self, id: NodeId) -> Cow<'_, str> {
        if let Some(text) = self.text(id) {
            return Cow::Borrowed(text);
        }
        let mut texts = self
            .descendants(id)
            .filter(|&node| self.is_text(node))
            .filter_map(|n| self.text(n));
        let first = texts.next().unwrap_or("");
        let Some(second) = texts.next() else {
            return Cow::Borrowed(first);
        };
        let mut whole = String::with_capacity(first.len() + second.len());
        whole.push_str(first);
        whole.push_str(second);
        whole.extend(texts);
        Cow::Owned(whole)
    }

    /// The attributes of an element in their order, without namespace declarations.
    pub fn attributes(&self, id: NodeId) -> Attributes<'_> {
        Attributes {
            document: self,
            next: self.element(id).and_then(|element| element.attributes),
        }
    }

    /// The value of the attribute with this namespace (empty for none) and local name.
    pub fn attribute(&self, id: NodeId, namespace: &str, local: &str) -> Option<&str> {
        self.attributes(id)
            .find(|attribute| attribute.name.is(namespace, local))
            .map(|found| found.value)
    }

    /// The name of an attribute.
    pub fn attribute_name(&self, id: AttributeId) -> Name<'_> {
        self.resolve_name(self.attributes[id.index()].name)
    }

    /// The value of an attribute.
    pub fn attribute_value(&self, id: AttributeId) -> &str {
        self.resolve_text(self.attributes[id.index()].value)
    }

    /// The namespace declarations that an element itself carries: prefix (empty for the default
    /// namespace) and namespace (empty for `xmlns=""`).
    pub fn namespace_declarations(&self, id: NodeId) -> NamespaceDeclarations<'_> {
        NamespaceDeclarations {
            document: self,
            next: self.element(id).and_then(|e| e.declarations),
        }
    }

    /// The namespace that `prefix` is bound to at this node. The empty prefix asks for the default
    /// namespace, and `None` then means that there is none.
    pub fn lookup_namespace(&self, id: NodeId, prefix: &str) -> Option<&str> {
        let found = self.lookup_symbol(id, self.symbols.find(prefix)?)?;
        (found != Symbol::EMPTY).then(|| self.symbols.resolve(found))
    }

    /// As [`Self::lookup_namespace`]; `xmlns=""` yields the empty symbol.
    pub(crate) fn lookup_symbol(&self, id: NodeId, prefix: Symbol) -> Option<Symbol> {
        match prefix {
            Symbol::XML => return Some(Symbol::XML_NAMESPACE),
            Symbol::XMLNS => return Some(Symbol::XMLNS_NAMESPACE),
            _ => {}
        }
        let mut current = Some(id);
        while let Some(node) = current {
            if let Some(declaration) = self.find_declaration(node, prefix) {
                return Some(self.declarations[declaration.index()].namespace);
            }
            current = self.parent(node);
        }
        None
    }

    pub(crate) fn find_declaration(&self, id: NodeId, prefix: Symbol) -> Option<DeclarationId> {
        self.declaration_ids(id)
            .find(|found| self.declarations[found.index()].prefix == prefix)
    }

    pub(crate) fn declaration_ids(&self, id: NodeId) -> impl Iterator<Item = DeclarationId> + '_ {
        let first = self.element(id).and_then(|element| element.declarations);
        std::iter::successors(first, |id| self.declarations[id.index()].next)
    }

    /// The parent; `None` for the document node and for detached nodes.
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).parent
    }

    /// The first child.
    pub fn first_child(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).first
    }

    /// The last child.
    pub fn last_child(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).last
    }

    /// The sibling after the node.
    pub fn next_sibling(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).next
    }

    /// The sibling before the node.
    pub fn previous_sibling(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).previous
    }

    /// The children in document order.
    pub fn children(&self, id: NodeId) -> Children<'_> {
        Children {
            document: self,
            next: self.first_child(id),
        }
    }

    /// The children that are elements.
    pub fn child_elements(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.children(id).filter(|&child| self.is_element(child))
    }

    /// The first child element with this namespace and local name.
    pub fn child_element(&self, id: NodeId, namespace: &str, local: &str) -> Option<NodeId> {
        self.child_elements(id)
            .find(|&child| self.name(child).is_some_and(|name| name.is(namespace, local)))
    }

    /// Everything below the node in document order, without the node itself.
    pub fn descendants(&self, id: NodeId) -> Descendants<'_> {
        Descendants {
            document: self,
            top: id,
            current: id,
        }
    }

    /// The parent, its parent, and so on up to the document node.
    pub fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.parent(id), |&node| self.parent(node))
    }

    /// The node after `id` in document order that is still below `top`.
    pub(crate) fn following_below(&self, id: NodeId, top: NodeId) -> Option<NodeId> {
        self.first_child(id).or_else(|| self.following_past(id, top))
    }

    /// The node after everything inside `id` that is still below `top`.
    pub(crate) fn following_past(&self, id: NodeId, top: NodeId) -> Option<NodeId> {
        let mut node = id;
        while node != top {
            if let Some(next) = self.next_sibling(node) {
                return Some(next);
            }
            node = self.parent(node)?;
        }
        None
    }

    /// Line and column (characters) at which a parsed node begins, both counted from 1; `None` for nodes
    /// that were not parsed. Counted anew at each call.
    pub fn position(&self, id: NodeId) -> Option<(usize, usize)> {
        let start = self.node(id).start;
        (start != UNPARSED).then(|| line_and_column(&self.source, start as usize))
    }
}

/// Line and column of a byte offset, both counted from 1.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let start = memchr::memrchr(b'\n', before).map_or(0, |found| found + 1);
    let is_character_start = |byte: &&u8| **byte & 0xC0 != 0x80;
    (
        line,
        before[start..].iter().filter(is_character_start).count() + 1,
    )
}

/// Iterator of [`Document::attributes`].
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    document: &'a Document,
    next: Option<AttributeId>,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let id = self.next?;
        let data = &self.document.attributes[id.index()];
        self.next = data.next;
        let (name, value) = (
            self.document.resolve_name(data.name),
            self.document.resolve_text(data.value),
        );
        Some(Attribute { name, value, id })
    }
}

/// Iterator of [`Document::namespace_declarations`].
#[derive(Clone, Debug)]
pub struct NamespaceDeclarations<'a> {
    document: &'a Document,
    next: Option<DeclarationId>,
}

impl<'a> Iterator for NamespaceDeclarations<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let data = &self.document.declarations[self.next?.index()];
        self.next = data.next;
        let symbols = &self.document.symbols;
        Some((symbols.resolve(data.prefix), symbols.resolve(data.namespace)))
    }
}

/// Iterator of [`Document::children`].
#[derive(Clone, Debug)]
pub struct Children<'a> {
    document: &'a Document,
    next: Option<NodeId>,
}

impl Iterator for Children<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        let id = self.next?;
        self.next = self.document.next_sibling(id);
        Some(id)
    }
}

/// Iterator of [`Document::descendants`].
#[derive(Clone, Debug)]
pub struct Descendants<'a> {
    document: &'a Document,
    top: NodeId,
    current: NodeId,
}

impl Iterator for Descendants<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        self.current = self.document.following_below(self.current, self.top)?;
        Some(self.current)
    }
}
