//! `aggregate` with a store: groups through SIGKILL, timers that go on after it, and groups that fail.

use super::{eventually, in_store};
use mediary_tests::{AmqpMessage, Backend, Gateway, RabbitMq, Reply, get, post};
use serde_json::{Value, json};
use std::time::Duration;

fn project(backend: &Backend, settings: &str, more: &str) -> String {
    format!(
        "endpoints:\n  backend: {{ http: \"{}\" }}\nstores:\n  parts: {{ durable: {{}} }}\n  dead: {{ durable: {{}} }}\napis:\n  a:\n    context: /a\n    dead_letter: dead\n    routes:\n      POST /:\n        - aggregate: {{ by: payload.order, store: parts, {settings} }}\n{more}        - call: backend\n        - respond\n",
        backend.url()
    )
}

async fn send(gateway: &Gateway, order: &str, number: usize) -> mediary_tests::Answer {
    let url = format!("{}/a", gateway.url("http"));
    post(
        &url,
        "application/json",
        json!({"order": order, "n": number}).to_string(),
    )
    .await
}

fn numbers(group: &Value) -> Vec<i64> {
    let messages = group.as_array().unwrap().iter();
    messages.map(|message| message["n"].as_i64().unwrap()).collect()
}

/// What a store holds.
async fn stored(gateway: &Gateway, store: &str) -> Value {
    let url = format!("{}/stores/{store}", gateway.url("management"));
    get(&url).await.expect_status(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_completed_after_a_crash() {
    let backend = Backend::echo();
    let mut gateway = Gateway::start(project(&backend, "count: 4", "").as_str(), &[]);
    for number in 1..=3 {
        send(&gateway, "a", number).await.expect_status(202);
        send(&gateway, "b", number * 10).await.expect_status(202);
        gateway = Gateway::start(gateway.kill(), &[]);
    }
    let answer = send(&gateway, "a", 4).await.expect_status(200);
    assert_eq!(numbers(&answer.json()), [1, 2, 3, 4]);
    let gateway = Gateway::start(gateway.kill(), &[]);
    let answer = send(&gateway, "b", 40).await.expect_status(200);
    assert_eq!(numbers(&answer.json()), [10, 20, 30, 40]);
    assert_eq!(stored(&gateway, "parts").await["page"], json!([]));
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_the_steps_leaves_the_group() {
    let backend = Backend::script(vec![
        Reply::never(),
        Reply::status(503),
        Reply::json(&json!({"ok": true})),
    ]);
    let gateway = Gateway::start(project(&backend, "count: 2", "").as_str(), &[]);
    send(&gateway, "a", 1).await.expect_status(202);
    let url = format!("{}/a", gateway.url("http"));
    let lost = tokio::spawn(async move {
        let request = hyper::Request::post(url).header("content-type", "application/json");
        let body = json!({"order": "a", "n": 2}).to_string();
        let request = request
            .body(http_body_util::Full::<bytes::Bytes>::from(body))
            .unwrap();
        mediary_tests::Client::new().send(request).await.is_err()
    });
    backend.wait_for_requests(1);
    let gateway = Gateway::start(gateway.kill(), &[]);
    assert!(lost.await.unwrap());
    // The message that completes the group is the client's until it is answered: it sends it again.
    assert_eq!(send(&gateway, "a", 2).await.status, 503);
    assert_eq!(send(&gateway, "a", 2).await.status, 200);
    let requests = backend.requests();
    assert_eq!(numbers(&requests[2].json()), [1, 2], "{requests:?}");
    assert_eq!(stored(&gateway, "parts").await["page"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_time_is_up_goes_on_after_a_crash_until_it_is_delivered() {
    let backend = Backend::script(vec![Reply::status(503), Reply::json(&json!({"ok": true}))]);
    let gateway = Gateway::start(project(&backend, "timeout: 3s", "").as_str(), &[]);
    send(&gateway, "a", 1).await.expect_status(202);
    send(&gateway, "a", 2).await.expect_status(202);
    let project = gateway.kill();
    let gateway = Gateway::start(project, &[]);
    let requests = backend.wait_for_requests(2);
    assert_eq!(numbers(&requests[0].json()), [1, 2]);
    assert_eq!(numbers(&requests[1].json()), [1, 2], "again after a 503");
    eventually("an empty store", || in_store(&gateway, "parts") == 0);
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_fails_for_good_is_one_dead_letter() {
    let backend = Backend::echo();
    let bad = "        - filter: { when: \"payload[0].n == 1\", then: [ { throw: bad } ] }\n";
    let gateway = Gateway::start(project(&backend, "timeout: 100ms", bad).as_str(), &[]);
    send(&gateway, "a", 1).await.expect_status(202);
    eventually("the dead letter", || in_store(&gateway, "dead") > 0);
    let dead = stored(&gateway, "dead").await["page"].clone();
    assert_eq!(dead.as_array().unwrap().len(), 1, "{dead}");
    assert_eq!(dead[0]["artifact"], "apis.a", "{dead}");
    send(&gateway, "b", 2).await.expect_status(202);
    assert_eq!(
        numbers(&backend.wait_for_requests(1)[0].json()),
        [2],
        "the others go on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_groups_although_the_step_moves() {
    let backend = Backend::echo();
    let gateway = Gateway::start(project(&backend, "count: 2", "").as_str(), &[]);
    send(&gateway, "a", 1).await.expect_status(202);
    let moved = project(&backend, "count: 2", "").replace(
        "        - aggregate",
        "        - set: { vars.moved: true }\n        - set: { headers.x-version: new }\n        - aggregate",
    );
    gateway.project().write("mediary.yaml", &moved);
    gateway.reload();
    // A group of another key shows that the new steps serve.
    for number in 0.. {
        let key = format!("probe {number}");
        send(&gateway, &key, 1).await.expect_status(202);
        send(&gateway, &key, 2).await.expect_status(200);
        let last = backend.requests().pop().unwrap();
        if last.header("x-version") == "new" {
            break;
        }
        assert!(number < 1000, "the reload did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = send(&gateway, "a", 2).await.expect_status(200);
    assert_eq!(numbers(&answer.json()), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_from_a_queue_lose_nothing_through_crashes() {
    const COUNT: usize = 300;
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    client.declare("in");
    let message = |number: usize| {
        let body = json!({"order": number % 3, "n": number}).to_string();
        let message = AmqpMessage::new(body).property("content_type", "application/json");
        message.property("message_id", format!("id-{number}"))
    };
    let messages: Vec<AmqpMessage> = (0..COUNT).map(message).collect();
    assert_eq!(client.publish("in", &messages).confirmed, COUNT as u64);
    let backend = Backend::start(|_| Reply::status(200).delay(Duration::from_millis(50)));
    let project = format!(
        "connections:\n  rabbit: {{ amqp: \"{}\" }}\nendpoints:\n  backend: {{ http: \"{}\" }}\nstores:\n  seen: {{ durable: {{}} }}\n  parts: {{ durable: {{}} }}\nproxies:\n  collect:\n    from: {{ amqp: {{ connection: rabbit, queue: in, prefetch: 16 }} }}\n    steps:\n      - idempotent: {{ key: source.properties.message_id, store: seen }}\n      - aggregate: {{ by: payload.order, count: 10, store: parts }}\n      - call: backend\n",
        vhost.amqp_url(),
        backend.url()
    );
    let arrived = || -> Vec<i64> {
        let groups = backend.requests();
        groups.iter().flat_map(|group| numbers(&group.json())).collect()
    };
    let mut gateway = Gateway::start(project.as_str(), &[]);
    for groups in [3, 10] {
        backend.wait_for_requests(groups);
        gateway = Gateway::start(gateway.kill(), &[]);
    }
    eventually("an empty queue", || client.depth("in") == 0);
    let gateway = Gateway::start(gateway.kill(), &[]);
    let mut found = arrived();
    for message in stored(&gateway, "parts").await["page"].as_array().unwrap() {
        let url = format!(
            "{}/stores/parts/{}",
            gateway.url("management"),
            message["id"].as_str().unwrap()
        );
        let body = get(&url).await.expect_status(200).json()["body"].clone();
        let body: Value = serde_json::from_str(body.as_str().unwrap()).unwrap();
        found.push(body["n"].as_i64().unwrap());
    }
    let all = found.len();
    found.sort_unstable();
    found.dedup();
    // Every message went on with a group or waits for one. What was under way in a crash may be there twice.
    assert_eq!(found.len(), COUNT, "{found:?}");
    let twice = all - COUNT;
    assert!(twice <= 3 * (16 + 3 * 10), "{twice} came twice");
}
