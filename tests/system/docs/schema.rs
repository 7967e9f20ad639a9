//! The JSON Schema for editors.

use mediary_tests::mediary;
use serde_json::Value;

/// Every `$ref` in a schema.
fn references<'a>(node: &'a Value, found: &mut Vec<&'a str>) {
    match node {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn check(arguments: &[&str], at_least: usize) -> Value {
    let schema = mediary(arguments).expect_success().json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(found.len() >= at_least, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        assert!(schema.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    schema
}

#[test]
fn the_schema_is_json_whose_references_lead_somewhere() {
    let schema = check(&["schema"], 20);
    for key in [
        "settings",
        "endpoints",
        "sequences",
        "proxies",
        "apis",
        "resources",
    ] {
        assert!(!schema["properties"][key].is_null(), "{key} is missing");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_schema_of_tests_too() {
    let schema = check(&["schema", "--tests"], 5);
    assert_eq!(schema["type"], "array");
}
