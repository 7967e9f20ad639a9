//! The tokens of an expression (XPath 1.0 section 3.7), with the rules that tell `*` the operator from
//! `*` the test and `div` the operator from `div` the element.

use super::expression::Operator;
use super::{XPathError, XPathErrorKind};
use crate::characters::{is_name_char, is_name_start};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Number(f64),
    Literal(&'a str),
    Variable {
        prefix: &'a str,
        local: &'a str,
    },
    /// A name with its prefix (empty for none); `*` as the local part stands for any.
    Name {
        prefix: &'a str,
        local: &'a str,
    },
    Star,
    Operator(Operator),
    Slash,
    DoubleSlash,
    OpenParenthesis,
    CloseParenthesis,
    OpenBracket,
    CloseBracket,
    Dot,
    DoubleDot,
    At,
    Comma,
    DoubleColon,
    End,
}

pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, usize)>, XPathError> {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
    };
    loop {
        lexer.at += lexer.rest().len() - lexer.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
        let start = lexer.at;
        let token = lexer.next()?;
        lexer.tokens.push((token, start));
        if token == Token::End {
            return Ok(lexer.tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<(Token<'a>, usize)>,
}

const SYMBOLS: [(&str, Token<'static>); 20] = [
    ("::", Token::DoubleColon),
    ("//", Token::DoubleSlash),
    ("/", Token::Slash),
    ("(", Token::OpenParenthesis),
    (")", Token::CloseParenthesis),
    ("[", Token::OpenBracket),
    ("]", Token::CloseBracket),
    ("..", Token::DoubleDot),
    (".", Token::Dot),
    ("@", Token::At),
    (",", Token::Comma),
    ("|", Token::Operator(Operator::Union)),
    ("+", Token::Operator(Operator::Add)),
    ("-", Token::Operator(Operator::Subtract)),
    ("!=", Token::Operator(Operator::NotEqual)),
    ("=", Token::Operator(Operator::Equal)),
    ("<=", Token::Operator(Operator::LessOrEqual)),
    ("<", Token::Operator(Operator::Less)),
    (">=", Token::Operator(Operator::GreaterOrEqual)),
    (">", Token::Operator(Operator::Greater)),
];

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Result<Token<'a>, XPathError> {
        let mut characters = self.rest().chars();
        let (Some(first), second) = (characters.next(), characters.next()) else {
            return Ok(Token::End);
        };
        match first {
            '"' | '\'' => self.literal(first),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|second| second.is_ascii_digit()) => self.number(),
            '$' => self.variable(),
            '*' => {
                self.at += 1;
                let is_operator = self.after_operand();
                Ok(if is_operator {
                    Token::Operator(Operator::Multiply)
                } else {
                    Token::Star
                })
            }
            _ if is_name_start(first) => self.name(),
            _ => self.symbol(first),
        }
    }

    fn symbol(&mut self, first: char) -> Result<Token<'a>, XPathError> {
        for (text, token) in SYMBOLS {
            if self.rest().starts_with(text) {
                self.at += text.len();
                return Ok(token);
            }
        }
        Err(self.error(format!("{first:?} cannot stand here")))
    }

    fn literal(&mut self, quote: char) -> Result<Token<'a>, XPathError> {
        let rest = &self.rest()[1..];
        let Some(length) = rest.find(quote) else {
            return Err(self.error("the string does not end"));
        };
        self.at += length + 2;
        Ok(Token::Literal(&rest[..length]))
    }

    fn number(&mut self) -> Result<Token<'a>, XPathError> {
        let rest = self.rest();
        let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mut length = whole;
        if rest[whole..].starts_with('.') {
            length += 1 + rest[whole + 1..].bytes().take_while(u8::is_ascii_digit).count();
        }
        let number = super::number::parse(&rest[..length]);
        if number.is_nan() {
            return Err(self.error("malformed number"));
        }
        self.at += length;
        Ok(Token::Number(number))
    }

    fn variable(&mut self) -> Result<Token<'a>, XPathError> {
        self.at += 1;
        let (prefix, local) = self
            .qualified_name()
            .ok_or_else(|| self.error("expected a variable's name"))?;
        Ok(Token::Variable { prefix, local })
    }

    fn name(&mut self) -> Result<Token<'a>, XPathError> {
        let is_operator = self.after_operand();
        let start = self.at;
        if is_operator {
            let operator = match self.ncname() {
                Some("and") => Operator::And,
                Some("or") => Operator::Or,
                Some("div") => Operator::Divide,
                Some("mod") => Operator::Modulo,
                _ => {
                    self.at = start;
                    return Err(self.error("expected an operator"));
                }
            };
            return Ok(Token::Operator(operator));
        }
        let (prefix, local) = self
            .qualified_name()
            .ok_or_else(|| self.error("expected a name"))?;
        if prefix.is_empty() && self.rest().starts_with(":*") {
            self.at += 2;
            return Ok(Token::Name {
                prefix: local,
                local: "*",
            });
        }
        Ok(Token::Name { prefix, local })
    }

    /// `local` or `prefix:local`; a colon that is followed by no name is left alone.
    fn qualified_name(&mut self) -> Option<(&'a str, &'a str)> {
        let first = self.ncname()?;
        let after = self.rest().strip_prefix(':');
        if after
            .and_then(|after| after.chars().next())
            .is_some_and(is_name_start)
        {
            self.at += 1;
            return Some((first, self.ncname()?));
        }
        Some(("", first))
    }

    fn ncname(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        if !rest.chars().next().is_some_and(is_name_start) {
            return None;
        }
        let length = rest
            .find(|character| !is_name_char(character))
            .unwrap_or(rest.len());
        self.at += length;
        Some(&rest[..length])
    }

    /// Whether what comes next follows an operand, so that a name or `*` must be an operator.
    fn after_operand(&self) -> bool {
        match self.tokens.last() {
            None => false,
            Some((token, _)) => !matches!(
                token,
                Token::At
                    | Token::DoubleColon
                    | Token::OpenParenthesis
                    | Token::OpenBracket
                    | Token::Comma
                    | Token::Operator(_)
                    | Token::Slash
                    | Token::DoubleSlash
            ),
        }
    }

    fn error(&self, message: impl Into<String>) -> XPathError {
        XPathError::new(XPathErrorKind::Syntax, self.at, message)
    }
}
