//! Tests of `call`, against a sender that tells what it was sent.

use crate::testing::{diagnostics, fault, json, run, text_of};
use serde_json::{Value as Json, json as value};

async fn echoed(steps: &str, message: engine::message::Message) -> Json {
    let text = text_of(steps, message).await;
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

#[tokio::test]
async fn the_reply_becomes_the_message() {
    let mut message = json(r#"{"n": 1}"#);
    for (name, text) in [("authorization", "secret"), ("cookie", "a=b"), ("x-id", "7")] {
        message.headers.insert(name, text.parse().unwrap());
    }
    let steps = "- set: { payload.m: 2 }\n- call: { endpoint: 'test://echo', method: PUT, path: '/orders/${payload.m}?q=${query.q}', action: 'urn:a', headers: { x-n: 'n${payload.n}' } }";
    let echo = echoed(steps, message).await;
    assert_eq!(
        echo,
        value!({
            "method": "PUT", "path": "/orders/2?q=1", "body": r#"{"n":1,"m":2}"#,
            "headers": { "content-type": "application/json", "x-id": "7", "x-n": "n1" }
        })
    );
}

#[tokio::test]
async fn values_cannot_leave_their_path_segment() {
    let steps = "- call: { endpoint: 'test://echo', path: '/a/${payload.v}/b' }";
    let echo = echoed(steps, json(r#"{"v": "../x?y=1#z"}"#)).await;
    assert_eq!(echo["path"], "/a/..%2Fx%3Fy%3D1%23z/b");
}

#[tokio::test]
async fn into_a_variable_the_message_stays() {
    let steps = "- call: { endpoint: 'test://echo', method: GET, into: customer }\n- set: { headers.x-body: '${vars.customer.body}', headers.x-method: '${vars.customer.method}' }";
    let mut outcome = run(steps, json(r#"{ "n" : 1 }"#)).await;
    assert_eq!(outcome.text(), r#"{ "n" : 1 }"#);
    let headers = &outcome.exchange.message.headers;
    assert_eq!(
        (
            headers["x-body"].to_str().unwrap(),
            headers["x-method"].to_str().unwrap()
        ),
        ("", "GET")
    );
    let steps = "- call: { endpoint: 'test://echo', payload: { id: '${payload.n}' }, into: vars.r }\n- set: { payload: '${vars.r.body}' }";
    assert_eq!(text_of(steps, json(r#"{"n": 1}"#)).await, r#"{"id":1}"#);
}

#[tokio::test]
async fn headers_of_a_reply_do_not_reach_the_next_backend() {
    let steps = "- call: 'test://cookie'\n- call: { endpoint: 'test://echo', headers: { authorization: 'Bearer ${query.q}' } }";
    let echo = echoed(steps, json("{}")).await;
    assert_eq!(
        echo["headers"],
        value!({ "content-type": "application/json", "authorization": "Bearer 1", "x-kept": "yes" })
    );
}

#[tokio::test]
async fn a_caught_fault_leaves_the_message() {
    let steps = "- try: { steps: [ { call: 'test://down' } ], catch: [ { on: backend.connect, steps: [ { set: { payload.caught: '${fault.code}' } } ] } ] }";
    assert_eq!(
        text_of(steps, json(r#"{"n":1}"#)).await,
        r#"{"n":1,"caught":"backend.connect"}"#
    );
    assert_eq!(
        fault("- call: 'test://down'", json("{}")).await.name(),
        "backend.connect"
    );
}

#[tokio::test]
async fn a_pass_through_body_is_not_parsed() {
    let echo = echoed("- call: 'test://echo'", json("not json at all")).await;
    assert_eq!(echo["body"], "not json at all");
}

#[test]
fn mistakes_are_placed() {
    let text =
        diagnostics("- call: { endpoint: 'test://echo', method: get, path: '${payload.}', into: 'a b' }");
    assert!(text.contains("did you mean `GET`?"), "{text}");
    assert!(text.contains("no name for a variable"), "{text}");
    assert!(diagnostics("- call: nowhere").contains("`nowhere`"));
    assert!(diagnostics("- call: { into: x }").contains("endpoint"));
    assert!(
        diagnostics("- call: { endpoint: 'test://echo', headers: { content-length: 1 } }")
            .contains("set by the transport")
    );
}
