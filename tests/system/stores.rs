//! Message stores and processors as a client, an operator and a backend see them: what was answered with 202 arrives, whatever happens
//! to the gateway.

mod cli;
mod disk;
mod resequence;

use mediary_tests::{Answer, Backend, Gateway, Recorded, Reply, eventually_within, get, post};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(crate) const WAIT: Duration = Duration::from_secs(60);

#[track_caller]
pub(crate) fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_within(WAIT, what, done);
}

/// `POST /orders` stores under the key of the header `x-customer`; `GET /orders/{id}` tells the state; `processor` drains the store.
pub(crate) fn project(backend: &str, processor: &str) -> String {
    format!(
        r#"
stores:
  orders: {{ durable: {{}} }}
  dead: {{ durable: {{}} }}
endpoints:
  backend: {{ http: "{backend}" }}
apis:
  orders:
    context: /orders
    routes:
      POST /: [ store: {{ in: orders, key: "${{headers['x-customer'] | default('')}}", location: "/orders/${{vars.stored.id}}" }} ]
      GET /{{id}}: [ store_state: {{ in: orders, id: "${{params.id}}" }}, respond ]
processors:
  forward: {{ store: orders, {processor} }}
"#
    )
}

/// Posts an order of a customer.
pub(crate) async fn order(gateway: &Gateway, customer: &str, body: &str) -> Answer {
    order_as(gateway, customer, "text/plain", body).await
}

/// The same with this media type.
pub(crate) async fn order_as(gateway: &Gateway, customer: &str, media_type: &str, body: &str) -> Answer {
    let request = hyper::Request::post(format!("{}/orders", gateway.url("http")))
        .header("x-customer", customer)
        .header("content-type", media_type)
        .header("authorization", "Basic b2xpdmU6c2VjcmV0")
        .body(http_body_util::Full::<bytes::Bytes>::from(body.to_owned()))
        .unwrap();
    let answer = mediary_tests::Client::new().send(request).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer
}

/// A page of the management port.
pub(crate) async fn managed(gateway: &Gateway, path: &str) -> Value {
    let answer = get(&format!("{}{path}", gateway.url("management"))).await;
    answer.expect_status(200).json()
}

/// How many messages a store has.
pub(crate) async fn messages_in(gateway: &Gateway, store: &str) -> u64 {
    let page = managed(gateway, &format!("/stores/{store}")).await;
    page["messages"].as_u64().unwrap()
}

/// Waits until a store has as many messages, at most a page, and shows them: what is being written counts, and does not show yet.
pub(crate) async fn wait_for_fill(gateway: &Gateway, store: &str, wanted: usize) {
    let started = Instant::now();
    loop {
        let page = managed(gateway, &format!("/stores/{store}")).await;
        let shown = page["page"].as_array().unwrap().len();
        if page["messages"] == wanted && shown == wanted {
            return;
        }
        assert!(
            started.elapsed() < WAIT,
            "`{store}` never has {wanted} messages:\n{}",
            gateway.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn bodies(requests: &[Recorded]) -> Vec<String> {
    requests.iter().map(Recorded::text).collect()
}

/// Posts numbered bodies from several connections until all are answered or the gateway is gone. Every body is posted once; those that
/// were answered are told.
async fn post_until_gone(
    url: &str,
    numbers: &Arc<AtomicUsize>,
    count: usize,
    answered: &Arc<Mutex<Vec<String>>>,
) {
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (url, numbers, answered) = (url.to_owned(), Arc::clone(numbers), Arc::clone(answered));
        clients.spawn(async move {
            let Ok(mut connection) = mediary_tests::Client::new().connect(&url).await else {
                return;
            };
            loop {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                let body = number.to_string();
                let request = hyper::Request::post(format!("{url}/orders"))
                    .body(http_body_util::Full::<bytes::Bytes>::from(body.clone()))
                    .unwrap();
                match connection.send(request).await {
                    Ok(answer) if answer.status == 202 => answered.lock().push(body),
                    Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
                    Err(_) => return,
                }
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_in_the_middle_loses_nothing_that_it_accepted() {
    const COUNT: usize = 2_000;
    const KILLS: usize = 4;
    let backend = Backend::replying(Reply::status(200));
    let yaml = project(&backend.url(), "forward: { to: backend, parallel: 16 }");
    let mut gateway = Gateway::start(yaml.as_str(), &[]);
    let (numbers, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    for kill in 1..=KILLS {
        let url = gateway.url("http").to_owned();
        let (numbers_then, answered_then) = (Arc::clone(&numbers), Arc::clone(&answered));
        let clients =
            tokio::spawn(async move { post_until_gone(&url, &numbers_then, COUNT, &answered_then).await });
        // In the middle of puts and of forwarding.
        eventually("as many answers", || answered.lock().len() >= kill * COUNT / 6);
        let project = gateway.kill();
        clients.await.unwrap();
        gateway = Gateway::start(project, &[]);
    }
    post_until_gone(gateway.url("http"), &numbers, COUNT, &answered).await;
    wait_for_fill(&gateway, "orders", 0).await;
    let arrived = bodies(&backend.requests());
    let distinct: HashSet<&String> = arrived.iter().collect();
    let answered = answered.lock().clone();
    let lost: Vec<&String> = answered.iter().filter(|body| !distinct.contains(body)).collect();
    assert_eq!(lost, Vec::<&String>::new(), "of {} answered", answered.len());
    assert!(answered.len() > COUNT - KILLS * 16 - 1, "{}", answered.len());
    let duplicates = arrived.len() - distinct.len();
    // Delivered, but settled after the last commit began: those under way, and what arrives within two commits.
    assert!(
        duplicates <= KILLS * 250,
        "{duplicates} duplicates of {KILLS} kills"
    );
    assert_eq!(messages_in(&gateway, "dead").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_survives_a_restart_and_every_key_keeps_its_order() {
    const CUSTOMERS: usize = 10;
    const ORDERS: usize = 20;
    let failures = Mutex::new(HashMap::<String, u32>::new());
    let open = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let opened = Arc::clone(&open);
    let done = Arc::new(Mutex::new(Vec::<String>::new()));
    let recorded = Arc::clone(&done);
    let backend = Backend::start(move |request| {
        let body = request.text();
        let failed = failures.lock().get(&body).copied().unwrap_or(0);
        // Down at first; then every third order fails twice more.
        let number: usize = body.split('-').nth(1).unwrap().parse().unwrap();
        if !opened.load(Ordering::Relaxed) || (number.is_multiple_of(3) && failed < 2) {
            if opened.load(Ordering::Relaxed) {
                *failures.lock().entry(body).or_default() += 1;
            }
            return Reply::status(503);
        }
        recorded.lock().push(body);
        Reply::status(200)
    });
    let forward = "forward: { to: backend, parallel: 8, backoff: 20ms, backoff_max: 50ms }";
    let gateway = Gateway::start(project(&backend.url(), forward).as_str(), &[]);
    let mut location = String::new();
    for number in 0..ORDERS {
        for customer in 0..CUSTOMERS {
            let answer = order(
                &gateway,
                &format!("c{customer}"),
                &format!("c{customer}-{number}"),
            )
            .await;
            answer.header("location").clone_into(&mut location);
        }
    }
    backend.wait_for_requests(CUSTOMERS);
    let gateway = Gateway::start(gateway.stop(), &[]);
    assert_eq!(messages_in(&gateway, "orders").await, (CUSTOMERS * ORDERS) as u64);
    open.store(true, Ordering::Relaxed);
    wait_for_fill(&gateway, "orders", 0).await;
    let done = done.lock().clone();
    for customer in 0..CUSTOMERS {
        let mine: Vec<&String> = done
            .iter()
            .filter(|body| body.starts_with(&format!("c{customer}-")))
            .collect();
        let expected: Vec<String> = (0..ORDERS)
            .map(|number| format!("c{customer}-{number}"))
            .collect();
        assert_eq!(mine, expected.iter().collect::<Vec<_>>(), "in order, each once");
    }
    let gateway = Gateway::start(gateway.stop(), &[]);
    let after = get(&format!("{}{location}", gateway.url("http"))).await;
    let after = after.expect_status(200).json();
    assert_eq!(after["state"], "done", "how it ended is known after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_come_at_their_times() {
    const EVERY: Duration = Duration::from_millis(400);
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let backend = Backend::start(move |_| {
        seen.lock().push(Instant::now());
        Reply::status(200)
    });
    let sample = "sample: { every: 400ms, count: 5, steps: [ call: backend ] }";
    let gateway = Gateway::start(project(&backend.url(), sample).as_str(), &[]);
    for number in 0..12 {
        order(&gateway, "", &number.to_string()).await;
    }
    wait_for_fill(&gateway, "orders", 0).await;
    let times = times.lock().clone();
    assert_eq!(times.len(), 12);
    let all = times[11] - times[0];
    assert!(all < EVERY * 6, "samples of five take {all:?}");
    // Whatever the first sample found: no more than five come within one period.
    for window in times.windows(6) {
        let spread = window[5] - window[0];
        assert!(spread > EVERY / 2, "six within {spread:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_in_the_middle_of_forwarding_lose_and_repeat_nothing() {
    const COUNT: usize = 600;
    let backend = Backend::start(|_| Reply::status(200).delay(Duration::from_millis(2)));
    let yaml = |version: usize| {
        project(
            &backend.url(),
            &format!(
                "forward: {{ parallel: {}, steps: [ set: {{ headers.x-version: \"{version}\" }}, call: backend ] }}",
                4 + version
            ),
        )
    };
    let mut gateway = Gateway::start(yaml(0).as_str(), &[]);
    for number in 0..COUNT {
        order(&gateway, "", &number.to_string()).await;
        if number % 100 == 50 {
            gateway.project().write("mediary.yaml", yaml(number / 100 + 1));
            gateway.reload();
        }
    }
    wait_for_fill(&gateway, "orders", 0).await;
    let requests = backend.requests();
    let distinct: HashSet<String> = bodies(&requests).into_iter().collect();
    assert_eq!((requests.len(), distinct.len()), (COUNT, COUNT));
    let versions: HashSet<&str> = requests
        .iter()
        .map(|request| request.header("x-version"))
        .collect();
    assert!(versions.len() > 2, "served by {versions:?}");
    assert!(gateway.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_again_and_again_becomes_a_dead_letter_by_default() {
    let backend = Backend::start(|request| match request.text().as_str() {
        "poison" => Reply::status(500),
        "refused" => Reply::status(400),
        _ => Reply::status(200),
    });
    let forward = "forward: { to: backend, attempts: 3, backoff: 10ms }, dead_letter: dead";
    let gateway = Gateway::start(project(&backend.url(), forward).as_str(), &[]);
    for body in ["poison", "refused", "good"] {
        order(&gateway, "one", body).await;
    }
    wait_for_fill(&gateway, "orders", 0).await;
    let sent = bodies(&backend.requests());
    assert_eq!(sent, ["poison", "poison", "poison", "refused", "good"]);
    let page = managed(&gateway, "/stores/dead").await;
    let letters = page["page"].as_array().unwrap();
    assert_eq!(letters.len(), 2, "{page}");
    assert_eq!(letters[0]["fault"]["code"], "backend.status");
    let letter = managed(
        &gateway,
        &format!("/stores/dead/{}", letters[0]["id"].as_str().unwrap()),
    )
    .await;
    assert_eq!(
        (&letter["body"], &letter["artifact"]),
        (&"poison".into(), &"processors.forward".into())
    );
    assert_eq!(letter["source"]["attempts"], 2, "tried twice before: {letter}");
    assert_eq!(letter["headers"]["x-customer"][0], "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_never_succeeds_holds_back_its_own_key_only_and_shows() {
    let backend = Backend::start(|request| match request.text().as_str() {
        "poison" => Reply::status(500),
        _ => Reply::status(200),
    });
    let forward = "forward: { to: backend, backoff: 5ms, backoff_max: 5ms }";
    let gateway = Gateway::start(project(&backend.url(), forward).as_str(), &[]);
    order(&gateway, "stuck", "poison").await;
    order(&gateway, "stuck", "behind").await;
    for number in 0..50 {
        order(&gateway, &format!("c{}", number % 5), &number.to_string()).await;
    }
    wait_for_fill(&gateway, "orders", 2).await;
    let started = Instant::now();
    let problem = loop {
        let health = managed(&gateway, "/health").await;
        if health["status"] == "degraded" {
            break health["listeners"]["processors.forward"]["problem"].clone();
        }
        assert!(started.elapsed() < WAIT, "{health}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(problem, "1 messages fail again and again");
    assert!(!bodies(&backend.requests()).contains(&"behind".to_owned()));
    // The operator takes it out: what waited behind it goes on, and all is well.
    let page = managed(&gateway, "/stores/orders").await;
    let id = page["page"][0]["id"].as_str().unwrap().to_owned();
    let purge = hyper::Request::delete(format!("{}/stores/orders?id={id}", gateway.url("management")))
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = mediary_tests::Client::new().send(purge).await.unwrap();
    assert_eq!(answer.expect_status(200).json()["removed"], 1);
    wait_for_fill(&gateway, "orders", 0).await;
    assert!(bodies(&backend.requests()).contains(&"behind".to_owned()));
    let health = managed(&gateway, "/health").await;
    assert_eq!(health["status"], "up", "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_too_long_is_moved_and_counted() {
    let yaml = r#"
stores:
  old: { memory: {} }
  orders: { durable: { age_max: 200ms, expired: old } }
proxies:
  in: { from: { http: /orders }, steps: [ store: { in: orders, respond: true } ] }
"#;
    let gateway = Gateway::start(yaml, &[]);
    for number in 0..3 {
        let url = format!("{}/orders", gateway.url("http"));
        post(&url, "text/plain", number.to_string())
            .await
            .expect_status(202);
    }
    wait_for_fill(&gateway, "old", 3).await;
    assert_eq!(messages_in(&gateway, "orders").await, 0);
    let metrics = get(&format!("{}/metrics", gateway.url("management")))
        .await
        .text();
    let counted = r#"mediary_store_expired_total{store="orders"} 3"#;
    assert!(metrics.contains(counted), "{metrics}");
}
