//! Comments, CDATA sections and processing instructions.

use super::{Parsed, Parser, position};
use crate::characters::{NAME_BYTES, first_illegal, is_ncname};
use crate::tree::{Content, Text};
use memchr::memmem;

impl Parser<'_> {
    pub(super) fn comment(&mut self) -> Parsed<()> {
        let start = self.at;
        self.expect("<!--")?;
        let text = self.until("--", "comment")?;
        if self.peek() != Some(b'>') {
            return Err(self.syntax("\"--\" must not stand in a comment"));
        }
        self.at += 1;
        self.push(start, Content::Comment(text))?;
        Ok(())
    }

    pub(super) fn cdata(&mut self) -> Parsed<()> {
        let start = self.at;
        self.expect("<![CDATA[")?;
        let text = self.until("]]>", "CDATA section")?;
        self.push(start, Content::CData(text))?;
        Ok(())
    }

    pub(super) fn instruction(&mut self) -> Parsed<()> {
        let start = self.at;
        self.at += 2;
        let name = self.at;
        while self
            .peek()
            .is_some_and(|byte| NAME_BYTES[byte as usize] || byte >= 0x80)
        {
            self.at += 1;
        }
        let target = &self.text[name..self.at];
        if !is_ncname(target) {
            return Err(self.syntax("a processing instruction begins with its name"));
        }
        if target.eq_ignore_ascii_case("xml") {
            return Err(self.syntax("the XML declaration may only stand at the very beginning"));
        }
        if !self.skip_space() && !self.starts_with("?>") {
            return Err(self.syntax("expected white space after the name of a processing instruction"));
        }
        let text = self.until("?>", "processing instruction")?;
        let target = self.document.symbols.intern(target);
        self.push(start, Content::Instruction { target, text })?;
        Ok(())
    }

    /// The text before `end`, which is passed as well.
    fn until(&mut self, end: &str, what: &str) -> Parsed<Text> {
        let start = self.at;
        let Some(length) = memmem::find(&self.bytes[start..], end.as_bytes()) else {
            return Err(self.syntax(format!("this {what} does not end")));
        };
        let text = &self.text[start..start + length];
        if let Some(character) = first_illegal(text) {
            let message = format!("the character U+{:04X} is not allowed", u32::from(character));
            return Err(self.syntax(message));
        }
        self.at = start + length + end.len();
        Ok(self.without_carriage_returns(start, text))
    }

    fn without_carriage_returns(&mut self, start: usize, text: &str) -> Text {
        if memchr::memchr(b'\r', text.as_bytes()).is_none() {
            return Text::Source {
                start: position(start),
                length: position(text.len()),
            };
        }
        let buffer = &mut self.document.buffer;
        let copied = buffer.len();
        let mut parts = text.split('\r');
        buffer.push_str(parts.next().unwrap_or(""));
        for part in parts {
            buffer.push('\n');
            buffer.push_str(part.strip_prefix('\n').unwrap_or(part));
        }
        Text::Buffer {
            start: position(copied),
            length: position(buffer.len() - copied),
        }
    }
}
