//! Circuit breakers.

use super::{World, backend, setup};
use std::time::Duration;
use tokio::time::advance;

const BREAKER: &str = "circuit_breaker: { requests_min: 4, window: 10s, open_for: 30s, open_for_max: 100s }";

#[tokio::test(start_paused = true)]
async fn it_opens_at_the_ratio_and_closes_after_a_good_probe() {
    let setup = setup(&format!("main: {{ fake: \"fake://b1\", {BREAKER} }}"));
    let backend = backend("b1");
    backend.will("200, 500, 200, 500");
    for expected in ["200", "500", "200", "500"] {
        assert_eq!(setup.get().await, expected);
    }
    let fault = setup.try_get().await.unwrap_err();
    assert_eq!(fault.name(), "backend.circuit_open");
    assert_eq!(fault.headers()["retry-after"], "30");
    assert_eq!(backend.count(), 4);
    advance(Duration::from_secs(29)).await;
    assert_eq!(setup.get().await, "backend.circuit_open");
    advance(Duration::from_secs(1)).await;
    assert_eq!(setup.get().await, "200");
    assert_eq!(setup.get().await, "200");
    assert_eq!(backend.count(), 6);
}

#[tokio::test(start_paused = true)]
async fn failures_outside_the_window_are_forgotten() {
    let setup = setup(&format!("main: {{ fake: \"fake://b2\", {BREAKER} }}"));
    let backend = backend("b2");
    backend.always("500");
    for _ in 0..8 {
        assert_eq!(setup.get().await, "500");
        advance(Duration::from_secs(4)).await;
    }
    assert_eq!(backend.count(), 8, "never four in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_opens_it_for_longer() {
    let setup = setup(
        "main: { fake: \"fake://b3\", circuit_breaker: { consecutive_failures: 1, open_for: 30s, open_for_max: 100s } }",
    );
    let backend = backend("b3");
    backend.always("lose");
    let mut waits = Vec::new();
    for _ in 0..4 {
        assert_eq!(setup.get().await, "backend.connection_lost");
        let fault = setup.try_get().await.unwrap_err();
        let wait: u64 = fault.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        waits.push(wait);
        advance(Duration::from_secs(wait)).await;
    }
    assert_eq!(waits, [30, 60, 100, 100]);
    backend.always("200");
    assert_eq!(setup.get().await, "200");
    backend.always("lose");
    setup.get().await;
    assert_eq!(
        setup.try_get().await.unwrap_err().headers()["retry-after"],
        "30",
        "a closed circuit starts afresh"
    );
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time() {
    let setup = setup("main: { fake: \"fake://b4\", circuit_breaker: { consecutive_failures: 1 } }");
    let backend = backend("b4");
    backend.will("500");
    setup.get().await;
    advance(Duration::from_secs(30)).await;
    backend.will("after 2s");
    let results = futures_util::future::join_all((0..10).map(|_| setup.get())).await;
    let good = results.iter().filter(|told| *told == "200").count();
    let refused = results
        .iter()
        .filter(|told| *told == "backend.circuit_open")
        .count();
    assert_eq!((good, refused, backend.count()), (1, 9, 2));
    assert_eq!(setup.get().await, "200");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_makes_room_for_another() {
    let setup = setup("main: { fake: \"fake://b5\", circuit_breaker: { consecutive_failures: 1 } }");
    let backend = backend("b5");
    backend.will("500, hang");
    setup.get().await;
    advance(Duration::from_secs(30)).await;
    let given_up = tokio::time::timeout(Duration::from_secs(1), setup.get()).await;
    assert!(given_up.is_err());
    assert_eq!(setup.get().await, "200");
}

#[tokio::test(start_paused = true)]
async fn several_probes_have_to_succeed_where_asked() {
    let setup = setup(
        "main: { fake: \"fake://b6\", circuit_breaker: { consecutive_failures: 1, half_open_probes: 2, open_for: 10s } }",
    );
    let backend = backend("b6");
    backend.will("500");
    setup.get().await;
    advance(Duration::from_secs(10)).await;
    backend.will("200, 500");
    assert_eq!(
        (setup.get().await, setup.get().await),
        ("200".into(), "500".into())
    );
    assert_eq!(setup.try_get().await.unwrap_err().headers()["retry-after"], "20");
}

#[tokio::test(start_paused = true)]
async fn the_state_survives_a_reload_unless_the_settings_change() {
    let world = World::default();
    let yaml = |open_for: &str| {
        format!(
            "main: {{ fake: \"fake://b7\", circuit_breaker: {{ consecutive_failures: 1, open_for: {open_for} }} }}"
        )
    };
    let first = world.setup(&yaml("30s"));
    backend("b7").will("500");
    first.get().await;
    let same = world.setup(&yaml("30s"));
    assert_eq!(same.get().await, "backend.circuit_open");
    let other = world.setup(&yaml("40s"));
    assert_eq!(other.get().await, "200");
}

#[tokio::test(start_paused = true)]
async fn the_clients_mistakes_do_not_open_it() {
    let setup =
        setup("main: { fake: \"fake://b8\", circuit_breaker: { consecutive_failures: 1 }, fault_on: 4xx }");
    backend("b8").always("404");
    for _ in 0..3 {
        assert_eq!(setup.get().await, "backend.status");
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_state_and_refusals() {
    let world = World::default();
    let setup = world.setup("main: { fake: \"fake://b9\", circuit_breaker: { consecutive_failures: 1 } }");
    backend("b9").will("500");
    setup.get().await;
    setup.get().await;
    let text = world.metrics.encode();
    assert!(
        text.contains("mediary_endpoint_state{endpoint=\"main\"} 2"),
        "{text}"
    );
    assert!(
        text.contains("endpoint=\"main\",outcome=\"refused\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("endpoint=\"main\",outcome=\"answered\"} 1"),
        "{text}"
    );
}
