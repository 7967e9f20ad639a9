//! AMQP against RabbitMQ with pika at the other end: consumers, publishers, requests and replies, and brokers that go away.

use mediary_tests::{AmqpMessage, Backend, Gateway, RabbitMq, Reply, Vhost, eventually_within, post};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// A proxy from queue `in` to a backend, with settings of the consumer.
pub(crate) fn bridge(url: &str, backend: &Backend, consumer: &str) -> String {
    format!(
        "connections:\n  rabbit: {{ amqp: \"{url}\" }}\nendpoints:\n  backend: {{ http: \"{}\" }}\nproxies:\n  bridge:\n    from: {{ amqp: {{ connection: rabbit, queue: in, {consumer} }} }}\n    to: backend\n",
        backend.url()
    )
}

/// A POST to `/out` that is published, with settings of the endpoint.
pub(crate) fn publisher(url: &str, endpoint: &str) -> String {
    format!(
        "connections:\n  rabbit: {{ amqp: \"{url}\" }}\nendpoints:\n  queue:\n    amqp: {{ connection: rabbit, {endpoint} }}\n    timeout: 5s\nproxies:\n  out:\n    from: {{ http: /out }}\n    to: queue\n"
    )
}

#[track_caller]
pub(crate) fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_within(WAIT, what, done);
}

pub(crate) fn empty(vhost: &Vhost, queue: &str) -> bool {
    vhost.client().depth(queue) == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_to_http_with_headers_and_acknowledgement_at_the_end() {
    let vhost = RabbitMq::shared().vhost();
    let backend = Backend::replying(Reply::json(&json!({"ok": true})));
    let client = vhost.client();
    client.declare("in");
    let message = AmqpMessage::new("{\"a\":1}")
        .header("x-tenant", "blue")
        .header("x-count", 7)
        .property("content_type", "application/json")
        .property("message_id", "m-1");
    assert_eq!(client.publish("in", &[message]).confirmed, 1);
    let _gateway = Gateway::start(bridge(&vhost.amqp_url(), &backend, "prefetch: 8").as_str(), &[]);
    let request = &backend.wait_for_requests(1)[0];
    assert_eq!(request.text(), "{\"a\":1}");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(
        (request.header("x-tenant"), request.header("x-count")),
        ("blue", "7")
    );
    assert_eq!(client.publish_many("in", "n", 500, 64).confirmed, 500);
    backend.wait_for_requests(501);
    eventually("the acknowledgement of all", || empty(&vhost, "in"));
    drop(_gateway);
    assert_eq!(client.depth("in"), 0, "nothing comes back");
    assert_eq!(client.depth("in.dead"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_is_given_up_and_never_stops_the_others() {
    let vhost = RabbitMq::shared().vhost();
    let backend = Backend::start(|request| match request.text().as_str() {
        "poison" => Reply::status(500),
        "refused" => Reply::status(400),
        _ => Reply::status(200),
    });
    let consumer = "redeliveries: 2, backoff: 50ms, body_max: 1KiB";
    let _gateway = Gateway::start(bridge(&vhost.amqp_url(), &backend, consumer).as_str(), &[]);
    let client = vhost.client();
    eventually("the consumer", || {
        client.can_connect("in") && client.consumers("in") == 1
    });
    let large = AmqpMessage::new(vec![b'x'; 2000]);
    let poison = AmqpMessage::new("poison")
        .header("x-tenant", "blue")
        .property("user_id", "guest")
        .property("message_id", "p-1");
    client.publish(
        "in",
        &[
            poison,
            AmqpMessage::new("refused"),
            large,
            AmqpMessage::new("good"),
        ],
    );
    let mut dead = client.consume("in.dead", 3, WAIT);
    dead.sort_by_key(|message| message.body.len());
    assert_eq!(dead.len(), 3);
    assert_eq!(dead[0].text(), "poison");
    assert_eq!(dead[0].headers["x-mediary-attempts"], 3);
    assert_eq!(dead[0].headers["x-mediary-fault"], "backend.status");
    assert_eq!(dead[0].headers["x-mediary-queue"], "in");
    assert_eq!(dead[0].headers["x-tenant"], "blue");
    assert_eq!(dead[0].properties["message_id"], "p-1");
    assert_eq!(dead[0].properties["delivery_mode"], 2);
    assert_eq!(
        dead[1].headers["x-mediary-attempts"], 1,
        "a 400 is not tried again"
    );
    assert_eq!(dead[2].headers["x-mediary-fault"], "client.body_too_large");
    let requests = backend.wait_for_requests(5);
    let count = |body: &str| requests.iter().filter(|request| request.text() == body).count();
    assert_eq!((count("poison"), count("refused"), count("good")), (3, 1, 1));
    eventually("an empty queue", || empty(&vhost, "in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_is_confirmed_or_a_fault() {
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    client.declare("orders");
    let endpoint = "routing_key: \"${headers['x-queue']}\", properties: { type: order, priority: \"3\" }";
    let gateway = Gateway::start(publisher(&vhost.amqp_url(), endpoint).as_str(), &[]);
    let url = format!("{}/out", gateway.url("http"));
    let send = |queue: &str| {
        let request = hyper::Request::post(&url)
            .header("x-queue", queue)
            .header("content-type", "text/plain")
            .body(http_body_util::Full::<bytes::Bytes>::from("hello"))
            .unwrap();
        async move { mediary_tests::Client::new().send(request).await.unwrap() }
    };
    let answer = send("orders").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["routing_key"], "orders");
    let received = &client.consume("orders", 1, WAIT)[0];
    assert_eq!(received.text(), "hello");
    assert_eq!(received.properties["content_type"], "text/plain");
    assert_eq!(received.properties["type"], "order");
    assert_eq!(received.properties["priority"], 3);
    assert_eq!(received.properties["delivery_mode"], 2);
    assert_eq!(received.headers["x-queue"], "orders");
    let (nowhere, again) = tokio::join!(send("nowhere"), send("orders"));
    assert_eq!(nowhere.json()["code"], "backend.unroutable", "{}", nowhere.text());
    assert_eq!(again.status, 200, "{}", again.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn request_and_reply_in_both_roles() {
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    let _server = client.serve("upper", "re: ");
    let requester = publisher(&vhost.amqp_url(), "routing_key: upper, reply: true");
    let responder = "  answer:\n    from: { amqp: { connection: rabbit, queue: in, redeliveries: 0 } }\n    steps:\n      - filter: { when: \"payload == 'YmFk'\", then: [ { throw: { code: bad, message: No } } ] }\n      - respond: { payload: { got: \"${payload}\" } }\n";
    let gateway = Gateway::start(format!("{requester}{responder}").as_str(), &[]);
    let url = format!("{}/out", gateway.url("http"));
    for body in ["one", "two"] {
        let answer = post(&url, "text/plain", body).await;
        assert_eq!((answer.status, answer.text()), (200, format!("re: {body}")));
    }
    eventually("the consumer", || {
        client.can_connect("in") && client.consumers("in") == 1
    });
    let reply = client.call("in", "hello");
    // Bytes without a media type are binary: expressions read them in base64.
    assert_eq!(reply.text(), r#"{"got":"aGVsbG8="}"#);
    assert_eq!(reply.properties["content_type"], "application/json");
    let fault = client.call("in", "bad");
    assert_eq!(fault.properties["content_type"], "application/problem+json");
    assert_eq!(fault.headers["x-mediary-status"], 500);
    assert_eq!(client.depth("in.dead"), 1, "what failed is kept as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_under_consume_loses_nothing() {
    const COUNT: usize = 2_000;
    let rabbit = RabbitMq::own();
    let vhost = rabbit.vhost();
    let client = vhost.client();
    client.declare("in");
    client.publish_many("in", "n", COUNT, 16);
    rabbit.stop();
    let backend = Backend::start(|_| Reply::status(200).delay(Duration::from_millis(5)));
    let mut gateway = Gateway::start(bridge(&vhost.amqp_url(), &backend, "prefetch: 32").as_str(), &[]);
    gateway.wait_for_log("the listener is down");
    assert!(!gateway.log().contains("guest:guest"), "no credentials in logs");
    rabbit.start();
    backend.wait_for_requests(100);
    rabbit.kill();
    let before = backend.requests().len();
    rabbit.start();
    backend.wait_for_requests(COUNT);
    let missing = || {
        let seen: HashSet<String> = backend
            .requests()
            .iter()
            .map(mediary_tests::Recorded::text)
            .collect();
        COUNT - seen.len()
    };
    eventually("the arrival of every message", || missing() == 0);
    eventually("an empty queue", || empty(&vhost, "in"));
    // A broker that is killed has not written its last acknowledgements: what it had delivered by then may come again, no more.
    let duplicates = backend.requests().len() - COUNT;
    assert!(
        duplicates <= before + 32,
        "{duplicates} duplicates of {before} deliveries"
    );
}
