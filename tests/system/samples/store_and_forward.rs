//! `store-and-forward` under what it is made for: an order system that goes away and comes back, one that refuses, and a gateway that is
//! killed in the middle. No accepted order is lost, and the orders of a customer arrive in the order in which they were accepted.

use super::copy;
use mediary_tests::{Answer, Backend, Client, Gateway, Recorded, Reply, free_port, get, mediary, post};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Until something has to have happened.
const LIMIT: Duration = Duration::from_secs(60);

/// The gateway with short pauses, in front of this order system.
fn start(project: impl Into<mediary_tests::Project>, order_system: &str, more: &[&str]) -> Gateway {
    let endpoint = format!("endpoints.order_system.http={order_system}/orders");
    let sets = [
        "settings.listeners.backend.port=0",
        "processors.orders.forward.backoff=5ms",
        "processors.orders.forward.backoff_max=50ms",
        &endpoint,
    ];
    Gateway::start(project, &[&sets, more].concat())
}

async fn order(url: &str, customer: &str, sku: &str, quantity: usize) -> Answer {
    let body = json!({"customer": customer, "sku": sku, "quantity": quantity});
    post(&format!("{url}/orders/v1"), "application/json", body.to_string()).await
}

/// Accepts an order and says where its state is.
async fn accepted(url: &str, customer: &str, sku: &str, quantity: usize) -> String {
    let answer = order(url, customer, sku, quantity).await.expect_status(202);
    assert_eq!(answer.json()["state"], "waiting");
    format!("{url}{}", answer.header("location"))
}

/// Asks for the state of an order until it is as it should be.
async fn state(location: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LIMIT;
    loop {
        let state = get(location).await.expect_status(200).json();
        if wanted(&state) {
            return state;
        }
        assert!(Instant::now() < deadline, "{location} stays {state}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn done(location: &str) -> Value {
    state(location, |state| state["state"] == "done").await
}

/// Customer and quantity: the tests number the orders of a customer by it.
fn arrived(request: &Recorded) -> (String, u64) {
    let order = request.json();
    (
        order["customer"].as_str().unwrap().to_owned(),
        order["quantity"].as_u64().unwrap(),
    )
}

#[tokio::test]
async fn an_order_is_accepted_however_long_the_order_system_is_away() {
    let address: SocketAddr = Backend::replying(Reply::status(201)).address();
    let gateway = start(copy("store-and-forward", &[]), &format!("http://{address}"), &[]);
    let location = accepted(gateway.url("http"), "AT-1", "A-100", 1).await;
    // More attempts than any default: an outage makes no dead letter.
    let waiting = state(&location, |state| state["attempts"].as_u64() > Some(12)).await;
    assert!(
        matches!(waiting["state"].as_str(), Some("waiting" | "processing")),
        "{waiting}"
    );
    let order_system = Backend::start_at(address, |_| Reply::status(201));
    assert!(done(&location).await["attempts"].as_u64() > Some(12));
    let request = order_system.request();
    assert_eq!(
        request.json(),
        json!({"customer": "AT-1", "sku": "A-100", "quantity": 1})
    );
    assert_eq!(
        request.header("idempotency-key"),
        location.rsplit('/').next().unwrap()
    );
}

#[tokio::test]
async fn customers_do_not_wait_for_each_other() {
    let stuck = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&stuck);
    let order_system = Backend::start(move |request| {
        let refused = arrived(request) == ("AT-1".to_owned(), 1) && seen.load(Ordering::SeqCst);
        Reply::status(if refused { 500 } else { 201 })
    });
    let gateway = start(copy("store-and-forward", &[]), &order_system.url(), &[]);
    let url = gateway.url("http");
    let mut first = Vec::new();
    for number in 1..=3 {
        first.push(accepted(url, "AT-1", "A-100", number).await);
    }
    for customer in 2..30 {
        done(&accepted(url, &format!("AT-{customer}"), "A-100", 1).await).await;
    }
    let waiting = get(&first[1]).await.json();
    assert_eq!(
        (&waiting["state"], &waiting["attempts"]),
        (&json!("waiting"), &json!(0)),
        "behind the first one"
    );
    stuck.store(false, Ordering::SeqCst);
    for location in &first {
        done(location).await;
    }
    let of_first: Vec<u64> = order_system
        .requests()
        .iter()
        .map(arrived)
        .filter(|(customer, _)| customer == "AT-1")
        .map(|(_, number)| number)
        .collect();
    assert!(of_first.is_sorted(), "{of_first:?}");
    assert_eq!(of_first[of_first.len() - 3..], [1, 2, 3]);
}

#[tokio::test]
async fn what_is_refused_is_kept_with_the_reason_and_delivered_by_a_replay() {
    let known = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&known);
    let order_system = Backend::start(move |request| {
        if request.json()["sku"] == "C-300" && !seen.load(Ordering::SeqCst) {
            return Reply::status(422)
                .header("content-type", "application/json")
                .body(r#"{"error": "there is no article C-300"}"#);
        }
        Reply::status(201)
    });
    let gateway = start(copy("store-and-forward", &[]), &order_system.url(), &[]);
    let management = gateway.url("management").to_owned();
    let store = |arguments: &[&str]| mediary(&[&["store"], arguments, &["--url", &management]].concat());
    let refused = accepted(gateway.url("http"), "AT-1", "C-300", 1).await;
    let next = accepted(gateway.url("http"), "AT-1", "A-100", 2).await;
    done(&next).await;
    let failed = get(&refused).await.json();
    assert_eq!(
        (&failed["state"], &failed["attempts"]),
        (&json!("failed"), &json!(1))
    );
    let list = store(&["list", "refused_orders"]).expect_success().stdout;
    assert!(
        list.contains("processors.orders")
            && list.contains("422")
            && list.contains("there is no article C-300"),
        "{list}"
    );
    let letter = list.split_whitespace().next().unwrap();
    let shown = store(&["show", "refused_orders", letter]).expect_success().json();
    assert_eq!(
        shown["body"],
        json!({"customer": "AT-1", "sku": "C-300", "quantity": 1}).to_string()
    );

    let replayed = store(&["replay", "refused_orders"]).expect_code(1).stdout;
    assert!(replayed.contains("0 replayed, 1 left"), "{replayed}");
    assert_eq!(get(&refused).await.json()["state"], "failed");
    known.store(true, Ordering::SeqCst);
    let replayed = store(&["replay", "refused_orders"]).expect_success().stdout;
    assert_eq!(replayed, format!("{letter}  delivered\n1 replayed, 0 left\n"));
    assert_eq!(store(&["list", "refused_orders"]).expect_success().stdout, "");
    let keys: BTreeSet<String> = order_system
        .requests()
        .iter()
        .filter(|request| request.json()["sku"] == "C-300")
        .map(|request| request.header("idempotency-key").to_owned())
        .collect();
    assert_eq!(
        keys.len(),
        1,
        "the order system can tell that it is the same order"
    );

    done(&refused).await;
    let location = refused.strip_prefix(gateway.url("http")).unwrap().to_owned();
    // What waits for the next commit is on the disk with this one.
    accepted(gateway.url("http"), "AT-2", "A-100", 1).await;
    let gateway = start(gateway.kill(), &order_system.url(), &[]);
    done(&format!("{}{location}", gateway.url("http"))).await;
}

#[tokio::test]
async fn an_order_with_faults_is_refused_and_not_stored() {
    let order_system = Backend::replying(Reply::status(201));
    let gateway = start(copy("store-and-forward", &[]), &order_system.url(), &[]);
    let url = gateway.url("http");
    let problem = order(url, "nobody", "", 0).await.expect_status(400).json();
    assert_eq!(problem["details"].as_array().map(Vec::len), Some(3), "{problem}");
    let stores = get(&format!("{}/stores", gateway.url("management"))).await.json();
    assert!(
        stores["stores"]
            .as_array()
            .unwrap()
            .iter()
            .all(|store| store["messages"] == 0),
        "{stores}"
    );
    let unknown = get(&format!("{url}/orders/v1/none")).await.expect_status(404);
    assert_eq!(unknown.json()["code"], "client.not_found");
    assert!(order_system.requests().is_empty());
}

const CUSTOMERS: usize = 12;
const ORDERS: usize = 25;

/// A customer's program: one order after the other, each again until it is accepted. Says where the states are.
async fn customer(url: String, name: String) -> Vec<String> {
    let client = Client::new();
    let deadline = Instant::now() + LIMIT;
    let mut locations = Vec::new();
    while locations.len() < ORDERS {
        let body = json!({"customer": name, "sku": "A-100", "quantity": locations.len() + 1}).to_string();
        let request = http::Request::post(format!("{url}/orders/v1"))
            .header("content-type", "application/json")
            .body(http_body_util::Full::from(body))
            .unwrap();
        match client.send(request).await {
            Ok(answer) => locations.push(format!("{url}{}", answer.expect_status(202).header("location"))),
            // The gateway was killed. Whether it had the order is not known, so it comes again.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        assert!(Instant::now() < deadline, "{name} is not served");
    }
    locations
}

/// The order system is killed twice and the gateway twice, while orders come in.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_no_order_overtakes_another() {
    let arrivals: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
    let noted = Arc::clone(&arrivals);
    let answer = move |request: &Recorded| {
        noted.lock().unwrap().push(arrived(request));
        Reply::status(201).delay(Duration::from_millis(5))
    };
    let mut order_system = Backend::start(answer.clone());
    let (address, port) = (order_system.address(), free_port());
    let port = format!("settings.listeners.http.port={port}");
    let mut gateway = start(copy("store-and-forward", &[]), &order_system.url(), &[&port]);
    let url = gateway.url("http").to_owned();
    let customers: Vec<_> = (0..CUSTOMERS)
        .map(|number| tokio::spawn(customer(url.clone(), format!("AT-{number}"))))
        .collect();

    for _ in 0..2 {
        order_system.wait_for_requests(20);
        drop(order_system);
        let project = gateway.kill();
        gateway = start(project, &format!("http://{address}"), &[&port]);
        order_system = Backend::start_at(address, answer.clone());
    }
    let mut locations = Vec::new();
    for customer in customers {
        locations.extend(customer.await.unwrap());
    }
    assert_eq!(locations.len(), CUSTOMERS * ORDERS);
    for location in &locations {
        done(location).await;
    }
    let mut first_arrivals: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (customer, number) in arrivals.lock().unwrap().drain(..) {
        let numbers = first_arrivals.entry(customer).or_default();
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    let all: Vec<u64> = (1..=ORDERS as u64).collect();
    assert_eq!(first_arrivals.len(), CUSTOMERS);
    for (customer, numbers) in first_arrivals {
        assert_eq!(numbers, all, "{customer}");
    }
}
