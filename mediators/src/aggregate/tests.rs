//! Groups in memory and in a store, through YAML.

use crate::testing::{deployment, diagnostics, json, project, xml};
use engine::deployment::Deployment;
use engine::gateway::Gateway;
use engine::mediator::Flow;
use engine::message::Message;
use engine::testing::{Outcome, run_in};
use std::sync::Arc;
use std::time::Duration;

async fn each(steps: &str, messages: Vec<Message>) -> Vec<Outcome> {
    let deployment = Arc::new(deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}")));
    let mut outcomes = Vec::new();
    for message in messages {
        outcomes.push(run_in(Arc::clone(&deployment), message).await);
    }
    outcomes
}

#[tokio::test]
async fn the_last_message_goes_on_with_all() {
    let given = [r#"{"o":1,"n":1}"#, r#"{"o":2,"n":2}"#, r#"{"o":1,"n":3}"#]
        .map(json)
        .into();
    let mut outcomes = each("- aggregate: { by: payload.o, count: 2 }", given).await;
    assert_eq!(*outcomes[0].flow.as_ref().unwrap(), Flow::Drop);
    assert_eq!(*outcomes[1].flow.as_ref().unwrap(), Flow::Drop);
    assert_eq!(outcomes[2].text(), r#"[{"o":1,"n":1},{"o":1,"n":3}]"#);
}

#[tokio::test]
async fn a_condition_completes_and_xml_gets_a_root() {
    let given = ["<a/>", "<b xmlns='urn:b'/>", "<end/>"].map(xml).into();
    let mut outcomes = each("- aggregate: { when: payload.end is defined, root: all }", given).await;
    assert_eq!(outcomes[2].text(), r#"<all><a/><b xmlns="urn:b"/><end/></all>"#);
}

/// How often each step of `main` ran, children included.
fn runs(deployment: &Deployment) -> Vec<u64> {
    let mut runs = Vec::new();
    deployment.visit_steps(&mut |step| runs.push(step.runs.load(std::sync::atomic::Ordering::Relaxed)));
    runs
}

#[tokio::test(start_paused = true)]
async fn a_group_goes_on_by_itself_when_its_time_is_up() {
    let steps =
        "- aggregate: { timeout: 10s }\n- filter: { when: \"payload == [1, 2]\", then: [ { log: both } ] }";
    let deployment = Arc::new(deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}")));
    for body in ["1", "2"] {
        let outcome = run_in(Arc::clone(&deployment), json(body)).await;
        assert_eq!(outcome.flow.unwrap(), Flow::Drop);
    }
    assert_eq!(runs(&deployment), [2, 0, 0]);
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    assert_eq!(
        runs(&deployment),
        [2, 1, 1],
        "the steps behind ran once, with both messages"
    );
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(runs(&deployment), [2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_complete_group_does_not_go_on_twice() {
    let steps = "- aggregate: { count: 2, timeout: 10s }\n- log: done";
    let deployment = Arc::new(deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}")));
    for body in ["1", "2", "3"] {
        assert!(run_in(Arc::clone(&deployment), json(body)).await.flow.is_ok());
    }
    assert_eq!(runs(&deployment), [3, 1]);
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(
        runs(&deployment),
        [3, 2],
        "the third message is a group of its own"
    );
}

#[tokio::test(start_paused = true)]
async fn groups_and_messages_are_limited() {
    let steps =
        "- aggregate: { by: payload, count: 9, timeout: 10s, groups_max: 1, messages_max: 1 }\n- log: done";
    let deployment = Arc::new(deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}")));
    let run = |body: &str| run_in(Arc::clone(&deployment), json(body));
    assert!(run("1").await.flow.is_ok());
    assert_eq!(run("1").await.fault().name(), "gateway.limit");
    assert_eq!(run("2").await.fault().name(), "gateway.limit");
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    assert!(
        run("2").await.flow.is_ok(),
        "the group whose time was up has gone on"
    );
}

#[test]
fn mistakes_are_placed() {
    assert!(diagnostics("- aggregate: { by: payload.x }").contains("nothing ever completes"));
    assert!(diagnostics("- aggregate: { count: 'payload.x >' }").contains("test.yaml:3:"));
}

const STORES: &str = "stores: { parts: { memory: {} }, out: { memory: {} }, dead: { memory: {} } }\n";

fn built(steps: &str) -> Arc<Deployment> {
    let yaml = format!("{}{STORES}", project(steps));
    Arc::new(deployment(&yaml).unwrap_or_else(|text| panic!("{text}")))
}

fn count(deployment: &Deployment, store: &str) -> u64 {
    deployment.stores[store].fill().unwrap().messages
}

#[tokio::test]
async fn a_group_in_a_store_completes_and_leaves_it() {
    let deployment = built("- aggregate: { by: payload.o, count: 3, store: parts }");
    let run = |body: &str| run_in(Arc::clone(&deployment), json(body));
    for body in [r#"{"o":1,"n":1}"#, r#"{"o":2}"#, r#"{"o":1,"n":2.50}"#] {
        assert_eq!(run(body).await.flow.unwrap(), Flow::Drop);
    }
    assert_eq!(count(&deployment, "parts"), 3);
    assert_eq!(
        run(r#"{"o":1,"n":3}"#).await.text(),
        r#"[{"o":1,"n":1},{"o":1,"n":2.50},{"o":1,"n":3}]"#
    );
    assert_eq!(count(&deployment, "parts"), 1, "the other group");
    let xml_steps = built("- aggregate: { count: 2, root: all, store: parts }");
    run_in(Arc::clone(&xml_steps), xml("<a x='1'/>")).await;
    assert_eq!(
        run_in(xml_steps, xml("<b/>")).await.text(),
        r#"<all><a x="1"/><b/></all>"#
    );
}

#[tokio::test]
async fn a_group_whose_steps_fail_waits_for_the_message_to_come_again() {
    let steps = "- aggregate: { by: payload.o, count: 2, store: parts }\n- filter: { when: \"payload[1].bad is defined\", then: [ { throw: no } ] }";
    let deployment = built(steps);
    let run = |body: &str| run_in(Arc::clone(&deployment), json(body));
    run(r#"{"o":1}"#).await;
    for _ in 0..2 {
        assert_eq!(run(r#"{"o":1,"bad":1}"#).await.fault().message(), "no");
        assert_eq!(count(&deployment, "parts"), 1);
    }
    assert_eq!(
        run(r#"{"o":1,"good":1}"#).await.text(),
        r#"[{"o":1},{"o":1,"good":1}]"#
    );
    assert_eq!(count(&deployment, "parts"), 0);
}

#[tokio::test]
async fn groups_that_complete_within_one_exchange_do_not_wait_for_each_other() {
    let steps = "- split: { over: payload, parallel: 4, steps: [ { aggregate: { count: 2, store: parts, steps: [ { store: out } ] } } ] }";
    let deployment = built(steps);
    let outcome = run_in(Arc::clone(&deployment), json("[1,2,3,4,5]")).await;
    assert!(outcome.flow.is_ok(), "{:?}", outcome.flow);
    assert_eq!((count(&deployment, "out"), count(&deployment, "parts")), (2, 1));
}

#[tokio::test]
async fn concurrent_messages_complete_every_group_exactly() {
    let deployment = built("- aggregate: { by: payload.o, count: 5, store: parts }\n- store: out");
    let runs = (0..100).map(|number| {
        let deployment = Arc::clone(&deployment);
        tokio::spawn(async move {
            run_in(deployment, json(&format!(r#"{{"o":{}}}"#, number % 4)))
                .await
                .flow
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap().unwrap();
    }
    assert_eq!((count(&deployment, "out"), count(&deployment, "parts")), (20, 0));
}

/// A gateway that serves the proxy `p`, whose messages are delivered by hand.
async fn gateway(steps: &str, rest: &str) -> Arc<Gateway> {
    let yaml = format!("{STORES}sequences:\n  main:\n{steps}\n{rest}");
    let deployment = deployment(&yaml).unwrap_or_else(|text| panic!("{text}"));
    let gateway = engine::testing::gateway(deployment, 1);
    gateway.bind().await.unwrap();
    gateway
}

async fn until(gateway: &Gateway, store: &str, messages: u64) {
    let reached = async {
        while count(&gateway.deployment(), store) != messages {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), reached).await;
    waited.unwrap_or_else(|_| panic!("`{store}` has {}", count(&gateway.deployment(), store)));
}

#[tokio::test]
async fn a_group_in_a_store_goes_on_when_its_time_is_up() {
    let steps = "    - aggregate: { timeout: 1s, store: parts }\n    - store: out";
    let gateway = gateway(steps, "").await;
    let mut first = json(r#"{"n":1}"#);
    first.headers.insert("x-tenant", "blue".parse().unwrap());
    run_in(gateway.deployment(), first).await.flow.unwrap();
    run_in(gateway.deployment(), json(r#"{"n":2}"#))
        .await
        .flow
        .unwrap();
    until(&gateway, "out", 1).await;
    until(&gateway, "parts", 0).await;
    let group = gateway.deployment().stores["out"]
        .list(None, 1)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(group.body, r#"[{"n":1},{"n":2}]"#);
    assert_eq!(group.headers["x-tenant"], "blue");
    gateway.drain().await;
}

#[test]
fn mistakes_of_a_store_are_placed() {
    let problem = |steps: &str| {
        deployment(&format!("{}{STORES}", project(steps)))
            .err()
            .unwrap_or_default()
    };
    let text = problem("- aggregate: { count: 2, store: parts }\n- store: parts");
    assert!(text.contains("cannot be used for anything else"), "{text}");
    let text = problem("- aggregate: { timeout: 2s }");
    assert!(text.contains("goes nowhere"), "{text}");
    let lost = "apis: { a: { context: /a, routes: {} } }\nprocessors:\n  p: { store: out, forward: { to: test://echo, steps: [ { aggregate: { timeout: 2s } }, { log: done } ] } }\n";
    let text = deployment(&format!("{STORES}{lost}")).err().unwrap_or_default();
    assert!(text.contains("does not go on to the `to`"), "{text}");
}
