//! Interned strings and names of one document.
//!
//! A message repeats few names many times. Nodes keep a four-byte id, equal names have equal ids, and
//! comparing names is comparing numbers. The tables are seeded at random per process: a sender cannot
//! choose names that collide.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// The namespace that the prefix `xml` is always bound to.
pub const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace that the prefix `xmlns` is always bound to; it cannot be declared.
pub const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

/// An interned string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Symbol(u32);

impl Symbol {
    /// The empty string: no prefix, no namespace.
    pub(crate) const EMPTY: Self = Self(0);
    /// The prefix `xml`.
    pub(crate) const XML: Self = Self(1);
    /// The namespace of the prefix `xml`.
    pub(crate) const XML_NAMESPACE: Self = Self(2);
    /// The prefix `xmlns`.
    pub(crate) const XMLNS: Self = Self(3);
    /// The namespace of the prefix `xmlns`.
    pub(crate) const XMLNS_NAMESPACE: Self = Self(4);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An interned name: prefix, local part and namespace together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NameId(u32);

/// What a [`NameId`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NameParts {
    pub(crate) prefix: Symbol,
    pub(crate) local: Symbol,
    pub(crate) namespace: Symbol,
}

/// The strings and names of a document.
#[derive(Clone, Debug)]
pub(crate) struct Symbols {
    text: String,
    ends: Vec<u32>,
    strings: HashTable<Symbol>,
    parts: Vec<NameParts>,
    names: HashTable<NameId>,
    hasher: DefaultHashBuilder,
}

impl Symbols {
    /// The table that holds what every document needs.
    pub(crate) fn new() -> Self {
        let mut symbols = Self {
            text: String::with_capacity(256),
            ends: Vec::with_capacity(32),
            strings: HashTable::with_capacity(28),
            parts: Vec::with_capacity(16),
            names: HashTable::with_capacity(14),
            hasher: DefaultHashBuilder::default(),
        };
        for text in ["", "xml", XML_NAMESPACE, "xmlns", XMLNS_NAMESPACE] {
            symbols.intern(text);
        }
        symbols
    }

    /// The symbol of `text`, made when it is new.
    pub(crate) fn intern(&mut self, text: &str) -> Symbol {
        let hash = self.hasher.hash_one(text);
        if let Some(&found) = self
            .strings
            .find(hash, |&other| resolve(&self.text, &self.ends, other) == text)
        {
            return found;
        }
        let symbol = Symbol(u32::try_from(self.ends.len()).expect("fewer strings than bytes of a document"));
        self.text.push_str(text);
        self.ends
            .push(u32::try_from(self.text.len()).expect("names of a document stay below 4 GiB"));
        let (texts, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.strings.insert_unique(hash, symbol, |&other| {
            hasher.hash_one(resolve(texts, ends, other))
        });
        symbol
    }

    /// The symbol of `text` if the document has it.
    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        let hash = self.hasher.hash_one(text);
        self.strings
            .find(hash, |&other| self.resolve(other) == text)
            .copied()
    }

    /// The string behind `symbol`.
    pub(crate) fn resolve(&self, symbol: Symbol) -> &str {
        resolve(&self.text, &self.ends, symbol)
    }

    /// The id of the name made of `parts`.
    pub(crate) fn name(&mut self, parts: NameParts) -> NameId {
        let hash = self.hasher.hash_one(parts);
        let entries = &self.parts;
        if let Some(&found) = self.names.find(hash, |other| entries[other.0 as usize] == parts) {
            return found;
        }
        let id = NameId(u32::try_from(self.parts.len()).expect("fewer names than bytes of a document"));
        self.parts.push(parts);
        let (entries, hasher) = (&self.parts, &self.hasher);
        self.names
            .insert_unique(hash, id, |other| hasher.hash_one(entries[other.0 as usize]));
        id
    }

    /// What `id` stands for.
    pub(crate) fn parts(&self, id: NameId) -> NameParts {
        self.parts[id.0 as usize]
    }

    /// The seeded hash of this document's tables.
    pub(crate) fn hasher(&self) -> &DefaultHashBuilder {
        &self.hasher
    }
}

fn resolve<'a>(text: &'a str, ends: &[u32], symbol: Symbol) -> &'a str {
    let index = symbol.index();
    let start = if index == 0 { 0 } else { ends[index - 1] as usize };
    &text[start..ends[index] as usize]
}

/// The prefixes in scope while a tree is walked from the top down: one array access per lookup, however
/// many declarations a hostile document piles up.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    current: Vec<Option<Symbol>>,
    undo: Vec<(Symbol, Option<Symbol>)>,
}

impl Bindings {
    /// Only `xml` is bound.
    pub(crate) fn new() -> Self {
        let mut bindings = Self::default();
        bindings.bind(Symbol::XML, Symbol::XML_NAMESPACE);
        bindings.undo.clear();
        bindings
    }

    /// The namespace of `prefix`; without a default namespace that of the empty prefix is empty.
    pub(crate) fn lookup(&self, prefix: Symbol) -> Option<Symbol> {
        let bound = self.current.get(prefix.index()).copied().flatten();
        if prefix == Symbol::EMPTY {
            Some(bound.unwrap_or(Symbol::EMPTY))
        } else {
            bound
        }
    }

    /// Binds `prefix` until [`Self::restore`] goes back to a mark from before.
    pub(crate) fn bind(&mut self, prefix: Symbol, namespace: Symbol) {
        if self.current.len() <= prefix.index() {
            self.current.resize(prefix.index() + 1, None);
        }
        let slot = &mut self.current[prefix.index()];
        self.undo.push((prefix, slot.replace(namespace)));
    }

    /// The mark to hand to [`Self::restore`].
    pub(crate) fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Undoes every binding made since `mark`.
    pub(crate) fn restore(&mut self, mark: usize) {
        while self.undo.len() > mark {
            if let Some((prefix, previous)) = self.undo.pop() {
                self.current[prefix.index()] = previous;
            }
        }
    }
}
