//! From a tree to bytes.
//!
//! What nobody changed is copied from the source as it came in. The rest is written so that reading it
//! back gives the same tree: prefixes that an edit left without their namespace are declared where they
//! are used, and characters that a reader would normalize are written as references.

use crate::symbols::{Bindings, NameParts, Symbol};
use crate::tree::{Content, Document, Element, NodeId, Text, UNPARSED};

/// What to do about the XML declaration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Declaration {
    /// Write it when the document was parsed with one. Its encoding becomes UTF-8.
    #[default]
    Keep,
    /// Write one.
    Always,
    /// Write none.
    Never,
}

/// How to write a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The XML declaration; kept by default. It never precedes a node that is written alone.
    pub declaration: Declaration,
    /// Spaces per level. Elements that hold text, and those under `xml:space="preserve"`, stay as they
    /// are. `None`, the default, adds and removes no white space.
    pub indent: Option<usize>,
}

impl Document {
    /// Writes the document as UTF-8 to the end of `out`.
    pub fn write(&self, out: &mut Vec<u8>, options: &WriteOptions) {
        if self.is_unchanged(options) {
            out.extend_from_slice(self.source.as_bytes());
            return;
        }
        self.write_declaration(out, options.declaration);
        let mut writer = Writer::new(self, out, options);
        for child in self.children(NodeId::DOCUMENT) {
            writer.subtree(child);
        }
    }

    /// Writes a node with everything in it as UTF-8 to the end of `out`; an element declares all
    /// namespaces that are in scope. Of the document node, all but the XML declaration.
    pub fn write_node(&self, id: NodeId, out: &mut Vec<u8>, options: &WriteOptions) {
        if id == NodeId::DOCUMENT {
            return self.write(
                out,
                &WriteOptions {
                    declaration: Declaration::Never,
                    ..*options
                },
            );
        }
        let mut writer = Writer::new(self, out, options);
        writer.top_scope = self.own_scope(id);
        writer.subtree(id);
    }

    fn is_unchanged(&self, options: &WriteOptions) -> bool {
        let has_declaration = self.declaration.length > 0;
        let keeps_declaration = match options.declaration {
            Declaration::Keep => true,
            Declaration::Always => has_declaration,
            Declaration::Never => !has_declaration,
        };
        keeps_declaration
            && options.indent.is_none()
            && !self.rescoped
            && self.node(NodeId::DOCUMENT).end != 0
    }

    fn write_declaration(&self, out: &mut Vec<u8>, mode: Declaration) {
        let parsed = &self.source[..self.declaration.length as usize];
        match mode {
            Declaration::Never => return,
            Declaration::Keep if parsed.is_empty() => return,
            _ if !parsed.is_empty() && self.declaration.is_utf8 => {
                out.extend_from_slice(parsed.as_bytes());
                return;
            }
            _ => {}
        }
        out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"");
        match self.declaration.standalone {
            Some(true) => out.extend_from_slice(b" standalone=\"yes\""),
            Some(false) => out.extend_from_slice(b" standalone=\"no\""),
            None => {}
        }
        out.extend_from_slice(b"?>\n");
    }
}

/// The document as text; an XML declaration is kept.
impl std::fmt::Display for Document {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::with_capacity(self.source.len());
        self.write(&mut out, &WriteOptions::default());
        formatter.write_str(std::str::from_utf8(&out).map_err(|_| std::fmt::Error)?)
    }
}

/// An element whose end tag is still to be written.
struct Frame {
    scope: usize,
    /// Whether white space inside is the writer's to add.
    indents: bool,
    preserves: bool,
}

struct Writer<'a> {
    document: &'a Document,
    out: &'a mut Vec<u8>,
    indent: Option<usize>,
    bindings: Bindings,
    frames: Vec<Frame>,
    /// What the topmost element has to declare besides its own.
    top_scope: Vec<(Symbol, Symbol)>,
    copies_source: bool,
}

impl<'a> Writer<'a> {
    fn new(document: &'a Document, out: &'a mut Vec<u8>, options: &WriteOptions) -> Self {
        let copies_source = options.indent.is_none() && !document.rescoped;
        let (bindings, frames) = (Bindings::new(), Vec::new());
        Self {
            document,
            out,
            indent: options.indent,
            bindings,
            frames,
            top_scope: Vec::new(),
            copies_source,
        }
    }

    /// Writes a node and everything in it; walks without recursion.
    fn subtree(&mut self, top: NodeId) {
        let mut current = self.enter(top);
        let mut node = top;
        loop {
            if let Some(child) = current {
                node = child;
                current = self.enter(child);
                continue;
            }
            if node == top {
                return;
            }
            if let Some(next) = self.document.next_sibling(node) {
                node = next;
                current = self.enter(next);
            } else if let Some(parent) = self.document.parent(node) {
                self.end_tag(parent);
                node = parent;
            } else {
                return;
            }
        }
    }

    /// Writes a node up to its first child, which it yields.
    fn enter(&mut self, id: NodeId) -> Option<NodeId> {
        let indents = match self.frames.last() {
            Some(frame) => frame.indents,
            None => self.indent.is_some(),
        };
        if indents && self.document.is_blank_text(id) {
            return None;
        }
        if indents {
            self.new_line(self.frames.len());
        }
        if self.copy_source(id) {
            return None;
        }
        let document = self.document;
        match document.node(id).content {
            Content::Document => return None,
            Content::Element(ref element) => return self.start_tag(id, element),
            Content::Text(text) => escape(self.out, document.resolve_text(text), Place::Text),
            Content::CData(text) => self.cdata(document.resolve_text(text)),
            Content::Comment(text) => self.put(&["<!--", document.resolve_text(text), "-->"]),
            Content::Instruction { target, text } => self.instruction(target, text),
        }
        None
    }

    /// Copies the source text of a node that did not change. Text after text is written anew: the two
    /// might form a delimiter together.
    fn copy_source(&mut self, id: NodeId) -> bool {
        let document = self.document;
        let node = document.node(id);
        let is_top = self.frames.is_empty() && !self.top_scope.is_empty();
        if !self.copies_source || node.end == 0 || node.start == UNPARSED || is_top {
            return false;
        }
        if document.is_text(id) && node.previous.is_some_and(|previous| document.is_text(previous)) {
            return false;
        }
        self.put(&[&document.source[node.start as usize..node.end as usize]]);
        true
    }

    fn start_tag(&mut self, id: NodeId, element: &'a Element) -> Option<NodeId> {
        let frame = Frame {
            scope: self.bindings.mark(),
            ..self.spacing(id)
        };
        let name = self.document.symbols.parts(element.name);
        self.put(&["<"]);
        self.name(name);
        self.declarations(id);
        self.declare_if_needed(name.prefix, name.namespace);
        for attribute in self.document.attributes(id) {
            let data = &self.document.attributes[attribute.id.index()];
            let parts = self.document.symbols.parts(data.name);
            if parts.prefix != Symbol::EMPTY {
                self.declare_if_needed(parts.prefix, parts.namespace);
            }
        }
        for attribute in self.document.attributes(id) {
            self.put(&[" "]);
            self.name(
                self.document
                    .symbols
                    .parts(self.document.attributes[attribute.id.index()].name),
            );
            self.value(attribute.value);
        }
        let first = self.document.first_child(id);
        if first.is_none() {
            self.bindings.restore(frame.scope);
            self.put(&["/>"]);
            return None;
        }
        self.put(&[">"]);
        self.frames.push(frame);
        first
    }

    fn end_tag(&mut self, id: NodeId) {
        let Some(frame) = self.frames.pop() else { return };
        if frame.indents {
            self.new_line(self.frames.len());
        }
        if let Some(element) = self.document.element(id) {
            self.put(&["</"]);
            self.name(self.document.symbols.parts(element.name));
            self.put(&[">"]);
        }
        self.bindings.restore(frame.scope);
    }

    /// Whether white space inside the element is the writer's to add; the scope is filled in later.
    fn spacing(&self, id: NodeId) -> Frame {
        let outer = self.frames.last().is_some_and(|frame| frame.preserves);
        let preserves = match self.document.attribute(id, crate::XML_NAMESPACE, "space") {
            Some("preserve") => true,
            Some("default") => false,
            _ => outer,
        };
        let holds_text = |child| self.document.is_text(child) && !self.document.is_blank_text(child);
        let has_markup = self
            .document
            .children(id)
            .any(|child| !self.document.is_text(child));
        let is_structure = has_markup && !self.document.children(id).any(holds_text);
        Frame {
            scope: 0,
            indents: self.indent.is_some() && !preserves && is_structure,
            preserves,
        }
    }

    fn declarations(&mut self, id: NodeId) {
        let document = self.document;
        for declaration in document.declaration_ids(id) {
            let data = &document.declarations[declaration.index()];
            let is_superfluous = data.carried && self.lookup(data.prefix) == Some(data.namespace);
            if !is_superfluous {
                self.declare(data.prefix, data.namespace);
            }
        }
        if self.frames.is_empty() {
            for (prefix, namespace) in std::mem::take(&mut self.top_scope) {
                if document.find_declaration(id, prefix).is_none() && namespace != Symbol::EMPTY {
                    self.declare(prefix, namespace);
                }
            }
        }
    }

    fn lookup(&self, prefix: Symbol) -> Option<Symbol> {
        self.bindings.lookup(prefix)
    }

    fn declare_if_needed(&mut self, prefix: Symbol, namespace: Symbol) {
        if self.lookup(prefix) != Some(namespace) {
            self.declare(prefix, namespace);
        }
    }

    fn declare(&mut self, prefix: Symbol, namespace: Symbol) {
        self.bindings.bind(prefix, namespace);
        let symbols = &self.document.symbols;
        match prefix {
            Symbol::EMPTY => self.put(&[" xmlns"]),
            _ => self.put(&[" xmlns:", symbols.resolve(prefix)]),
        }
        self.value(symbols.resolve(namespace));
    }

    fn value(&mut self, value: &str) {
        self.put(&["=\""]);
        escape(self.out, value, Place::Value);
        self.put(&["\""]);
    }

    fn name(&mut self, name: NameParts) {
        let symbols = &self.document.symbols;
        if name.prefix != Symbol::EMPTY {
            self.put(&[symbols.resolve(name.prefix), ":"]);
        }
        self.put(&[symbols.resolve(name.local)]);
    }

    /// A section cannot hold its own end nor keep a carriage return: it is interrupted there.
    fn cdata(&mut self, text: &str) {
        self.put(&["<![CDATA["]);
        for (index, part) in text.split("]]>").enumerate() {
            if index > 0 {
                self.put(&["]]]]><![CDATA[>"]);
            }
            for (index, part) in part.split('\r').enumerate() {
                if index > 0 {
                    self.put(&["]]>&#13;<![CDATA["]);
                }
                self.put(&[part]);
            }
        }
        self.put(&["]]>"]);
    }

    fn instruction(&mut self, target: Symbol, text: Text) {
        let text = self.document.resolve_text(text);
        self.put(&["<?", self.document.symbols.resolve(target)]);
        if !text.is_empty() {
            self.put(&[" ", text]);
        }
        self.put(&["?>"]);
    }

    fn new_line(&mut self, level: usize) {
        let Some(indent) = self.indent else { return };
        if !self.out.is_empty() && self.out.last() != Some(&b'\n') {
            self.out.push(b'\n');
        }
        self.out.resize(self.out.len() + indent * level, b' ');
    }

    fn put(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.extend_from_slice(part.as_bytes());
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Value,
}

/// Writes `text` so that a parser reads back exactly this text.
fn escape(out: &mut Vec<u8>, text: &str, place: Place) {
    let mut rest = 0;
    for (index, byte) in text.bytes().enumerate() {
        let reference: &[u8] = match (byte, place) {
            (b'<', _) => b"&lt;",
            (b'>', _) => b"&gt;",
            (b'&', _) => b"&amp;",
            (b'\r', _) => b"&#13;",
            (b'"', Place::Value) => b"&quot;",
            (b'\t', Place::Value) => b"&#9;",
            (b'\n', Place::Value) => b"&#10;",
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[rest..index]);
        out.extend_from_slice(reference);
        rest = index + 1;
    }
    out.extend_from_slice(&text.as_bytes()[rest..]);
}
