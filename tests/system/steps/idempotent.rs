//! `idempotent`: through restart and SIGKILL, at once, and behind a queue and a folder that deliver twice.

use super::{eventually, post_with};
use mediary_tests::{AmqpMessage, Backend, Gateway, RabbitMq, Recorded, Reply};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// `POST /orders`, once for each `Idempotency-Key`.
fn api(backend: &Backend) -> String {
    format!(
        "endpoints:\n  backend: {{ http: \"{}\" }}\nstores:\n  seen: {{ durable: {{}} }}\napis:\n  orders:\n    context: /orders\n    routes:\n      POST /:\n        - idempotent: {{ key: headers.idempotency_key, store: seen, replay: true }}\n        - call: backend\n        - respond\n",
        backend.url()
    )
}

async fn order(gateway: &Gateway, key: &str) -> mediary_tests::Answer {
    let url = format!("{}/orders", gateway.url("http"));
    post_with(&url, ("idempotency-key", key), r#"{"n": 1}"#).await
}

fn numbering() -> Backend {
    let count = AtomicUsize::new(0);
    Backend::start(move |_| Reply::json(&json!({ "number": count.fetch_add(1, Ordering::SeqCst) + 1 })))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_known_after_a_crash_and_answered_with_the_first_reply() {
    let backend = numbering();
    let gateway = Gateway::start(api(&backend).as_str(), &[]);
    let first = order(&gateway, "a").await.expect_status(200);
    assert_eq!(
        (first.json(), first.header("idempotent-replayed")),
        (json!({"number": 1}), "")
    );
    let gateway = Gateway::start(gateway.kill(), &[]);
    let again = order(&gateway, "a").await.expect_status(200);
    assert_eq!(
        (again.json(), again.header("idempotent-replayed")),
        (json!({"number": 1}), "true")
    );
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_eq!(
        order(&gateway, "b").await.expect_status(200).json(),
        json!({"number": 2})
    );
    assert_eq!(order(&gateway, "").await.json()["code"], "client.bad_request");
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_repeats_and_a_failure_keeps_no_key() {
    let backend = Backend::script(vec![
        Reply::never(),
        Reply::status(503),
        Reply::json(&json!({"ok": true})),
    ]);
    let gateway = Gateway::start(api(&backend).as_str(), &[]);
    let url = format!("{}/orders", gateway.url("http"));
    let lost = tokio::spawn(async move {
        let request = hyper::Request::post(url).header("idempotency-key", "a");
        let request = request
            .body(http_body_util::Full::<bytes::Bytes>::default())
            .unwrap();
        mediary_tests::Client::new().send(request).await.is_err()
    });
    backend.wait_for_requests(1);
    let gateway = Gateway::start(gateway.kill(), &[]);
    assert!(lost.await.unwrap());
    assert_eq!(order(&gateway, "a").await.status, 503);
    let served = order(&gateway, "a").await.expect_status(200);
    assert_eq!(served.header("idempotent-replayed"), "");
    assert_eq!(order(&gateway, "a").await.header("idempotent-replayed"), "true");
    assert_eq!(backend.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_at_once_exactly_one_runs() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let backend = Backend::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Reply::json(&json!({"ok": true})).delay(Duration::from_millis(300))
    });
    let gateway = Arc::new(Gateway::start(api(&backend).as_str(), &["settings.workers=4"]));
    let orders = (0..50).map(|_| {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move { order(&gateway, "one").await.expect_status(200) })
    });
    let mut replayed = 0;
    for answer in orders.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        assert_eq!(answer.json(), json!({"ok": true}));
        replayed += usize::from(answer.header("idempotent-replayed") == "true");
    }
    assert_eq!((count.load(Ordering::SeqCst), replayed), (1, 49));
}

/// How often each body arrived.
fn arrivals(requests: &[Recorded]) -> HashMap<String, usize> {
    let mut arrivals = HashMap::new();
    for request in requests {
        *arrivals.entry(request.text()).or_default() += 1;
    }
    arrivals
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_queue_that_come_again_run_once() {
    const COUNT: usize = 200;
    const PREFETCH: usize = 8;
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    client.declare("in");
    let messages: Vec<AmqpMessage> = (0..COUNT)
        .map(|number| AmqpMessage::new(format!("m{number}")).property("message_id", format!("id-{number}")))
        .collect();
    assert_eq!(client.publish("in", &messages).confirmed, COUNT as u64);
    let failed_once = AtomicUsize::new(0);
    let backend = Backend::start(move |request| {
        let fails = request.text() == "m3" && failed_once.fetch_add(1, Ordering::SeqCst) == 0;
        Reply::status(if fails { 503 } else { 200 }).delay(Duration::from_millis(5))
    });
    let project = format!(
        "connections:\n  rabbit: {{ amqp: \"{}\" }}\nendpoints:\n  backend: {{ http: \"{}\" }}\nstores:\n  seen: {{ durable: {{}} }}\nproxies:\n  bridge:\n    from: {{ amqp: {{ connection: rabbit, queue: in, prefetch: {PREFETCH}, backoff: 50ms }} }}\n    steps: [ {{ idempotent: {{ key: source.properties.message_id, store: seen }} }} ]\n    to: backend\n",
        vhost.amqp_url(),
        backend.url()
    );
    let gateway = Gateway::start(project.as_str(), &[]);
    backend.wait_for_requests(COUNT / 3);
    let gateway = Gateway::start(gateway.kill(), &[]);
    eventually("an empty queue", || {
        client.depth("in") == 0 && arrivals(&backend.requests()).len() == COUNT
    });
    let settled = backend.requests().len();
    // What was under way when the process died, and the one that failed, ran again.
    assert!(
        settled > COUNT && settled <= COUNT + PREFETCH + 1,
        "{settled} requests"
    );
    client.publish("in", &messages);
    eventually("an empty queue", || client.depth("in") == 0);
    drop(gateway.terminate());
    assert_eq!(client.depth("in"), 0, "the duplicates were acknowledged");
    assert_eq!(backend.requests().len(), settled, "and none of them ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_again_runs_once() {
    let backend = Backend::replying(Reply::json(&json!({"ok": true})));
    let project = format!(
        "endpoints:\n  backend: {{ http: \"{}\" }}\nproxies:\n  pickup:\n    from: {{ file: {{ folder: data/in, every: 50ms, after: {{ move: done }} }} }}\n    steps: [ {{ idempotent: {{ key: \"source.name ~ ' ' ~ source.modified\" }} }} ]\n    to: backend\n",
        backend.url()
    );
    let gateway = Gateway::start(project.as_str(), &[]);
    let folder = gateway.project().folder().join("data/in");
    let put = |name: &str, content: &str, modified: u64| {
        std::fs::create_dir_all(&folder).unwrap();
        let temporary = folder.join(".writing");
        let file = std::fs::File::create(&temporary).unwrap();
        std::io::Write::write_all(&mut &file, content.as_bytes()).unwrap();
        let time = std::time::UNIX_EPOCH + Duration::from_secs(modified);
        file.set_modified(time).unwrap();
        std::fs::rename(temporary, folder.join(name)).unwrap();
        eventually("the pickup", || !folder.join(name).exists());
    };
    put("a.txt", "one", 1_700_000_000);
    backend.wait_for_requests(1);
    put("a.txt", "one", 1_700_000_000);
    put("a.txt", "two", 1_700_000_060);
    let requests = backend.wait_for_requests(2);
    assert_eq!(
        requests.iter().map(Recorded::text).collect::<Vec<_>>(),
        ["one", "two"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_is_handled_keeps_no_key_and_a_key_that_cannot_be_kept_is_a_fault() {
    let backend = Backend::script(vec![Reply::reset(), Reply::json(&json!({"ok": true}))]);
    let handled = api(&backend).replace(
        "    routes:",
        "    on_fault: [ { respond: { status: 200, payload: handled } } ]\n    routes:",
    );
    let gateway = Gateway::start(handled.as_str(), &[]);
    assert_eq!(order(&gateway, "a").await.expect_status(200).text(), "handled");
    let served = order(&gateway, "a").await.expect_status(200);
    assert_eq!(
        (served.json(), served.header("idempotent-replayed")),
        (json!({"ok": true}), "")
    );

    let full = api(&backend).replace("durable: {}", "durable: { messages_max: 1 }");
    let gateway = Gateway::start(full.as_str(), &[]);
    order(&gateway, "a").await.expect_status(200);
    assert_eq!(
        order(&gateway, "b").await.expect_status(503).json()["code"],
        "gateway.store"
    );
    assert_eq!(order(&gateway, "a").await.header("idempotent-replayed"), "true");
}
