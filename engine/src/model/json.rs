//! JSON text to value and back (RFC 8259), with every digit, key and its order kept.
//!
//! A gateway must not change what it was not asked to change. `serde_json` alone writes `1e2` back as `1e+2`,
//! lets the last of two equal keys win in silence, and recurses. This parser keeps the text of each number
//! as it stood, refuses repeated keys unless told otherwise, and nests on the heap. The value itself is
//! [`serde_json::Value`], as every library around speaks it.

mod scan;
#[cfg(test)]
mod tests;

use crate::fault::{Fault, FaultCode};
use crate::format::FormatLimits;
use scan::Scanner;
use serde_json::{Map, Value as Json};
use std::fmt;

/// The deepest nesting that [`parse`] accepts, whatever the limits say: dropping, copying and writing a
/// [`Json`] recurse, and this many levels fit the stack of a worker thread several times over.
pub const MAX_DEPTH: usize = 1000;

/// Where and why a text is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Malformed {}

impl Malformed {
    /// The mistake at byte `offset` of `bytes`.
    #[must_use]
    pub fn at(bytes: &[u8], offset: usize, message: impl Into<String>) -> Self {
        let before = &bytes[..offset.min(bytes.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |found| found + 1);
        let column = before[start..]
            .iter()
            .filter(|byte| **byte & 0xC0 != 0x80)
            .count()
            + 1;
        Self {
            line,
            column,
            message: message.into(),
        }
    }

    /// The fault of a body of this kind (`JSON`, `XML`): `client.malformed_body` that names the position.
    #[must_use]
    pub fn into_fault(self, kind: &str) -> Fault {
        Fault::new(
            FaultCode::MalformedBody,
            format!("The body is not valid {kind}: {self}."),
        )
    }
}

/// Parses one JSON text. A byte order mark at the beginning is ignored, as RFC 8259 section 8.1 allows.
///
/// # Errors
/// The first mistake: any departure from RFC 8259, nesting past `limits.depth` (or [`MAX_DEPTH`]), a
/// repeated key where those are refused, and an escaped surrogate without its other half.
pub fn parse(bytes: &[u8], limits: &FormatLimits) -> Result<Json, Malformed> {
    let plain = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let malformed = |mistake: Mistake| Malformed::at(plain, mistake.offset, mistake.message);
    let text = std::str::from_utf8(plain).map_err(|error| malformed(Mistake::utf8(error.valid_up_to())))?;
    let mut parser = Parser {
        scanner: Scanner::new(text),
        open: Vec::new(),
        limits,
    };
    parser.document().map_err(malformed)
}

/// Writes a value without white space. Numbers are written as the text they hold.
#[must_use]
pub fn write(value: &Json) -> Vec<u8> {
    serde_json::to_vec(value).expect("keys are strings and a vector takes every byte")
}

/// Whether the text is exactly one JSON number, without white space.
#[must_use]
pub fn is_number(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && scanner.number().is_ok()
        && scanner.is_at_end()
}

/// A mistake at a byte offset; line and column are counted only when it is reported.
#[derive(Debug)]
struct Mistake {
    offset: usize,
    message: String,
}

impl Mistake {
    #[cold]
    fn new(offset: usize, message: impl Into<String>) -> Self {
        Self {
            offset,
            message: message.into(),
        }
    }

    fn utf8(offset: usize) -> Self {
        Self::new(offset, "the text is not UTF-8")
    }
}

/// An array or object whose end has not come yet.
enum Open {
    Array(Vec<Json>),
    Object(Map<String, Json>, String),
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    open: Vec<Open>,
    limits: &'a FormatLimits,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<Json, Mistake> {
        loop {
            let Some(value) = self.value()? else { continue };
            if let Some(whole) = self.close(value)? {
                return self.scanner.end().map(|()| whole);
            }
        }
    }

    /// The next value, where it is complete; `None` after the opening of a container that is not empty.
    fn value(&mut self) -> Result<Option<Json>, Mistake> {
        match self.scanner.next_token() {
            Some(b'"') => self.scanner.string().map(|text| Some(Json::String(text))),
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'-' | b'0'..=b'9') => self.scanner.number().map(|number| Some(Json::Number(number))),
            Some(b't') => self.scanner.literal("true", Json::Bool(true)).map(Some),
            Some(b'f') => self.scanner.literal("false", Json::Bool(false)).map(Some),
            Some(b'n') => self.scanner.literal("null", Json::Null).map(Some),
            _ => Err(self.scanner.expected("a value")),
        }
    }

    fn object(&mut self) -> Result<Option<Json>, Mistake> {
        self.enter()?;
        if self.scanner.take(b'}') {
            return Ok(Some(Json::Object(Map::new())));
        }
        let key = self.scanner.key("a key or `}`")?;
        self.open.push(Open::Object(Map::new(), key));
        Ok(None)
    }

    fn array(&mut self) -> Result<Option<Json>, Mistake> {
        self.enter()?;
        if self.scanner.take(b']') {
            return Ok(Some(Json::Array(Vec::new())));
        }
        self.open.push(Open::Array(Vec::new()));
        Ok(None)
    }

    /// Steps over the bracket, one level deeper.
    fn enter(&mut self) -> Result<(), Mistake> {
        let depth = self.limits.depth.min(MAX_DEPTH);
        if self.open.len() >= depth {
            return Err(self.scanner.mistake(format!("nested deeper than {depth} levels")));
        }
        self.scanner.step();
        Ok(())
    }

    /// Puts a complete value where it belongs and closes what ends after it; the whole document at its end.
    fn close(&mut self, mut value: Json) -> Result<Option<Json>, Mistake> {
        loop {
            let ended = match self.open.last_mut() {
                None => return Ok(Some(value)),
                Some(Open::Array(items)) => {
                    items.push(value);
                    self.scanner.separator(b']', "`,` or `]`")?
                }
                Some(Open::Object(entries, key)) => {
                    insert(entries, std::mem::take(key), value, &self.scanner, self.limits)?;
                    let ended = self.scanner.separator(b'}', "`,` or `}`")?;
                    if !ended {
                        *key = self.scanner.key("a key")?;
                    }
                    ended
                }
            };
            if !ended {
                return Ok(None);
            }
            value = match self.open.pop() {
                Some(Open::Array(items)) => Json::Array(items),
                Some(Open::Object(entries, _)) => Json::Object(entries),
                None => return Ok(None),
            };
        }
    }
}

fn insert(
    entries: &mut Map<String, Json>,
    key: String,
    value: Json,
    scanner: &Scanner<'_>,
    limits: &FormatLimits,
) -> Result<(), Mistake> {
    if !limits.refuse_duplicate_keys {
        entries.insert(key, value);
        return Ok(());
    }
    match entries.entry(key) {
        serde_json::map::Entry::Vacant(entry) => drop(entry.insert(value)),
        serde_json::map::Entry::Occupied(entry) => {
            let shown: String = entry.key().chars().take(40).collect();
            return Err(scanner.mistake(format!("the key `{shown}` comes twice in this object")));
        }
    }
    Ok(())
}
