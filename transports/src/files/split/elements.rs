//! Elements of an XML document by their name: each part is a document of its own, with the namespaces that are in scope declared on it.
//! Only tags are read; whether a part is well-formed inside is seen by whoever parses it. Document type declarations are refused, as
//! everywhere.

use super::scan::{Found, Malformed, Scan};
use super::tag::{self, Tag};
use memchr::{memchr, memchr3, memmem};
use std::sync::Arc;

/// Most elements around a part.
const DEPTH_MAX: usize = 128;
/// Most bytes of their tags together.
const CONTEXT_BYTES_MAX: usize = 64 << 10;
/// The longest opening of markup: `<![CDATA[`.
const OPENING_BYTES: usize = 9;

/// The name of the elements that are parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// Its namespace; any, where there is none.
    pub(crate) namespace: Option<String>,
    /// Its local name.
    pub(crate) local: String,
}

/// Finds elements.
pub(super) struct Elements {
    name: Name,
    state: State,
    /// How far the window was looked at.
    seen: usize,
    /// The declaration, where it names another encoding than UTF-8: every part needs it.
    declaration: Vec<u8>,
    /// The elements around the parts, outermost first.
    around: Vec<Tag>,
    /// Open elements in the part; 0 outside of one.
    depth: usize,
    /// Whether the root element was seen.
    root: bool,
    context: Arc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte.
    Begin,
    /// In text.
    Text,
    /// At a `<`.
    Markup,
    /// In the declaration.
    Declaration,
    /// In a comment, an instruction or a CDATA section, until these bytes.
    Until(&'static [u8]),
    /// In a start tag, between these quotes.
    Start { quote: Option<u8> },
    /// In an end tag.
    End,
}

impl Elements {
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            state: State::Begin,
            seen: 0,
            declaration: Vec::new(),
            around: Vec::new(),
            depth: 0,
            root: false,
            context: Arc::default(),
        }
    }

    /// Goes on to `state` behind `length` bytes of the window, which are skipped outside of parts.
    fn pass(&mut self, length: usize, state: State) -> Option<Found> {
        self.state = state;
        if self.depth > 0 || length == 0 {
            self.seen = length;
            return None;
        }
        self.seen = 0;
        Some(Found::Skip(length))
    }

    /// One step through the window: `None` where the next one can be taken at once.
    fn step(&mut self, window: &[u8], end: bool) -> Result<Option<Found>, Malformed> {
        let rest = &window[self.seen..];
        match self.state {
            State::Begin if rest.len() < OPENING_BYTES && !end => Ok(Some(Found::More)),
            State::Begin => {
                let declared = rest.starts_with(b"<?xml") && rest.get(5).is_some_and(u8::is_ascii_whitespace);
                self.state = if declared { State::Declaration } else { State::Text };
                Ok(None)
            }
            State::Text => self.text(window),
            State::Markup => self.markup(window, end),
            State::Declaration => self.declaration(window),
            State::Until(close) => Ok(self.until(window, close)),
            State::Start { quote } => self.start(window, quote),
            State::End => self.end(window),
        }
    }

    fn text(&mut self, window: &[u8]) -> Result<Option<Found>, Malformed> {
        let rest = &window[self.seen..];
        let found = memchr(b'<', rest);
        let text = &rest[..found.unwrap_or(rest.len())];
        if self.depth == 0 && self.around.is_empty() && !text.trim_ascii().is_empty() {
            return Malformed::new(self.seen, "there is text outside of the root element");
        }
        let length = self.seen + text.len();
        match found {
            Some(_) => Ok(self.pass(length, State::Markup)),
            None => Ok(Some(self.pass(length, State::Text).unwrap_or(Found::More))),
        }
    }

    fn markup(&mut self, window: &[u8], end: bool) -> Result<Option<Found>, Malformed> {
        let rest = &window[self.seen..];
        if rest.len() < OPENING_BYTES && !end && !matches!(rest, [_, next, ..] if !matches!(next, b'!')) {
            return Ok(Some(Found::More));
        }
        let (state, length) = match rest {
            [_, b'/', ..] => (State::End, 2),
            [_, b'?', ..] => (State::Until(b"?>"), 2),
            [_, b'!', b'-', b'-', ..] => (State::Until(b"-->"), 4),
            [_, b'!', more @ ..] if more.starts_with(b"[CDATA[") => (State::Until(b"]]>"), OPENING_BYTES),
            [_, b'!', ..] => return Malformed::new(self.seen, "document type declarations are not accepted"),
            [_, _, ..] => (State::Start { quote: None }, 1),
            _ => return Malformed::new(self.seen, "the document ends in the middle of a tag"),
        };
        // The window keeps the tag from its beginning on.
        self.state = state;
        self.seen += length;
        Ok(None)
    }

    fn declaration(&mut self, window: &[u8]) -> Result<Option<Found>, Malformed> {
        let Some(length) = memmem::find(window, b"?>").map(|at| at + 2) else {
            self.seen = window.len();
            return Ok(Some(Found::More));
        };
        let declaration = &window[..length];
        let encoding = tag::attributes(&declaration[5..length - 2]).find(|(name, _)| *name == b"encoding");
        if let Some((_, encoding)) = encoding {
            let encoding = encoding.to_ascii_lowercase();
            if !tag::is_like_ascii(&encoding) {
                return Malformed::new(0, "files in this encoding cannot be split");
            }
            if encoding != b"utf-8" && encoding != b"us-ascii" {
                self.declaration = declaration.to_vec();
                self.renew_context();
            }
        }
        Ok(self.pass(length, State::Text))
    }

    fn until(&mut self, window: &[u8], close: &'static [u8]) -> Option<Found> {
        if let Some(at) = memmem::find(&window[self.seen..], close) {
            return self.pass(self.seen + at + close.len(), State::Text);
        }
        // The closing may have begun. The bytes before belong to the inside, also where they look like an opening.
        let length = window.len().saturating_sub(close.len() - 1).max(self.seen);
        let passed = self.pass(length, State::Until(close));
        passed.or(Some(Found::More))
    }

    fn start(&mut self, window: &[u8], mut quote: Option<u8>) -> Result<Option<Found>, Malformed> {
        loop {
            let rest = &window[self.seen..];
            let found = match quote {
                Some(quote) => memchr(quote, rest),
                None => memchr3(b'>', b'"', b'\'', rest),
            };
            let Some(at) = found else {
                self.seen = window.len();
                self.state = State::Start { quote };
                return Ok(Some(Found::More));
            };
            self.seen += at + 1;
            quote = match (quote, rest[at]) {
                (None, b'>') => break,
                (None, byte) => Some(byte),
                (Some(_), _) => None,
            };
        }
        self.started(window)
    }

    /// A start tag ends at `seen`. Outside of parts the window begins with it.
    fn started(&mut self, window: &[u8]) -> Result<Option<Found>, Malformed> {
        let closed = window[..self.seen].ends_with(b"/>");
        self.state = State::Text;
        if self.depth > 0 {
            self.depth += usize::from(!closed);
            return Ok(None);
        }
        if self.around.is_empty() && self.root {
            return Malformed::new(0, "there is a second root element");
        }
        self.root = true;
        let tag = Tag::new(&window[..self.seen]);
        if tag.is(&self.name, &self.around) {
            if closed {
                return Ok(Some(self.part()));
            }
            self.depth = 1;
            return Ok(None);
        }
        if !closed {
            let bytes: usize = self.around.iter().map(|tag| tag.bytes().len()).sum();
            if self.around.len() >= DEPTH_MAX || bytes + tag.bytes().len() > CONTEXT_BYTES_MAX {
                return Malformed::new(0, "elements are nested too deep");
            }
            self.around.push(tag);
            self.renew_context();
        }
        Ok(self.pass(self.seen, State::Text))
    }

    fn part(&mut self) -> Found {
        let length = self.seen;
        (self.seen, self.state) = (0, State::Text);
        Found::Part(length)
    }

    fn end(&mut self, window: &[u8]) -> Result<Option<Found>, Malformed> {
        let Some(at) = memchr(b'>', &window[self.seen..]) else {
            self.seen = window.len();
            return Ok(Some(Found::More));
        };
        self.seen += at + 1;
        self.state = State::Text;
        if self.depth > 0 {
            self.depth -= 1;
            return Ok((self.depth == 0).then(|| self.part()));
        }
        let name = window[2..self.seen - 1].trim_ascii_end();
        match self.around.pop() {
            Some(tag) if tag.name() == name => {}
            Some(_) => return Malformed::new(0, "an end tag has another name than its start tag"),
            None => return Malformed::new(0, "an end tag has no start tag"),
        }
        self.renew_context();
        Ok(self.pass(self.seen, State::Text))
    }

    fn renew_context(&mut self) {
        let mut context = self.declaration.clone();
        for tag in &self.around {
            context.extend_from_slice(tag.bytes());
        }
        self.context = context.into();
    }
}

impl Scan for Elements {
    fn scan(&mut self, window: &[u8], end: bool) -> Result<Found, Malformed> {
        loop {
            match self.step(window, end)? {
                None => {}
                Some(Found::More) if end => break,
                Some(found) => return Ok(found),
            }
        }
        let inside = self.depth > 0 || !self.around.is_empty();
        match self.state {
            State::Text if !self.root => Malformed::new(0, "there is no root element"),
            State::Text if !inside && self.seen >= window.len() => Ok(Found::End),
            _ => Malformed::new(0, "the document ends too early: an element or a tag is open"),
        }
    }

    fn context(&self) -> Arc<[u8]> {
        Arc::clone(&self.context)
    }

    fn open(&self, document: &mut Vec<u8>) {
        document.extend_from_slice(&self.declaration);
    }

    fn add(&self, document: &mut Vec<u8>, part: &[u8], _: usize) {
        let end = tag::name_end(part);
        document.extend_from_slice(&part[..end]);
        let length = tag::length(part);
        tag::inherit(&self.around, &part[..length], document);
        document.extend_from_slice(&part[end..]);
    }

    fn close(&self, _: &mut Vec<u8>) {}
}
