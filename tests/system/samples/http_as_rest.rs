//! `http-as-rest`: what a browser and a strict REST client expect of an API, on top of an application that knows nothing of it.

use super::start;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use mediary_tests::{Answer, Backend, Client, Gateway, Recorded, Reply, get, post};
use serde_json::json;

const ORIGIN: &str = "https://app.example.org";

fn crm() -> Backend {
    Backend::start(
        |request: &Recorded| match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/?cmd=list") => Reply::ok(
                "text/csv",
                "ID,NM,CTY\r\n1,Ada Lovelace,London\r\n2,\"Hopper, Grace\",New York\r\n",
            ),
            ("GET", "/?cmd=show&id=2") => Reply::ok(
                "text/xml",
                "<CUST ID=\"2\"><NM>Hopper, Grace</NM><CTY>New York</CTY><VIP>Y</VIP></CUST>",
            ),
            ("GET", "/?cmd=kill&id=2") => Reply::ok("text/plain", "OK\n"),
            ("POST", "/") if request.text().contains("nm=Ada+Lovelace") => {
                Reply::ok("text/plain", "ERR 409 duplicate name\n")
            }
            ("POST", "/") => Reply::ok("text/plain", "OK 3\n"),
            ("GET", "/?cmd=show&id=9") => Reply::ok("text/plain", "ERR 500 disk full\n"),
            _ => Reply::ok("text/plain", "ERR 404 no such customer\n"),
        },
    )
}

fn in_front_of(backend: &Backend) -> (Gateway, String) {
    let gateway = start("http-as-rest", &[("crm.http", &backend.url())]);
    let url = format!("{}/customers/v1", gateway.url("http"));
    (gateway, url)
}

async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    Client::new().send(request).await.unwrap()
}

#[tokio::test]
async fn csv_and_xml_become_what_the_client_asks_for() {
    let backend = crm();
    let (_gateway, url) = in_front_of(&backend);
    let list = json!({"total": 2, "items": [
        {"id": 1, "name": "Ada Lovelace", "city": "London"},
        {"id": 2, "name": "Hopper, Grace", "city": "New York"},
    ]});
    let one = json!({"id": 2, "name": "Hopper, Grace", "city": "New York", "vip": true});
    assert_eq!(get(&url).await.expect_status(200).json(), list);
    for accept in ["application/json", "*/*", "application/json;q=0.9, text/html"] {
        let answer = send("GET", &format!("{url}/2"), &[("accept", accept)], "")
            .await
            .expect_status(200);
        assert_eq!(
            (answer.header("content-type"), answer.json()),
            ("application/json", one.clone()),
            "{accept}"
        );
    }
    let answer = send("GET", &format!("{url}/2"), &[("accept", "application/xml")], "")
        .await
        .expect_status(200);
    assert!(answer.header("content-type").starts_with("application/xml"));
    let xml = "<customer><id>2</id><name>Hopper, Grace</name><city>New York</city><vip>true</vip></customer>";
    assert!(answer.text().ends_with(xml), "{}", answer.text());
    let answer = send("GET", &url, &[("accept", "application/xml")], "")
        .await
        .expect_status(200);
    assert!(
        answer
            .text()
            .contains("<customers><total>2</total><items><id>1</id>"),
        "{}",
        answer.text()
    );
    let refused = send("GET", &url, &[("accept", "image/png")], "")
        .await
        .expect_status(406);
    assert_eq!(refused.json()["code"], "client.not_acceptable");
}

#[tokio::test]
async fn a_customer_is_made_from_json_or_xml() {
    let backend = crm();
    let (_gateway, url) = in_front_of(&backend);
    let made = post(
        &url,
        "application/json",
        r#"{"name": "Bob & Co", "city": "Łódź"}"#,
    )
    .await
    .expect_status(201);
    assert_eq!(made.header("location"), "/customers/v1/3");
    assert_eq!(made.json(), json!({"id": 3, "name": "Bob & Co", "city": "Łódź"}));
    let xml = "<customer><name>Bob &amp; Co</name><city>Łódź</city></customer>";
    let headers = [("content-type", "application/xml"), ("accept", "application/xml")];
    let made = send("POST", &url, &headers, xml).await.expect_status(201);
    assert!(
        made.text().contains("<id>3</id><name>Bob &amp; Co</name>"),
        "{}",
        made.text()
    );
    for request in backend.requests() {
        assert_eq!(
            request.header("content-type"),
            "application/x-www-form-urlencoded"
        );
        assert_eq!(request.text(), "cmd=new&nm=Bob+%26+Co&cty=%C5%81%C3%B3d%C5%BA");
    }
}

#[tokio::test]
async fn errors_in_the_text_become_statuses() {
    let backend = crm();
    let (_gateway, url) = in_front_of(&backend);
    let unknown = get(&format!("{url}/7")).await.expect_status(404);
    assert_eq!(unknown.header("content-type"), "application/problem+json");
    assert_eq!(unknown.json()["detail"], "There is no customer 7.");
    let exists = post(
        &url,
        "application/json",
        r#"{"name": "Ada Lovelace", "city": "London"}"#,
    )
    .await
    .expect_status(409);
    assert_eq!(exists.json()["code"], "customers.exists");
    let failed = get(&format!("{url}/9")).await.expect_status(502);
    assert!(
        !failed.text().contains("disk"),
        "what the application says stays inside: {}",
        failed.text()
    );
    let asked_for_xml = send("GET", &format!("{url}/7"), &[("accept", "application/xml")], "")
        .await
        .expect_status(404);
    assert_eq!(asked_for_xml.header("content-type"), "application/problem+xml");
}

#[tokio::test]
async fn delete_is_a_get_at_the_application() {
    let backend = crm();
    let (_gateway, url) = in_front_of(&backend);
    let answer = send("DELETE", &format!("{url}/2"), &[], "")
        .await
        .expect_status(204);
    assert_eq!(answer.text(), "");
    assert_eq!(
        (backend.request().method.as_str(), backend.request().path.as_str()),
        ("GET", "/?cmd=kill&id=2")
    );
    send("DELETE", &format!("{url}/7"), &[], "")
        .await
        .expect_status(404);
}

#[tokio::test]
async fn a_parameter_stays_one_parameter() {
    let backend = crm();
    let (_gateway, url) = in_front_of(&backend);
    get(&format!("{url}/2%26cmd=kill%3Fx")).await.expect_status(404);
    assert_eq!(backend.request().path, "/?cmd=show&id=2%26cmd%3Dkill%3Fx");
}

#[tokio::test]
async fn violations_say_where_they_are() {
    let backend = crm();
    let (_gateway, url) = in_front_of(&backend);
    let answer = post(&url, "application/json", r#"{"name": "B", "city": 5}"#)
        .await
        .expect_status(400);
    let problem = answer.json();
    assert_eq!(problem["code"], "client.validation");
    let mut pointers: Vec<&str> = problem["details"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["pointer"].as_str())
        .collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/city", "/name"], "{problem}");
    let broken = post(&url, "application/json", "{\"name\": ")
        .await
        .expect_status(400)
        .json();
    assert_eq!(broken["code"], "client.malformed_body");
    assert_eq!(backend.requests().len(), 0);
}

#[tokio::test]
async fn a_browser_may_ask_first() {
    let backend = crm();
    let (_gateway, url) = in_front_of(&backend);
    let asking = |origin| [("origin", origin), ("access-control-request-method", "DELETE")];
    let preflight = send("OPTIONS", &format!("{url}/2"), &asking(ORIGIN), "").await;
    assert!(matches!(preflight.status, 200 | 204), "{}", preflight.status);
    assert_eq!(preflight.header("access-control-allow-origin"), ORIGIN);
    assert!(
        preflight
            .header("access-control-allow-methods")
            .contains("DELETE")
    );
    let stranger = send(
        "OPTIONS",
        &format!("{url}/2"),
        &asking("https://evil.example"),
        "",
    )
    .await;
    assert_eq!(stranger.header("access-control-allow-origin"), "");
    assert_eq!(backend.requests().len(), 0);

    let answer = send("GET", &url, &[("origin", ORIGIN)], "")
        .await
        .expect_status(200);
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    assert_eq!(answer.header("access-control-expose-headers"), "location");
    let failed = send("GET", &format!("{url}/7"), &[("origin", ORIGIN)], "")
        .await
        .expect_status(404);
    assert_eq!(
        failed.header("access-control-allow-origin"),
        ORIGIN,
        "the page can read problems too"
    );
}

#[tokio::test]
async fn wrong_methods_and_paths_are_told_apart() {
    let backend = crm();
    let (_gateway, url) = in_front_of(&backend);
    let answer = send("PUT", &format!("{url}/2"), &[], "").await.expect_status(405);
    let allow = answer.header("allow");
    assert!(
        allow.contains("GET") && allow.contains("DELETE") && !allow.contains("POST"),
        "{allow}"
    );
    assert_eq!(answer.json()["code"], "client.method_not_allowed");
    assert_eq!(
        get(&format!("{url}/2/x")).await.expect_status(404).json()["code"],
        "client.not_found"
    );
    assert_eq!(backend.requests().len(), 0);
}

#[tokio::test]
async fn what_a_client_says_of_itself_does_not_come_back_as_the_reply() {
    let gateway = Gateway::start(
        super::folder("http-as-rest").as_path(),
        &["settings.listeners.backend.port=0"],
    );
    // The sample's own backend answers without calling anybody: its request becomes the reply.
    let url = format!("{}/crm.cgi?cmd=list", gateway.url("backend"));
    let claims = [
        "set-cookie",
        "cache-control",
        "access-control-allow-origin",
        "location",
        "x-api-key",
    ];
    let headers = claims.map(|name| (name, "public"));
    let answer = send("GET", &url, &headers, "").await.expect_status(200);
    assert_eq!(answer.header("content-type"), "text/csv");
    for name in claims {
        assert_eq!(answer.header(name), "", "{name}");
    }
}
