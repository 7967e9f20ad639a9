//! `queue-bridge` against RabbitMQ: orders that are answered after the confirm and delivered with retries, and a foreign worker
//! behind a REST API and a SOAP service.

use super::folder;
use mediary_tests::{
    Answer, Backend, Gateway, RabbitMq, Recorded, Reply, TestServer, Vhost, eventually_within, get, post,
    python,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(30);

/// The sample with this shop, on this broker, and `more` settings.
fn start(vhost: &Vhost, shop: &Backend, more: &[&str]) -> Gateway {
    let rabbit = format!("connections.rabbit.amqp={}", vhost.amqp_url());
    let shop = format!("endpoints.shop={}", shop.url());
    let fixed = ["settings.listeners.backend.port=0", &rabbit, &shop];
    let gateway = Gateway::start(folder("queue-bridge").as_path(), &[&fixed, more].concat());
    let client = vhost.client();
    eventually("the consumer", || {
        client.can_connect("orders") && client.consumers("orders") == 1
    });
    gateway
}

#[track_caller]
fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_within(WAIT, what, done);
}

fn order(id: &str) -> Value {
    json!({"id": id, "article": "lamp", "quantity": 2})
}

async fn send(gateway: &Gateway, order: &Value) -> Answer {
    let url = format!("{}/orders/v1", gateway.url("http"));
    post(&url, "application/json", order.to_string()).await
}

fn ids(requests: &[Recorded]) -> Vec<String> {
    let id = |request: &Recorded| request.json()["id"].as_str().unwrap_or_default().to_owned();
    requests.iter().map(id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_queued_delivered_tried_again_and_kept() {
    let vhost = RabbitMq::shared().vhost();
    let shop = Backend::start(|request| match request.json()["id"].as_str() {
        Some("refused") => Reply::status(409),
        Some("down") => Reply::status(503),
        _ => Reply::status(201),
    });
    let backoff = "proxies.deliver_orders.from.amqp.backoff=50ms";
    let gateway = start(&vhost, &shop, &[backoff]);
    let mut exchange = String::new();
    for id in ["down", "refused", "good"] {
        let answer = send(&gateway, &order(id)).await.expect_status(202);
        assert_eq!(answer.json(), json!({"id": id, "state": "queued"}));
        exchange = answer.header("x-correlation-id").to_owned();
    }
    let wrong = send(&gateway, &json!({"id": "wrong", "article": "lamp"})).await;
    assert_eq!(wrong.expect_status(400).json()["code"], "client.validation");

    let client = vhost.client();
    let mut dead = client.consume("orders.dead", 2, WAIT);
    dead.sort_by_key(mediary_tests::AmqpReceived::text);
    let texts: Vec<Value> = dead
        .iter()
        .map(|dead| serde_json::from_slice(&dead.body).unwrap())
        .collect();
    assert_eq!(texts, [order("down"), order("refused")]);
    assert_eq!(dead[0].headers["x-mediary-attempts"], 4, "three retries");
    assert_eq!(dead[1].headers["x-mediary-attempts"], 1, "a refusal is final");
    assert_eq!(dead[1].headers["x-mediary-fault"], "backend.status");
    assert_eq!(dead[0].properties["message_id"], "down");
    assert_eq!(dead[0].properties["delivery_mode"], 2, "it survives a restart");
    eventually("an empty queue", || client.depth("orders") == 0);

    let requests = shop.wait_for_requests(6);
    let mut ids = ids(&requests);
    ids.sort();
    assert_eq!(ids, ["down", "down", "down", "down", "good", "refused"]);
    let good = requests
        .iter()
        .find(|request| request.json()["id"] == "good")
        .unwrap();
    assert_eq!(good.json(), order("good"));
    assert_eq!(
        good.header("x-correlation-id"),
        exchange,
        "one id from the client to the shop, in all logs"
    );
    assert_eq!(
        (good.method.as_str(), good.header("content-type")),
        ("POST", "application/json")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_arrives_though_the_broker_goes_away() {
    let rabbit = RabbitMq::own();
    let vhost = rabbit.vhost();
    let shop = Backend::replying(Reply::status(201));
    let mut gateway = start(&vhost, &shop, &[]);
    let mut accepted = BTreeSet::new();
    for number in 0..50 {
        let id = format!("before-{number}");
        send(&gateway, &order(&id)).await.expect_status(202);
        accepted.insert(id);
    }
    rabbit.stop();
    gateway.wait_for_log("the listener is down");
    let away = send(&gateway, &order("away")).await.expect_status(503).json();
    assert_eq!(away["code"], "orders.not_queued");
    assert_eq!(
        away["detail"],
        "The order could not be queued. Please send it again."
    );
    rabbit.start();
    let started = Instant::now();
    while send(&gateway, &order("after")).await.status != 202 {
        let log = gateway.log();
        assert!(started.elapsed() < WAIT, "no order is accepted any more\n{log}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    accepted.insert("after".to_owned());
    let arrived = || ids(&shop.requests()).into_iter().collect::<BTreeSet<_>>();
    eventually("the arrival of every accepted order", || {
        arrived().is_superset(&accepted)
    });
    let more: Vec<String> = arrived().difference(&accepted).cloned().collect();
    assert!(more.is_empty(), "refused, and delivered all the same: {more:?}");
    eventually("an empty queue", || vhost.client().depth("orders") == 0);
    assert_eq!(vhost.client().depth("orders.dead"), 0);
}

/// The worker of the sample in Python, alone with the queue.
const OWN_WORKER_OFF: &str = "proxies.price_worker.from.amqp.queue=unused";

fn worker(vhost: &Vhost) -> TestServer {
    let script = folder("queue-bridge").join("worker.py");
    TestServer::python(script.to_str().unwrap(), &[&vhost.amqp_url()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_worker_answers_rest_clients() {
    let vhost = RabbitMq::shared().vhost();
    let _worker = worker(&vhost);
    let gateway = start(&vhost, &Backend::replying(Reply::status(201)), &[OWN_WORKER_OFF]);
    let url = |symbol: &str| format!("{}/prices/v1/{symbol}", gateway.url("http"));
    // Many at once: each gets its own answer.
    let ask = |number: usize| {
        let symbol = ["IBM", "SAP"][number % 2];
        let url = url(symbol);
        tokio::spawn(async move { (symbol, get(&url).await.expect_status(200).json()) })
    };
    let questions: Vec<_> = (0..40).map(ask).collect();
    for question in questions {
        let (symbol, answer) = question.await.unwrap();
        let price = if symbol == "IBM" { 94.0 } else { 221.5 };
        assert_eq!(
            answer,
            json!({"symbol": symbol, "price": price, "currency": "USD"})
        );
    }
    let unknown = get(&url("XYZ")).await.expect_status(404).json();
    assert_eq!(unknown["code"], "prices.unknown");
    assert_eq!(unknown["detail"], "There is no price for XYZ.");
    assert_eq!(vhost.client().depth("prices"), 0);
}

#[test]
fn a_foreign_worker_answers_soap_clients() {
    let vhost = RabbitMq::shared().vhost();
    let _worker = worker(&vhost);
    let gateway = start(&vhost, &Backend::replying(Reply::status(201)), &[OWN_WORKER_OFF]);
    let wsdl = format!("{}/services/Prices?wsdl", gateway.url("http"));
    let call = |symbol: &str| {
        let arguments = json!({ "symbol": symbol }).to_string();
        let end = python("clients/zeep_client.py", &[&wsdl, "call", "GetPrice", &arguments]);
        end.expect_success().json()
    };
    let result = &call("SAP")["result"];
    assert_eq!(result["symbol"], "SAP", "{result}");
    assert_eq!(result["price"]["currency"], "USD", "{result}");
    assert!(result["price"].to_string().contains("221.5"), "{result}");
    let unknown = call("XYZ");
    let fault = &unknown["fault"];
    assert!(
        fault["code"].as_str().unwrap_or_default().ends_with(":Client"),
        "{unknown}"
    );
    assert!(
        fault.to_string().contains("There is no price for XYZ."),
        "{unknown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_nobody_answers_is_over_in_time() {
    let vhost = RabbitMq::shared().vhost();
    vhost.client().declare("prices");
    let more = [OWN_WORKER_OFF, "endpoints.price_service.timeout=500ms"];
    let gateway = start(&vhost, &Backend::replying(Reply::status(201)), &more);
    let answer = get(&format!("{}/prices/v1/IBM", gateway.url("http"))).await;
    assert_eq!(answer.expect_status(504).json()["code"], "backend.timeout");
}
