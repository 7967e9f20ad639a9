//! `mediary store`, and the replay of dead letters.

use super::{managed, messages_in, order, project, wait_for_fill};
use mediary_tests::{Backend, Finished, Gateway, Project, Reply, mediary, post};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `mediary store ...` against a running gateway.
fn store(gateway: &Gateway, arguments: &[&str]) -> Finished {
    mediary(&[&["store"], arguments, &["--url", gateway.url("management")]].concat())
}

/// `mediary store ...` in the files of a project.
fn store_of(project: &Project, arguments: &[&str]) -> Finished {
    let folder = project.folder().to_str().unwrap();
    mediary(&[&["store"], arguments, &["--project", folder]].concat())
}

/// A backend that can be broken.
fn breakable() -> (Backend, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&works);
    let backend = Backend::start(move |_| match told.load(Ordering::Relaxed) {
        true => Reply::ok("text/plain", "taken"),
        false => Reply::status(503),
    });
    (backend, works)
}

fn first_column(lines: &str) -> Vec<&str> {
    lines.lines().filter_map(|line| line.split("  ").next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_listed_shown_replayed_and_purged_on_a_running_gateway() {
    let (backend, works) = breakable();
    let forward = "forward: { to: backend, attempts: 1 }, dead_letter: dead";
    let gateway = Gateway::start(project(&backend.url(), forward).as_str(), &[]);
    for body in ["one", "two", "three"] {
        order(&gateway, "blue", body).await;
    }
    wait_for_fill(&gateway, "dead", 3).await;

    let stores = store(&gateway, &["list"]).expect_success().stdout;
    let lines: Vec<&str> = stores.lines().collect();
    assert_eq!(lines[0], "orders  0 messages  0 bytes");
    assert!(lines[1].starts_with("dead  3 messages  "), "{stores}");

    let list = store(&gateway, &["list", "dead"]).expect_success().stdout;
    let ids = first_column(&list);
    assert_eq!(ids.len(), 3, "{list}");
    assert!(list.contains("processors.forward  backend.status"), "{list}");

    let shown = store(&gateway, &["show", "dead", ids[0]]).expect_success().json();
    assert_eq!(shown["body"], "one");
    assert_eq!(shown["headers"]["x-customer"][0], "blue");
    assert_eq!(shown["key"], "blue", "{shown}");
    assert_eq!(shown["headers"]["authorization"][0], "***", "{shown}");
    let file = gateway.project().folder().join("data/dead.redb");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "nobody else reads what messages hold");
    assert_eq!(shown["fault"]["code"], "backend.status");
    assert_eq!(shown["history"][0], "processors.forward.forward.to", "{shown}");

    let left = store(&gateway, &["replay", "dead", ids[1]]).expect_code(1);
    assert!(
        left.stdout.contains(&format!("{}  left  ", ids[1])),
        "{}",
        left.output()
    );
    assert!(left.stdout.ends_with("0 replayed, 1 left\n"), "{}", left.output());
    assert_eq!(
        messages_in(&gateway, "dead").await,
        3,
        "what failed stays as it was"
    );

    works.store(true, Ordering::Relaxed);
    let replayed = store(&gateway, &["replay", "dead", ids[1]])
        .expect_success()
        .stdout;
    assert_eq!(replayed, format!("{}  delivered\n1 replayed, 0 left\n", ids[1]));
    assert_eq!(backend.requests().last().unwrap().text(), "two");
    assert_eq!(
        store(&gateway, &["purge", "dead", ids[0]])
            .expect_success()
            .stdout,
        "1 removed\n"
    );
    let rest = store(&gateway, &["list", "dead"]).expect_success().stdout;
    assert_eq!(first_column(&rest), [ids[2]]);
    assert_eq!(
        store(&gateway, &["purge", "dead"]).expect_success().stdout,
        "1 removed\n"
    );
    assert_eq!(store(&gateway, &["list", "dead"]).expect_success().stdout, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told() {
    let (backend, _) = breakable();
    let yaml =
        project(&backend.url(), "forward: { to: backend }").replace("dead: { durable", "dead: { memory");
    let gateway = Gateway::start(yaml.as_str(), &[]);
    let told = |finished: Finished, text: &str| {
        let finished = finished.expect_code(1);
        assert!(finished.stderr.contains(text), "{}", finished.output());
    };
    told(store(&gateway, &["list", "ordres"]), "there is no store `ordres`");
    told(
        store(&gateway, &["show", "orders", "7"]),
        "there is no message of this id in the store `orders`",
    );
    told(
        store(&gateway, &["purge", "orders", "7"]),
        "there is no message of this id in the store `orders`",
    );
    let folder = gateway.project().folder().to_str().unwrap().to_owned();
    let offline = |arguments: &[&str]| mediary(&[&["store"], arguments, &["--project", &folder]].concat());
    told(
        offline(&["list", "orders"]),
        "another process has it open; that is the gateway, ask it with --url",
    );
    told(
        offline(&["list", "dead"]),
        "store `dead` keeps its messages in memory",
    );
    told(
        offline(&["list", "ordres"]),
        "there is no store `ordres`; there are: orders, dead",
    );
    told(
        offline(&["replay", "dead"]),
        "messages are delivered by a running gateway",
    );
    let overview = offline(&["list"]).expect_success().stdout;
    assert!(overview.contains("another process has it open"), "{overview}");
    told(
        mediary(&["store", "list", "--url", &mediary_tests::refused_url()]),
        "for a gateway that is stopped, name its project with --project",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_gateways_messages_are_listed_shown_and_purged() {
    let (backend, _) = breakable();
    let forward = "forward: { to: backend, backoff: 1h }";
    let gateway = Gateway::start(project(&backend.url(), forward).as_str(), &[]);
    for number in 0..600 {
        order(&gateway, "", &format!("body {number}")).await;
    }
    let project = gateway.kill();
    let overview = store_of(&project, &["list"]).expect_success().stdout;
    assert!(overview.starts_with("orders  600 messages  "), "{overview}");
    let list = store_of(&project, &["list", "orders"]).expect_success().stdout;
    let ids = first_column(&list);
    assert_eq!(ids.len(), 600, "more than one page");
    let shown = store_of(&project, &["show", "orders", ids[599]])
        .expect_success()
        .json();
    assert_eq!(shown["body"], "body 599");
    let told = store_of(&project, &["show", "orders", "7"]).expect_code(1);
    assert!(
        told.stderr.contains("there is no message of this id"),
        "{}",
        told.output()
    );
    assert_eq!(
        store_of(&project, &["purge", "orders", ids[0]])
            .expect_success()
            .stdout,
        "1 removed\n"
    );
    assert_eq!(
        store_of(&project, &["purge", "orders"]).expect_success().stdout,
        "599 removed\n"
    );
    let gateway = Gateway::start(project, &[]);
    assert_eq!(messages_in(&gateway, "orders").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_of_an_api_goes_through_its_route_again() {
    let (backend, works) = breakable();
    let yaml = format!(
        r#"
stores: {{ dead: {{ durable: {{}} }} }}
endpoints: {{ backend: {{ http: "{}" }} }}
apis:
  orders:
    context: /orders
    dead_letter: dead
    routes:
      POST /{{id}}:
        - set: {{ headers.x-order: "${{params.id}} ${{query.a}}" }}
        - call: {{ endpoint: backend, path: "/taken" }}
        - respond
      POST /{{id}}/lines: [ throw: {{ code: never, message: No }} ]
proxies:
  legacy: {{ from: {{ http: /legacy }}, to: backend, dead_letter: dead }}
"#,
        backend.url()
    );
    // Nobody answers: a refusal that a backend sends goes to the client, who sees it.
    let nobody = mediary_tests::refused_url();
    let broken = yaml.replace(&backend.url(), &nobody);
    let gateway = Gateway::start(broken.as_str(), &[]);
    let url = gateway.url("http");
    for (path, status) in [("/orders/7?a=b", 502), ("/legacy", 502), ("/orders/7/lines", 500)] {
        let answer = post(&format!("{url}{path}"), "text/plain", path).await;
        answer.expect_status(status);
    }
    let page = managed(&gateway, "/stores/dead").await;
    let letters = page["page"].as_array().unwrap();
    assert_eq!(letters.len(), 3, "{page}");
    let ids: Vec<&str> = letters
        .iter()
        .map(|letter| letter["id"].as_str().unwrap())
        .collect();

    let left = store(&gateway, &["replay", "dead"]).expect_code(1).stdout;
    assert!(left.ends_with("0 replayed, 3 left\n"), "{left}");
    let kept = store(&gateway, &["list", "dead"]).expect_success().stdout;
    assert_eq!(first_column(&kept), ids, "they stay as they were");

    // The project is mended and the gateway restarted: letters keep what is needed to find the route.
    let project = gateway.kill();
    project.write("mediary.yaml", &yaml);
    let gateway = Gateway::start(project, &[]);
    let replay = format!("{}/stores/dead/replay?id={}", gateway.url("management"), ids[0]);
    let refused = post(&replay, "text/plain", "").await.expect_status(200).json();
    assert_eq!(refused["left"], 1, "the backend answers 503: {refused}");
    works.store(true, Ordering::Relaxed);
    let replayed = post(&replay, "text/plain", "").await.expect_status(200).json();
    assert_eq!(replayed["messages"][0]["outcome"], "delivered", "{replayed}");
    let request = backend.requests().pop().unwrap();
    assert_eq!(
        (request.path.as_str(), request.text().as_str()),
        ("/taken", "/orders/7?a=b")
    );
    assert_eq!(request.header("x-order"), "7 b");

    let rest = store(&gateway, &["replay", "dead"]).expect_code(1).stdout;
    assert!(rest.contains(&format!("{}  delivered\n", ids[1])), "{rest}");
    assert!(rest.contains(&format!("{}  left  ", ids[2])), "{rest}");
    assert_eq!(backend.requests().pop().unwrap().text(), "/legacy");
    let kept = store(&gateway, &["list", "dead"]).expect_success().stdout;
    assert_eq!(first_column(&kept), [ids[2]]);

    // A letter whose route is gone says so.
    gateway
        .project()
        .write("mediary.yaml", "stores: { dead: { durable: {} } }\n");
    let gateway = Gateway::start(gateway.kill(), &[]);
    let gone = store(&gateway, &["replay", "dead"]).expect_code(1).stdout;
    assert!(
        gone.contains("nothing serves POST /orders/7/lines on `http` now"),
        "{gone}"
    );
}
