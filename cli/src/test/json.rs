//! JSON against what a test expects. Of a mapping the keys that the test names have to be there, a list has to be
//! complete; numbers are compared by value. Every difference is reported at its own place in the test file.

use super::expect::Failure;
use engine::config::{Node, NodeValue};
use serde_json::Value as Json;

/// Where the actual value differs from the expected one.
#[must_use]
pub(super) fn differences(expected: &Node, actual: &Json, exact: bool) -> Vec<Failure> {
    let mut failures = Vec::new();
    compare(expected, actual, exact, "$", &mut failures);
    failures
}

fn compare(expected: &Node, actual: &Json, exact: bool, path: &str, failures: &mut Vec<Failure>) {
    match (&expected.value, actual) {
        (NodeValue::Mapping(entries), Json::Object(object)) => {
            for (key, value) in entries.iter() {
                match object.get(&*key.text) {
                    Some(actual) => compare(value, actual, exact, &format!("{path}.{}", key.text), failures),
                    None => failures.push(Failure::at(key.span, format!("`{path}.{}` is missing", key.text))),
                }
            }
            let unexpected = object.keys().filter(|name| exact && expected.get(name).is_none());
            for name in unexpected {
                failures.push(Failure::at(
                    head(expected),
                    format!("`{path}.{name}` is not expected"),
                ));
            }
        }
        (NodeValue::Sequence(items), Json::Array(values)) => {
            if items.len() != values.len() {
                let message = format!("`{path}` has {} items, not {}", values.len(), items.len());
                failures.push(Failure::at(expected.span, message));
            }
            for (index, (item, value)) in items.iter().zip(values).enumerate() {
                compare(item, value, exact, &format!("{path}[{index}]"), failures);
            }
        }
        _ => {
            let wanted = expected.to_json();
            if !equal(&wanted, actual, exact) {
                let message = format!("`{path}` is {}, not {}", shown(actual), shown(&wanted));
                failures.push(Failure::at(head(expected), message));
            }
        }
    }
}

/// A mapping or list is pointed at by its beginning.
fn head(node: &Node) -> engine::config::Span {
    node.entries().first().map_or(node.span, |(key, _)| key.span)
}

/// Whether the actual value has everything of the expected one; with `exact`, nothing more.
#[must_use]
pub(super) fn equal(expected: &Json, actual: &Json, exact: bool) -> bool {
    match (expected, actual) {
        (Json::Number(expected), Json::Number(actual)) => {
            expected == actual
                || expected.as_f64().is_some_and(|number| {
                    // Beyond what a float holds exactly only the digits tell.
                    number.abs() < 9_007_199_254_740_992.0 && actual.as_f64() == Some(number)
                })
        }
        (Json::Object(expected), Json::Object(actual)) => {
            let has = |(key, value): (&String, &Json)| {
                actual.get(key).is_some_and(|actual| equal(value, actual, exact))
            };
            expected.iter().all(has) && (!exact || expected.len() == actual.len())
        }
        (Json::Array(expected), Json::Array(actual)) => {
            let pairs = expected.iter().zip(actual);
            expected.len() == actual.len()
                && pairs
                    .into_iter()
                    .all(|(expected, actual)| equal(expected, actual, exact))
        }
        _ => expected == actual,
    }
}

/// Characters of a value that a message shows.
const SHOWN_MAX: usize = 80;

fn shown(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::config::{Sources, parse};
    use serde_json::json;

    fn check(expected: &str, actual: &Json, exact: bool) -> Vec<String> {
        let node = parse(&mut Sources::default(), "test", expected).0.unwrap();
        let failures = differences(&node, actual, exact);
        failures
            .into_iter()
            .map(|failure| failure.diagnostic.message)
            .collect()
    }

    #[test]
    fn mappings_are_subsets_and_lists_are_complete() {
        let actual = json!({ "a": 1, "b": [{ "c": 1.50, "d": 2 }], "e": "1" });
        assert!(check("{ a: 1.0, b: [{ c: 1.5 }] }", &actual, false).is_empty());
        assert_eq!(
            check("{ a: 1, b: [{ c: 1.5 }] }", &actual, true),
            ["`$.b[0].d` is not expected", "`$.e` is not expected"]
        );
        assert_eq!(check("{ b: [] }", &actual, false), ["`$.b` has 1 items, not 0"]);
        assert_eq!(
            check("{ e: 1, x: 2 }", &actual, false),
            ["`$.e` is `\"1\"`, not `1`", "`$.x` is missing"]
        );
    }

    #[test]
    fn long_numbers_are_compared_by_their_digits() {
        let actual: Json = serde_json::from_str("12345678901234567890123").unwrap();
        assert!(check("12345678901234567890123", &actual, false).is_empty());
        assert_eq!(check("12345678901234567890124", &actual, false).len(), 1);
    }
}
