//! Retries: what is sent again, when, and how often.

use super::{Payload, backend, setup, stream};
use std::time::Duration;
use tokio::time::Instant;

const TWICE: &str = "retry: { attempts: 2, jitter: false }";

#[tokio::test(start_paused = true)]
async fn an_idempotent_request_is_sent_again_after_a_growing_wait() {
    let setup = setup(&format!("main: {{ fake: \"fake://r1\", {TWICE} }}"));
    let backend = backend("r1");
    backend.will("503, lose, 200");
    let started = Instant::now();
    assert_eq!(setup.get().await, "200");
    let times: Vec<u128> = backend
        .calls()
        .iter()
        .map(|call| (call.at - started).as_millis())
        .collect();
    assert_eq!(times, [0, 100, 300]);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_limited_and_the_last_outcome_stands() {
    let setup = setup(&format!("main: {{ fake: \"fake://r2\", {TWICE} }}"));
    let backend = backend("r2");
    backend.always("503");
    assert_eq!(setup.get().await, "503");
    assert_eq!(backend.count(), 3);
    backend.always("500");
    assert_eq!(setup.get().await, "500");
    assert_eq!(backend.count(), 4, "500 is not in the list");
}

#[tokio::test(start_paused = true)]
async fn a_post_that_was_sent_is_not_sent_again() {
    let setup = setup(&format!("main: {{ fake: \"fake://r3\", timeout: 1s, {TWICE} }}"));
    let backend = backend("r3");
    for (act, told) in [
        ("hang", "backend.timeout"),
        ("lose", "backend.connection_lost"),
        ("503", "503"),
    ] {
        backend.will(act);
        let before = backend.count();
        assert_eq!(setup.post(Payload::bytes("x")).await, told);
        assert_eq!(backend.count(), before + 1, "{act}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_of_which_nothing_was_sent_is_tried_again_from_its_stream() {
    let setup = setup(&format!("main: {{ fake: \"fake://r4\", {TWICE} }}"));
    let backend = backend("r4");
    backend.will("refuse, refuse, 200");
    assert_eq!(setup.post(stream("ab", "cd")).await, "200");
    let bodies: Vec<String> = backend.calls().into_iter().map(|call| call.body).collect();
    assert_eq!(bodies, ["unread", "unread", "abcd"]);
}

#[tokio::test(start_paused = true)]
async fn non_idempotent_requests_are_sent_again_where_the_configuration_says_so() {
    let setup = setup("main: { fake: \"fake://r5\", retry: { attempts: 1, non_idempotent: true } }");
    let backend = backend("r5");
    backend.will("lose");
    assert_eq!(setup.post(stream("ab", "cd")).await, "200");
    let bodies: Vec<String> = backend.calls().into_iter().map(|call| call.body).collect();
    assert_eq!(bodies, ["abcd", "abcd"]);
}

#[tokio::test(start_paused = true)]
async fn the_second_attempt_gets_the_whole_body_headers_included() {
    let setup = setup(&format!(
        "main: {{ fake: \"fake://r6\", headers: {{ x-a: b }}, {TWICE} }}"
    ));
    let backend = backend("r6");
    backend.will("503, refuse, 200");
    assert_eq!(setup.put(stream("ab", "cd")).await, "200");
    let calls = backend.calls();
    assert_eq!((calls[0].body.as_str(), calls[2].body.as_str()), ("abcd", "abcd"));
    assert!(calls.iter().all(|call| call.headers["x-a"] == "b"));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_unless_it_is_too_long() {
    let setup = setup("main: { fake: \"fake://r7\", retry: { attempts: 2, backoff_max: 5s } }");
    let backend = backend("r7");
    backend.replies(&[("retry-after", "4")], "").will("503, 200");
    let started = Instant::now();
    assert_eq!(setup.get().await, "200");
    assert_eq!(started.elapsed(), Duration::from_secs(4));
    backend.replies(&[("retry-after", "6")], "").will("503, 200");
    let started = Instant::now();
    assert_eq!(setup.get().await, "503");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn no_retry_begins_after_the_deadline() {
    let setup = setup("main: { fake: \"fake://r8\", retry: { attempts: 9, backoff: 2s, jitter: false } }");
    let backend = backend("r8");
    backend.always("503");
    let mut exchange = setup.exchange(http::Method::GET);
    exchange.deadline = Instant::now() + Duration::from_secs(5);
    let reply = setup
        .send(&mut exchange, crate::message::Message::default())
        .await;
    assert_eq!(super::told(&reply), "503");
    assert_eq!(backend.count(), 2, "at 0s and 2s; the next would be at 6s");
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_the_storm() {
    let setup = setup(
        "main: { fake: \"fake://r9\", retry: { attempts: 3, on: 503, backoff: 1ms, budget: 20%, jitter: false } }",
    );
    let backend = backend("r9");
    backend.always("503");
    for _ in 0..100 {
        assert_eq!(setup.get().await, "503");
    }
    assert_eq!(backend.count(), 120, "100 calls and 20 % of them again");
}
