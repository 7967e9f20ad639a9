//! `throttled-backend` under bursts: exact counts of what passes, what clients of both kinds see of the limit, and how many calls
//! the backend ever had at once.

use super::folder;
use mediary_tests::{Answer, Backend, Client, Gateway, Reply, python};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BURST: usize = 5;

/// The sample with a rate so low that nothing comes back while a test runs, and `more` settings.
fn start(backend: &Backend, more: &[&str]) -> Gateway {
    let endpoint = format!("endpoints.reports_app.http={}", backend.url());
    let fixed = [
        "settings.listeners.backend.port=0",
        &endpoint,
        "sequences.client_limit.0.throttle.rate=1/h",
    ];
    Gateway::start(folder("throttled-backend").as_path(), &[&fixed, more].concat())
}

fn report() -> Reply {
    Reply::json(&json!({"title": "Sales", "pages": 12}))
}

async fn fetch(gateway_url: String, key: &'static str) -> Answer {
    let request = http::Request::get(format!("{gateway_url}/reports/v1/sales"))
        .header("x-api-key", key)
        .body(http_body_util::Full::<bytes::Bytes>::default())
        .unwrap();
    Client::new().send(request).await.unwrap()
}

/// This many requests at the same time.
async fn burst(gateway: &Gateway, count: usize, key: &'static str) -> Vec<Answer> {
    let requests: Vec<_> = (0..count)
        .map(|_| tokio::spawn(fetch(gateway.url("http").to_owned(), key)))
        .collect();
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.await.unwrap());
    }
    answers
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test]
async fn each_client_gets_its_burst_and_no_more() {
    let backend = Backend::replying(report());
    let gateway = start(&backend, &[]);
    let answers = burst(&gateway, 12, "ann").await;
    assert_eq!((count(&answers, 200), count(&answers, 429)), (BURST, 12 - BURST));
    assert_eq!(
        backend.requests().len(),
        BURST,
        "refused requests do not reach the backend"
    );
    let keys = backend
        .requests()
        .iter()
        .filter(|request| !request.header("x-api-key").is_empty())
        .count();
    assert_eq!(keys, 0, "the client's key stays at the gateway");
    let others = burst(&gateway, BURST, "ben").await;
    assert_eq!(
        count(&others, 200),
        BURST,
        "another client has a limit of its own"
    );
}

#[tokio::test]
async fn a_rest_client_reads_when_to_come_back() {
    let backend = Backend::replying(report());
    let gateway = start(&backend, &[]);
    // One after the other: of two at once the later may have looked at the clock first, and is told one less.
    let mut answers = Vec::new();
    for _ in 0..=BURST {
        answers.push(fetch(gateway.url("http").to_owned(), "ann").await);
    }
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let problem = refused.json();
    assert_eq!(
        (&problem["code"], &problem["status"]),
        (&json!("client.too_many_requests"), &json!(429))
    );
    let seconds: u32 = refused.header("retry-after").parse().unwrap();
    assert!((3000..=3600).contains(&seconds), "one an hour: {seconds}");
    let remaining: Vec<&str> = answers
        .iter()
        .map(|answer| answer.header("ratelimit-remaining"))
        .collect();
    assert_eq!(remaining, ["4", "3", "2", "1", "0", "0"]);
    for answer in &answers {
        assert_eq!(
            answer.header("ratelimit-limit"),
            BURST.to_string(),
            "{:?}",
            answer.headers
        );
        assert!(
            !answer.header("ratelimit-reset").is_empty(),
            "{:?}",
            answer.headers
        );
    }
}

#[tokio::test]
async fn tokens_come_back_at_the_rate() {
    let backend = Backend::replying(report());
    let gateway = start(&backend, &["sequences.client_limit.0.throttle.rate=2/s"]);
    burst(&gateway, BURST + 3, "ann").await;
    let refused = fetch(gateway.url("http").to_owned(), "ann").await;
    if refused.status == 429 {
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!(wait <= 1, "two a second: {wait}");
        tokio::time::sleep(Duration::from_secs(wait)).await;
        fetch(gateway.url("http").to_owned(), "ann")
            .await
            .expect_status(200);
    }
}

#[test]
fn a_soap_client_gets_a_fault() {
    let backend = Backend::replying(report());
    let gateway = start(&backend, &[]);
    let wsdl = format!("{}/services/Reports?wsdl", gateway.url("http"));
    let call = || {
        python(
            "clients/zeep_client.py",
            &[&wsdl, "call", "GetReport", r#"{"name": "sales"}"#],
        )
        .expect_success()
        .json()
    };
    for _ in 0..BURST {
        assert_eq!(call()["result"], json!({"title": "Sales", "pages": 12}));
    }
    let refused = call();
    let fault = &refused["fault"];
    assert!(
        fault["code"].as_str().unwrap_or_default().ends_with(":Client"),
        "{refused}"
    );
    assert!(
        fault["detail"].to_string().contains("client.too_many_requests"),
        "{refused}"
    );
    assert_eq!(backend.requests().len(), BURST);
}

#[tokio::test]
async fn the_backend_never_has_more_than_two_calls() {
    let delay = Duration::from_millis(100);
    let arrivals: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = Arc::clone(&arrivals);
    let backend = Backend::start(move |_| {
        seen.lock().unwrap().push(Instant::now());
        report().delay(delay)
    });
    let gateway = start(&backend, &["sequences.client_limit.0.throttle.burst=100"]);
    let answers = burst(&gateway, 10, "ann").await;
    assert_eq!(count(&answers, 200), 10, "all of them had their turn");
    let arrivals = arrivals.lock().unwrap();
    // A call lasts for `delay` at least, so those that arrived within it were there together.
    let together = |start: &Instant| {
        arrivals
            .iter()
            .filter(|other| **other >= *start && **other < *start + delay)
            .count()
    };
    assert_eq!(arrivals.iter().map(together).max(), Some(2));
}

#[tokio::test]
async fn what_finds_the_queue_full_is_refused() {
    let backend = Backend::replying(report().delay(Duration::from_millis(500)));
    let gateway = start(
        &backend,
        &[
            "sequences.client_limit.0.throttle.burst=100",
            "sequences.fetch_report.steps.0.throttle.queue.length=3",
        ],
    );
    let answers = burst(&gateway, 12, "ann").await;
    let passed = count(&answers, 200);
    assert_eq!(passed, 2 + 3, "two at work and three in the queue");
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert_eq!(refused.len(), 12 - passed);
    for answer in refused {
        assert!(matches!(answer.status, 429 | 503), "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert_eq!(backend.requests().len(), passed);
}
