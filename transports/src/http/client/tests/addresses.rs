//! Where messages go.

use crate::http::testing::{Backend, TestGateway};

/// The request line that a backend sees for a request to an endpoint with this URL below the backend's address.
fn target(url: &str, request: &str) -> String {
    let backend = Backend::start();
    let url = url.replace("BACKEND", &backend.address.to_string());
    let yaml = format!(
        "endpoints:\n  e: {{ http: {{ url: {url:?}, preserve_host: true }} }}\nproxies:\n  p: {{ from: {{ http: /in }}, to: e }}\n"
    );
    let gateway = TestGateway::start(&yaml);
    let mut client = gateway.connect();
    client.send(format!("{request} HTTP/1.1\r\nHost: the.client\r\n\r\n"));
    let head = backend.accept().head();
    assert!(head.contains("host: the.client\r\n"), "{head}");
    head.lines().next().unwrap().to_owned()
}

#[test]
fn urls_are_filled_in_and_extended() {
    for (url, request, expected) in [
        ("http://BACKEND", "GET /in", "GET / HTTP/1.1"),
        ("http://BACKEND/", "GET /in/", "GET / HTTP/1.1"),
        (
            "http://BACKEND/app",
            "DELETE /in/x/y?q",
            "DELETE /app/x/y?q HTTP/1.1",
        ),
        ("http://BACKEND/app/", "GET /in/x", "GET /app/x HTTP/1.1"),
        (
            "http://BACKEND/a{?q}",
            "GET /in?q=b%20c",
            "GET /a?q=b%20c&q=b%20c HTTP/1.1",
        ),
        (
            "http://BACKEND/a/${query.q}",
            "GET /in?q=b/c",
            "GET /a/b%2Fc?q=b/c HTTP/1.1",
        ),
        (
            "http://BACKEND/a/${query.q}/{q}",
            "GET /in?q=%7B",
            "GET /a/%7B/%7B?q=%7B HTTP/1.1",
        ),
    ] {
        assert_eq!(target(url, request), expected, "{url}");
    }
}

#[test]
fn a_variable_without_a_value_is_a_fault() {
    let gateway =
        TestGateway::start("proxies:\n  p: { from: { http: / }, to: \"http://127.0.0.1:1/{nothing}\" }\n");
    let reply = gateway.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(reply.status, 500);
    assert!(reply.text().starts_with("gateway.expression"), "{}", reply.text());
}
