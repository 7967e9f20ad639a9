//! `resequence`: numbered messages leave in the order of their numbers, through crashes too.

use super::{eventually, managed, order_as, project, wait_for_fill};
use mediary_tests::{Backend, Gateway, Recorded, Reply, get};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// Posts a number of a stream.
async fn numbered(gateway: &Gateway, stream: &str, number: impl Into<Value>) {
    let body = json!({ "stream": stream, "number": number.into() }).to_string();
    order_as(gateway, stream, "application/json", &body).await;
}

/// What arrived: `a 1`.
fn told(request: &Recorded) -> String {
    let body = request.json();
    format!("{} {}", body["stream"].as_str().unwrap(), body["number"])
}

/// A processor for what [`numbered`] posts.
fn resequence(backend: &Backend, settings: &str) -> String {
    let by = "by: payload.number, stream: \"headers['x-customer']\"";
    project(
        &backend.url(),
        &format!("resequence: {{ {by}, {settings} to: backend }}, dead_letter: dead"),
    )
}

async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let metrics = get(&format!("{}/metrics", gateway.url("management")))
        .await
        .text();
    let line = format!("mediary_{name}_total{{artifact=\"processors.forward\"}} ");
    let value = metrics.lines().find_map(|metric| metric.strip_prefix(&line));
    value.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_come_in_order_and_stay_there_after_a_crash() {
    const STREAMS: usize = 6;
    let arrived = Arc::new(Mutex::new(Vec::<String>::new()));
    let recorded = Arc::clone(&arrived);
    let failed = Mutex::new(HashMap::<String, u32>::new());
    let backend = Backend::start(move |request| {
        let body = told(request);
        // Each seventh number fails once: its stream waits for it.
        let number: usize = body.split(' ').nth(1).unwrap().parse().unwrap();
        if number.is_multiple_of(7)
            && *failed
                .lock()
                .entry(body.clone())
                .and_modify(|count| *count += 1)
                .or_insert(1)
                == 1
        {
            return Reply::status(503);
        }
        recorded.lock().push(body);
        Reply::status(200)
    });
    let yaml = resequence(&backend, "first: 1, timeout: 1h, parallel: 4, backoff: 10ms,");
    let mut gateway = Gateway::start(yaml.as_str(), &[]);
    // Blocks of ten numbers, each block backwards; the gateway is killed with half of a block in the store.
    for block in 0..4 {
        for (index, number) in (1..=10).rev().enumerate() {
            for stream in 0..STREAMS {
                numbered(&gateway, &format!("s{stream}"), block * 10 + number).await;
            }
            if index == 5 {
                gateway = Gateway::start(gateway.kill(), &[]);
            }
        }
    }
    wait_for_fill(&gateway, "orders", 0).await;
    for stream in 0..STREAMS {
        let mut mine: Vec<usize> = Vec::new();
        for body in arrived
            .lock()
            .iter()
            .filter(|body| body.starts_with(&format!("s{stream} ")))
        {
            mine.push(body.split(' ').nth(1).unwrap().parse().unwrap());
        }
        // A crash may repeat what was delivered before it, and that in order.
        assert!(mine.windows(2).all(|two| two[1] <= two[0] + 1), "{mine:?}");
        mine.sort_unstable();
        mine.dedup();
        assert_eq!(mine, (1..=40).collect::<Vec<_>>());
    }
    assert_eq!(metric(&gateway, "resequence_gaps").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_number_is_waited_for_and_then_left() {
    let backend = Backend::replying(Reply::status(200));
    let mut gateway = Gateway::start(resequence(&backend, "first: 1, timeout: 300ms,").as_str(), &[]);
    for number in [1, 4, 3] {
        numbered(&gateway, "a", number).await;
    }
    numbered(&gateway, "b", 1).await;
    wait_for_fill(&gateway, "orders", 0).await;
    let sent = || -> Vec<String> { backend.requests().iter().map(told).collect() };
    assert_eq!(
        sent(),
        ["a 1", "b 1", "a 3", "a 4"],
        "a gap holds back its stream only"
    );
    assert_eq!(metric(&gateway, "resequence_gaps").await, 1);
    gateway.wait_for_log("numbers are missing");

    // What comes after its turn, a duplicate and what has no number are kept as dead letters.
    for number in [json!(2), json!(4), json!("many")] {
        numbered(&gateway, "a", number).await;
    }
    wait_for_fill(&gateway, "dead", 3).await;
    let page = managed(&gateway, "/stores/dead").await;
    let codes: Vec<&str> = page["page"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| letter["fault"]["code"].as_str().unwrap())
        .collect();
    let count = |wanted: &str| codes.iter().filter(|code| **code == wanted).count();
    assert_eq!(
        (count("gateway.out_of_sequence"), count("gateway.expression")),
        (2, 1),
        "{page}"
    );
    assert_eq!(metric(&gateway, "resequence_late").await, 2);
    numbered(&gateway, "a", 5).await;
    eventually("the next number", || sent().contains(&"a 5".to_owned()));

    // The place of a stream survives: 7 waits for 6 after a restart, though `first` is 1.
    numbered(&gateway, "a", 7).await;
    let gateway = Gateway::start(gateway.kill(), &[]);
    numbered(&gateway, "a", 6).await;
    wait_for_fill(&gateway, "orders", 0).await;
    assert_eq!(sent()[sent().len() - 2..], ["a 6", "a 7"]);
    assert_eq!(metric(&gateway, "resequence_gaps").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_ones_are_delivered_where_nothing_else_is_said() {
    let backend = Backend::replying(Reply::status(200));
    let yaml = resequence(&backend, "first: 1, timeout: 50ms,").replace(", dead_letter: dead", "");
    let gateway = Gateway::start(yaml.as_str(), &[]);
    numbered(&gateway, "a", 2).await;
    backend.wait_for_requests(1);
    numbered(&gateway, "a", 1).await;
    numbered(&gateway, "a", 3).await;
    wait_for_fill(&gateway, "orders", 0).await;
    let sent: Vec<String> = backend.requests().iter().map(told).collect();
    assert_eq!(sent, ["a 2", "a 1", "a 3"]);
}
