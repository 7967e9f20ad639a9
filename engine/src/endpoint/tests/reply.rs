//! Replies that are faults.

use super::{backend, setup};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_status_is_a_fault_where_the_configuration_says_so() {
    let setup = setup("main: { fake: \"fake://s1\", fault_on: [404, 5xx] }");
    let backend = backend("s1");
    backend
        .replies(&[("content-type", "application/json")], "{\"why\":1}")
        .will("400, 404, 500");
    assert_eq!(setup.get().await, "400");
    let mut fault = setup.try_get().await.unwrap_err();
    assert_eq!(fault.name(), "backend.status");
    assert_eq!(
        fault.details(),
        Some(&json!({ "status": 404, "body": { "why": 1 } }))
    );
    let reply = fault.take_reply().unwrap();
    assert_eq!(reply.status().unwrap().as_u16(), 404);
    assert_eq!(reply.payload.as_bytes().unwrap(), "{\"why\":1}");
    assert_eq!(setup.get().await, "backend.status");
}

#[tokio::test(start_paused = true)]
async fn details_show_small_text_and_nothing_else() {
    let setup = setup("main: { fake: \"fake://s2\", fault_on: 5xx }");
    let backend = backend("s2");
    backend.always("500");
    for (media_type, body, shown) in [
        ("text/plain", "no".to_owned(), json!("no")),
        ("application/xml", "<no/>".to_owned(), json!("<no/>")),
        ("application/octet-stream", "no".to_owned(), json!(null)),
        ("text/plain", "x".repeat(5000), json!(null)),
        ("application/json", "{".to_owned(), json!(null)),
    ] {
        backend.replies(&[("content-type", media_type)], &body);
        let fault = setup.try_get().await.unwrap_err();
        assert_eq!(fault.details().unwrap()["body"], shown, "{media_type}");
    }
}
