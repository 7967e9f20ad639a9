//! Message stores in RabbitMQ: what a client was told is accepted is forwarded or a dead letter that any client can read, also when
//! the broker or the gateway is killed.

use crate::amqp::{WAIT, eventually};
use mediary_tests::{AmqpMessage, Backend, Client, Gateway, RabbitMq, Recorded, Reply, get};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A POST to `/orders` that is stored, a processor that forwards it, and one to `/out` that is published to the queue `out`.
fn project(url: &str, backend: &Backend, forward: &str) -> String {
    format!(
        r#"
connections:
  rabbit: {{ amqp: "{url}" }}
endpoints:
  backend: {{ http: "{}" }}
  out: {{ amqp: {{ connection: rabbit, routing_key: out }}, timeout: 5s }}
stores:
  orders: {{ amqp: {{ connection: rabbit, queue: orders, timeout: 3s }} }}
  dead: {{ amqp: {{ connection: rabbit, queue: dead }} }}
proxies:
  accept:
    from: {{ http: /orders }}
    steps:
      - store: {{ in: orders, key: "${{headers['x-customer']}}", respond: true }}
  publish:
    from: {{ http: /out }}
    to: out
processors:
  deliver:
    store: orders
    forward:
      to: backend
      steps:
        - set: {{ headers.x-attempts: "${{source.attempts}}" }}
      {forward}
    dead_letter: dead
"#,
        backend.url()
    )
}

async fn send(client: &Client, url: &str, customer: &str, body: &str) -> u16 {
    let request = hyper::Request::post(url)
        .header("content-type", "text/plain")
        .header("x-tenant", "blue")
        .header("x-tenant", "green")
        .header("x-customer", customer)
        .body(http_body_util::Full::<bytes::Bytes>::from(body.to_owned()))
        .unwrap();
    client.send(request).await.map_or(0, |answer| answer.status)
}

fn bodies(requests: &[Recorded]) -> Vec<String> {
    requests.iter().map(Recorded::text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_forwarded_in_order_and_what_fails_is_for_others_to_read() {
    let vhost = RabbitMq::shared().vhost();
    let failures = AtomicUsize::new(0);
    let backend = Backend::start(move |request| match request.text().as_str() {
        "poison" => Reply::status(500),
        "a1" if failures.fetch_add(1, Ordering::Relaxed) < 2 => Reply::status(503),
        _ => Reply::status(200),
    });
    let forward = "attempts: 3, backoff: 100ms, parallel: 8";
    let yaml = project(&vhost.amqp_url(), &backend, &forward.replace(", ", "\n      "));
    let gateway = Gateway::start(yaml.as_str(), &[]);
    let url = format!("{}/orders", gateway.url("http"));
    let client = Client::new();
    for (customer, body) in [("", "poison"), ("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1")] {
        let status = send(&client, &url, customer, body).await;
        assert_eq!(status, 202, "{}", gateway.log());
    }
    let requests = backend.wait_for_requests(9);
    let of = |letter: char| -> Vec<String> {
        let mut all = bodies(&requests);
        all.retain(|body| body.starts_with(letter));
        all
    };
    assert_eq!(
        of('a'),
        ["a1", "a1", "a1", "a2", "a3"],
        "in the order of their key"
    );
    assert_eq!(of('b'), ["b1"]);
    let poison: Vec<&Recorded> = requests
        .iter()
        .filter(|request| request.text() == "poison")
        .collect();
    let attempts: Vec<&str> = poison
        .iter()
        .map(|request| request.header("x-attempts"))
        .collect();
    assert_eq!(attempts, ["0", "1", "2"], "counted though published again");
    for request in &requests {
        let tenants: Vec<_> = request.headers.get_all("x-tenant").iter().collect();
        assert_eq!(tenants, ["blue", "green"]);
        assert_eq!(request.header("content-type"), "text/plain");
    }
    let dead = &vhost.client().consume("dead", 1, WAIT)[0];
    assert_eq!(dead.text(), "poison");
    assert_eq!(dead.headers["x-tenant"], json!(["blue", "green"]));
    assert_eq!(dead.headers["x-mediary-artifact"], "processors.deliver");
    assert_eq!(dead.headers["x-mediary-fault"], "backend.status");
    assert_eq!(dead.headers["x-mediary-method"], "POST");
    let history = &dead.headers["x-mediary-history"];
    assert_eq!(history[2], "processors.deliver.forward.to", "{history}");
    assert_eq!(dead.properties["content_type"], "text/plain");
    assert_eq!(dead.properties["delivery_mode"], 2);
    eventually("an empty store", || vhost.client().depth("orders") == 0);
    assert!(gateway.terminate().code == Some(0));
    let depths = ["orders", "dead"].map(|queue| vhost.client().depth(queue));
    assert_eq!(depths, [0, 0], "nothing comes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_survives_the_process_and_messages_of_others_are_processed() {
    let vhost = RabbitMq::shared().vhost();
    let client = vhost.client();
    let backend = Backend::start(|request| {
        let fails = request.text() == "foreign" && request.header("x-attempts") == "0";
        Reply::status(if fails { 500 } else { 200 })
    });
    client.declare_with("orders", &json!({"x-queue-type": "quorum"}));
    let foreign = AmqpMessage::new("foreign").header("x-number", 7);
    let behind = AmqpMessage::new("behind");
    assert_eq!(client.publish("orders", &[foreign, behind]).confirmed, 2);
    // The broker sends one message at a time. So the one behind comes when the first is acknowledged, which is after its copy was
    // published; and the copy has come when that one is acknowledged too and nothing is left to be sent.
    let yaml = project(&vhost.amqp_url(), &backend, "backoff: 5s");
    let yaml = yaml.replace("queue: orders,", "queue: orders, prefetch: 1,");
    let gateway = Gateway::start(yaml.as_str(), &[]);
    assert_eq!(bodies(&backend.wait_for_requests(2)), ["foreign", "behind"]);
    eventually("the arrival of the copy", || client.depth("orders") == 0);
    let project = gateway.kill();
    assert_eq!(backend.requests().len(), 2, "killed before the pause is over");
    let gateway = Gateway::start(project, &[]);
    let requests = backend.wait_for_requests(3);
    assert_eq!(bodies(&requests), ["foreign", "behind", "foreign"]);
    assert_eq!(requests[2].header("x-attempts"), "1");
    assert_eq!(requests[2].header("x-number"), "7");
    assert!(gateway.terminate().code == Some(0));
    assert_eq!(client.depth("orders"), 0, "nothing comes back");
}

/// What clients were told, by path.
#[derive(Default)]
struct Told {
    accepted: parking_lot::Mutex<HashMap<String, Vec<String>>>,
    failed: AtomicUsize,
    slowest: AtomicUsize,
    stop: AtomicBool,
}

impl Told {
    fn accepted(&self) -> usize {
        self.accepted.lock().values().map(Vec::len).sum()
    }

    /// Posts until it is told to stop; who is refused waits a little.
    async fn post_for_ever(self: Arc<Self>, url: String, worker: usize) {
        let client = Client::new();
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let path = ["orders", "out"][number % 2];
            let body = format!("{worker}-{number}");
            let started = Instant::now();
            let status = send(&client, &format!("{url}/{path}"), "", &body).await;
            let took = usize::try_from(started.elapsed().as_millis()).unwrap();
            self.slowest.fetch_max(took, Ordering::Relaxed);
            if (200..300).contains(&status) {
                self.accepted
                    .lock()
                    .entry(path.to_owned())
                    .or_default()
                    .push(body);
            } else {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_loses_nothing_that_was_confirmed() {
    let rabbit = RabbitMq::own();
    let vhost = rabbit.vhost();
    let client = vhost.client();
    client.declare_with("out", &json!({"x-queue-type": "quorum"}));
    let backend = Backend::start(|_| Reply::status(200));
    let yaml = project(&vhost.amqp_url(), &backend, "parallel: 8");
    let gateway = Gateway::start(yaml.as_str(), &[]);
    let told = Arc::new(Told::default());
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let url = gateway.url("http").to_owned();
            tokio::spawn(Arc::clone(&told).post_for_ever(url, worker))
        })
        .collect();
    eventually("the first messages", || told.accepted() >= 400);
    rabbit.wait_for_quorum_queues();
    rabbit.kill();
    eventually("refusals", || told.failed.load(Ordering::Relaxed) >= 20);
    let health = format!("{}/health", gateway.url("management"));
    listener_becomes(&health, "processors.deliver", "down").await;
    let before = told.accepted();
    rabbit.start();
    eventually("more messages", || told.accepted() >= before + 400);
    told.stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    listener_becomes(&health, "processors.deliver", "up").await;
    let accepted = std::mem::take(&mut *told.accepted.lock());
    let missing = || {
        let seen: HashSet<String> = bodies(&backend.requests()).into_iter().collect();
        accepted["orders"]
            .iter()
            .filter(|body| !seen.contains(*body))
            .count()
    };
    eventually("the delivery of everything stored", || missing() == 0);
    eventually("an empty store", || client.depth("orders") == 0);
    let count = usize::try_from(client.depth("out")).unwrap();
    let queued: HashSet<String> = client
        .consume("out", count, WAIT)
        .iter()
        .map(mediary_tests::AmqpReceived::text)
        .collect();
    let lost = accepted["out"]
        .iter()
        .filter(|body| !queued.contains(*body))
        .count();
    assert_eq!(lost, 0, "of {} that were confirmed", accepted["out"].len());
    // Nobody waits longer than the settings say, with some time for a busy machine.
    let slowest = told.slowest.load(Ordering::Relaxed);
    assert!(slowest < 15_000, "{slowest} ms");
    let requests = backend.requests().len();
    // What is stored without an answer is delivered as well; what is delivered twice had its acknowledgement lost.
    let failed = told.failed.load(Ordering::Relaxed);
    assert!(
        requests <= accepted["orders"].len() + failed + 8,
        "{requests} deliveries of {} messages",
        accepted["orders"].len()
    );
}

/// Waits until the health report says this of a listener.
async fn listener_becomes(health: &str, listener: &str, state: &str) {
    let reached = async {
        while get(health).await.json()["listeners"][listener]["state"] != state {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    let became = tokio::time::timeout(limit, reached).await;
    assert!(became.is_ok(), "{listener} is not {state} within {limit:?}");
}
