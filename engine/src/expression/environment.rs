//! The one MiniJinja environment: its filters, tests and functions, their documentation and their limits.

use super::CompileError;
use super::value::{json_to_minijinja, minijinja_to_json};
use base64::Engine;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use regex::Regex;
use std::collections::HashMap;
use std::sync::LazyLock;

type Docs = &'static [(&'static str, &'static str)];

/// Filters, with what they do.
pub const FILTERS: Docs = &[
    ("abs", "absolute value of a number"),
    ("base64", "text as base64"),
    ("batch", "a list in lists of n"),
    ("bool", "as a boolean"),
    ("capitalize", "first letter upper case"),
    ("count", "the same as `length`"),
    ("default", "the value, or the argument where it is absent"),
    ("dictsort", "a map as sorted pairs"),
    ("escape", "escaped for the format being written"),
    ("first", "first item of a list"),
    ("float", "as a decimal number; text that is none is a fault"),
    ("format", "printf-style formatting"),
    ("from_json", "JSON text as a value"),
    ("groupby", "a list grouped by an attribute"),
    ("indent", "indents lines"),
    ("int", "as an integer; text that is none is a fault"),
    ("items", "a map as pairs"),
    ("join", "a list as text"),
    ("json", "as JSON text"),
    ("last", "last item of a list"),
    ("length", "number of items or characters"),
    ("lines", "text as a list of lines"),
    ("list", "as a list"),
    ("lower", "lower case"),
    ("map", "an attribute or filter of every item"),
    ("matches", "whether a regular expression is found in the text"),
    ("max", "largest item"),
    ("min", "smallest item"),
    (
        "regex_replace",
        "replaces what a regular expression finds; `$1` is its first group",
    ),
    ("reject", "items that fail a test"),
    ("rejectattr", "items whose attribute fails a test"),
    ("replace", "replaces text"),
    ("reverse", "reversed"),
    ("round", "rounded to a precision"),
    ("safe", "not to be escaped"),
    ("select", "items that pass a test"),
    ("selectattr", "items whose attribute passes a test"),
    ("slice", "a list in n lists"),
    ("sort", "sorted"),
    ("split", "text as a list"),
    ("string", "as text"),
    ("sum", "sum of a list"),
    ("title", "Every Word Capitalized"),
    ("tojson", "the same as `json`"),
    ("trim", "without surrounding blanks"),
    ("unbase64", "base64 as text"),
    ("unique", "without repeats"),
    ("upper", "upper case"),
    ("urlencode", "percent-encoded for a URL"),
    ("zip", "several lists as one of tuples"),
];

/// Tests, used as `value is NAME`.
pub const TESTS: Docs = &[
    ("boolean", "true or false"),
    ("defined", "is present"),
    ("divisibleby", "is a multiple"),
    ("endingwith", "text ends so"),
    ("eq", "equals"),
    ("even", "even number"),
    ("false", "is false"),
    ("ge", "at least"),
    ("gt", "greater"),
    ("in", "is among"),
    ("integer", "whole number"),
    ("iterable", "can be looped over"),
    ("le", "at most"),
    ("lower", "all lower case"),
    ("lt", "less"),
    ("mapping", "is a map"),
    ("matching", "a regular expression is found in the text"),
    ("ne", "differs"),
    ("none", "is null"),
    ("number", "is a number"),
    ("odd", "odd number"),
    ("sequence", "is a list"),
    ("startingwith", "text begins so"),
    ("string", "is text"),
    ("true", "is true"),
    ("undefined", "is absent"),
    ("upper", "all upper case"),
];

/// Functions.
pub const FUNCTIONS: Docs = &[
    (
        "jsonpath",
        "`jsonpath(\"$.items[*].id\")`: RFC 9535 on the payload; one match is a value, several are a list",
    ),
    ("now", "the time in UTC, RFC 3339; `now(\"%Y-%m-%d\")` formats it"),
    ("range", "numbers to loop over"),
    ("dict", "a map from its arguments"),
    ("uuid", "a new random UUID"),
    (
        "xpath",
        "`xpath(\"//m:id\")`: XPath 1.0 on the payload, with `settings.namespaces`; `$name` is `vars.name`",
    ),
];

/// Instructions that one evaluation may take.
const FUEL: u64 = 1_000_000;

pub(super) static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(64);
    environment.set_debug(false);
    environment.add_filter("base64", |text: String| {
        base64::prelude::BASE64_STANDARD.encode(text)
    });
    environment.add_filter("unbase64", unbase64);
    environment.add_filter("from_json", from_json);
    environment.add_filter("json", |value: Value| minijinja_to_json(&value).to_string());
    environment.add_filter("tojson", |value: Value| minijinja_to_json(&value).to_string());
    environment.add_filter("matches", |text: String, pattern: String| {
        Ok::<_, Error>(regex(&pattern)?.is_match(&text))
    });
    environment.add_test("matching", |text: String, pattern: String| {
        Ok::<_, Error>(regex(&pattern)?.is_match(&text))
    });
    environment.add_filter("regex_replace", |text: String, pattern: String, by: String| {
        Ok::<_, Error>(regex(&pattern)?.replace_all(&text, by.as_str()).into_owned())
    });
    environment.add_filter("urlencode", |text: String| {
        percent_encoding::utf8_percent_encode(&text, crate::expression::template::URL_COMPONENT).to_string()
    });
    environment.add_function("uuid", || uuid::Uuid::new_v4().to_string());
    environment.add_function("now", now);
    environment
});

/// Compiles an expression whose names have been checked.
pub(super) fn compile(source: String) -> Result<minijinja::Expression<'static, 'static>, Vec<CompileError>> {
    ENVIRONMENT
        .compile_expression_owned(source)
        .map_err(|error| vec![syntax_error(&error)])
}

/// A syntax error with its place.
pub(super) fn syntax_error(error: &Error) -> CompileError {
    let range = error.range().unwrap_or(0..0);
    let message = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    CompileError {
        range,
        message,
        help: None,
    }
}

fn unbase64(text: &str) -> Result<String, Error> {
    let invalid = |_| Error::new(ErrorKind::InvalidOperation, "not base64 of UTF-8 text");
    let bytes = base64::prelude::BASE64_STANDARD
        .decode(text.trim())
        .map_err(|_| invalid(()))?;
    String::from_utf8(bytes).map_err(|_| invalid(()))
}

fn from_json(text: &str) -> Result<Value, Error> {
    let parsed = crate::model::json::parse(text.as_bytes(), &crate::format::FormatLimits::default());
    let value =
        parsed.map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("not JSON: {error}")))?;
    Ok(json_to_minijinja(&value))
}

fn now(format: Option<&str>) -> Result<String, Error> {
    let now = jiff::Timestamp::now();
    let Some(format) = format else {
        return Ok(now.to_string());
    };
    let formatted = jiff::fmt::strtime::format(format, &now.to_zoned(jiff::tz::TimeZone::UTC));
    formatted.map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

const CACHED_REGEXES_MAX: usize = 1000;

/// Compiled regular expressions by pattern; the patterns come from configurations, so they are few.
fn regex(pattern: &str) -> Result<Regex, Error> {
    static CACHE: LazyLock<parking_lot::RwLock<HashMap<String, Regex>>> = LazyLock::new(Default::default);
    if let Some(found) = CACHE.read().get(pattern) {
        return Ok(found.clone());
    }
    let compiled = Regex::new(pattern).map_err(|error| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("bad regular expression: {error}"),
        )
    })?;
    let mut cache = CACHE.write();
    if cache.len() < CACHED_REGEXES_MAX {
        cache.insert(pattern.to_owned(), compiled.clone());
    }
    Ok(compiled)
}
