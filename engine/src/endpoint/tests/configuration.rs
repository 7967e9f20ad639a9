//! What is wrong with a configuration is said where it is wrong.

use super::{World, problems};

fn check(yaml: &str, expected: &[&str]) {
    let text = problems(yaml);
    for part in expected {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

#[test]
fn a_kind_is_needed_and_one_is_enough() {
    check(
        "main: { timeout: 3s }",
        &["does not say where to send", "`fake`, `load_balance`, `failover`"],
    );
    check(
        "main: { failovr: [ \"fake://a\" ] }",
        &["unknown key `failovr`", "did you mean `failover`?"],
    );
    check(
        "main: { fake: \"fake://a\", failover: [ \"fake://b\" ] }",
        &["both `fake` and `failover`"],
    );
    check(
        "main: { fake: \"fake://a\", timeuot: 3s }",
        &["unknown key `timeuot`", "did you mean `timeout`?"],
    );
    check(
        "main: gopher://a",
        &["no transport sends to `gopher://`", "`fake`"],
    );
    check("main: nothing", &["neither a URL nor a definition"]);
}

#[test]
fn references_are_checked() {
    check(
        "main: { failover: [ othr ] }\nother: fake://a",
        &["there is no endpoint `othr`", "did you mean `other`?"],
    );
    check(
        "a: { failover: [ b ] }\nb: { load_balance: [ a ] }",
        &["leads back to itself: a -> b -> a"],
    );
    let text = problems("bad: { timeout: 3s }\nmain: { failover: [ bad, bad ] }");
    assert_eq!(text.matches("error[").count(), 1, "reported once:\n{text}");
}

#[test]
fn values_have_limits() {
    check("main: { fake: \"fake://a\", retry: { attempts: 11 } }", &["11"]);
    check(
        "main: { fake: \"fake://a\", retry: { budget: 120% } }",
        &["not a share"],
    );
    check(
        "main: { fake: \"fake://a\", retry: { on: [conect] } }",
        &["neither a kind of failure nor a status"],
    );
    check("main: { fake: \"fake://a\", fault_on: [700] }", &["not a status"]);
    check(
        "main: { fake: \"fake://a\", circuit_breaker: { failure_ratio: 1.5 } }",
        &["1.5"],
    );
    check(
        "main: { fake: \"fake://a\", headers: { content-length: 3 } }",
        &["no header that can be set"],
    );
    check(
        "main: { fake: \"fake://a\", forward: [x-a] }",
        &["only headers that a `call` leaves out"],
    );
    check(
        "main: { fake: \"fake://a\", action: x }",
        &["only SOAP endpoints have an `action`"],
    );
    check("main: { fake: \"fake://a\", soap: 1.3 }", &["1.3"]);
    check(
        "main: { recipient_list: { endpoints: [ \"fake://a\" ], require: 2 } }",
        &["2 of 1 recipients"],
    );
    check("main: { load_balance: [] }", &["this list needs"]);
    check(
        "main: { load_balance: [ { fake: \"fake://a\", weight: 2 } ] }",
        &["members have no weight here"],
    );
    check(
        "main: { load_balance: { endpoints: [ \"fake://a\" ], algorithm: consistent_hash } }",
        &["needs `hash_on`"],
    );
    check(
        "main: { load_balance: { endpoints: [ \"fake://a\" ], cookie: x } }",
        &["only `sticky_cookie`"],
    );
    check(
        "main: { failover: { endpoints: [ \"fake://a\" ], on: 503 }, retry: { on: 500 } }",
        &["twice what to react to"],
    );
}

#[test]
fn every_key_can_be_written() {
    let yaml = "
main:
  fake: fake://all
  timeout: 3s
  retry: { attempts: 1, on: [connect, 503, 5xx], backoff: 1ms, backoff_max: 1s, jitter: true, budget: 10%, non_idempotent: true }
  circuit_breaker: { failure_ratio: 1, window: 1s, requests_min: 1, consecutive_failures: 2, open_for: 1s, open_for_max: 2s, half_open_probes: 3, statuses: [429] }
  headers: { x-a: \"${vars.a}\" }
  bearer: token
  forward: authorization
  fault_on: 5xx
  soap: 1.1
  action: urn:a
in-order: { failover: { endpoints: [ main ], on: timeout, health: { open_for: 5s } } }
all: { recipient_list: { endpoints: [ main, in-order ], require: any } }
";
    let deployment = World::default()
        .build(yaml)
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!(
        deployment.endpoints["main"].forward(),
        [http::header::AUTHORIZATION]
    );
    assert_eq!(deployment.endpoints.len(), 3);
}

#[test]
fn the_schema_has_every_kind_and_every_policy() {
    let mut generator = crate::config::schema_generator();
    let schema = crate::endpoint::endpoint_schema(&super::REGISTRY, &mut generator).to_value();
    let mapping = &schema["anyOf"][1];
    for key in [
        "fake",
        "load_balance",
        "failover",
        "recipient_list",
        "timeout",
        "retry",
        "circuit_breaker",
        "soap",
    ] {
        assert!(mapping["properties"].get(key).is_some(), "{key}");
    }
    assert_eq!(mapping["additionalProperties"], false);
    assert_eq!(mapping["oneOf"].as_array().map(Vec::len), Some(4));
    let undocumented = mapping["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, schema)| {
            schema.get("description").is_none()
                && !["fake", "load_balance", "failover", "recipient_list"].contains(&key.as_str())
        });
    assert_eq!(undocumented.count(), 0);
}
