//! Changing the tree.
//!
//! Every function checks what it is given, so that no sequence of edits builds what cannot be written. On
//! one element a prefix means one namespace; a prefix that an edit further up rebinds is declared again by
//! the writer where it is used.

use super::{AttributeData, AttributeId, Content, Document, Element, NodeData, NodeId, Text};
use crate::characters::{first_illegal, is_blank, is_ncname};
use crate::symbols::{NameId, NameParts, Symbol};
use std::borrow::Cow;
use std::fmt;

/// Why an edit was refused. The document is as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditError {
    /// Not a name, or a prefix that cannot be used so.
    Name(String),
    /// A namespace that this prefix cannot be bound to, or not on this element.
    Namespace(String),
    /// A character that XML cannot carry, such as U+0000.
    Character(char),
    /// Text that would end the comment or processing instruction it is for.
    Delimiter(&'static str),
    /// Nothing of this kind can stand there.
    Place(&'static str),
}

impl fmt::Display for EditError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(formatter, "{name:?} is not an XML name"),
            Self::Namespace(message) => formatter.write_str(message),
            Self::Character(character) => {
                write!(
                    formatter,
                    "XML cannot carry the character U+{:04X}",
                    u32::from(*character)
                )
            }
            Self::Delimiter(text) => write!(formatter, "the text must not contain {text:?}"),
            Self::Place(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for EditError {}

type Edited<T> = Result<T, EditError>;

impl Document {
    /// Appends an element. Its prefix (empty for none) is declared when it does not already stand for
    /// `namespace` (empty for none) there.
    ///
    /// # Errors
    /// Malformed names, a prefix without a namespace, a second root element, a parent that has no children.
    pub fn append_element(
        &mut self,
        parent: NodeId,
        prefix: &str,
        local: &str,
        namespace: &str,
    ) -> Edited<NodeId> {
        self.check_place(parent, PlacedKind::Element, None)?;
        let name = self.checked_name(prefix, local, namespace)?;
        let element = Element {
            name,
            attributes: None,
            declarations: None,
        };
        let id = self.append_new(parent, Content::Element(element));
        let parts = self.symbols.parts(name);
        self.require_binding(id, parts.prefix, parts.namespace);
        Ok(id)
    }

    /// Appends text, to the text that already stands last if there is any. Empty text adds nothing.
    ///
    /// # Errors
    /// Characters that XML cannot carry, a parent that is not an element.
    pub fn append_text(&mut self, parent: NodeId, text: &str) -> Edited<()> {
        check_characters(text)?;
        self.check_place(parent, PlacedKind::Text, None)?;
        if text.is_empty() {
            return Ok(());
        }
        match self
            .last_child(parent)
            .map(|last| (last, &self.node(last).content))
        {
            Some((last, &Content::Text(before))) => {
                let whole = [self.resolve_text(before), text].concat();
                self.replace_text(last, &whole);
            }
            _ => {
                let text = self.keep(text);
                self.append_new(parent, Content::Text(text));
            }
        }
        Ok(())
    }

    /// Appends a CDATA section.
    ///
    /// # Errors
    /// As [`Self::append_text`].
    pub fn append_cdata(&mut self, parent: NodeId, text: &str) -> Edited<NodeId> {
        check_characters(text)?;
        self.check_place(parent, PlacedKind::Text, None)?;
        let text = self.keep(text);
        Ok(self.append_new(parent, Content::CData(text)))
    }

    /// Appends a comment. Carriage returns become line feeds, as a reader would see them.
    ///
    /// # Errors
    /// `--` in the text or `-` at its end, illegal characters, a parent that has no children.
    pub fn append_comment(&mut self, parent: NodeId, text: &str) -> Edited<NodeId> {
        let text = comment_text(text)?;
        self.check_place(parent, PlacedKind::Other, None)?;
        let text = self.keep(&text);
        Ok(self.append_new(parent, Content::Comment(text)))
    }

    /// Appends a processing instruction.
    ///
    /// # Errors
    /// A target that is no name or is `xml`, `?>` in the text, illegal characters, a parent that has no
    /// children.
    pub fn append_instruction(&mut self, parent: NodeId, target: &str, text: &str) -> Edited<NodeId> {
        if !is_ncname(target) || target.eq_ignore_ascii_case("xml") {
            return Err(EditError::Name(target.to_owned()));
        }
        let text = instruction_text(text)?;
        self.check_place(parent, PlacedKind::Other, None)?;
        let target = self.symbols.intern(target);
        let text = self.keep(&text);
        Ok(self.append_new(parent, Content::Instruction { target, text }))
    }

    /// Replaces the children of an element by one text; of any other node but the document, its text.
    ///
    /// # Errors
    /// Text that the node cannot carry; the document node.
    pub fn set_text(&mut self, id: NodeId, text: &str) -> Edited<()> {
        check_characters(text)?;
        match self.node(id).content {
            Content::Document => return Err(EditError::Place("the document itself has no text")),
            Content::Element(_) => return self.set_element_text(id, text),
            Content::Comment(_) => self.replace_text(id, &comment_text(text)?),
            Content::Instruction { .. } => self.replace_text(id, &instruction_text(text)?),
            Content::Text(_) | Content::CData(_) => self.replace_text(id, text),
        }
        Ok(())
    }

    fn set_element_text(&mut self, id: NodeId, text: &str) -> Edited<()> {
        if let (Some(only), true) = (self.first_child(id), self.first_child(id) == self.last_child(id))
            && matches!(self.node(only).content, Content::Text(_))
            && !text.is_empty()
        {
            self.replace_text(only, text);
            return Ok(());
        }
        while let Some(child) = self.first_child(id) {
            self.unlink(child);
        }
        self.append_text(id, text)
    }

    fn replace_text(&mut self, id: NodeId, text: &str) {
        let new = match self.node(id).content {
            Content::Text(Text::Edited(slot))
            | Content::CData(Text::Edited(slot))
            | Content::Comment(Text::Edited(slot))
            | Content::Instruction {
                text: Text::Edited(slot),
                ..
            } => {
                self.edits[slot as usize] = text.into();
                Text::Edited(slot)
            }
            _ => self.keep(text),
        };
        match &mut self.node_mut(id).content {
            Content::Text(old)
            | Content::CData(old)
            | Content::Comment(old)
            | Content::Instruction { text: old, .. } => *old = new,
            Content::Document | Content::Element(_) => {}
        }
        self.touch(id);
    }

    /// Sets an attribute. One of the same namespace and local name keeps its place and prefix. An
    /// attribute in a namespace that is given no usable prefix gets one that is in scope, or a new one.
    ///
    /// # Errors
    /// A node that is not an element, malformed names, illegal characters, the name `xmlns`.
    pub fn set_attribute(
        &mut self,
        id: NodeId,
        prefix: &str,
        local: &str,
        namespace: &str,
        value: &str,
    ) -> Edited<()> {
        self.check_element(id)?;
        check_characters(value)?;
        if (prefix, local) == ("", "xmlns") {
            return Err(EditError::Name(local.to_owned()));
        }
        let prefix = if namespace.is_empty() || !prefix.is_empty() {
            prefix
        } else {
            "ns0"
        };
        let name = self.checked_name(prefix, local, namespace)?;
        let value = self.keep(value);
        match self.find_attribute(id, namespace, local) {
            Some(found) => self.attributes[found.index()].value = value,
            None => self.push_attribute(id, name, value),
        }
        self.touch(id);
        Ok(())
    }

    fn push_attribute(&mut self, id: NodeId, name: NameId, value: Text) {
        let mut parts = self.symbols.parts(name);
        if parts.namespace != Symbol::EMPTY {
            parts.prefix = self.usable_prefix(id, parts.prefix, parts.namespace);
            self.require_binding(id, parts.prefix, parts.namespace);
        }
        let name = self.symbols.name(parts);
        let new = AttributeId::from_index(self.attributes.len());
        self.attributes.push(AttributeData {
            name,
            value,
            next: None,
        });
        match self.attributes(id).last().map(|last| last.id) {
            Some(last) => self.attributes[last.index()].next = Some(new),
            None => {
                if let Content::Element(element) = &mut self.node_mut(id).content {
                    element.attributes = Some(new);
                }
            }
        }
    }

    /// Removes an attribute and says whether there was one.
    pub fn remove_attribute(&mut self, id: NodeId, namespace: &str, local: &str) -> bool {
        let Some(found) = self.find_attribute(id, namespace, local) else {
            return false;
        };
        let after = self.attributes[found.index()].next;
        let before = self
            .attributes(id)
            .map(|each| each.id)
            .take_while(|&each| each != found)
            .last();
        match (before, &mut self.nodes[id.index()].content) {
            (Some(before), _) => self.attributes[before.index()].next = after,
            (None, Content::Element(element)) => element.attributes = after,
            (None, _) => {}
        }
        self.touch(id);
        true
    }

    /// Gives an element another name. The prefix is declared where needed; a declaration of it on the
    /// element itself changes along, and what is inside keeps its namespaces.
    ///
    /// # Errors
    /// A node that is not an element, malformed names, a prefix that an attribute of the element uses for
    /// another namespace.
    pub fn rename(&mut self, id: NodeId, prefix: &str, local: &str, namespace: &str) -> Edited<()> {
        self.check_element(id)?;
        let name = self.checked_name(prefix, local, namespace)?;
        let parts = self.symbols.parts(name);
        if self.attribute_uses(id, parts.prefix, parts.namespace) {
            return Err(bound_elsewhere(prefix));
        }
        if let Content::Element(element) = &mut self.node_mut(id).content {
            element.name = name;
        }
        self.touch(id);
        self.require_binding(id, parts.prefix, parts.namespace);
        Ok(())
    }

    /// Declares a namespace on an element, or changes the declaration it has.
    ///
    /// # Errors
    /// A node that is not an element, what Namespaces in XML forbids, and a prefix that the element or one
    /// of its attributes uses for another namespace.
    pub fn declare_namespace(&mut self, id: NodeId, prefix: &str, namespace: &str) -> Edited<()> {
        self.check_element(id)?;
        check_characters(namespace)?;
        if !prefix.is_empty() && !is_ncname(prefix) {
            return Err(EditError::Name(prefix.to_owned()));
        }
        let (symbol, namespace) = (self.symbols.intern(prefix), self.symbols.intern(namespace));
        if let Some(message) = crate::parse::declaration_error(symbol, namespace) {
            return Err(EditError::Namespace(message.to_owned()));
        }
        let own = self.element(id).map(|element| self.symbols.parts(element.name));
        let clashes = own.is_some_and(|own| own.prefix == symbol && own.namespace != namespace);
        if clashes || self.attribute_uses(id, symbol, namespace) {
            return Err(bound_elsewhere(prefix));
        }
        self.bind(id, symbol, namespace, false);
        self.touch(id);
        Ok(())
    }

    pub(crate) fn append_new(&mut self, parent: NodeId, content: Content) -> NodeId {
        let id = NodeId::from_index(self.nodes.len());
        let mut node = NodeData::new(content);
        node.parent = Some(parent);
        node.previous = self.last_child(parent);
        match node.previous {
            Some(last) => self.node_mut(last).next = Some(id),
            None => self.node_mut(parent).first = Some(id),
        }
        self.node_mut(parent).last = Some(id);
        self.nodes.push(node);
        self.note_appended(parent, id);
        self.touch(parent);
        id
    }

    pub(crate) fn keep(&mut self, text: &str) -> Text {
        let slot = u32::try_from(self.edits.len()).expect("memory ends before the edits of a document do");
        self.edits.push(text.into());
        Text::Edited(slot)
    }

    fn find_attribute(&self, id: NodeId, namespace: &str, local: &str) -> Option<AttributeId> {
        self.attributes(id)
            .find(|attribute| attribute.name.is(namespace, local))
            .map(|found| found.id)
    }

    fn check_element(&self, id: NodeId) -> Edited<()> {
        if self.is_element(id) {
            Ok(())
        } else {
            Err(EditError::Place("the node is not an element"))
        }
    }

    /// Whether a node of `kind` may become a child of `parent`, not counting the child `except`.
    pub(super) fn check_place(&self, parent: NodeId, kind: PlacedKind, except: Option<NodeId>) -> Edited<()> {
        match (&self.node(parent).content, kind) {
            (Content::Element(_), _) | (Content::Document, PlacedKind::Other) => Ok(()),
            (Content::Document, PlacedKind::Text) => {
                Err(EditError::Place("text cannot stand outside the root element"))
            }
            (Content::Document, PlacedKind::Element) => {
                match self.child_elements(parent).any(|child| Some(child) != except) {
                    true => Err(EditError::Place("a document has only one root element")),
                    false => Ok(()),
                }
            }
            _ => Err(EditError::Place("only elements and the document have children")),
        }
    }

    pub(super) fn checked_name(&mut self, prefix: &str, local: &str, namespace: &str) -> Edited<NameId> {
        if !is_ncname(local) {
            return Err(EditError::Name(local.to_owned()));
        }
        if prefix == "xmlns" || !(prefix.is_empty() || is_ncname(prefix)) {
            return Err(EditError::Name(prefix.to_owned()));
        }
        check_characters(namespace)?;
        let prefix = self.symbols.intern(prefix);
        let namespace = self.symbols.intern(namespace);
        if let Some(message) = crate::parse::declaration_error(prefix, namespace) {
            return Err(EditError::Namespace(message.to_owned()));
        }
        let local = self.symbols.intern(local);
        Ok(self.symbols.name(NameParts {
            prefix,
            local,
            namespace,
        }))
    }
}

/// What the rules of where a node may stand distinguish.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PlacedKind {
    Element,
    Text,
    Other,
}

fn bound_elsewhere(prefix: &str) -> EditError {
    EditError::Namespace(format!(
        "the element uses the prefix {prefix:?} for another namespace"
    ))
}

fn check_characters(text: &str) -> Edited<()> {
    first_illegal(text).map_or(Ok(()), |character| Err(EditError::Character(character)))
}

/// The text that a reader of the comment will see.
fn comment_text(text: &str) -> Edited<Cow<'_, str>> {
    check_characters(text)?;
    if text.contains("--") || text.ends_with('-') {
        return Err(EditError::Delimiter("--"));
    }
    Ok(without_carriage_returns(text))
}

/// The text that a reader of the processing instruction will see.
fn instruction_text(text: &str) -> Edited<Cow<'_, str>> {
    check_characters(text)?;
    if text.contains("?>") {
        return Err(EditError::Delimiter("?>"));
    }
    Ok(without_carriage_returns(
        text.trim_start_matches([' ', '\t', '\n', '\r']),
    ))
}

fn without_carriage_returns(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

impl Document {
    /// Whether the node is text of white space only.
    pub(crate) fn is_blank_text(&self, id: NodeId) -> bool {
        matches!(self.node(id).content, Content::Text(text) if is_blank(self.resolve_text(text)))
    }
}
