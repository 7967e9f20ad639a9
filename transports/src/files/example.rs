//! Names that a pattern matches, to see at load what a rename would do to one.

use globset::GlobMatcher;

/// A name that a pattern matches, where one is easily made.
pub(super) fn of_pattern(pattern: &str, matcher: &GlobMatcher) -> Option<String> {
    let name = literal(pattern)?;
    matcher
        .is_match(&name)
        .then(|| super::path::name(&name).to_owned())
}

/// The pattern with each wildcard filled in: `x` for `*` and `?`, the first of a class, the first alternative.
fn literal(pattern: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = pattern.chars();
    let mut alternatives = 0_usize;
    while let Some(c) = rest.next() {
        match c {
            '*' | '?' => name.push('x'),
            '\\' => name.push(rest.next()?),
            '[' => {
                let first = rest.next().filter(|c| !matches!(c, '!' | '^'))?;
                name.push(first);
                rest.find(|c| *c == ']')?;
            }
            '{' => alternatives += 1,
            '}' => alternatives = alternatives.saturating_sub(1),
            ',' if alternatives > 0 => {
                rest.find(|c| *c == '}')?;
                alternatives -= 1;
            }
            other => name.push(other),
        }
    }
    Some(name)
}

/// What a new name makes of this one, where it reads nothing but `source.name`.
pub(super) fn renamed(template: &str, name: &str) -> Option<String> {
    let renamed = template.replace("${source.name}", name);
    let evaluated = ["${", "{%"].iter().any(|mark| renamed.contains(mark));
    (!evaluated).then_some(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use globset::Glob;

    #[test]
    fn patterns_have_examples() {
        for (pattern, example) in [
            ("*.csv", "x.csv"),
            ("{a,b}-??.xml", "a-xx.xml"),
            ("[ab]c", "ac"),
            ("in/**/*.csv", "x.csv"),
            ("*", "x"),
        ] {
            let matcher = Glob::new(pattern).unwrap().compile_matcher();
            assert_eq!(
                of_pattern(pattern, &matcher).as_deref(),
                Some(example),
                "{pattern}"
            );
        }
        assert_eq!(
            renamed("${source.name}.done", "x.csv").as_deref(),
            Some("x.csv.done")
        );
        assert_eq!(renamed("${source.name}-${now()}", "x.csv"), None);
    }
}
