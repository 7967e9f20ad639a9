//! What is JSON and what is not, and that what is JSON comes out as it went in.

use super::*;
use proptest::prelude::*;

fn json(text: &str) -> Result<Json, Malformed> {
    parse(text.as_bytes(), &FormatLimits::default())
}

/// Texts that parse, and come out byte for byte.
const UNCHANGED: &[&str] = &[
    "0",
    "-0",
    "-0.0",
    "1",
    "-1",
    "10",
    "1.10",
    "0.10",
    "1e2",
    "1E2",
    "1e+2",
    "1E-02",
    "1.5E+300",
    "1e400",
    "12345678901234567890123",
    "-12345678901234567890123.000",
    "true",
    "false",
    "null",
    "[]",
    "{}",
    r#""""#,
    "[0]",
    "[[],{}]",
    r#"{"b":1,"a":2}"#,
    r#"{"":0}"#,
    r#""\"\\\b\f\n\r\t""#,
    r#""\u0000""#,
    r#""é€😀""#,
    r#"{"$serde_json::private::Number":"1"}"#,
    r#"{"$serde_json::private::RawValue":"1"}"#,
    r#"{"a":{"a":{"a":[]}}}"#,
    r#"["0123456789abcdef","0123456é"]"#,
    "\"\u{7f}\u{80}\u{2028}\"",
];

/// Texts that parse, and what they are written as.
const CHANGED: &[(&str, &str)] = &[
    (" \t\r\n{ \"a\" : [ 1 , 2 ] }\n", r#"{"a":[1,2]}"#),
    ("\u{FEFF}[1]", "[1]"),
    (r#""\u00e9\u20AC\ud83d\ude00\/""#, r#""é€😀/""#),
    (r#""\u0041\u0042""#, r#""AB""#),
    (r#"{"\u0061":"\u0022"}"#, r#"{"a":"\""}"#),
];

/// Texts that do not parse: line, column and a part of the message.
const REFUSED: &[(&str, usize, usize, &str)] = &[
    ("", 1, 1, "a value, found the end"),
    (" \n ", 2, 2, "a value, found the end"),
    ("nul", 1, 1, "a value"),
    ("nulll", 1, 5, "the end"),
    ("True", 1, 1, "a value"),
    ("NaN", 1, 1, "a value"),
    ("Infinity", 1, 1, "a value"),
    ("01", 1, 2, "does not begin with 0"),
    ("-01", 1, 3, "does not begin with 0"),
    ("00", 1, 2, "does not begin with 0"),
    ("+1", 1, 1, "a value"),
    ("-", 1, 2, "a digit"),
    ("--1", 1, 2, "a digit"),
    (".5", 1, 1, "a value"),
    ("1.", 1, 3, "a digit"),
    ("1.e1", 1, 3, "a digit"),
    ("1e", 1, 3, "a digit"),
    ("1e+", 1, 4, "a digit"),
    ("0x10", 1, 2, "the end"),
    ("1_000", 1, 2, "the end"),
    ("１", 1, 1, "a value"),
    ("1 2", 1, 3, "the end"),
    ("[", 1, 2, "a value"),
    ("[1", 1, 3, "`,` or `]`"),
    ("[1,", 1, 4, "a value"),
    ("[1,]", 1, 4, "a value"),
    ("[,1]", 1, 2, "a value"),
    ("[1 2]", 1, 4, "`,` or `]`"),
    ("[1}", 1, 3, "`,` or `]`"),
    ("]", 1, 1, "a value"),
    ("[]]", 1, 3, "the end"),
    ("{", 1, 2, "a key or `}`"),
    ("{\"a\"", 1, 5, "`:`"),
    ("{\"a\":", 1, 6, "a value"),
    ("{\"a\":1", 1, 7, "`,` or `}`"),
    ("{\"a\":1,}", 1, 8, "a key"),
    ("{\"a\" 1}", 1, 6, "`:`"),
    ("{a:1}", 1, 2, "a key or `}`"),
    ("{'a':1}", 1, 2, "a key or `}`"),
    ("{1:1}", 1, 2, "a key or `}`"),
    ("{\"a\":1 \"b\":2}", 1, 8, "`,` or `}`"),
    ("{\n  \"a\": 1,\n  \"a\": 2\n}", 3, 9, "the key `a` comes twice"),
    ("\"a", 1, 3, "no end"),
    ("\"a\\", 1, 3, "not an escape"),
    ("\"\\x41\"", 1, 2, "not an escape"),
    ("\"\\u12\"", 1, 2, "four hexadecimal digits"),
    ("\"\\u+123\"", 1, 2, "four hexadecimal digits"),
    ("\"\\u12é4\"", 1, 2, "four hexadecimal digits"),
    ("\"\\ud800\"", 1, 2, "surrogate"),
    ("\"\\udc00\"", 1, 2, "surrogate"),
    ("\"\\ud800\\ud800\"", 1, 2, "surrogate"),
    ("\"\\ud800x\"", 1, 2, "surrogate"),
    ("\"line\nend\"", 1, 6, "escaped control character, found U+000A"),
    ("\"tab\t\"", 1, 5, "escaped control character, found U+0009"),
    (
        "\"0123456\u{0}\"",
        1,
        9,
        "escaped control character, found U+0000",
    ),
    ("[1] // no", 1, 5, "the end"),
    ("/**/1", 1, 1, "a value"),
    ("é", 1, 1, "a value, found `é`"),
    ("[\"é\", x]", 1, 7, "a value, found `x`"),
    ("\u{FEFF}\u{FEFF}1", 1, 1, "a value"),
    ("\u{A0}1", 1, 1, "a value"),
];

#[test]
fn what_is_json_comes_out_as_it_went_in() {
    for text in UNCHANGED {
        let value = json(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(String::from_utf8(write(&value)).unwrap(), *text);
    }
    for (text, expected) in CHANGED {
        assert_eq!(
            String::from_utf8(write(&json(text).unwrap())).unwrap(),
            *expected,
            "{text}"
        );
    }
}

#[test]
fn what_is_not_json_is_refused_with_its_position() {
    for (text, line, column, message) in REFUSED {
        let error = json(text).expect_err(text);
        assert_eq!((error.line, error.column), (*line, *column), "{text:?}: {error}");
        assert!(error.message.contains(message), "{text:?}: {error}");
    }
    let latin1 = parse(b"[1,\n\"\xE9\"]", &FormatLimits::default()).unwrap_err();
    assert_eq!(latin1.to_string(), "line 2, column 2: the text is not UTF-8");
    assert!(parse(b"\xFE\xFF\x00\x31", &FormatLimits::default()).is_err());
}

#[test]
fn a_repeated_key_may_be_allowed() {
    let limits = FormatLimits {
        refuse_duplicate_keys: false,
        ..FormatLimits::default()
    };
    let value = parse(br#"{"a":1,"b":2,"\u0061":3}"#, &limits).unwrap();
    assert_eq!(write(&value), br#"{"a":3,"b":2}"#);
}

#[test]
fn nesting_stops_at_the_limit_and_never_at_the_stack() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(json(&nested(128)).is_ok());
    let error = json(&nested(129)).unwrap_err();
    assert_eq!(
        (error.column, error.message.as_str()),
        (129, "nested deeper than 128 levels")
    );
    let open = "{\"a\":".repeat(1_000_000);
    assert_eq!(json(&open).unwrap_err().message, "nested deeper than 128 levels");
    let limits = FormatLimits {
        depth: usize::MAX,
        ..FormatLimits::default()
    };
    let deepest = nested(MAX_DEPTH);
    let value = parse(deepest.as_bytes(), &limits).unwrap();
    assert_eq!(write(&value.clone()), deepest.as_bytes());
    assert!(parse(open.as_bytes(), &limits).is_err());
}

#[test]
fn a_long_key_is_not_repeated_at_length() {
    let key = "k".repeat(1000);
    let error = json(&format!("{{\"{key}\":1,\"{key}\":2}}")).unwrap_err();
    assert_eq!(
        error.message.len(),
        "the key `` comes twice in this object".len() + 40
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse(&bytes, &FormatLimits::default());
    }

    #[test]
    fn agrees_with_serde_json_on_what_is_json(text in r#"([\[\]{},:" \\u0-9.eE+\-tfn]|true|false|null|"[a-c\\n]{0,3}"){0,12}"#) {
        let limits = FormatLimits { refuse_duplicate_keys: false, ..FormatLimits::default() };
        let ours = parse(text.as_bytes(), &limits);
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn any_text_survives(text in any::<String>()) {
        let value = Json::from(text);
        prop_assert_eq!(parse(&write(&value), &FormatLimits::default()).unwrap(), value);
    }
}
