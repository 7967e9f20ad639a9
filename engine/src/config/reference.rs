//! `${...}` in string leaves: where they are, and which of them are nothing but a reference to the environment
//! or a secret. Whatever else stands in one belongs to the expression compiler.

use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// One `${...}` of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// From `$` to `}`, in bytes.
    pub range: Range<usize>,
    /// What stands between the braces.
    pub inner: Range<usize>,
}

/// The `${...}` of a text, from left to right. `$${` is a literal `${` and begins none. Braces may be nested, and
/// those in quotes do not count. One that is never closed ends the search: the template compiler reports it.
pub fn placeholders(text: &str) -> Vec<Placeholder> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|offset| at + offset) {
        let rest = &text[dollar..];
        at = dollar + 1;
        if rest.starts_with("$${") {
            at = dollar + 3;
        } else if rest.starts_with("${") {
            let Some(end) = closing_brace(text, dollar + 2) else {
                break;
            };
            found.push(Placeholder {
                range: dollar..end + 1,
                inner: dollar + 2..end,
            });
            at = end + 1;
        }
    }
    found
}

/// The brace that closes the one before `start`.
fn closing_brace(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut bytes = text.bytes().enumerate().skip(start);
    while let Some((at, byte)) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => drop(bytes.next()),
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth == 0 => return Some(at),
            (None, b'}') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Where a reference leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Env,
    Secret,
}

/// `env.NAME`, `secret.NAME` or `secret['NAME']`, with `| default('...')` or without.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    pub root: Root,
    pub name: &'a str,
    pub default: Option<&'a str>,
}

static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    let name = r#"(?:\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)|\[\s*(?:'([^'\\]+)'|"([^"\\]+)")\s*\])"#;
    let default = r#"(?:\|\s*default\(\s*(?:'([^'\\]*)'|"([^"\\]*)"|(-?[0-9][0-9.]*|true|false))\s*\)\s*)?"#;
    Regex::new(&format!(r"^\s*(env|secret){name}\s*{default}$")).expect("a constant expression")
});

/// The reference that a placeholder's inner text is; `None` if it is any other expression.
pub(super) fn reference(inner: &str) -> Option<Reference<'_>> {
    let captures = REFERENCE.captures(inner)?;
    let first = |groups: Range<usize>| {
        groups
            .filter_map(|group| captures.get(group))
            .next()
            .map(|it| it.as_str())
    };
    let root = if captures.get(1)?.as_str() == "env" {
        Root::Env
    } else {
        Root::Secret
    };
    Some(Reference {
        root,
        name: first(2..5)?,
        default: first(5..8),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inners(text: &str) -> Vec<&str> {
        placeholders(text).into_iter().map(|it| &text[it.inner]).collect()
    }

    #[test]
    fn finds_placeholders() {
        assert_eq!(inners("a ${x} b ${ y } $z {w}"), ["x", " y "]);
        assert_eq!(inners("${ {'a': {'b': 1}}['a'] }"), [" {'a': {'b': 1}}['a'] "]);
        assert_eq!(inners(r#"${ "}" ~ '\'}' }"#), [r#" "}" ~ '\'}' "#]);
        assert_eq!(inners("$${x} $$${y} $"), Vec::<&str>::new());
        assert_eq!(inners("é${é}€"), ["é"]);
        assert_eq!(inners("${a} ${b"), ["a"]);
    }

    #[test]
    fn recognises_references() {
        let env = |name, default| {
            Some(Reference {
                root: Root::Env,
                name,
                default,
            })
        };
        assert_eq!(reference("env.HOME"), env("HOME", None));
        assert_eq!(
            reference(" env['my-var'] | default('a b') "),
            env("my-var", Some("a b"))
        );
        assert_eq!(reference(r#"env.P|default("")"#), env("P", Some("")));
        assert_eq!(reference("env.P | default(8080)"), env("P", Some("8080")));
        assert_eq!(reference("secret.db.password").unwrap().name, "db.password");
        for other in [
            "environment.x",
            "env",
            "env.a ~ 'b'",
            "env.a | upper",
            "payload.env.a",
            "env.a-b",
            "",
        ] {
            assert_eq!(reference(other), None, "{other}");
        }
    }
}
