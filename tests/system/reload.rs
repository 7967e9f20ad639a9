//! Reload under load, drain, and what an invalid configuration does to a running gateway: nothing.

use mediary_tests::{Backend, Client, Gateway, Project, Reply, get, mediary};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn project(backend: &Backend, version: usize) -> String {
    format!(
        "endpoints:\n  backend: {{ http: \"{}\" }}\napis:\n  a:\n    context: /a\n    routes:\n      GET /:\n        - call: backend\n        - set: {{ headers.x-version: \"v{version}\" }}\n        - respond\n",
        backend.url()
    )
}

const RELOADS: usize = 1_000;
const WAIT: Duration = Duration::from_secs(20);

async fn served_version(client: &Client, url: &str) -> String {
    let request = hyper::Request::get(url)
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    client
        .send(request)
        .await
        .expect("the gateway answers")
        .header("x-version")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_reloads_under_load_lose_no_request_and_no_memory() {
    let backend = Backend::replying(Reply::json(&json!({"ok": true})));
    let mut gateway = Gateway::start(project(&backend, 0).as_str(), &[]);
    let url = Arc::new(format!("{}/a", gateway.url("http")));
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (url, stop, answered) = (Arc::clone(&url), Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                let client = Client::new();
                let mut connection = client.connect(&url).await.expect("a connection");
                while !stop.load(Ordering::Relaxed) {
                    if connection.is_closed() {
                        connection = client.connect(&url).await.expect("a connection");
                    }
                    let request =
                        hyper::Request::get(&**url).body(http_body_util::Empty::<bytes::Bytes>::new());
                    let answer = connection.send(request.unwrap()).await.expect("an answer");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let client = Client::new();
    let mut warm = 0;
    for round in 1..=RELOADS {
        if round % 2 == 0 {
            gateway
                .project()
                .write("mediary.yaml", "apis:\n  a: { contxt: /a }\n");
            gateway.reload();
            gateway.wait_for_log("contxt");
            continue;
        }
        gateway.project().write("mediary.yaml", project(&backend, round));
        gateway.reload();
        let started = Instant::now();
        while served_version(&client, &url).await != format!("v{round}") {
            assert!(
                started.elapsed() < WAIT,
                "reload {round} did not arrive:\n{}",
                gateway.log()
            );
        }
        if round == 101 {
            warm = gateway.memory().resident_bytes;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.expect("no request failed");
    }
    let grown = gateway.memory().resident_bytes.saturating_sub(warm);
    assert!(grown < 8 << 20, "memory grew by {grown} bytes over 900 reloads");
    assert!(answered.load(Ordering::Relaxed) > RELOADS, "the load was real");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_configuration_leaves_the_old_one_serving() {
    let backend = Backend::replying(Reply::json(&json!({"ok": true})));
    let mut gateway = Gateway::start(project(&backend, 1).as_str(), &[]);
    let url = format!("{}/a", gateway.url("http"));
    gateway.project().write("mediary.yaml", "apis: [broken\n");
    gateway.reload();
    gateway.wait_for_log("mediary.yaml");
    assert_eq!(get(&url).await.expect_status(200).header("x-version"), "v1");
    let metrics = get(&format!("{}/metrics", gateway.url("management")))
        .await
        .expect_status(200)
        .text();
    assert!(metrics.contains("mediary_reloads_refused_total 1"), "{metrics}");
    assert!(metrics.contains(r#"route="GET /a",status="2xx""#), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
}

#[test]
fn an_invalid_configuration_does_not_start() {
    let project = Project::from("apis:\n  a: { contxt: /a }\n");
    let end = mediary(&["run", project.folder().to_str().unwrap()]).expect_code(1);
    assert!(
        end.stderr.contains("contxt") && end.stderr.contains("did you mean `context`?"),
        "{}",
        end.output()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_what_is_in_flight_finish() {
    let backend = Backend::replying(Reply::json(&json!({"ok": true})).delay(Duration::from_millis(1500)));
    let gateway = Gateway::start(project(&backend, 1).as_str(), &[]);
    let url = format!("{}/a", gateway.url("http"));
    let ready = format!("{}/health/ready", gateway.url("management"));
    get(&ready).await.expect_status(200);
    let in_flight = tokio::spawn(async move { get(&url).await });
    backend.wait_for_requests(1);
    let ended = tokio::task::spawn_blocking(move || gateway.terminate());
    let started = Instant::now();
    while get(&ready).await.status != 503 {
        assert!(started.elapsed() < WAIT, "readiness stays on while draining");
    }
    assert_eq!(
        in_flight.await.unwrap().expect_status(200).json(),
        json!({"ok": true})
    );
    assert_eq!(ended.await.unwrap().code, Some(0));
}
