//! Moving and copying subtrees, within a document and between documents.

use super::edit::PlacedKind;
use super::{
    AttributeData, AttributeId, Content, Document, EditError, Element, NodeData, NodeId, Text, UNPARSED,
};
use crate::symbols::{NameId, Symbol};

type Edited<T> = Result<T, EditError>;

impl Document {
    /// Takes a node out of its place. It keeps its content and the namespaces that were in scope, and can
    /// be attached again; the document node stays where it is.
    pub fn detach(&mut self, id: NodeId) {
        if self.parent(id).is_none() {
            return;
        }
        if self.is_element(id) {
            let scope = self.own_scope(id);
            self.carry_scope(id, &scope);
            self.touch(id);
        }
        self.unlink(id);
    }

    /// Moves `node` to the end of `parent`.
    ///
    /// # Errors
    /// Where the node cannot stand there, or would stand inside itself.
    pub fn append(&mut self, parent: NodeId, node: NodeId) -> Edited<()> {
        self.check_graft(parent, node, Some(node))?;
        self.detach(node);
        self.link(parent, None, node);
        Ok(())
    }

    /// Moves `node` to just before `reference`.
    ///
    /// # Errors
    /// As [`Self::append`]; and when `reference` has no parent.
    pub fn insert_before(&mut self, reference: NodeId, node: NodeId) -> Edited<()> {
        let parent = self.parent_of(reference)?;
        if reference == node {
            return Ok(());
        }
        self.check_graft(parent, node, Some(node))?;
        self.detach(node);
        self.link(parent, Some(reference), node);
        Ok(())
    }

    /// Moves `node` to just after `reference`.
    ///
    /// # Errors
    /// As [`Self::insert_before`].
    pub fn insert_after(&mut self, reference: NodeId, node: NodeId) -> Edited<()> {
        let parent = self.parent_of(reference)?;
        if reference == node {
            return Ok(());
        }
        self.check_graft(parent, node, Some(node))?;
        self.detach(node);
        self.link(parent, self.next_sibling(reference), node);
        Ok(())
    }

    /// Puts `new` in the place of `old`, which is detached.
    ///
    /// # Errors
    /// As [`Self::insert_before`].
    pub fn replace(&mut self, old: NodeId, new: NodeId) -> Edited<()> {
        let parent = self.parent_of(old)?;
        if old == new {
            return Ok(());
        }
        self.check_graft(parent, new, Some(old))?;
        self.detach(new);
        let after = self.next_sibling(old);
        self.detach(old);
        self.link(parent, after, new);
        Ok(())
    }

    fn parent_of(&self, reference: NodeId) -> Edited<NodeId> {
        self.parent(reference)
            .ok_or(EditError::Place("the node has no parent"))
    }

    fn check_graft(&self, parent: NodeId, node: NodeId, except: Option<NodeId>) -> Edited<()> {
        let kind = match self.node(node).content {
            Content::Document => return Err(EditError::Place("the document itself cannot be moved")),
            Content::Element(_) => PlacedKind::Element,
            Content::Text(_) | Content::CData(_) => PlacedKind::Text,
            Content::Comment(_) | Content::Instruction { .. } => PlacedKind::Other,
        };
        if parent == node || self.ancestors(parent).any(|ancestor| ancestor == node) {
            return Err(EditError::Place("a node cannot stand inside itself"));
        }
        self.check_place(parent, kind, except)
    }

    /// Takes a node out of its place and nothing else.
    pub(super) fn unlink(&mut self, id: NodeId) {
        let (parent, previous, next) = {
            let node = self.node_mut(id);
            (node.parent.take(), node.previous.take(), node.next.take())
        };
        let Some(parent) = parent else { return };
        match previous {
            Some(previous) => self.node_mut(previous).next = next,
            None => self.node_mut(parent).first = next,
        }
        match next {
            Some(next) => self.node_mut(next).previous = previous,
            None => self.node_mut(parent).last = previous,
        }
        self.touch(parent);
    }

    fn link(&mut self, parent: NodeId, before: Option<NodeId>, node: NodeId) {
        let previous = match before {
            Some(before) => self.node(before).previous,
            None => self.last_child(parent),
        };
        let data = self.node_mut(node);
        (data.parent, data.previous, data.next) = (Some(parent), previous, before);
        match previous {
            Some(previous) => self.node_mut(previous).next = Some(node),
            None => self.node_mut(parent).first = Some(node),
        }
        match before {
            Some(before) => self.node_mut(before).previous = Some(node),
            None => self.node_mut(parent).last = Some(node),
        }
        self.note_linked(parent, before, node);
        self.rescoped |= self.node(node).start != UNPARSED;
        self.touch(parent);
        self.settle_scope(node);
    }

    /// Copies `other_id` and everything in it out of `other`, detached. The namespaces in scope there come
    /// along, also those that only text might use; attaching drops what the new place already says. Of the
    /// document node, its root element is copied.
    ///
    /// # Errors
    /// A document without a root element.
    pub fn import(&mut self, other: &Self, other_id: NodeId) -> Edited<NodeId> {
        let from = match other.kind(other_id) {
            super::NodeKind::Document => other
                .root_element()
                .ok_or(EditError::Place("the document has no root element"))?,
            _ => other_id,
        };
        let copy = Copier {
            from: other,
            to: self,
            shares_source: false,
        }
        .subtree(from);
        if self.is_element(copy) {
            let scope = other.own_scope(from);
            let scope: Vec<(Symbol, Symbol)> = scope
                .iter()
                .map(|&(prefix, namespace)| {
                    let (prefix, namespace) =
                        (other.symbols.resolve(prefix), other.symbols.resolve(namespace));
                    (self.symbols.intern(prefix), self.symbols.intern(namespace))
                })
                .collect();
            self.carry_scope(copy, &scope);
        }
        Ok(copy)
    }

    /// The subtree as a document of its own, with the namespaces that are in scope. It shares the text
    /// that was parsed, so this costs the nodes and no text. A text or comment alone yields no root element.
    pub fn extract(&self, id: NodeId) -> Self {
        if id == NodeId::DOCUMENT {
            return self.clone();
        }
        let mut part = Self::with_source(self.source.clone(), 16);
        part.symbols = self.symbols.clone();
        part.rescoped = self.rescoped;
        let copy = Copier {
            from: self,
            to: &mut part,
            shares_source: true,
        }
        .subtree(id);
        let placed = part.check_place(NodeId::DOCUMENT, kind_of(&part, copy), None);
        if placed.is_ok() {
            part.carry_scope_to_root(copy, &self.own_scope(id));
            part.link_root(copy);
        }
        part
    }

    fn carry_scope_to_root(&mut self, id: NodeId, scope: &[(Symbol, Symbol)]) {
        if !self.is_element(id) {
            return;
        }
        let rescoped = self.rescoped;
        for &(prefix, namespace) in scope {
            if self.find_declaration(id, prefix).is_none()
                && (prefix, namespace) != (Symbol::EMPTY, Symbol::EMPTY)
            {
                self.bind(id, prefix, namespace, false);
                self.touch(id);
            }
        }
        self.rescoped = rescoped;
    }

    fn link_root(&mut self, id: NodeId) {
        let tail = NodeId::from_index(self.nodes.len() - 1);
        self.node_mut(id).parent = Some(NodeId::DOCUMENT);
        let top = self.node_mut(NodeId::DOCUMENT);
        (top.first, top.last) = (Some(id), Some(id));
        self.tail = tail;
    }
}

fn kind_of(document: &Document, id: NodeId) -> PlacedKind {
    match document.kind(id) {
        super::NodeKind::Element => PlacedKind::Element,
        super::NodeKind::Text | super::NodeKind::CData => PlacedKind::Text,
        _ => PlacedKind::Other,
    }
}

/// Copies nodes from one document to another. Documents that share their source also share the numbers
/// of their names.
struct Copier<'a> {
    from: &'a Document,
    to: &'a mut Document,
    shares_source: bool,
}

impl Copier<'_> {
    /// Copies a subtree in document order and yields its top, detached.
    fn subtree(&mut self, top: NodeId) -> NodeId {
        let copy = self.node(top, None);
        let (mut source, mut parent) = (top, copy);
        while let Some(next) = self.from.following_below(source, top) {
            // Climb in both trees to the parent of what comes next.
            let mut above = source;
            let mut above_copy = parent;
            let wanted = self.from.parent(next);
            while Some(above) != wanted {
                let (Some(up), Some(up_copy)) = (self.from.parent(above), self.to.parent(above_copy)) else {
                    return copy;
                };
                (above, above_copy) = (up, up_copy);
            }
            parent = self.node(next, Some(above_copy));
            source = next;
        }
        copy
    }

    fn node(&mut self, source: NodeId, parent: Option<NodeId>) -> NodeId {
        let content = self.content(source);
        let id = NodeId::from_index(self.to.nodes.len());
        let mut node = NodeData::new(content);
        node.parent = parent;
        if self.shares_source {
            (node.start, node.end) = (self.from.node(source).start, self.from.node(source).end);
        }
        if let Some(parent) = parent {
            node.previous = self.to.last_child(parent);
            match node.previous {
                Some(last) => self.to.node_mut(last).next = Some(id),
                None => self.to.node_mut(parent).first = Some(id),
            }
            self.to.node_mut(parent).last = Some(id);
        }
        self.to.nodes.push(node);
        if let Content::Element(_) = self.from.node(source).content {
            self.attributes(source, id);
            self.declarations(source, id);
        }
        id
    }

    fn content(&mut self, source: NodeId) -> Content {
        match self.from.node(source).content {
            Content::Document => Content::Document,
            Content::Element(ref element) => Content::Element(Element {
                name: self.name(element.name),
                attributes: None,
                declarations: None,
            }),
            Content::Text(text) => Content::Text(self.text(text)),
            Content::CData(text) => Content::CData(self.text(text)),
            Content::Comment(text) => Content::Comment(self.text(text)),
            Content::Instruction { target, text } => {
                let target = self.symbol(target);
                Content::Instruction {
                    target,
                    text: self.text(text),
                }
            }
        }
    }

    fn attributes(&mut self, source: NodeId, id: NodeId) {
        let mut previous: Option<AttributeId> = None;
        for attribute in self.from.attributes(source) {
            let AttributeData { name, value, .. } = self.from.attributes[attribute.id.index()];
            let (name, value) = (self.name(name), self.text(value));
            let new = AttributeId::from_index(self.to.attributes.len());
            self.to.attributes.push(AttributeData {
                name,
                value,
                next: None,
            });
            match (previous, &mut self.to.nodes[id.index()].content) {
                (Some(previous), _) => self.to.attributes[previous.index()].next = Some(new),
                (None, Content::Element(element)) => element.attributes = Some(new),
                (None, _) => {}
            }
            previous = Some(new);
        }
    }

    fn declarations(&mut self, source: NodeId, id: NodeId) {
        for declaration in self.from.declaration_ids(source) {
            let data = &self.from.declarations[declaration.index()];
            let (prefix, namespace, carried) = (data.prefix, data.namespace, data.carried);
            let (prefix, namespace) = (self.symbol(prefix), self.symbol(namespace));
            self.to.bind(id, prefix, namespace, carried);
        }
    }

    fn symbol(&mut self, symbol: Symbol) -> Symbol {
        if self.shares_source {
            symbol
        } else {
            self.to.symbols.intern(self.from.symbols.resolve(symbol))
        }
    }

    fn name(&mut self, name: NameId) -> NameId {
        if self.shares_source {
            return name;
        }
        let mut parts = self.from.symbols.parts(name);
        parts.prefix = self.symbol(parts.prefix);
        parts.local = self.symbol(parts.local);
        parts.namespace = self.symbol(parts.namespace);
        self.to.symbols.name(parts)
    }

    fn text(&mut self, text: Text) -> Text {
        match text {
            Text::Source { .. } if self.shares_source => text,
            _ => self.to.keep(self.from.resolve_text(text)),
        }
    }
}
