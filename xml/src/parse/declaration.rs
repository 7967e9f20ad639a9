//! The XML declaration (XML 1.0 productions 23 to 32 and 80).

use super::{Parsed, Parser, position};
use crate::characters::is_space;
use crate::tree::XmlDeclaration;

impl<'a> Parser<'a> {
    /// Reads `<?xml version="1.0" encoding="..." standalone="..."?>` if the document begins with it.
    pub(super) fn xml_declaration(&mut self) -> Parsed<()> {
        self.document.declaration.is_utf8 = true;
        let is_declaration = self.starts_with("<?xml") && self.bytes.get(5).copied().is_some_and(is_space);
        if !is_declaration {
            return Ok(());
        }
        self.at = 5;
        self.skip_space();
        let spaced = self.version()?;
        let (encoding, spaced) = self.pseudo_attribute("encoding", spaced)?;
        let is_utf8 = self.check_encoding(encoding)?;
        let (standalone, _) = self.pseudo_attribute("standalone", spaced)?;
        let standalone = self.check_standalone(standalone)?;
        self.skip_space();
        self.expect("?>")?;
        self.skip_space();
        self.document.declaration = XmlDeclaration {
            length: position(self.at),
            is_utf8,
            standalone,
        };
        Ok(())
    }

    /// The version number; every 1.x is read as 1.0 (fifth edition, section 2.8). Says whether white space
    /// follows.
    fn version(&mut self) -> Parsed<bool> {
        let (version, spaced) = self.pseudo_attribute("version", true)?;
        let minor = version.and_then(|version| version.strip_prefix("1."));
        if minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit())) {
            return Ok(spaced);
        }
        Err(self.syntax("the XML declaration must begin with version=\"1.0\""))
    }

    fn check_encoding(&self, encoding: Option<&str>) -> Parsed<bool> {
        let Some(name) = encoding else { return Ok(true) };
        let mut bytes = name.bytes();
        let starts_well = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !starts_well || !bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return Err(self.syntax("malformed encoding name in the XML declaration"));
        }
        Ok(name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii"))
    }

    fn check_standalone(&self, standalone: Option<&str>) -> Parsed<Option<bool>> {
        match standalone {
            None => Ok(None),
            Some("yes") => Ok(Some(true)),
            Some("no") => Ok(Some(false)),
            Some(_) => Err(self.syntax("standalone must be \"yes\" or \"no\"")),
        }
    }

    /// The value of the attribute `name` if it comes next; and whether space stands before what follows.
    fn pseudo_attribute(&mut self, name: &str, spaced: bool) -> Parsed<(Option<&'a str>, bool)> {
        if !self.starts_with(name) {
            return Ok((None, spaced));
        }
        if !spaced {
            return Err(self.syntax("expected white space in the XML declaration"));
        }
        self.at += name.len();
        self.skip_space();
        self.expect("=")?;
        self.skip_space();
        let quote = self.peek().filter(|quote| matches!(quote, b'"' | b'\''));
        let Some(quote) = quote else {
            return Err(self.syntax("expected a quoted value"));
        };
        let start = self.at + 1;
        let Some(length) = memchr::memchr(quote, &self.bytes[start..]) else {
            return Err(self.syntax("unclosed quotation mark"));
        };
        self.at = start + length + 1;
        let spaced = self.skip_space();
        Ok((Some(&self.text[start..start + length]), spaced))
    }
}
