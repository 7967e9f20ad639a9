//! Recipient lists.

use super::{Payload, backend, setup, stream};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn each_recipient_gets_a_copy_at_the_same_time() {
    let setup = setup("main: { recipient_list: [ \"fake://c1a\", \"fake://c1b\" ] }");
    backend("c1a").always("after 2s");
    backend("c1b").always("after 3s");
    let started = Instant::now();
    assert_eq!(setup.post(stream("ab", "cd")).await, "200");
    assert_eq!(started.elapsed().as_secs(), 3);
    assert_eq!(
        (
            backend("c1a").calls()[0].body.as_str(),
            backend("c1b").calls()[0].body.as_str()
        ),
        ("abcd", "abcd")
    );
}

#[tokio::test(start_paused = true)]
async fn so_many_have_to_succeed() {
    for (require, expected) in [
        ("all", "backend.connect"),
        ("any", "201"),
        ("1", "201"),
        ("2", "backend.connect"),
    ] {
        let setup = setup(&format!(
            "main: {{ recipient_list: {{ endpoints: [ \"fake://c2a\", \"fake://c2b\" ], require: {require} }} }}"
        ));
        backend("c2a").always("refuse");
        backend("c2b").always("201");
        assert_eq!(setup.post(Payload::bytes("x")).await, expected, "{require}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_status_is_no_success_and_the_fault_tells_all() {
    let setup = setup("main: { recipient_list: [ \"fake://c3a\", \"fake://c3b\" ] }");
    backend("c3a").always("204");
    backend("c3b").always("404");
    let fault = setup.try_get().await.unwrap_err();
    assert_eq!(fault.name(), "backend.status");
    assert_eq!(
        fault.message(),
        "1 of 2 recipients accepted the message, 2 have to."
    );
    let recipients = &fault.details().unwrap()["recipients"];
    assert_eq!(recipients[0]["status"], 204);
    assert_eq!(recipients[1]["status"], 404);
}
