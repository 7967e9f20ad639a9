//! Steps with state and what starts exchanges without a network: `idempotent`, `claim_check` and `aggregate` through restarts and
//! crashes, timers, and artifacts that send to each other.

mod aggregate;
mod claim_check;
mod idempotent;
mod schedules;

use mediary_tests::{Answer, Client, Gateway, eventually_within, get, wait_for};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(20);

#[track_caller]
fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_within(WAIT, what, done);
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

/// How many messages a store holds.
fn in_store(gateway: &Gateway, store: &str) -> usize {
    let url = format!("{}/stores/{store}", gateway.url("management"));
    let page = wait_for(get(&url)).expect_status(200).json();
    page["page"].as_array().unwrap().len()
}
