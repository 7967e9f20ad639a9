//! Every way in which a backend or a step can fail ends in the documented fault.

use mediary_tests::{Answer, Backend, Gateway, RawClient, Reply, get, refused_url};
use serde_json::json;
use std::time::{Duration, Instant};

fn api(endpoint: &str) -> String {
    format!(
        "endpoints:\n  backend:\n    {endpoint}\nproxies:\n  a:\n    from: {{ http: /a }}\n    to: backend\n"
    )
}

async fn fault(endpoint: &str) -> Answer {
    let gateway = Gateway::start(api(endpoint).as_str(), &[]);
    get(&format!("{}/a", gateway.url("http"))).await
}

fn problem(answer: &Answer, status: u16, code: &str) {
    let body = answer.text();
    assert_eq!(answer.status, status, "{body}");
    let problem = answer.json();
    assert_eq!(problem["code"], json!(code), "{body}");
    assert_eq!(problem["status"], json!(status));
    assert_eq!(problem["type"], json!(format!("urn:mediary:fault:{code}")));
    let instance = problem["instance"].as_str().unwrap_or_default();
    assert!(!instance.is_empty(), "{body}");
    assert!(
        !body.contains("127.0.0.1"),
        "the problem tells an address: {body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_not_there() {
    problem(
        &fault(&format!("http: {}", refused_url())).await,
        502,
        "backend.connect",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_takes_ten_seconds() {
    let backend = Backend::replying(Reply::status(200).delay(Duration::from_secs(10)));
    let started = Instant::now();
    problem(
        &fault(&format!("http: {}\n    timeout: 500ms", backend.url())).await,
        504,
        "backend.timeout",
    );
    assert!(started.elapsed() < Duration::from_secs(8), "the timeout is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_closes_without_an_answer() {
    let backend = Backend::replying(Reply::closed());
    problem(
        &fault(&format!("http: {}", backend.url())).await,
        502,
        "backend.connection_lost",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_nonsense() {
    let backend = Backend::raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc");
    problem(
        &fault(&format!("http: {}", backend.url())).await,
        502,
        "backend.bad_reply",
    );
}

/// The head has been sent when the backend dies: the client must see a broken reply, never a short one.
fn broken(reply: Reply) {
    let backend = Backend::replying(reply);
    let gateway = Gateway::start(api(&format!("http: {}", backend.url())).as_str(), &[]);
    let mut client = RawClient::connect(gateway.url("http"));
    client.send("GET /a HTTP/1.1\r\nHost: gateway\r\n\r\n").unwrap();
    let reply = String::from_utf8_lossy(&client.read_rest()).into_owned();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply:.200}");
    assert!(!reply.ends_with("0\r\n\r\n"), "the reply looks complete");
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(body.len() < 100_000, "the whole body arrived: {head}");
}

#[test]
fn a_backend_that_dies_in_the_middle_of_a_body_of_known_length() {
    broken(Reply::status(200).generated(100_000).closes_after(50_000));
}

#[test]
fn a_backend_that_dies_in_the_middle_of_a_chunked_body() {
    broken(
        Reply::status(200)
            .generated(100_000)
            .chunked()
            .resets_after(50_000),
    );
}

#[test]
fn a_backend_that_half_closes_in_the_middle_of_a_body() {
    broken(Reply::status(200).generated(100_000).half_closes_after(50_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_dies_while_a_step_reads_the_body() {
    let backend = Backend::replying(Reply::ok("application/json", vec![b' '; 100_000]).closes_after(50_000));
    let project = format!(
        "apis:\n  a:\n    context: /a\n    routes:\n      GET /:\n        - call: {}\n        - log: ${{payload.x}}\n        - respond\n",
        backend.url()
    );
    let gateway = Gateway::start(project.as_str(), &[]);
    problem(
        &get(&format!("{}/a", gateway.url("http"))).await,
        502,
        "backend.incomplete_body",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_rendered_as_the_client_speaks() {
    let gateway = Gateway::start(api(&format!("http: {}", refused_url())).as_str(), &[]);
    let url = gateway.url("http");
    let ask = |headers: &str, body: &str| {
        let mut client = RawClient::connect(url);
        let length = body.len();
        client
            .send(format!(
                "POST /a HTTP/1.1\r\nHost: g\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
            ))
            .unwrap();
        client.read_reply().expect("an answer")
    };
    let soap11 = ask("Content-Type: text/xml\r\nSOAPAction: \"x\"\r\n", "<a/>");
    assert_eq!(soap11.status, 500);
    assert!(
        soap11
            .text()
            .contains("http://schemas.xmlsoap.org/soap/envelope/"),
        "{}",
        soap11.text()
    );
    assert!(soap11.text().contains("backend.connect"), "{}", soap11.text());
    let soap12 = ask("Content-Type: application/soap+xml\r\n", "<a/>");
    assert_eq!(soap12.status, 500);
    assert!(
        soap12.text().contains("http://www.w3.org/2003/05/soap-envelope"),
        "{}",
        soap12.text()
    );
    let xml = ask("Accept: application/xml\r\n", "");
    assert_eq!(xml.status, 502);
    assert!(xml.text().contains("urn:ietf:rfc:7807"), "{}", xml.text());
    let text = ask("Accept: text/plain\r\n", "");
    assert!(text.text().starts_with("backend.connect: "), "{}", text.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_while_it_streams() {
    let backend = Backend::echo();
    let gateway = Gateway::start(
        api(&format!("http: {}", backend.url())).as_str(),
        &["settings.limits.body=1KiB"],
    );
    let answer = mediary_tests::post(
        &format!("{}/a", gateway.url("http")),
        "text/plain",
        vec![b'x'; 5000],
    )
    .await;
    problem(&answer, 413, "client.body_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_caught_and_the_exchange_goes_on() {
    let project = format!(
        "apis:\n  a:\n    context: /a\n    routes:\n      GET /caught:\n        - try:\n            steps: [{{ call: \"{dead}\" }}]\n            catch: [{{ on: [backend.connect], steps: [{{ set: {{ vars.why: \"${{fault.code}}\" }} }}] }}]\n        - payload: {{ json: {{ why: \"${{vars.why}}\" }} }}\n        - respond\n      GET /handled:\n        steps: [{{ call: \"{dead}\" }}]\n        on_fault: [{{ payload: {{ json: {{ code: \"${{fault.code}}\" }} }} }}, {{ set: {{ status: 418 }} }}]\n",
        dead = refused_url()
    );
    let gateway = Gateway::start(project.as_str(), &[]);
    let base = gateway.url("http");
    let caught = get(&format!("{base}/a/caught")).await.expect_status(200);
    assert_eq!(caught.json(), json!({"why": "backend.connect"}));
    let handled = get(&format!("{base}/a/handled")).await.expect_status(418);
    assert_eq!(handled.json(), json!({"code": "backend.connect"}));
}
