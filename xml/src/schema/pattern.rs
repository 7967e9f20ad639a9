//! Patterns (XML Schema 1.0 part 2 appendix F), translated to the syntax of the `regex` crate, which
//! matches in linear time.

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled pattern may take.
const SIZE_MAX: usize = 8 << 20;

/// Compiles a pattern; it has to match the whole value.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let mut translator = Translator {
        rest: pattern.chars().collect(),
        at: 0,
        out: String::new(),
    };
    translator.out.push_str(r"\A(?:");
    translator.expression()?;
    translator.out.push_str(r")\z");
    let built = RegexBuilder::new(&translator.out).size_limit(SIZE_MAX).build();
    built.map_err(|_| format!("malformed or too large pattern {pattern:?}"))
}

struct Translator {
    rest: Vec<char>,
    at: usize,
    out: String,
}

const NAME_START: &str = r"_:A-Za-z\u{C0}-\u{D6}\u{D8}-\u{F6}\u{F8}-\u{2FF}\u{370}-\u{37D}\u{37F}-\u{1FFF}\u{200C}-\u{200D}\u{2070}-\u{218F}\u{2C00}-\u{2FEF}\u{3001}-\u{D7FF}\u{F900}-\u{FDCF}\u{FDF0}-\u{FFFD}\u{10000}-\u{EFFFF}";
const NAME_MORE: &str = r"\-.0-9\u{B7}\u{300}-\u{36F}\u{203F}-\u{2040}";

impl Translator {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.get(self.at).copied();
        self.at += usize::from(next.is_some());
        next
    }

    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn expression(&mut self) -> Result<(), String> {
        while let Some(character) = self.next() {
            match character {
                '.' => self.out.push_str(r"[^\n\r]"),
                '[' => self.class(0)?,
                '\\' => {
                    let class = self.escape()?;
                    self.out.push_str(&class);
                }
                '(' if self.peek() == Some('?') => return Err("\"(?\" is not a pattern".to_owned()),
                '(' | ')' | '|' | '?' | '*' | '+' => self.out.push(character),
                '{' => self.quantity()?,
                _ => self.literal(character),
            }
        }
        Ok(())
    }

    fn quantity(&mut self) -> Result<(), String> {
        self.out.push('{');
        while let Some(character) = self.next() {
            self.out.push(character);
            match character {
                '0'..='9' | ',' => {}
                '}' => return Ok(()),
                _ => break,
            }
        }
        Err("malformed quantity in a pattern".to_owned())
    }

    fn literal(&mut self, character: char) {
        if character.is_ascii() && !character.is_ascii_alphanumeric() {
            self.out.push_str(&format!(r"\x{:02X}", u32::from(character)));
        } else {
            self.out.push(character);
        }
    }

    /// A class in brackets; `-[...]` at its end takes characters away.
    fn class(&mut self, depth: usize) -> Result<(), String> {
        if depth > 16 {
            return Err("character classes are nested too deeply".to_owned());
        }
        let start = self.out.len();
        self.out.push('[');
        if self.peek() == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        self.out.push('[');
        let mut is_first = true;
        loop {
            match self.next() {
                None => return Err("a character class does not end".to_owned()),
                Some(']') if !is_first => break,
                Some('-') if self.peek() == Some('[') => {
                    self.at += 1;
                    return self.subtraction(depth, start);
                }
                Some('-') if is_first || self.peek() == Some(']') => self.literal('-'),
                Some('-') => self.out.push('-'),
                Some('\\') => {
                    let class = self.escape()?;
                    self.out.push_str(&class);
                }
                Some('[' | ']') => return Err("a bracket must be escaped in a character class".to_owned()),
                Some(character) => self.literal(character),
            }
            is_first = false;
        }
        self.out.push_str("]]");
        Ok(())
    }

    /// `[a-z-[aeiou]]`, of which all before the subtracted class stands in `out` since `start`.
    fn subtraction(&mut self, depth: usize, start: usize) -> Result<(), String> {
        let minuend = self.out.split_off(start);
        self.out.push_str(&format!("[{minuend}]]--"));
        self.class(depth + 1)?;
        if self.next() != Some(']') {
            return Err("nothing may follow a subtracted character class".to_owned());
        }
        self.out.push(']');
        Ok(())
    }

    /// What an escape stands for, as it may stand inside and outside brackets.
    fn escape(&mut self) -> Result<String, String> {
        let Some(character) = self.next() else {
            return Err("a pattern ends in \"\\\"".to_owned());
        };
        Ok(match character {
            'n' => r"\n".to_owned(),
            'r' => r"\r".to_owned(),
            't' => r"\t".to_owned(),
            's' => r"[ \t\n\r]".to_owned(),
            'S' => r"[^ \t\n\r]".to_owned(),
            'd' => r"\p{Nd}".to_owned(),
            'D' => r"\P{Nd}".to_owned(),
            'w' => r"[^\p{P}\p{Z}\p{C}]".to_owned(),
            'W' => r"[\p{P}\p{Z}\p{C}]".to_owned(),
            'i' => format!("[{NAME_START}]"),
            'I' => format!("[^{NAME_START}]"),
            'c' => format!("[{NAME_START}{NAME_MORE}]"),
            'C' => format!("[^{NAME_START}{NAME_MORE}]"),
            'p' | 'P' => self.property(character == 'P')?,
            '\\' | '|' | '.' | '-' | '^' | '?' | '*' | '+' | '{' | '}' | '(' | ')' | '[' | ']' | '$'
            | '/' | ' ' | '"' | '\'' | '@' | '#' | '%' | '&' | '~' | '=' | ':' | ';' | ',' | '<' | '>'
            | '!' | '_' => {
                format!(r"\x{:02X}", u32::from(character))
            }
            other => return Err(format!("\\{other} is not an escape of a pattern")),
        })
    }

    fn property(&mut self, negated: bool) -> Result<String, String> {
        let rest: String = self.rest[self.at..].iter().collect();
        let name = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .map(|(name, _)| name);
        let Some(name) = name else {
            return Err("malformed property in a pattern".to_owned());
        };
        self.at += name.chars().count() + 2;
        let sign = if negated { "^" } else { "" };
        match name.strip_prefix("Is") {
            None if name.len() <= 2 => Ok(format!(r"[{sign}\p{{{name}}}]")),
            None => Err(format!("unknown property {name:?} in a pattern")),
            Some(block) => {
                let found = BLOCKS.iter().find(|(known, _, _)| *known == block);
                let Some((_, first, last)) = found else {
                    return Err(format!("unknown block {block:?}"));
                };
                Ok(format!(r"[{sign}\u{{{first:X}}}-\u{{{last:X}}}]"))
            }
        }
    }
}

/// Unicode blocks by the names that patterns use.
const BLOCKS: &[(&str, u32, u32)] = &[
    ("BasicLatin", 0, 0x7F),
    ("Latin-1Supplement", 0x80, 0xFF),
    ("LatinExtended-A", 0x100, 0x17F),
    ("LatinExtended-B", 0x180, 0x24F),
    ("IPAExtensions", 0x250, 0x2AF),
    ("SpacingModifierLetters", 0x2B0, 0x2FF),
    ("CombiningDiacriticalMarks", 0x300, 0x36F),
    ("Greek", 0x370, 0x3FF),
    ("GreekandCoptic", 0x370, 0x3FF),
    ("Cyrillic", 0x400, 0x4FF),
    ("Armenian", 0x530, 0x58F),
    ("Hebrew", 0x590, 0x5FF),
    ("Arabic", 0x600, 0x6FF),
    ("Devanagari", 0x900, 0x97F),
    ("Bengali", 0x980, 0x9FF),
    ("Thai", 0xE00, 0xE7F),
    ("Georgian", 0x10A0, 0x10FF),
    ("HangulJamo", 0x1100, 0x11FF),
    ("LatinExtendedAdditional", 0x1E00, 0x1EFF),
    ("GreekExtended", 0x1F00, 0x1FFF),
    ("GeneralPunctuation", 0x2000, 0x206F),
    ("SuperscriptsandSubscripts", 0x2070, 0x209F),
    ("CurrencySymbols", 0x20A0, 0x20CF),
    ("LetterlikeSymbols", 0x2100, 0x214F),
    ("NumberForms", 0x2150, 0x218F),
    ("Arrows", 0x2190, 0x21FF),
    ("MathematicalOperators", 0x2200, 0x22FF),
    ("BoxDrawing", 0x2500, 0x257F),
    ("GeometricShapes", 0x25A0, 0x25FF),
    ("CJKSymbolsandPunctuation", 0x3000, 0x303F),
    ("Hiragana", 0x3040, 0x309F),
    ("Katakana", 0x30A0, 0x30FF),
    ("CJKUnifiedIdeographs", 0x4E00, 0x9FFF),
    ("HangulSyllables", 0xAC00, 0xD7A3),
    ("PrivateUse", 0xE000, 0xF8FF),
    ("HalfwidthandFullwidthForms", 0xFF00, 0xFFEF),
];
