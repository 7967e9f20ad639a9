//! Timers, and artifacts that send to each other: beat, skipping, and that nothing accepted is lost.

use super::{eventually, in_store};
use mediary_tests::{Backend, Gateway, Project, Recorded, Reply, mediary, post};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A task that tells the backend about each tick.
fn task(backend: &Backend, schedule: &str) -> String {
    format!(
        "endpoints:\n  backend: {{ http: \"{}\" }}\ntasks:\n  beat:\n    schedule: {schedule}\n    steps:\n      - payload: {{ json: {{ tick: \"${{source.tick}}\", skipped: \"${{source.skipped}}\", scheduled: \"${{source.scheduled}}\" }} }}\n      - call: {{ endpoint: backend, method: POST }}\n",
        backend.url()
    )
}

fn ok() -> Backend {
    Backend::replying(Reply::json(&json!({"ok": true})))
}

fn field(requests: &[Recorded], name: &str) -> Vec<Value> {
    requests
        .iter()
        .map(|request| request.json()[name].clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_runs_at_start_and_keeps_its_beat() {
    let backend = ok();
    let started = Instant::now();
    let project = task(&backend, "{ every: 400ms, run_at_start: true }");
    let _gateway = Gateway::start(project.as_str(), &[]);
    let requests = backend.wait_for_requests(4);
    let ticks = field(&requests, "tick");
    let ticks: Vec<u64> = ticks.iter().filter_map(Value::as_u64).collect();
    assert!(ticks[0] == 1 && ticks.is_sorted_by(|a, b| a < b), "{ticks:?}");
    assert!(
        started.elapsed() > Duration::from_millis(1190),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cron_expression_with_seconds_follows_the_clock() {
    let backend = ok();
    let _gateway = Gateway::start(task(&backend, "\"* * * * * *\"").as_str(), &[]);
    let scheduled = field(&backend.wait_for_requests(2)[..2], "scheduled");
    let times: Vec<&str> = scheduled.iter().filter_map(Value::as_str).collect();
    let whole = |time: &&str| time.ends_with('Z') && !time.contains('.');
    assert!(times.iter().all(whole), "whole seconds: {scheduled:?}");
    assert!(times[0] < times[1], "{scheduled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_due_while_the_last_one_goes_is_skipped() {
    let backend = Backend::replying(Reply::status(200).delay(Duration::from_millis(700)));
    let _gateway = Gateway::start(task(&backend, "100ms").as_str(), &[]);
    let requests = backend.wait_for_requests(3);
    assert_eq!(backend.connections(), 1, "one run at a time, on one connection");
    let (ticks, skipped) = (field(&requests, "tick"), field(&requests, "skipped"));
    for (run, (tick, skipped)) in ticks.iter().zip(&skipped).enumerate() {
        let (tick, skipped) = (tick.as_u64().unwrap(), skipped.as_u64().unwrap());
        assert_eq!(
            tick,
            run as u64 + 1 + skipped,
            "each tick ran or was skipped: {ticks:?}"
        );
    }
    assert!(skipped[2].as_u64().unwrap() >= 6, "{skipped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_is_logged_and_the_next_one_comes() {
    let backend = Backend::script(vec![Reply::status(500), Reply::status(200)]);
    let mut gateway = Gateway::start(task(&backend, "300ms").as_str(), &[]);
    backend.wait_for_requests(2);
    gateway.wait_for_log("backend.status");
}

/// `/ask` waits for the reply of another artifact, `/tell` for its end, `/leave` for nothing.
fn local(backend: &Backend, receiver: &str) -> String {
    format!(
        "endpoints:\n  backend: {{ http: \"{}\" }}\n  left: {{ local: {{ name: orders, wait: false }} }}\nstores:\n  dead: {{ memory: {{}} }}\nproxies:\n  ask: {{ from: {{ http: /ask }}, steps: [ {{ call: \"local://orders\" }}, respond ] }}\n  tell: {{ from: {{ http: /tell }}, steps: [ {{ send: \"local://orders\" }}, {{ respond: {{ payload: told }} }} ] }}\n  leave: {{ from: {{ http: /leave }}, steps: [ {{ send: left }}, {{ respond: {{ payload: left }} }} ] }}\n  orders:\n    from: {{ local: {{ name: orders, {receiver} }} }}\n    to: backend\n",
        backend.url()
    )
}

async fn send(gateway: &Gateway, path: &str, body: &str) -> mediary_tests::Answer {
    let url = format!("{}/{path}", gateway.url("http"));
    post(&url, "text/plain", body.to_owned()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_ask_and_tell_each_other() {
    let backend = Backend::start(|request| match request.text().as_str() {
        "bad" => Reply::status(500),
        _ => Reply::ok("text/plain", format!("re: {}", request.text())),
    });
    let gateway = Gateway::start(local(&backend, "capacity: 10").as_str(), &[]);
    assert_eq!(
        send(&gateway, "ask", "one").await.expect_status(200).text(),
        "re: one"
    );
    assert_eq!(
        send(&gateway, "tell", "two").await.expect_status(200).text(),
        "told"
    );
    assert_eq!(
        backend.requests().len(),
        2,
        "it was served before the sender went on"
    );
    // Nobody keeps it: the sender learns of it and can do something.
    assert_eq!(
        send(&gateway, "tell", "bad").await.json()["code"],
        "backend.status"
    );
    assert_eq!(
        send(&gateway, "ask", "bad").await.json()["code"],
        "backend.status"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_a_dead_letter_is_kept_and_no_fault_of_who_tells() {
    let backend = Backend::replying(Reply::status(400));
    let project =
        local(&backend, "capacity: 10").replace("    to: backend", "    dead_letter: dead\n    to: backend");
    let gateway = Gateway::start(project.as_str(), &[]);
    for path in ["tell", "leave"] {
        send(&gateway, path, path).await.expect_status(200);
    }
    eventually("both dead letters", || in_store(&gateway, "dead") == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_what_it_took_is_served_at_the_end() {
    let backend = Backend::replying(Reply::status(200).delay(Duration::from_millis(200)));
    let gateway = Gateway::start(local(&backend, "capacity: 3, concurrency: 1").as_str(), &[]);
    let (mut taken, mut refused) = (Vec::new(), 0);
    for number in 0..12 {
        let body = format!("n{number}");
        let answer = send(&gateway, "leave", &body).await;
        match answer.status {
            200 => taken.push(body),
            _ => {
                assert_eq!(answer.json()["code"], "gateway.overloaded");
                refused += 1;
            }
        }
    }
    assert!(taken.len() >= 3 && refused > 0, "{taken:?}, {refused} refused");
    assert_eq!(gateway.terminate().code, Some(0));
    let served: Vec<String> = backend.requests().iter().map(Recorded::text).collect();
    assert_eq!(served, taken, "all that was taken, in order, and nothing else");
}

#[test]
fn a_name_that_nobody_receives_from_is_a_mistake() {
    let project = "proxies:\n  a: { from: { http: /a }, to: 'local://order' }\n  b: { from: { local: orders }, to: 'http://localhost:1' }\n";
    let project = Project::from(project);
    let end = mediary(&["check", project.folder().to_str().unwrap()]).expect_code(1);
    assert!(
        end.output().contains("did you mean `orders`?"),
        "{}",
        end.output()
    );
}
