//! Steps with state and what starts exchanges without a network: `idempotent`, `claim_check` and `aggregate` through restarts and
//! crashes, timers, and artifacts that send to each other.

mod aggregate;
mod claim_check;
mod idempotent;
mod schedules;

use mediary_tests::{Answer, Client, Gateway, get};
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(20);

/// Waits until `done`; what is waited for is told where it never comes.
#[track_caller]
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < WAIT, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// POST of JSON with one header.
async fn post_with(url: &str, header: (&str, &str), body: &str) -> Answer {
    let request = hyper::Request::post(url)
        .header("content-type", "application/json")
        .header(header.0, header.1)
        .body(http_body_util::Full::<bytes::Bytes>::from(body.to_owned()))
        .unwrap();
    Client::new().send(request).await.unwrap()
}

/// As [`eventually`], for what is asked over HTTP.
async fn eventually_true(what: &str, done: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !done().await {
        assert!(started.elapsed() < WAIT, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many messages a store holds.
async fn in_store(gateway: &Gateway, store: &str) -> usize {
    let url = format!("{}/stores/{store}", gateway.url("management"));
    let page = get(&url).await.expect_status(200).json();
    page["page"].as_array().unwrap().len()
}
