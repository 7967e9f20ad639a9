//! Keys in memory and in stores, through YAML.

use crate::testing::{deployment, json, project};
use engine::deployment::Deployment;
use engine::mediator::Flow;
use engine::message::Message;
use engine::testing::{Outcome, run_in};
use std::sync::Arc;
use std::time::Duration;

const STORES: &str = "stores: { seen: { memory: {} }, count: { memory: {} }, doubles: { memory: {} } }\n";

fn problems(steps: &str) -> String {
    deployment(&format!("{}{STORES}", project(steps)))
        .err()
        .unwrap_or_default()
}

fn built(steps: &str) -> Arc<Deployment> {
    let yaml = format!("{}{STORES}", project(steps));
    Arc::new(deployment(&yaml).unwrap_or_else(|text| panic!("{text}")))
}

fn order(body: &str) -> Message {
    let mut message = json(body);
    message.headers.insert("x-trace", "t".parse().unwrap());
    message
}

async fn run(deployment: &Arc<Deployment>, body: &str) -> Outcome {
    run_in(Arc::clone(deployment), order(body)).await
}

fn count(deployment: &Deployment, store: &str) -> u64 {
    deployment.stores[store].fill().unwrap().messages
}

/// Fails for `bad` once the rest has run.
const FAIL: &str = "- store: count\n- filter: { when: payload.bad is defined, then: [ { throw: no } ] }";

#[tokio::test]
async fn the_second_message_of_a_key_is_dropped() {
    for settings in ["payload.id", "{ key: payload.id, store: seen }"] {
        let deployment = built(&format!("- idempotent: {settings}\n{FAIL}"));
        assert_eq!(run(&deployment, r#"{"id": "a"}"#).await.flow.unwrap(), Flow::Next);
        assert_eq!(run(&deployment, r#"{"id": "a"}"#).await.flow.unwrap(), Flow::Drop);
        assert_eq!(run(&deployment, r#"{"id": "b"}"#).await.flow.unwrap(), Flow::Next);
        assert_eq!(count(&deployment, "count"), 2, "{settings}");
    }
}

#[tokio::test]
async fn a_message_that_failed_may_come_again() {
    let deployment = built(&format!(
        "- idempotent: {{ key: payload.id, store: seen }}\n{FAIL}"
    ));
    assert_eq!(
        run(&deployment, r#"{"id": 1, "bad": true}"#)
            .await
            .fault()
            .message(),
        "no"
    );
    assert_eq!(count(&deployment, "seen"), 0);
    assert_eq!(run(&deployment, r#"{"id": 1}"#).await.flow.unwrap(), Flow::Next);
    assert_eq!(run(&deployment, r#"{"id": 1}"#).await.flow.unwrap(), Flow::Drop);
    let kept = deployment.stores["seen"].list(None, 9).await.unwrap();
    assert_eq!(
        (kept.len(), kept[0].id.as_str(), &kept[0].body[..]),
        (1, "key..1", &b"1"[..])
    );
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_key_at_once_run_one_after_the_other_until_one_succeeds() {
    let steps = "- idempotent: payload.id\n- store: count\n- delay: 100ms\n- filter: { when: payload.bad is defined, then: [ { throw: no } ] }";
    let deployment = built(steps);
    let one = |body: &'static str| {
        let deployment = Arc::clone(&deployment);
        tokio::spawn(async move { run(&deployment, body).await.flow })
    };
    let failing = one(r#"{"id": 1, "bad": true}"#);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let others: Vec<_> = (0..50).map(|_| one(r#"{"id": 1}"#)).collect();
    assert!(failing.await.unwrap().is_err());
    let mut ran = 0;
    for other in others {
        ran += u32::from(other.await.unwrap().unwrap() == Flow::Next);
    }
    assert_eq!((ran, count(&deployment, "count")), (1, 2));
}

#[tokio::test]
async fn within_one_exchange_the_second_of_a_key_is_a_duplicate_at_once() {
    let steps = "- split: { over: payload.lines, steps: [ { idempotent: payload }, { store: count } ] }";
    let deployment = built(steps);
    let outcome = run(&deployment, r#"{"lines": ["a", "b", "a"]}"#).await;
    assert!(outcome.flow.is_ok(), "{:?}", outcome.flow);
    assert_eq!(count(&deployment, "count"), 2);
    run(&deployment, r#"{"lines": ["b", "c"]}"#).await;
    assert_eq!(
        count(&deployment, "count"),
        3,
        "the keys of the parts were kept with the whole"
    );
}

#[tokio::test]
async fn a_fault_that_is_caught_or_ignored_keeps_no_key() {
    for (steps, kept) in [
        (
            "- try: { steps: [ { idempotent: { key: payload.id, store: seen } }, { throw: no } ], catch: [ { steps: [] } ] }",
            0,
        ),
        (
            "- clone: { copies: [ [ { idempotent: { key: payload.id, store: seen } }, { throw: no } ] ], ignore_faults: true }",
            0,
        ),
        (
            "- clone: { copies: [ [ { idempotent: { key: payload.id, store: seen } } ] ] }",
            1,
        ),
        (
            "- try: { steps: [ { clone: { copies: [ [ { idempotent: { key: payload.id, store: seen } } ] ] } }, { throw: no } ], catch: [ { steps: [] } ] }",
            0,
        ),
    ] {
        let deployment = built(steps);
        let outcome = run(&deployment, r#"{"id": "a"}"#).await;
        assert!(outcome.flow.is_ok(), "{:?}", outcome.flow);
        assert_eq!(count(&deployment, "seen"), kept, "{steps}");
    }
}

#[tokio::test]
async fn own_steps_run_once_and_the_rest_goes_on() {
    let steps = "
- idempotent:
    key: payload.id
    steps: [ { store: count }, { filter: { when: payload.bad is defined, then: [ { throw: no } ] } } ]
- set: { headers.x-after: \"yes\" }";
    let deployment = built(steps);
    for _ in 0..2 {
        let outcome = run(&deployment, r#"{"id": 7}"#).await;
        assert_eq!(outcome.exchange.message.headers["x-after"], "yes");
    }
    assert_eq!(count(&deployment, "count"), 1);
    assert!(run(&deployment, r#"{"id": 8, "bad": true}"#).await.flow.is_err());
    assert!(run(&deployment, r#"{"id": 8}"#).await.flow.is_ok());
    assert_eq!(count(&deployment, "count"), 3);
}

#[tokio::test]
async fn a_duplicate_runs_its_own_steps() {
    let steps = "- idempotent: { key: payload.id, on_duplicate: [ { store: doubles }, { throw: { code: order.known, message: Known., status: 409 } } ] }";
    let deployment = built(steps);
    run(&deployment, r#"{"id": 1}"#).await;
    let outcome = run(&deployment, r#"{"id": 1}"#).await;
    assert_eq!(
        (outcome.fault().name(), outcome.fault().status().as_u16()),
        ("order.known", 409)
    );
    assert_eq!(count(&deployment, "doubles"), 1);
}

#[tokio::test]
async fn a_message_without_a_key_is_refused() {
    let deployment = built("- idempotent: payload.id");
    let long = format!(r#"{{"id": "{}"}}"#, "x".repeat(1025));
    for body in ["{}", r#"{"id": ""}"#, &long] {
        assert_eq!(
            run(&deployment, body).await.fault().name(),
            "client.bad_request",
            "{body}"
        );
    }
}

#[tokio::test]
async fn keys_are_forgotten_after_the_window_and_when_there_are_too_many() {
    let deployment = built("- idempotent: { key: payload.id, store: seen, window: 2s }\n- store: count");
    for id in 0..20 {
        run(&deployment, &format!(r#"{{"id": {id}}}"#)).await;
    }
    assert_eq!(run(&deployment, r#"{"id": 19}"#).await.flow.unwrap(), Flow::Drop);
    std::thread::sleep(Duration::from_millis(2001));
    assert_eq!(
        run(&deployment, r#"{"id": 19}"#).await.flow.unwrap(),
        Flow::Next,
        "its time is over"
    );
    run(&deployment, r#"{"id": 20}"#).await;
    assert_eq!(count(&deployment, "seen"), 2, "the old ones have left the store");

    let deployment = built("- idempotent: { key: payload.id, store: seen, keys_max: 3 }");
    for id in 0..5 {
        run(&deployment, &format!(r#"{{"id": {id}}}"#)).await;
    }
    assert_eq!(count(&deployment, "seen"), 3);
    assert_eq!(run(&deployment, r#"{"id": 4}"#).await.flow.unwrap(), Flow::Drop);
    assert_eq!(
        run(&deployment, r#"{"id": 0}"#).await.flow.unwrap(),
        Flow::Next,
        "forgotten"
    );
}

#[tokio::test]
async fn a_key_that_was_removed_from_the_store_is_not_known_any_more() {
    let deployment = built("- idempotent: { key: payload.id, store: seen, scope: 'a b' }");
    run(&deployment, r#"{"id": "x/y z"}"#).await;
    assert!(deployment.stores["seen"].remove("key.a+b.x%2Fy+z").await.unwrap());
    assert_eq!(
        run(&deployment, r#"{"id": "x/y z"}"#).await.flow.unwrap(),
        Flow::Next
    );
    assert_eq!(
        run(&deployment, r#"{"id": "x/y z"}"#).await.flow.unwrap(),
        Flow::Drop
    );
}

#[tokio::test]
async fn a_duplicate_gets_the_reply_of_the_first() {
    let steps = "- idempotent: { key: payload.id, store: seen, replay: true }\n- store: count\n- respond: { status: 201, payload: { id: \"${payload.id}\" }, headers: { x-order: \"7\" } }";
    let deployment = built(steps);
    let mut first = run(&deployment, r#"{"id": "a"}"#).await;
    let mut second = run(&deployment, r#"{"id": "a"}"#).await;
    assert_eq!(
        (first.text(), second.text()),
        (r#"{"id":"a"}"#.into(), r#"{"id":"a"}"#.into())
    );
    let reply = &second.exchange.message;
    assert_eq!(reply.status().unwrap().as_u16(), 201);
    assert_eq!(
        (&reply.headers["x-order"], &reply.headers["idempotent-replayed"]),
        (&"7".parse().unwrap(), &"true".parse().unwrap())
    );
    assert_eq!(count(&deployment, "count"), 1);
}

#[test]
fn mistakes_are_placed() {
    for (steps, problem) in [
        (
            "- idempotent: { key: payload.id, replay: true }",
            "needs a `store`",
        ),
        (
            "- idempotent: { key: payload.id, scope: a }",
            "a set of keys in a `store`",
        ),
        (
            "- idempotent: { key: payload.id, store: seen, replay: true, steps: [ { log: a } ] }",
            "goes without `steps`",
        ),
        (
            "- idempotent: { key: payload.id, store: sen }",
            "did you mean `seen`",
        ),
        ("- idempotent: { key: 'payload.id >' }", "test.yaml:3:"),
        (
            "- idempotent: { key: payload.id, store: seen }\n- store: seen",
            "cannot be used for anything else",
        ),
        (
            "- idempotent: { key: payload.id, store: seen }\n- idempotent: { key: payload.n, store: seen }",
            "cannot be used for anything else",
        ),
    ] {
        let text = problems(steps);
        assert!(text.contains(problem), "{steps}: {text}");
    }
    let shared = "- idempotent: { key: payload.id, store: seen, scope: a }\n- idempotent: { key: payload.n, store: seen, scope: b }";
    assert_eq!(problems(shared), "");
}
