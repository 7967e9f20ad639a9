//! Start tags, end tags, attributes, and the names in them.

use super::{Failure, Parsed, Parser, position};
use crate::characters::{NAME_BYTES, is_ncname};
use crate::limits::ParseErrorKind;
use crate::symbols::{NameId, NameParts, Symbol};
use crate::tree::{
    AttributeData, AttributeId, Content, DeclarationData, DeclarationId, Element, NodeId, Text,
};
use hashbrown::HashTable;
use std::collections::HashSet;
use std::hash::BuildHasher;

/// An element whose end tag is still to come.
pub(super) struct OpenElement {
    pub(super) node: NodeId,
    raw_start: usize,
    raw_end: usize,
    scope: usize,
}

impl OpenElement {
    pub(super) fn raw_name<'a>(&self, text: &'a str) -> &'a str {
        &text[self.raw_start..self.raw_end]
    }
}

/// An attribute or namespace declaration before its prefix is resolved.
#[derive(Clone, Copy)]
pub(super) struct RawAttribute {
    name: usize,
    value: Text,
    at: usize,
}

/// A name as written, and what it resolved to last.
struct QualifiedName {
    start: usize,
    end: usize,
    prefix: Symbol,
    local: Symbol,
    resolved: Option<(Symbol, NameId)>,
}

/// The names that occurred, by their text: each is checked, split and interned once.
#[derive(Default)]
pub(super) struct QualifiedNames {
    entries: Vec<QualifiedName>,
    table: HashTable<usize>,
}

impl Parser<'_> {
    pub(super) fn start_tag(&mut self) -> Parsed<()> {
        let start = self.at;
        if self.open.len() >= self.limits.depth {
            let message = format!("more than {} nested elements", self.limits.depth);
            return Err(self.fail(ParseErrorKind::DepthLimit, message));
        }
        self.at += 1;
        let name = self.qualified_name()?;
        self.attributes.clear();
        let is_empty = self.rest_of_start_tag()?;
        let scope = self.bindings.mark();
        let declarations = self.declare_namespaces()?;
        let resolved = self.resolve(name, false, start + 1)?;
        let attributes = self.resolve_attributes()?;
        let element = Element {
            name: resolved,
            attributes,
            declarations,
        };
        let node = self.push(start, Content::Element(element))?;
        if is_empty {
            self.bindings.restore(scope);
            return Ok(());
        }
        let QualifiedName {
            start: raw_start,
            end: raw_end,
            ..
        } = self.names.entries[name];
        self.open.push(OpenElement {
            node,
            raw_start,
            raw_end,
            scope,
        });
        self.last = None;
        Ok(())
    }

    /// Attributes up to `>` or `/>`; says whether the element is empty.
    fn rest_of_start_tag(&mut self) -> Parsed<bool> {
        loop {
            let spaced = self.skip_space();
            match self.peek() {
                Some(b'>') => {
                    self.at += 1;
                    return Ok(false);
                }
                Some(b'/') => {
                    self.expect("/>")?;
                    return Ok(true);
                }
                None => return Err(self.syntax("the document ends inside a start tag")),
                Some(_) if !spaced => return Err(self.syntax("expected white space, \">\" or \"/>\"")),
                Some(_) => self.attribute()?,
            }
        }
    }

    fn attribute(&mut self) -> Parsed<()> {
        let at = self.at;
        if self.attributes.len() >= self.limits.attributes {
            let message = format!("more than {} attributes on one element", self.limits.attributes);
            return Err(self.fail(ParseErrorKind::AttributeLimit, message));
        }
        let name = self.qualified_name()?;
        self.skip_space();
        self.expect("=")?;
        self.skip_space();
        let value = self.attribute_value()?;
        self.attributes.push(RawAttribute { name, value, at });
        Ok(())
    }

    pub(super) fn end_tag(&mut self) -> Parsed<()> {
        let Some(element) = self.open.last() else {
            return Err(self.syntax("an end tag without its start tag"));
        };
        let name = element.raw_name(self.text);
        let after = self.at + 2 + name.len();
        let is_match = self.bytes.get(self.at + 2..after) == Some(name.as_bytes());
        if !is_match || !matches!(self.bytes.get(after), Some(b'>' | b' ' | b'\t' | b'\n' | b'\r')) {
            return Err(self.syntax(format!("expected the end tag </{name}>")));
        }
        self.at = after;
        self.skip_space();
        self.expect(">")?;
        self.close();
        Ok(())
    }

    fn close(&mut self) {
        if let Some(element) = self.open.pop() {
            let node = self.document.node_mut(element.node);
            node.last = self.last;
            node.end = position(self.at);
            self.last = Some(element.node);
            self.bindings.restore(element.scope);
        }
    }

    /// Binds and keeps the namespace declarations among the attributes, and takes them out of the list.
    fn declare_namespaces(&mut self) -> Parsed<Option<DeclarationId>> {
        let first = self.document.declarations.len();
        let mut kept = 0;
        for index in 0..self.attributes.len() {
            let attribute = self.attributes[index];
            let name = &self.names.entries[attribute.name];
            match (name.prefix, name.local) {
                (Symbol::EMPTY, Symbol::XMLNS) => self.declare(Symbol::EMPTY, attribute, first)?,
                (Symbol::XMLNS, prefix) => self.declare(prefix, attribute, first)?,
                _ => {
                    self.attributes[kept] = attribute;
                    kept += 1;
                }
            }
        }
        self.attributes.truncate(kept);
        let added = &self.document.declarations[first..];
        let prefixes = added.iter().map(|declaration| declaration.prefix.index());
        if has_duplicates(added.len(), prefixes) {
            return Err(self.syntax("a namespace prefix is declared twice on one element"));
        }
        Ok((!added.is_empty()).then(|| DeclarationId::from_index(first)))
    }

    fn declare(&mut self, prefix: Symbol, attribute: RawAttribute, first: usize) -> Parsed<()> {
        let value = resolve_text(self.text, &self.document.buffer, attribute.value);
        let namespace = self.document.symbols.intern(value);
        if let Some(message) = declaration_error(prefix, namespace) {
            return Err(Failure {
                kind: ParseErrorKind::Namespace,
                at: attribute.at,
                message: message.into(),
            });
        }
        self.bindings.bind(prefix, namespace);
        let declarations = &mut self.document.declarations;
        let id = DeclarationId::from_index(declarations.len());
        if let Some(previous) = declarations[first..].last_mut() {
            previous.next = Some(id);
        }
        declarations.push(DeclarationData {
            prefix,
            namespace,
            carried: false,
            next: None,
        });
        Ok(())
    }

    fn resolve_attributes(&mut self) -> Parsed<Option<AttributeId>> {
        let first = self.document.attributes.len();
        let count = self.attributes.len();
        self.count_nodes(count)?;
        for index in 0..count {
            let RawAttribute { name, value, at } = self.attributes[index];
            let name = self.resolve(name, true, at)?;
            let next = (index + 1 < count).then(|| AttributeId::from_index(first + index + 1));
            self.document.attributes.push(AttributeData { name, value, next });
        }
        let symbols = &self.document.symbols;
        let keys = self.document.attributes[first..].iter().map(|attribute| {
            let parts = symbols.parts(attribute.name);
            (parts.namespace, parts.local)
        });
        if has_duplicates(count, keys) {
            return Err(self.syntax("an attribute occurs twice on one element"));
        }
        Ok((count > 0).then(|| AttributeId::from_index(first)))
    }

    /// The interned name of the entry `index`, in the namespace that its prefix is bound to here.
    fn resolve(&mut self, index: usize, is_attribute: bool, at: usize) -> Parsed<NameId> {
        let entry = &mut self.names.entries[index];
        let bound = match entry.prefix {
            Symbol::EMPTY if is_attribute => Some(Symbol::EMPTY),
            prefix => self.bindings.lookup(prefix),
        };
        let Some(namespace) = bound else {
            let prefix = self.document.symbols.resolve(entry.prefix);
            let message = format!("the prefix {prefix:?} is not declared");
            return Err(Failure {
                kind: ParseErrorKind::Namespace,
                at,
                message,
            });
        };
        match entry.resolved {
            Some((known, name)) if known == namespace => Ok(name),
            _ => {
                let parts = NameParts {
                    prefix: entry.prefix,
                    local: entry.local,
                    namespace,
                };
                let name = self.document.symbols.name(parts);
                entry.resolved = Some((namespace, name));
                Ok(name)
            }
        }
    }

    /// Reads a name and yields its entry.
    fn qualified_name(&mut self) -> Parsed<usize> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|byte| NAME_BYTES[byte as usize] || byte == b':' || byte >= 0x80)
        {
            self.at += 1;
        }
        let name = &self.text[start..self.at];
        let hasher = self.document.symbols.hasher();
        let (hash, entries) = (hasher.hash_one(name), &self.names.entries);
        let known = self
            .names
            .table
            .find(hash, |&index| entries[index].text(self.text) == name);
        match known {
            Some(&index) => Ok(index),
            None => self.new_name(start, hash),
        }
    }

    fn new_name(&mut self, start: usize, hash: u64) -> Parsed<usize> {
        let end = self.at;
        let (prefix, local) = split_name(&self.text[start..end]).ok_or_else(|| self.bad_name(start))?;
        let symbols = &mut self.document.symbols;
        let (prefix, local) = (symbols.intern(prefix), symbols.intern(local));
        let index = self.names.entries.len();
        self.names.entries.push(QualifiedName {
            start,
            end,
            prefix,
            local,
            resolved: None,
        });
        let (text, entries, hasher) = (self.text, &self.names.entries, self.document.symbols.hasher());
        self.names
            .table
            .insert_unique(hash, index, |&other| hasher.hash_one(entries[other].text(text)));
        Ok(index)
    }

    fn bad_name(&self, start: usize) -> Failure {
        let name = &self.text[start..self.at];
        let message = match name {
            "" => "expected a name".to_owned(),
            _ => format!("{:?} is not a name", name.chars().take(64).collect::<String>()),
        };
        let kind = if name.contains(':') {
            ParseErrorKind::Namespace
        } else {
            ParseErrorKind::Syntax
        };
        Failure {
            kind,
            at: start,
            message,
        }
    }
}

impl QualifiedName {
    fn text<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start..self.end]
    }
}

/// Prefix and local part of a well-formed name.
fn split_name(name: &str) -> Option<(&str, &str)> {
    match name.split_once(':') {
        None => is_ncname(name).then_some(("", name)),
        Some((prefix, local)) => (is_ncname(prefix) && is_ncname(local)).then_some((prefix, local)),
    }
}

/// What Namespaces in XML 1.0 sections 2.2 and 3 say against a declaration.
pub(crate) fn declaration_error(prefix: Symbol, namespace: Symbol) -> Option<&'static str> {
    match (prefix, namespace) {
        (Symbol::XML, Symbol::XML_NAMESPACE) => None,
        (Symbol::XML, _) => Some("the prefix \"xml\" cannot be bound to another namespace"),
        (Symbol::XMLNS, _) => Some("the prefix \"xmlns\" cannot be declared"),
        (_, Symbol::XML_NAMESPACE) => Some("only the prefix \"xml\" can be bound to its namespace"),
        (_, Symbol::XMLNS_NAMESPACE) => Some("the namespace of \"xmlns\" cannot be declared"),
        (Symbol::EMPTY, _) => None,
        (_, Symbol::EMPTY) => Some("a prefix cannot be bound to the empty namespace"),
        _ => None,
    }
}

/// Whether a key occurs twice; compares pairs while they are few, and hashes when they are many.
fn has_duplicates<K: Copy + Eq + std::hash::Hash>(count: usize, mut keys: impl Iterator<Item = K>) -> bool {
    if count < 2 {
        return false;
    }
    if count > 8 {
        let mut seen = HashSet::with_capacity(count);
        return keys.any(|key| !seen.insert(key));
    }
    let mut seen: [Option<K>; 8] = [None; 8];
    keys.enumerate().any(|(index, key)| {
        let found = seen[..index].contains(&Some(key));
        seen[index] = Some(key);
        found
    })
}

/// The text behind `text` while the document does not own its source yet.
pub(super) fn resolve_text<'a>(source: &'a str, buffer: &'a str, text: Text) -> &'a str {
    match text {
        Text::Source { start, length } => &source[start as usize..(start + length) as usize],
        Text::Buffer { start, length } => &buffer[start as usize..(start + length) as usize],
        Text::Edited(_) => "",
    }
}
