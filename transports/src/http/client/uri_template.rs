//! URI templates (RFC 6570), levels 1 to 3 except fragments: `{name}`, `{+path}`, `{?a,b}` and their kin.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but unreserved characters.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Everything but unreserved and reserved characters, for `{+name}`. `#` would end the path and is escaped, `?` would end it too.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A parsed template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UriTemplate(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Expression(Operator, Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Simple,
    Reserved,
    Label,
    Path,
    Parameter,
    Query,
    Continuation,
}

/// A variable without a value in a place that needs one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MissingVariable(pub(crate) String);

impl UriTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// What is wrong, for the configuration's author.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (expression, next) = after.split_once('}').ok_or("`{` is not closed")?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(parse_expression(expression)?);
            rest = next;
        }
        if rest.contains('}') {
            return Err("`}` has no `{`".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Whether anything has to be expanded.
    pub(crate) fn has_variables(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Expression(..)))
    }

    /// The text with values filled in. A variable that `lookup` does not know is left out of a query, and an error elsewhere.
    pub(crate) fn expand(
        &self,
        mut lookup: impl FnMut(&str) -> Option<String>,
    ) -> Result<String, MissingVariable> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Expression(operator, names) => expand(&mut out, *operator, names, &mut lookup)?,
            }
        }
        Ok(out)
    }
}

fn parse_expression(expression: &str) -> Result<Part, String> {
    let operator = match expression.as_bytes().first() {
        Some(b'+') => Operator::Reserved,
        Some(b'.') => Operator::Label,
        Some(b'/') => Operator::Path,
        Some(b';') => Operator::Parameter,
        Some(b'?') => Operator::Query,
        Some(b'&') => Operator::Continuation,
        Some(b'#') => return Err("`{#...}` makes a fragment, which is never sent".to_owned()),
        _ => Operator::Simple,
    };
    let names = if operator == Operator::Simple {
        expression
    } else {
        &expression[1..]
    };
    let fits = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !fits(name)) {
        Some(name) => Err(format!("`{name}` is no name of a variable")),
        None => Ok(Part::Expression(operator, names)),
    }
}

fn expand(
    out: &mut String,
    operator: Operator,
    names: &[String],
    lookup: &mut impl FnMut(&str) -> Option<String>,
) -> Result<(), MissingVariable> {
    let (first, separator, named, optional) = match operator {
        Operator::Simple | Operator::Reserved => ("", ",", false, false),
        Operator::Label => (".", ".", false, false),
        Operator::Path => ("/", "/", false, false),
        Operator::Parameter => (";", ";", true, true),
        Operator::Query => ("?", "&", true, true),
        Operator::Continuation => ("&", "&", true, true),
    };
    let escaped = if operator == Operator::Reserved {
        RESERVED
    } else {
        UNRESERVED
    };
    let mut lead = first;
    for name in names {
        let Some(value) = lookup(name) else {
            if optional {
                continue;
            }
            return Err(MissingVariable(name.clone()));
        };
        out.push_str(lead);
        lead = separator;
        if named {
            out.extend(utf8_percent_encode(name, UNRESERVED));
            if operator != Operator::Parameter || !value.is_empty() {
                out.push('=');
            }
        }
        out.extend(utf8_percent_encode(&value, escaped));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str) -> Result<String, MissingVariable> {
        let value = |name: &str| match name {
            "var" => Some("value"),
            "hello" => Some("Hello World!"),
            "path" => Some("/foo/bar"),
            "empty" => Some(""),
            "x" => Some("1024"),
            "y" => Some("768"),
            _ => None,
        };
        UriTemplate::parse(template)
            .unwrap()
            .expand(|name| value(name).map(str::to_owned))
    }

    #[test]
    fn the_examples_of_rfc_6570_hold() {
        for (template, expected) in [
            ("{var}", "value"),
            ("{hello}", "Hello%20World%21"),
            ("{+var}", "value"),
            ("{+hello}", "Hello%20World!"),
            ("{+path}/here", "/foo/bar/here"),
            ("map?{x,y}", "map?1024,768"),
            ("{x,hello,y}", "1024,Hello%20World%21,768"),
            ("{+x,hello,y}", "1024,Hello%20World!,768"),
            ("X{.x,y}", "X.1024.768"),
            ("{/var,x}/here", "/value/1024/here"),
            ("{;x,y,empty}", ";x=1024;y=768;empty"),
            ("{?x,y}", "?x=1024&y=768"),
            ("{?x,y,empty}", "?x=1024&y=768&empty="),
            ("?fixed=yes{&x}", "?fixed=yes&x=1024"),
            ("{&x,y,empty}", "&x=1024&y=768&empty="),
            ("/{path}", "/%2Ffoo%2Fbar"),
            ("a{?none,x,none}", "a?x=1024"),
            ("a{?none}", "a"),
        ] {
            assert_eq!(expand(template).as_deref(), Ok(expected), "{template}");
        }
        assert_eq!(expand("/{none}"), Err(MissingVariable("none".to_owned())));
        for bad in ["{", "a}", "{}", "{#x}", "{a b}", "{?}"] {
            assert!(UriTemplate::parse(bad).is_err(), "{bad}");
        }
    }
}
