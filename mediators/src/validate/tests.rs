//! Tests of `validate`.

use crate::testing::{REGISTRY, deployment, diagnostics, json, project, run, xml};
use engine::message::Message;
use http::StatusCode;
use serde_json::{Value as Json, json as value};
use std::sync::Arc;

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      {line}\n")).collect()
}

fn with_resource(steps: &str, text: &str) -> String {
    format!(
        "{}resources:\n  schema:\n    text: |\n{}",
        project(steps),
        indented(text)
    )
}

async fn outcome(yaml: &str, message: Message) -> engine::testing::Outcome {
    let deployment = deployment(yaml).unwrap_or_else(|text| panic!("{text}"));
    engine::testing::run_in(Arc::new(deployment), message).await
}

fn details(outcome: &engine::testing::Outcome) -> Json {
    assert_eq!(outcome.fault().name(), "client.validation");
    outcome.fault().details().unwrap().clone()
}

const SCHEMA: &str = r#"{ "type": "object", "required": ["id"],
  "properties": { "id": { "type": "integer" }, "tags": { "type": "array", "items": { "type": "string" } } } }"#;

#[tokio::test]
async fn json_schema_names_every_place() {
    let yaml = with_resource("- validate: { json_schema: schema }", SCHEMA);
    let mut good = outcome(&yaml, json(r#"{ "id": 7, "tags": [] }"#)).await;
    assert_eq!(
        good.text(),
        r#"{ "id": 7, "tags": [] }"#,
        "the bytes stay as they are"
    );
    let bad = outcome(&yaml, json(r#"{"id": "7", "tags": ["a", 5]}"#)).await;
    assert_eq!(
        details(&bad),
        value!([
            { "pointer": "/id", "message": "\"7\" is not of type \"integer\"" },
            { "pointer": "/tags/1", "message": "5 is not of type \"string\"" }
        ])
    );
    let many = format!("{{\"id\": 1, \"tags\": [{}]}}", vec!["1"; 50].join(","));
    assert_eq!(
        details(&outcome(&yaml, json(&many)).await)
            .as_array()
            .unwrap()
            .len(),
        20
    );
}

#[tokio::test]
async fn drafts_differ() {
    let draft_7 =
        r#"{ "$schema": "http://json-schema.org/draft-07/schema#", "items": [ { "type": "string" } ] }"#;
    let yaml = with_resource("- validate: { json_schema: schema }", draft_7);
    assert_eq!(details(&outcome(&yaml, json("[5]")).await)[0]["pointer"], "/0");
    let draft_2020 = r#"{ "$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [ { "type": "string" } ] }"#;
    let yaml = with_resource("- validate: { json_schema: schema }", draft_2020);
    assert_eq!(details(&outcome(&yaml, json("[5]")).await)[0]["pointer"], "/0");
}

#[tokio::test]
async fn references_lead_to_files_beside_the_schema_and_nowhere_else() {
    let folder = std::env::temp_dir().join(format!("mediary-validate-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("types")).unwrap();
    std::fs::write(
        folder.join("order.json"),
        r#"{ "properties": { "id": { "$ref": "types/id.json" } } }"#,
    )
    .unwrap();
    std::fs::write(folder.join("types/id.json"), r#"{ "type": "integer" }"#).unwrap();
    std::fs::write(
        folder.join("far.json"),
        r#"{ "$ref": "https://example.com/x.json" }"#,
    )
    .unwrap();
    let load = |file: &str| {
        let yaml = project(&format!("- validate: {{ json_schema: {file} }}"));
        engine::testing::deployment_in(REGISTRY, &yaml, &folder)
    };
    let near = load("order.json").unwrap_or_else(|text| panic!("{text}"));
    let far = load("far.json").err().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let bad = engine::testing::run_in(Arc::new(near), json(r#"{"id": "x"}"#)).await;
    assert_eq!(details(&bad)[0]["pointer"], "/id");
    assert!(far.contains("is no JSON Schema"), "{far}");
}

const XSD: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:o" elementFormDefault="qualified">
  <xs:element name="order"><xs:complexType><xs:sequence>
    <xs:element name="id" type="xs:int"/>
  </xs:sequence></xs:complexType></xs:element>
</xs:schema>"#;

#[tokio::test]
async fn xml_schema_and_the_content_of_a_soap_body() {
    let yaml = with_resource("- validate: { xsd: schema }", XSD);
    assert!(
        outcome(&yaml, xml("<order xmlns='urn:o'><id>5</id></order>"))
            .await
            .flow
            .is_ok()
    );
    let bad = details(&outcome(&yaml, xml("<order xmlns='urn:o'>\n<id>x</id></order>")).await);
    assert_eq!(bad[0]["line"], 2);
    assert!(bad[0]["path"].as_str().unwrap().contains("id"), "{bad}");
    let envelope = |id: &str| {
        let text = format!(
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><order xmlns='urn:o'><id>{id}</id></order></s:Body></s:Envelope>"
        );
        engine::testing::post("text/xml", text)
    };
    assert!(outcome(&yaml, envelope("5")).await.flow.is_ok());
    assert_eq!(
        details(&outcome(&yaml, envelope("x")).await)
            .as_array()
            .unwrap()
            .len(),
        bad.as_array().unwrap().len()
    );
    assert_eq!(
        details(&outcome(&yaml, json("{}")).await)[0]["message"],
        "the body is not XML"
    );
}

#[tokio::test]
async fn rules_are_all_checked() {
    let steps = r#"
- validate:
    rules:
      - { when: payload.n > 0, message: "n is ${payload.n | default('absent')}" }
      - { when: "payload.c in ['EUR']", message: wrong currency }
      - { when: "true", message: never }"#;
    assert!(run(steps, json(r#"{"n": 1, "c": "EUR"}"#)).await.flow.is_ok());
    let bad = run(steps, json(r#"{"c": "X"}"#)).await;
    assert_eq!(
        details(&bad),
        value!([{ "message": "n is absent" }, { "message": "wrong currency" }])
    );
    assert_eq!(bad.fault().message(), "The message is not valid: n is absent.");
}

#[tokio::test]
async fn a_reply_that_is_not_valid_is_the_backends_fault() {
    let mut message = Message::response(StatusCode::OK);
    message.set_content_type("application/json");
    message.payload = engine::payload::Payload::bytes("{}");
    let outcome = run(
        "- validate: { rules: [ { when: payload.n > 0, message: no n } ] }",
        message,
    )
    .await;
    assert_eq!(outcome.fault().name(), "backend.bad_reply");
}

#[test]
fn mistakes_are_placed() {
    assert!(diagnostics("- validate").contains("nothing to check"));
    let bad = deployment(&with_resource(
        "- validate: { json_schema: schema }",
        r#"{ "type": "strin" }"#,
    ))
    .err()
    .unwrap();
    assert!(bad.contains("is no JSON Schema"), "{bad}");
    let bad = deployment(&with_resource("- validate: { xsd: schema }", "<a/>"))
        .err()
        .unwrap();
    assert!(bad.contains("is no XML Schema"), "{bad}");
    assert!(diagnostics("- validate: { rules: [ { when: 'a >', message: x } ] }").contains("test.yaml:3:"));
}
