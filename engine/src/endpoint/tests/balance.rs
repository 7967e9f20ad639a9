//! Load balance and failover.

use super::{Payload, Setup, World, backend, setup, stream, told};
use crate::message::Message;
use http::{HeaderMap, Method};
use std::time::Duration;
use tokio::time::advance;

fn counts(names: &[&str]) -> Vec<usize> {
    names.iter().map(|name| backend(name).count()).collect()
}

async fn send_many(setup: &Setup, times: usize) {
    for _ in 0..times {
        setup.get().await;
    }
}

#[tokio::test(start_paused = true)]
async fn members_take_turns() {
    let setup = setup("main: { load_balance: [ \"fake://l1a\", \"fake://l1b\", \"fake://l1c\" ] }");
    send_many(&setup, 30).await;
    assert_eq!(counts(&["l1a", "l1b", "l1c"]), [10, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn weights_are_shares() {
    let setup = setup(
        "a: fake://l2a
main:
  load_balance:
    algorithm: weighted
    endpoints:
      - { endpoint: a, weight: 5 }
      - { fake: \"fake://l2b\", weight: 3 }
      - fake://l2c",
    );
    send_many(&setup, 90).await;
    assert_eq!(counts(&["l2a", "l2b", "l2c"]), [50, 30, 10]);
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_member_is_chosen() {
    let setup = setup(
        "main: { load_balance: { algorithm: least_requests, endpoints: [ \"fake://l3a\", \"fake://l3b\" ] } }",
    );
    backend("l3a").always("after 5s");
    let slow = async {
        // Whoever comes first gets `a` or `b`; after two calls exactly one of them is busy.
        futures_util::future::join(setup.get(), setup.get()).await
    };
    let quick = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        send_many(&setup, 6).await;
        counts(&["l3a", "l3b"])
    };
    let (_, counts) = futures_util::future::join(slow, quick).await;
    assert_eq!(counts, [1, 7]);
}

#[tokio::test(start_paused = true)]
async fn the_same_text_goes_to_the_same_member_and_few_move_when_one_goes() {
    let world = World::default();
    let yaml = |members: &[&str]| {
        let members: Vec<String> = members.iter().map(|name| format!("\"fake://{name}\"")).collect();
        let members = members.join(", ");
        format!(
            "main: {{ load_balance: {{ algorithm: consistent_hash, hash_on: \"${{headers.user}}\", endpoints: [{members}] }} }}"
        )
    };
    let names = ["l4a", "l4b", "l4c", "l4d"];
    let map = async |setup: &Setup| {
        let mut owners = Vec::new();
        for user in 0..400 {
            let before = counts(&names);
            let mut exchange = setup.exchange(Method::GET);
            exchange.message.headers.insert("user", user.into());
            setup.send(&mut exchange, Message::default()).await.unwrap();
            let after = counts(&names);
            owners.push(
                (0..names.len())
                    .find(|index| after[*index] > before[*index])
                    .unwrap(),
            );
        }
        owners
    };
    let all = map(&world.setup(&yaml(&names))).await;
    let reordered = map(&world.setup(&yaml(&["l4d", "l4b", "l4a", "l4c"]))).await;
    assert_eq!(all, reordered);
    for index in 0..names.len() {
        let share = all.iter().filter(|owner| **owner == index).count();
        assert!((60..=140).contains(&share), "{share} of 400");
    }
    let fewer = map(&world.setup(&yaml(&["l4a", "l4b", "l4c"]))).await;
    assert!(
        all.iter().zip(&fewer).all(|(old, new)| *old == 3 || old == new),
        "only the texts of the lost member move"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cookie_sticks_to_its_member_until_that_is_down() {
    let setup = setup(
        "main: { load_balance: { algorithm: sticky_cookie, cookie: stick, endpoints: [ \"fake://l5a\", \"fake://l5b\" ] } }",
    );
    let send = async |cookie: Option<&str>| {
        let mut exchange = setup.exchange(Method::GET);
        if let Some(cookie) = cookie {
            let line = format!("other=1; stick={cookie}");
            exchange.message.headers.insert("cookie", line.parse().unwrap());
        }
        let reply = setup.send(&mut exchange, Message::default()).await.unwrap();
        set_cookie(&reply.headers)
    };
    let cookie = send(None).await.unwrap();
    assert_eq!(counts(&["l5a", "l5b"]), [1, 0]);
    for _ in 0..5 {
        assert_eq!(send(Some(&cookie)).await, None, "no news, no cookie");
    }
    assert_eq!(counts(&["l5a", "l5b"]), [6, 0]);
    backend("l5a").always("refuse");
    let other = send(Some(&cookie)).await.unwrap();
    assert_ne!(cookie, other);
    assert_eq!(backend("l5b").count(), 1);
    assert!(send(Some("forged")).await.is_some());
}

fn set_cookie(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("set-cookie")?.to_str().unwrap();
    let value = text
        .strip_prefix("stick=")
        .unwrap()
        .strip_suffix("; Path=/; HttpOnly; SameSite=Lax")
        .unwrap();
    Some(value.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_member_that_fails_is_replaced_at_once_and_left_out_later() {
    let setup = setup("main: { load_balance: [ \"fake://l6a\", \"fake://l6b\" ] }");
    backend("l6a").always("refuse");
    for _ in 0..20 {
        assert_eq!(setup.post(stream("ab", "cd")).await, "200");
    }
    assert_eq!(
        counts(&["l6a", "l6b"]),
        [5, 20],
        "after five failures in a row it is left out"
    );
    assert!(backend("l6b").calls().iter().all(|call| call.body == "abcd"));
    backend("l6a").always("200");
    advance(Duration::from_secs(10)).await;
    send_many(&setup, 10).await;
    assert_eq!(counts(&["l6a", "l6b"]), [10, 25]);
}

#[tokio::test(start_paused = true)]
async fn without_an_available_member_the_call_fails_at_once() {
    let setup = setup(
        "main:
  load_balance:
    health: { consecutive_failures: 1, open_for: 7s }
    endpoints: [ \"fake://l7a\", \"fake://l7b\" ]",
    );
    backend("l7a").always("refuse");
    backend("l7b").always("refuse");
    assert_eq!(setup.get().await, "backend.connect");
    let fault = setup.try_get().await.unwrap_err();
    assert_eq!(fault.name(), "backend.unavailable");
    assert_eq!(fault.headers()["retry-after"], "7");
    assert_eq!(counts(&["l7a", "l7b"]), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_a_member_got_goes_to_no_other() {
    let setup = setup("main: { load_balance: [ \"fake://l8a\", \"fake://l8b\" ] }");
    backend("l8a").always("lose");
    assert_eq!(setup.post(Payload::bytes("x")).await, "backend.connection_lost");
    assert_eq!(counts(&["l8a", "l8b"]), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn failover_prefers_the_first_and_returns_to_it() {
    let setup = setup(
        "first: { fake: \"fake://f1a\", circuit_breaker: { consecutive_failures: 2, open_for: 10s } }
main: { failover: [ first, \"fake://f1b\" ] }",
    );
    send_many(&setup, 3).await;
    assert_eq!(counts(&["f1a", "f1b"]), [3, 0]);
    backend("f1a").always("503");
    send_many(&setup, 5).await;
    assert_eq!(counts(&["f1a", "f1b"]), [5, 5], "its circuit opens after two");
    backend("f1a").always("200");
    advance(Duration::from_secs(10)).await;
    send_many(&setup, 3).await;
    assert_eq!(counts(&["f1a", "f1b"]), [8, 5]);
}

#[tokio::test(start_paused = true)]
async fn failover_reacts_to_what_on_says() {
    let setup = setup("main: { failover: { endpoints: [ \"fake://f2a\", \"fake://f2b\" ], on: [404] } }");
    backend("f2a").will("404, 503");
    assert_eq!(setup.get().await, "200");
    assert_eq!(setup.get().await, "503");
    assert_eq!(counts(&["f2a", "f2b"]), [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_calls_a_status_a_fault_still_fails_over() {
    let setup = setup("main: { failover: [ { fake: \"fake://f3a\", fault_on: 5xx }, \"fake://f3b\" ] }");
    backend("f3a").will("503");
    assert_eq!(setup.get().await, "200");
    assert_eq!(counts(&["f3a", "f3b"]), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_one_member_adds_does_not_reach_the_next() {
    let setup = setup(
        "main: { failover: [ { fake: \"fake://f4a\", bearer: secret, headers: { x-a: b } }, \"fake://f4b\" ] }",
    );
    backend("f4a").will("refuse, 503");
    assert_eq!(setup.put(stream("ab", "cd")).await, "200");
    assert_eq!(setup.put(stream("ab", "cd")).await, "200");
    assert_eq!(
        backend("f4a").calls()[0].headers["authorization"],
        "Bearer secret"
    );
    for call in backend("f4b").calls() {
        assert!(call.headers.is_empty(), "{:?}", call.headers);
        assert_eq!(call.body, "abcd");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_nest_and_explicit_retries_go_round_again() {
    let setup = setup(
        "inner: { load_balance: [ \"fake://n1a\", \"fake://n1b\" ] }
main: { failover: [ inner, \"fake://n1c\" ], retry: { attempts: 3, backoff: 1s, jitter: false } }",
    );
    backend("n1a").will("503, 503");
    backend("n1b").will("503, 503");
    backend("n1c").will("503, 200");
    let started = tokio::time::Instant::now();
    assert_eq!(setup.get().await, "200");
    assert_eq!(counts(&["n1a", "n1b", "n1c"]), [2, 2, 2]);
    assert_eq!(
        started.elapsed().as_secs(),
        1,
        "a wait only where every member has been tried"
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_passes_a_message_on() {
    let setup = setup("main: { failover: [ \"fake://g1a\", \"fake://g1b\" ] }");
    backend("g1a").will("refuse");
    let mut exchange = setup.exchange(Method::POST);
    exchange.message.payload = stream("ab", "cd");
    let endpoint = std::sync::Arc::clone(&setup.0.endpoints["main"]);
    let passed = endpoint.pass_on(&mut exchange, &Default::default()).await;
    assert_eq!(
        told(&passed.map(|()| std::mem::take(&mut exchange.message))),
        "200"
    );
    assert_eq!(backend("g1b").calls()[0].body, "abcd");
}
