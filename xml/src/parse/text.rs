//! Character data, attribute values and references.
//!
//! Text stays a range of the source until a reference, a carriage return or a tab in a value forces a copy;
//! then it goes to the document's buffer.

use super::{Parsed, Parser, position};
use crate::characters::{TEXT_STOPS, VALUE_STOPS, is_char};
use crate::tree::{Content, Text};

/// A run of text that is being read: what was copied so far, and where the part begins that was not.
struct Run {
    copied: Option<usize>,
    rest: usize,
}

impl Parser<'_> {
    pub(super) fn character_data(&mut self) -> Parsed<()> {
        let start = self.at;
        let mut run = Run {
            copied: None,
            rest: start,
        };
        loop {
            self.skip_plain(&TEXT_STOPS);
            match self.peek() {
                None | Some(b'<') => break,
                Some(b'&') => self.reference(&mut run)?,
                Some(b'\r') => self.carriage_return(&mut run, '\n'),
                Some(b']') if self.starts_with("]]>") => {
                    return Err(self.syntax("\"]]>\" must not stand in text"));
                }
                Some(b']') => self.at += 1,
                Some(_) => self.legal_character()?,
            }
        }
        let text = self.finish_run(&run);
        self.push(start, Content::Text(text))?;
        Ok(())
    }

    /// A quoted attribute value, normalized (XML 1.0 section 3.3.3).
    pub(super) fn attribute_value(&mut self) -> Parsed<Text> {
        let quote = self.peek().filter(|quote| matches!(quote, b'"' | b'\''));
        let Some(quote) = quote else {
            return Err(self.syntax("expected a quoted attribute value"));
        };
        self.at += 1;
        let mut run = Run {
            copied: None,
            rest: self.at,
        };
        loop {
            self.skip_plain(&VALUE_STOPS);
            match self.peek() {
                None => return Err(self.syntax("the document ends inside an attribute value")),
                Some(byte) if byte == quote => break,
                Some(b'"' | b'\'') => self.at += 1,
                Some(b'<') => return Err(self.syntax("\"<\" must not stand in an attribute value")),
                Some(b'&') => self.reference(&mut run)?,
                Some(b'\r') => self.carriage_return(&mut run, ' '),
                Some(b'\t' | b'\n') => {
                    self.copy(&mut run);
                    self.at += 1;
                    self.replace(&mut run, ' ');
                }
                Some(_) => self.legal_character()?,
            }
        }
        let value = self.finish_run(&run);
        self.at += 1;
        Ok(value)
    }

    fn skip_plain(&mut self, stops: &[bool; 256]) {
        let rest = &self.bytes[self.at..];
        self.at += rest
            .iter()
            .position(|&byte| stops[byte as usize])
            .unwrap_or(rest.len());
    }

    /// Passes a character that may be illegal: a control character, or one of U+F000 to U+FFFF.
    fn legal_character(&mut self) -> Parsed<()> {
        match self.text[self.at..].chars().next() {
            Some(character) if is_char(character) => self.at += character.len_utf8(),
            Some(character) => {
                let message = format!("the character U+{:04X} is not allowed", u32::from(character));
                return Err(self.syntax(message));
            }
            None => {}
        }
        Ok(())
    }

    /// Line ends become one line feed (XML 1.0 section 2.11), in values one space.
    fn carriage_return(&mut self, run: &mut Run, replacement: char) {
        self.copy(run);
        self.at += 1;
        if self.peek() == Some(b'\n') {
            self.at += 1;
        }
        self.replace(run, replacement);
    }

    fn reference(&mut self, run: &mut Run) -> Parsed<()> {
        self.copy(run);
        let character = if self.starts_with("&#") {
            self.character_reference()?
        } else {
            self.entity_reference()?
        };
        self.replace(run, character);
        Ok(())
    }

    fn entity_reference(&mut self) -> Parsed<char> {
        const ENTITIES: [(&str, char); 5] = [
            ("&lt;", '<'),
            ("&gt;", '>'),
            ("&amp;", '&'),
            ("&quot;", '"'),
            ("&apos;", '\''),
        ];
        for (text, character) in ENTITIES {
            if self.starts_with(text) {
                self.at += text.len();
                return Ok(character);
            }
        }
        Err(self.syntax("\"&\" begins neither a predefined entity nor a character reference"))
    }

    fn character_reference(&mut self) -> Parsed<char> {
        let rest = &self.text[self.at + 2..];
        let (digits, radix, skipped) = match rest.strip_prefix('x') {
            Some(digits) => (digits, 16, 3),
            None => (rest, 10, 2),
        };
        let length = digits
            .bytes()
            .position(|byte| !byte.is_ascii_hexdigit())
            .unwrap_or(digits.len());
        let code = u32::from_str_radix(&digits[..length], radix).ok();
        let character = code
            .and_then(char::from_u32)
            .filter(|&character| is_char(character));
        if digits.as_bytes().get(length) != Some(&b';') {
            return Err(self.syntax("malformed character reference"));
        }
        let Some(character) = character else {
            return Err(self.syntax("a character reference to what is not an XML character"));
        };
        self.at += skipped + length + 1;
        Ok(character)
    }

    /// Moves what was read up to here to the buffer.
    fn copy(&mut self, run: &mut Run) {
        let buffer = &mut self.document.buffer;
        run.copied.get_or_insert(buffer.len());
        buffer.push_str(&self.text[run.rest..self.at]);
        run.rest = self.at;
    }

    /// Adds `character` in the place of what was read since [`Self::copy`].
    fn replace(&mut self, run: &mut Run, character: char) {
        self.document.buffer.push(character);
        run.rest = self.at;
    }

    fn finish_run(&mut self, run: &Run) -> Text {
        let Some(start) = run.copied else {
            return Text::Source {
                start: position(run.rest),
                length: position(self.at - run.rest),
            };
        };
        self.document.buffer.push_str(&self.text[run.rest..self.at]);
        let length = self.document.buffer.len() - start;
        Text::Buffer {
            start: position(start),
            length: position(length),
        }
    }
}
