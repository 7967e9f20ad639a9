//! Tests of `throttle`.

use crate::testing::{deployment, diagnostics, json, project};
use engine::deployment::Deployment;
use engine::message::Message;
use engine::testing::{Outcome, run_in};
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, advance};

fn deployed(steps: &str) -> Arc<Deployment> {
    Arc::new(deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}")))
}

fn keyed(key: &str) -> Message {
    let mut message = json("{}");
    message.headers.insert("x-key", key.parse().unwrap());
    message
}

fn limits(headers: &HeaderMap) -> [&str; 3] {
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(|name| headers[name].to_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn too_much_is_refused_and_told() {
    let deployment = deployed("- throttle: { rate: 1/10s, burst: 2, key: headers.x_key }");
    let run = |key: &str| run_in(Arc::clone(&deployment), keyed(key));
    assert_eq!(limits(&run("a").await.exchange.reply_headers), ["2", "1", "10"]);
    assert_eq!(limits(&run("a").await.exchange.reply_headers), ["2", "0", "20"]);
    let refused = run("a").await;
    assert_eq!(
        (refused.fault().name(), refused.fault().status().as_u16()),
        ("client.too_many_requests", 429)
    );
    assert_eq!(refused.fault().headers()["retry-after"], "10");
    assert_eq!(limits(refused.fault().headers()), ["2", "0", "20"]);
    assert!(run("b").await.flow.is_ok(), "another key has its own limit");
    advance(Duration::from_secs(10)).await;
    assert!(run("a").await.flow.is_ok());
    assert!(
        run_in(Arc::clone(&deployment), json("{}")).await.flow.is_ok(),
        "without a key it is all together"
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_waits_its_turn_and_is_limited() {
    let deployment = deployed("- throttle: { rate: 1/s, queue: { length: 2, wait: 1500ms } }");
    let started = Instant::now();
    let runs = (0..4).map(|_| run_in(Arc::clone(&deployment), json("{}")));
    let outcomes: Vec<Outcome> = futures_util::future::join_all(runs).await;
    let passed = outcomes.iter().filter(|outcome| outcome.flow.is_ok()).count();
    assert_eq!((passed, started.elapsed().as_secs()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn permits_are_held_until_the_exchange_ends() {
    let deployment = deployed("- throttle: { concurrency: 1 }");
    let run = || run_in(Arc::clone(&deployment), json("{}"));
    let first = run().await;
    assert!(first.flow.is_ok());
    assert_eq!(run().await.fault().name(), "client.too_many_requests");
    drop(first);
    assert!(run().await.flow.is_ok());
}

#[tokio::test(start_paused = true)]
async fn permits_for_steps_are_given_back_behind_them() {
    let deployment =
        deployed("- throttle: { concurrency: 2, queue: { length: 10, wait: 5s }, steps: [ { delay: 1s } ] }");
    let started = Instant::now();
    let runs = (0..6).map(|_| run_in(Arc::clone(&deployment), json("{}")));
    let outcomes: Vec<Outcome> = futures_util::future::join_all(runs).await;
    assert!(outcomes.iter().all(|outcome| outcome.flow.is_ok()));
    assert_eq!(started.elapsed().as_secs(), 3, "six in pairs, a second each");
}

#[test]
fn mistakes_are_placed() {
    assert!(diagnostics("- throttle").contains("limits nothing"));
    assert!(diagnostics("- throttle: 100").contains("not a rate"));
    assert!(diagnostics("- throttle: { rate: 1/s, key: '1 +' }").contains("test.yaml:3:"));
}
