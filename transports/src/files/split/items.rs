//! Items of a JSON array (RFC 8259), at the top of the document or below some keys. Only what bounds the items is read: brackets, strings
//! and commas. Whether an item is well-formed inside is seen by whoever parses it.

use super::scan::{Found, Malformed, Scan};
use memchr::memchr2;
use std::sync::Arc;

/// How long a byte of a key can be as it is written: `\u0061`.
const ESCAPED_BYTES: usize = 6;

/// Finds the items of an array.
pub(super) struct Items {
    /// The keys that lead to the array.
    path: Vec<String>,
    /// How many of them were followed.
    level: usize,
    state: State,
    /// How far the window was looked at.
    seen: usize,
    context: Arc<[u8]>,
    /// Whether a document is an array of items rather than one item.
    array: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the value on the path: an object, or in the end the array.
    Value,
    /// In an object on the path, before a key or its end; `first` before the first key.
    Key { first: bool },
    /// In a key, which the window begins with; `escaped` behind a backslash.
    InKey { escaped: bool, long: bool },
    /// Between a key and its value.
    Colon { wanted: bool },
    /// Before a value that is not wanted.
    Other,
    /// In it.
    InOther(Extent),
    /// Behind it.
    AfterOther,
    /// Behind the bracket of the array.
    First,
    /// Behind a comma in it.
    Next,
    /// In an item, which the window begins with.
    Item(Extent),
    /// Behind an item.
    AfterItem,
    /// Behind the array, in the objects around it.
    Rest(Extent),
    /// Behind the document.
    Done,
}

/// How far a value reaches.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    depth: usize,
    string: bool,
    escaped: bool,
    scalar: bool,
}

impl Extent {
    /// Goes on through `bytes`: how many belong to the value, and whether it ends there.
    fn walk(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            if self.string {
                at += self.walk_string(&bytes[at..]);
                if !self.string && self.depth == 0 {
                    return (at, true);
                }
                continue;
            }
            match bytes[at] {
                b'"' => self.string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.scalar => return (at, true),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                b',' | b' ' | b'\t' | b'\r' | b'\n' if self.scalar => return (at, true),
                _ if self.depth == 0 => self.scalar = true,
                _ => {}
            }
            at += 1;
        }
        (at, false)
    }

    /// Goes on through a string, behind its first quote.
    fn walk_string(&mut self, bytes: &[u8]) -> usize {
        if self.escaped {
            self.escaped = false;
            return 1;
        }
        let Some(at) = memchr2(b'"', b'\\', bytes) else {
            return bytes.len();
        };
        match bytes[at] {
            b'\\' => self.escaped = true,
            _ => self.string = false,
        }
        at + 1
    }
}

impl Items {
    /// The items of the array that these keys lead to.
    pub(super) fn new(path: &[String], array: bool) -> Self {
        let mut context = String::new();
        for key in path {
            // A string is always written.
            let key = serde_json::to_string(key).unwrap_or_default();
            context.extend(["{", key.as_str(), ":"]);
        }
        context.push('[');
        Self {
            path: path.to_vec(),
            level: 0,
            state: State::Value,
            seen: 0,
            context: context.into_bytes().into(),
            array,
        }
    }

    /// Says what comes first in the window, of which white space is gone.
    fn step(&mut self, window: &[u8], end: bool) -> Result<Found, Malformed> {
        let byte = window[0];
        match (self.state, byte) {
            (State::Value, b'{') if self.level < self.path.len() => self.skip(State::Key { first: true }),
            (State::Value, b'[') if self.level == self.path.len() => self.skip(State::First),
            (State::Value, _) => self.missing(),
            (State::Key { .. }, b'"') => {
                self.state = State::InKey {
                    escaped: false,
                    long: false,
                };
                self.seen = 1;
                self.key(window)
            }
            (State::Key { first: true } | State::AfterOther, b'}') => self.missing(),
            (State::Colon { wanted: true }, b':') => {
                self.level += 1;
                self.skip(State::Value)
            }
            (State::Colon { wanted: false }, b':') => self.skip(State::Other),
            (State::Other, b',' | b'}' | b']' | b':') => unexpected(byte),
            (State::Other, _) => {
                self.state = State::InOther(Extent::default());
                self.value(window, end)
            }
            (State::AfterOther, b',') => self.skip(State::Key { first: false }),
            (State::First | State::AfterItem, b']') => {
                let depth = self.level;
                self.skip(match depth {
                    0 => State::Done,
                    _ => State::Rest(Extent {
                        depth,
                        ..Extent::default()
                    }),
                })
            }
            (State::AfterItem, b',') => self.skip(State::Next),
            (State::First | State::Next, b',' | b'}' | b']' | b':') => unexpected(byte),
            (State::First | State::Next, _) => {
                self.state = State::Item(Extent::default());
                self.value(window, end)
            }
            _ => unexpected(byte),
        }
    }

    fn skip(&mut self, state: State) -> Result<Found, Malformed> {
        (self.state, self.seen) = (state, 0);
        Ok(Found::Skip(1))
    }

    /// The way to the array ends here.
    fn missing(&self) -> Result<Found, Malformed> {
        let place = match &self.path[..self.level] {
            [] => "the document".to_owned(),
            keys => format!("`{}`", keys.join(".")),
        };
        let what = match self.path.get(self.level) {
            Some(key) => format!("{place} has no key `{key}`"),
            None => format!("{place} is no array"),
        };
        Malformed::new(0, what)
    }

    /// Goes on in a key.
    fn key(&mut self, window: &[u8]) -> Result<Found, Malformed> {
        let State::InKey {
            mut escaped,
            mut long,
        } = self.state
        else {
            return Ok(Found::More);
        };
        while self.seen < window.len() {
            let byte = window[self.seen];
            self.seen += 1;
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    let length = self.seen;
                    let wanted = !long && self.is_wanted(&window[..length]);
                    (self.state, self.seen) = (State::Colon { wanted }, 0);
                    return Ok(Found::Skip(length));
                }
                _ => {}
            }
        }
        // A key that is too long is no key of ours: its beginning need not be kept.
        let wanted = self.path.get(self.level).map_or(0, String::len);
        long |= window.len() > wanted * ESCAPED_BYTES + 2;
        self.state = State::InKey { escaped, long };
        if long && !window.is_empty() {
            self.seen = 0;
            return Ok(Found::Skip(window.len()));
        }
        Ok(Found::More)
    }

    fn is_wanted(&self, quoted: &[u8]) -> bool {
        let key = serde_json::from_slice::<String>(quoted);
        key.is_ok_and(|key| self.path.get(self.level) == Some(&key))
    }

    /// Goes on in a value.
    fn value(&mut self, window: &[u8], end: bool) -> Result<Found, Malformed> {
        let (mut extent, keep) = match self.state {
            State::Item(extent) => (extent, true),
            State::InOther(extent) | State::Rest(extent) => (extent, false),
            _ => return Ok(Found::More),
        };
        let (length, mut ends) = extent.walk(&window[self.seen..]);
        let length = self.seen + length;
        ends |= end && extent.scalar;
        if ends {
            self.state = match self.state {
                State::Item(_) => State::AfterItem,
                State::Rest(_) => State::Done,
                _ => State::AfterOther,
            };
            self.seen = 0;
            return Ok(if keep {
                Found::Part(length)
            } else {
                Found::Skip(length)
            });
        }
        self.state = match self.state {
            State::Item(_) => State::Item(extent),
            State::Rest(_) => State::Rest(extent),
            _ => State::InOther(extent),
        };
        if keep || length == 0 {
            self.seen = length;
            return Ok(Found::More);
        }
        self.seen = 0;
        Ok(Found::Skip(length))
    }
}

fn unexpected(byte: u8) -> Result<Found, Malformed> {
    Malformed::new(0, format!("`{}` is not expected here", byte.escape_ascii()))
}

impl Items {
    fn look(&mut self, window: &[u8], end: bool) -> Result<Found, Malformed> {
        match self.state {
            State::InKey { .. } => return self.key(window),
            State::Item(_) | State::InOther(_) | State::Rest(_) => return self.value(window, end),
            _ => {}
        }
        let space = window
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count();
        match window.get(space) {
            _ if space > 0 => Ok(Found::Skip(space)),
            Some(_) => self.step(window, end),
            None if !end => Ok(Found::More),
            None => match self.state {
                State::Done => Ok(Found::End),
                State::Value if self.level == 0 => Malformed::new(0, "the file is empty"),
                _ => Malformed::new(0, "the document ends too early"),
            },
        }
    }
}

impl Scan for Items {
    fn scan(&mut self, window: &[u8], end: bool) -> Result<Found, Malformed> {
        match self.look(window, end)? {
            Found::More if end => Malformed::new(0, "the document ends in the middle of a key or a value"),
            found => Ok(found),
        }
    }

    fn context(&self) -> Arc<[u8]> {
        Arc::clone(&self.context)
    }

    fn open(&self, document: &mut Vec<u8>) {
        if self.array {
            document.push(b'[');
        }
    }

    fn add(&self, document: &mut Vec<u8>, part: &[u8], before: usize) {
        if before > 0 {
            document.push(b',');
        }
        document.extend_from_slice(part);
    }

    fn close(&self, document: &mut Vec<u8>) {
        if self.array {
            document.push(b']');
        }
    }
}
