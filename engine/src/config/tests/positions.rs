//! Positions inside scalars of every style, after characters of several bytes, and in files from Windows.

use super::*;

/// The text of the first value, and where `needle` in it is written.
fn written(yaml: &str, needle: &str) -> (usize, usize, String) {
    let mut sources = Sources::default();
    let node = parse(&mut sources, "m", yaml).0.unwrap();
    let value = &node.entries().last().unwrap().1;
    let text = value.as_str().unwrap();
    let start = text.find(needle).unwrap();
    let span = value.span_within(start..start + needle.len());
    let position = sources.position(span);
    (position.line, position.column, sources.slice(span).to_owned())
}

fn at(line: usize, column: usize, text: &str) -> (usize, usize, String) {
    (line, column, text.to_owned())
}

#[test]
fn plain_and_quoted() {
    assert_eq!(written("é: ab cd", "cd"), at(1, 7, "cd"));
    assert_eq!(written("a: 'it''s é x'", "x"), at(1, 13, "x"));
    assert_eq!(written("a: 'it''s'", "'s"), at(1, 7, "''s"));
    assert_eq!(written(r#"a: "\u00e9\t\"x\\""#, "x"), at(1, 15, "x"));
    assert_eq!(written(r#"a: "\uD83C\uDFB5x""#, "x"), at(1, 17, "x"));
    assert_eq!(written(r#"a: "\uD83C\uDFB5x""#, "🎵"), at(1, 5, r"\uD83C\uDFB5"));
    assert_eq!(written("a: 🎵🎵 b", "b"), at(1, 7, "b"));
    assert_eq!(written("\u{feff}a: b", "b"), at(1, 4, "b"));
}

#[test]
fn over_several_lines() {
    assert_eq!(written("a: one\n   two\n\n   three", "three"), at(4, 4, "three"));
    assert_eq!(
        written("a: 'one\n   two''\n\n   three'", "three"),
        at(4, 4, "three")
    );
    assert_eq!(
        written("a: \"one \\\n   two\n\n   three\"", "two"),
        at(2, 4, "two")
    );
    assert_eq!(
        written("a: \"one \\\n   two\n\n   three\"", "three"),
        at(4, 4, "three")
    );
}

#[test]
fn blocks() {
    let literal = "# é\na: |\n  one\n    two é x\n\n  three\n";
    assert_eq!(written(literal, "one"), at(3, 3, "one"));
    assert_eq!(written(literal, "  two"), at(4, 3, "  two"));
    assert_eq!(written(literal, "x"), at(4, 11, "x"));
    assert_eq!(written(literal, "three"), at(6, 3, "three"));
    assert_eq!(written("a: |\n\n\n  x y\n", "y"), at(4, 5, "y"));
    let folded = "a: >-\n  one\n  two\n\n  three\n    four\n  five\n";
    for (needle, line, column) in [("two", 3, 3), ("three", 5, 3), ("four", 6, 5), ("five", 7, 3)] {
        assert_eq!(written(folded, needle), at(line, column, needle));
    }
    assert_eq!(written("a: |2\n     x\n   y\n", "y"), at(3, 4, "y"));
}

#[test]
fn files_from_windows() {
    assert_eq!(written("a: |\r\n  one\r\n  two\r\n", "two"), at(3, 3, "two"));
    assert_eq!(written("b: c\r\na: 'one\r\n  two'\r\n", "two"), at(3, 3, "two"));
    assert_eq!(
        problem("endpoints:\r\n  é: { http: x }\r\n  b: { htpp: x }\r\n"),
        "3:8-12 unknown_key: unknown key `htpp` (did you mean `http`?)"
    );
}

#[test]
fn collections_span_from_first_to_last() {
    let mut sources = Sources::default();
    let yaml = "a:\n  b: [1,\n    2] # c\n  d: e\n\n# f\n";
    let node = parse(&mut sources, "m", yaml).0.unwrap();
    assert_eq!(
        sources.slice(node.get("a").unwrap().span),
        "b: [1,\n    2] # c\n  d: e"
    );
    assert_eq!(
        sources.slice(node.get("a").unwrap().get("b").unwrap().span),
        "[1,\n    2]"
    );
}
