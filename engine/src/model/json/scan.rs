//! The tokens of JSON, found by looking at bytes; text is cut out of the input in whole runs.

use super::Mistake;
use serde_json::{Number, Value as Json};

/// A place in a JSON text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
        }
    }

    /// A mistake at the present place.
    pub(super) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::new(self.at, message)
    }

    #[cold]
    pub(super) fn expected(&self, what: &str) -> Mistake {
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        match found {
            Some(character) if character.is_control() => {
                self.mistake(format!("expected {what}, found U+{:04X}", character as u32))
            }
            Some(character) => self.mistake(format!("expected {what}, found `{character}`")),
            None => self.mistake(format!("expected {what}, found the end")),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Steps over the byte at hand.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// The first byte after white space, not yet stepped over.
    pub(super) fn next_token(&mut self) -> Option<u8> {
        while let Some(byte) = self.peek() {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Steps over `byte` where it comes next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.next_token() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Steps over a comma or the closing bracket; whether it was the bracket.
    pub(super) fn separator(&mut self, closing: u8, expected: &str) -> Result<bool, Mistake> {
        match self.next_token() {
            Some(b',') => self.step(),
            Some(byte) if byte == closing => {
                self.step();
                return Ok(true);
            }
            _ => return Err(self.expected(expected)),
        }
        Ok(false)
    }

    /// A key and its colon.
    pub(super) fn key(&mut self, expected: &str) -> Result<String, Mistake> {
        if self.next_token() != Some(b'"') {
            return Err(self.expected(expected));
        }
        let key = self.string()?;
        if self.take(b':') {
            Ok(key)
        } else {
            Err(self.expected("`:`"))
        }
    }

    /// Nothing but white space may be left.
    pub(super) fn end(&mut self) -> Result<(), Mistake> {
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end")),
        }
    }

    /// Whether every byte was stepped over.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// `true`, `false` or `null`.
    pub(super) fn literal(&mut self, word: &str, value: Json) -> Result<Json, Mistake> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// A number (RFC 8259 section 6), as its text.
    pub(super) fn number(&mut self) -> Result<Number, Mistake> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.step();
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.step();
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.step();
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.mistake("a number does not begin with 0"));
        }
        Ok(Number::from_string_unchecked(
            self.text[start..self.at].to_owned(),
        ))
    }

    fn digits(&mut self) -> Result<(), Mistake> {
        let length = self.bytes[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if length == 0 {
            return Err(self.expected("a digit"));
        }
        self.at += length;
        Ok(())
    }

    /// A string, the opening quote being at hand.
    pub(super) fn string(&mut self) -> Result<String, Mistake> {
        self.step();
        let start = self.at;
        if self.run()? == b'"' {
            let text = self.text[start..self.at].to_owned();
            self.step();
            return Ok(text);
        }
        let mut text = String::with_capacity(2 * (self.at - start) + 16);
        text.push_str(&self.text[start..self.at]);
        loop {
            self.escape(&mut text)?;
            let start = self.at;
            let stop = self.run()?;
            text.push_str(&self.text[start..self.at]);
            if stop == b'"' {
                self.step();
                return Ok(text);
            }
        }
    }

    /// Goes on to the next quote or backslash, which it returns.
    fn run(&mut self) -> Result<u8, Mistake> {
        self.at += plain_prefix(&self.bytes[self.at..]);
        match self.peek() {
            Some(stop @ (b'"' | b'\\')) => Ok(stop),
            Some(_) => Err(self.expected("an escaped control character")),
            None => Err(self.mistake("the string has no end")),
        }
    }

    /// An escape sequence, the backslash being at hand.
    fn escape(&mut self, text: &mut String) -> Result<(), Mistake> {
        let plain = match self.bytes.get(self.at + 1) {
            Some(plain @ (b'"' | b'\\' | b'/')) => *plain as char,
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'u') => return self.unicode_escape(text),
            _ => return Err(self.mistake("not an escape sequence")),
        };
        text.push(plain);
        self.at += 2;
        Ok(())
    }

    fn unicode_escape(&mut self, text: &mut String) -> Result<(), Mistake> {
        let Some(first) = self.code_unit(self.at) else {
            return Err(self.mistake("expected four hexadecimal digits after `\\u`"));
        };
        let units = [first, self.code_unit(self.at + 6).unwrap_or(0)];
        let decoded = char::decode_utf16(units).next().and_then(Result::ok);
        let Some(character) = decoded else {
            return Err(self.mistake("half of a surrogate pair"));
        };
        text.push(character);
        self.at += if character.len_utf16() == 2 { 12 } else { 6 };
        Ok(())
    }

    /// The UTF-16 code unit of the `\uXXXX` at this offset.
    fn code_unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
    }
}

/// How many bytes come before the first quote, backslash or control character, looked at by eights.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    // The borrow of a subtraction runs upwards only, so the lowest hit is always a true one.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let stops = (below(word, 0x20) | equal(word, b'"') | equal(word, b'\\')) & TOPS;
        if stops != 0 {
            return 8 * index + stops.trailing_zeros() as usize / 8;
        }
    }
    let is_stop = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    8 * words.len() + rest.iter().position(is_stop).unwrap_or(rest.len())
}
