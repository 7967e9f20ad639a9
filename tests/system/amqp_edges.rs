//! AMQP against RabbitMQ at its edges: TLS, bindings, several consumers, drain, reload, credentials, large messages, two processes.

use crate::amqp::{WAIT, bridge, empty, eventually, publisher};
use mediary_tests::{
    AmqpMessage, Backend, Gateway, Project, RabbitMq, Recorded, Reply, Vhost, get, post, wait_for,
};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn slow(pause: u64) -> Backend {
    Backend::start(move |_| Reply::status(200).delay(Duration::from_millis(pause)))
}

fn distinct(backend: &Backend) -> usize {
    let bodies: HashSet<String> = backend.requests().iter().map(Recorded::text).collect();
    bodies.len()
}

fn wait_for_consumers(vhost: &Vhost, count: u64) {
    let client = vhost.client();
    eventually("the consumer", || {
        client.can_connect("in") && client.consumers("in") == count
    });
}

/// A document of the management port.
fn management(gateway: &Gateway, path: &str) -> String {
    let url = format!("{}{path}", gateway.url("management"));
    wait_for(get(&url)).text()
}

fn state(gateway: &Gateway, listener: &str) -> Value {
    let health: Value = serde_json::from_str(&management(gateway, "/health")).unwrap();
    health["listeners"][listener].clone()
}

/// A project with a TLS connection: `/out` is published to the queue `in`, which goes to the backend.
fn tls_project(vhost: &Vhost, url: &str, backend: &Backend, tls: &str, files: &[(&str, &str)]) -> Project {
    let yaml = format!(
        "connections:\n  rabbit: {{ amqp: {{ url: \"{url}\"{tls} }} }}\nendpoints:\n  backend: {{ http: \"{}\" }}\n  queue: {{ amqp: {{ connection: rabbit, routing_key: in }}, timeout: 5s }}\nproxies:\n  out:\n    from: {{ http: /out }}\n    to: queue\n  bridge:\n    from: {{ amqp: {{ connection: rabbit, queue: in }} }}\n    to: backend\n",
        backend.url()
    );
    let authority = std::fs::read_to_string(vhost.authority_path()).unwrap();
    let mut all = vec![("mediary.yaml", yaml.as_str()), ("ca.pem", authority.as_str())];
    all.extend_from_slice(files);
    Project::files(&all)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_verifies_the_broker_and_shows_a_certificate_where_there_is_one() {
    let rabbit = RabbitMq::shared();
    let vhost = rabbit.vhost();
    let backend = Backend::replying(Reply::status(200));
    let client = &rabbit.certificates().client;
    let files = [
        ("client.pem", client.certificate.as_str()),
        ("client.key", client.key.as_str()),
    ];
    let tls = ", tls: { ca: ca.pem, certificate: client.pem, key: client.key }";
    let project = tls_project(&vhost, &vhost.amqps_url(), &backend, tls, &files);
    let gateway = Gateway::start(project, &[]);
    wait_for_consumers(&vhost, 1);
    let answer = post(&format!("{}/out", gateway.url("http")), "text/plain", "over TLS").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(backend.wait_for_requests(1)[0].text(), "over TLS");
    let path = format!("/api/vhosts/{}/connections", vhost.name());
    eventually("connections with the client's certificate", || {
        let connections: Value = serde_json::from_str(&vhost.manage("GET", &path, "")).unwrap();
        let connections = connections.as_array().unwrap();
        let shown = |connection: &Value| connection["peer_cert_subject"] == "CN=client";
        connections.len() == 2 && connections.iter().all(shown)
    });
    drop(gateway);

    // Without the authority the broker is a stranger, and so it is under another name.
    let other = vhost.amqps_url().replace("localhost", "127.0.0.2");
    for (url, tls) in [
        (vhost.amqps_url(), ""),
        (
            other.replace("127.0.0.2", "[::ffff:127.0.0.1]"),
            ", tls: { ca: ca.pem }",
        ),
    ] {
        let mut gateway = Gateway::start(tls_project(&vhost, &url, &backend, tls, &[]), &[]);
        gateway.wait_for_log("invalid peer certificate");
        let answer = post(&format!("{}/out", gateway.url("http")), "text/plain", "lost?").await;
        assert_eq!(answer.json()["code"], "backend.connect", "{}", answer.text());
        assert_eq!(state(&gateway, "proxies.bridge")["state"], "down");
    }
    assert_eq!(backend.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_bound_and_shared_by_several_consumers() {
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    client.bind("other", "events", "topic", "none");
    let backend = slow(1);
    let consumer = "consumers: 3, prefetch: 8, bind: [ { exchange: events, key: \"order.*\" }, { exchange: events, key: \"#.urgent\" } ]";
    let yaml = bridge(&vhost.amqp_url(), &backend, consumer);
    let gateway = Gateway::start(yaml.as_str(), &[]);
    wait_for_consumers(&vhost, 3);
    let message = |body: &str| [AmqpMessage::new(body)];
    for (key, routed) in [("order.new", true), ("a.b.urgent", true), ("order.new.x", false)] {
        let published = client.publish_to("events", key, &message(key));
        assert_eq!(published.returned.is_empty(), routed, "{key}: {published:?}");
    }
    assert_eq!(client.publish_many("in", "n", 300, 64).confirmed, 300);
    backend.wait_for_requests(302);
    eventually("the acknowledgement of all", || empty(&vhost, "in"));
    assert_eq!(gateway.terminate().code, Some(0));
    assert_eq!((distinct(&backend), backend.requests().len()), (302, 302));
    assert_eq!(client.depth("in"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_is_the_brokers_to_deal_with() {
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    let policy = json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "rejected"});
    client.declare_with("in", &policy);
    client.declare("rejected");
    let backend = Backend::start(|request| match request.text().as_str() {
        "good" => Reply::status(200),
        _ => Reply::status(400),
    });
    let yaml = bridge(&vhost.amqp_url(), &backend, "on_fault: reject");
    let _gateway = Gateway::start(yaml.as_str(), &[]);
    let bad = AmqpMessage::new("bad").header("x-tenant", "blue");
    client.publish("in", &[bad, AmqpMessage::new("good")]);
    let rejected = &client.consume("rejected", 1, WAIT)[0];
    assert_eq!(
        (rejected.text().as_str(), &rejected.headers["x-tenant"]),
        ("bad", &json!("blue"))
    );
    assert_eq!(rejected.headers["x-death"][0]["reason"], "rejected");
    backend.wait_for_requests(2);
    eventually("an empty queue", || empty(&vhost, "in"));
    assert!(!client.can_connect("in.dead"), "no queue of ours is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_in_the_middle_finishes_what_it_has_and_gives_back_the_rest() {
    const COUNT: usize = 600;
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    let backend = slow(20);
    client.declare("in");
    let yaml = bridge(&vhost.amqp_url(), &backend, "prefetch: 32, concurrency: 16");
    let gateway = Gateway::start(yaml.as_str(), &[]);
    wait_for_consumers(&vhost, 1);
    client.publish_many("in", "n", COUNT, 16);
    backend.wait_for_requests(50);
    assert_eq!(gateway.terminate().code, Some(0));
    let delivered = backend.requests().len();
    assert!(delivered < COUNT, "it was the middle");
    assert_eq!(distinct(&backend), delivered, "nothing twice");
    let left = || usize::try_from(client.depth("in")).unwrap();
    eventually("the return of the rest", || delivered + left() == COUNT);
    let _gateway = Gateway::start(yaml.as_str(), &[]);
    backend.wait_for_requests(COUNT);
    eventually("an empty queue", || empty(&vhost, "in"));
    assert_eq!((distinct(&backend), backend.requests().len()), (COUNT, COUNT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_in_the_middle_loses_and_repeats_nothing() {
    const COUNT: usize = 600;
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    let backend = slow(5);
    client.declare("in");
    let yaml = |prefetch| bridge(&vhost.amqp_url(), &backend, &format!("prefetch: {prefetch}"));
    let gateway = Gateway::start(yaml(8).as_str(), &[]);
    wait_for_consumers(&vhost, 1);
    client.publish_many("in", "n", COUNT, 16);
    for (round, prefetch) in [(1, 9), (2, 10), (3, 11)] {
        backend.wait_for_requests(round * 100);
        gateway.project().write("mediary.yaml", yaml(prefetch));
        gateway.reload();
    }
    backend.wait_for_requests(COUNT);
    eventually("an empty queue", || empty(&vhost, "in"));
    wait_for_consumers(&vhost, 1);
    assert_eq!(gateway.terminate().code, Some(0));
    assert_eq!((distinct(&backend), backend.requests().len()), (COUNT, COUNT));
    assert_eq!(client.depth("in"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_may_become_valid_later() {
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    client.declare("in");
    client.publish("in", &[AmqpMessage::new("patient")]);
    let user = format!("late-{}", vhost.name());
    let backend = Backend::replying(Reply::status(200));
    let yaml = bridge(&vhost.url_for(&user, "sesame"), &backend, "prefetch: 8");
    let mut gateway = Gateway::start(yaml.as_str(), &[]);
    gateway.wait_for_log("the listener is down");
    let metric = |up: u8| format!("mediary_listener_up{{artifact=\"proxies.bridge\"}} {up}");
    eventually("the state of the listener", || {
        let state = state(&gateway, "proxies.bridge");
        let problem = state["problem"].as_str().unwrap_or_default();
        state["state"] == "down" && problem.contains("ACCESS_REFUSED")
    });
    assert!(management(&gateway, "/metrics").contains(&metric(0)));
    vhost.set_account(&user, "sesame");
    backend.wait_for_requests(1);
    eventually("the listener is up", || {
        state(&gateway, "proxies.bridge")["state"] == "up"
    });
    assert!(management(&gateway, "/metrics").contains(&metric(1)));
    gateway.wait_for_log("the listener is up");
    assert!(!gateway.log().contains("sesame"), "no password in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classic_queue_is_made_as_it_is_wished() {
    let vhost = RabbitMq::shared().vhost();
    let backend = Backend::replying(Reply::status(200));
    let declare = "declare: { type: classic, durable: false, auto_delete: true }";
    let gateway = Gateway::start(bridge(&vhost.amqp_url(), &backend, declare).as_str(), &[]);
    wait_for_consumers(&vhost, 1);
    let path = format!("/api/queues/{}/in", vhost.name());
    let queue: Value = serde_json::from_str(&vhost.manage("GET", &path, "")).unwrap();
    assert_eq!(
        (&queue["type"], &queue["durable"], &queue["auto_delete"]),
        (&"classic".into(), &false.into(), &true.into()),
        "{queue}"
    );
    gateway.terminate();
    eventually("the queue to go with its consumer", || {
        !vhost.client().can_connect("in")
    });
}

/// Where somebody else makes the queues, a missing one is waited for and never made.
#[tokio::test(flavor = "multi_thread")]
async fn a_passive_listener_waits_for_a_queue_that_somebody_else_makes() {
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    let backend = Backend::replying(Reply::status(200));
    let yaml = bridge(&vhost.amqp_url(), &backend, "declare: { passive: true }");
    let gateway = Gateway::start(yaml.as_str(), &[]);
    eventually("the state of the listener", || {
        let state = state(&gateway, "proxies.bridge");
        let problem = state["problem"].as_str().unwrap_or_default();
        state["state"] == "down" && problem.contains("no queue 'in'")
    });
    assert!(!client.can_connect("in"), "the queue was not made");
    client.declare("in");
    assert_eq!(client.publish("in", &[AmqpMessage::new("waited")]).confirmed, 1);
    assert_eq!(backend.wait_for_requests(1)[0].text(), "waited");
    eventually("the listener is up", || {
        state(&gateway, "proxies.bridge")["state"] == "up"
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_too_large_are_dead_letters_in_bounded_memory() {
    const SIZE: usize = 16 << 20;
    // The foreign client can hand over what it gets up to a size.
    const SMALLER: usize = 2 << 20;
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    client.declare("in");
    assert_eq!(client.publish_many("in", "smaller", 1, SMALLER).confirmed, 1);
    assert_eq!(client.publish_many("in", "large", 6, SIZE).confirmed, 6);
    client.publish("in", &[AmqpMessage::new("small")]);
    let backend = Backend::replying(Reply::status(200));
    let yaml = bridge(&vhost.amqp_url(), &backend, "prefetch: 2, body_max: 1MiB");
    let gateway = Gateway::start(yaml.as_str(), &[]);
    assert_eq!(backend.wait_for_requests(1)[0].text(), "small");
    eventually("the dead letters", || {
        client.depth("in.dead") == 7 && empty(&vhost, "in")
    });
    let dead = &client.consume("in.dead", 1, WAIT)[0];
    assert_eq!(dead.body.len(), SMALLER);
    assert_eq!(dead.headers["x-mediary-fault"], "client.body_too_large");
    // Twice what is sent ahead, and what the process and the library's buffers have anyway.
    let peak = gateway.memory().peak_bytes;
    assert!(peak < 180 << 20, "{} MiB", peak >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_a_queue_and_one_of_them_dies() {
    const COUNT: usize = 600;
    const PREFETCH: usize = 16;
    let vhost = RabbitMq::shared().vhost();
    let backend = slow(20);
    let yaml = bridge(&vhost.amqp_url(), &backend, &format!("prefetch: {PREFETCH}"));
    let first = Gateway::start(yaml.as_str(), &[]);
    let _second = Gateway::start(yaml.as_str(), &[]);
    wait_for_consumers(&vhost, 2);
    vhost.client().publish_many("in", "n", COUNT, 16);
    backend.wait_for_requests(100);
    drop(first.kill());
    eventually("the arrival of every message", || distinct(&backend) == COUNT);
    eventually("an empty queue", || empty(&vhost, "in"));
    // What the dead process had not acknowledged comes again, no more.
    let duplicates = backend.requests().len() - COUNT;
    assert!(duplicates <= PREFETCH, "{duplicates} duplicates");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_that_is_shorter_than_the_pauses_uses_up_no_attempts() {
    const COUNT: usize = 100;
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    let began = OnceLock::new();
    let backend = Backend::start(move |_| {
        let began: &Instant = began.get_or_init(Instant::now);
        let up = began.elapsed() > Duration::from_millis(1200);
        Reply::status(if up { 200 } else { 503 })
    });
    // Pauses of at least 0.5 and 1 seconds.
    let consumer = "prefetch: 8, redeliveries: 2, backoff: 1s";
    let yaml = bridge(&vhost.amqp_url(), &backend, consumer);
    let _gateway = Gateway::start(yaml.as_str(), &[]);
    wait_for_consumers(&vhost, 1);
    client.publish_many("in", "n", COUNT, 16);
    eventually("the arrival of every message", || {
        distinct(&backend) == COUNT && empty(&vhost, "in")
    });
    assert_eq!(client.depth("in.dead"), 0, "no dead letters");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_shows_no_message() {
    let vhost = RabbitMq::shared().vhost();
    let yaml = publisher(&vhost.amqp_url(), "routing_key: nowhere");
    let mut gateway = Gateway::start(yaml.as_str(), &[]);
    let answer = post(&format!("{}/out", gateway.url("http")), "text/plain", "card 4711").await;
    assert_eq!(answer.json()["code"], "backend.unroutable", "{}", answer.text());
    gateway.wait_for_log("backend.unroutable");
    let log = gateway.log();
    // Neither as text nor as the numbers of its bytes.
    assert!(!log.contains("4711") && !log.contains("52, 55, 49, 49"), "{log}");
}
