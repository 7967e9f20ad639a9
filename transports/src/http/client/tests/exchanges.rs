//! What passes through.

use crate::http::testing::{Backend, TestGateway, finish};

const GET: &str = "GET / HTTP/1.1\r\nHost: gate\r\n\r\n";

#[test]
fn a_pass_through_hands_on_what_the_client_sent_and_the_backend_answered() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&format!(
        "proxies:\n  p: {{ from: {{ http: /in }}, to: \"http://{}/out?k=v\" }}\n",
        backend.address
    ));
    let mut client = gateway.connect();
    client.send("PUT /in/a/%7Eb?x=y HTTP/1.1\r\nHost: gate\r\nAuthorization: Basic eA==\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Own: 2\r\nContent-Length: 3\r\n\r\nabc");
    let mut upstream = backend.accept();
    let head = upstream.head();
    assert!(head.starts_with("PUT /out/a/~b?k=v&x=y HTTP/1.1\r\n"), "{head}");
    assert_eq!(upstream.body(&head, 0), (b"abc".to_vec(), true));
    let has = |line: &str| head.lines().any(|found| found == line);
    assert!(
        has(&format!("host: {}", backend.address)) && has("authorization: Basic eA==") && has("x-own: 2"),
        "{head}"
    );
    assert!(
        has("x-forwarded-host: gate") && has("x-forwarded-for: 127.0.0.1") && has("content-length: 3"),
        "{head}"
    );
    assert!(!head.contains("x-hop") && !head.contains("connection"), "{head}");
    assert!(
        head.contains("traceparent: 00-") && head.contains("x-correlation-id: "),
        "{head}"
    );
    assert!(
        has(&format!("user-agent: mediary/{}", env!("CARGO_PKG_VERSION"))),
        "{head}"
    );
    upstream.send("HTTP/1.1 201 Created\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nok");
    let reply = client.reply();
    assert_eq!((reply.status, reply.text()), (201, "ok"));
    assert!(
        reply.head.contains("set-cookie: a\r\nset-cookie: b\r\n") && !reply.head.contains("keep-alive"),
        "{}",
        reply.head
    );
}

#[test]
fn connections_are_used_again() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    client.send(GET);
    let mut upstream = backend.accept();
    let replies = [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n5",
    ];
    let mut bodies = Vec::new();
    for reply in replies {
        upstream.head();
        upstream.send(reply);
        bodies.push(client.reply().text().to_owned());
        client.send(GET);
    }
    assert_eq!(bodies, ["1", "2", "", "4", "5"]);
    assert!(backend.nobody_else());
}

#[test]
fn a_connection_that_the_backend_closed_is_replaced_at_once() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        let mut upstream = backend.accept();
        let head = upstream.head();
        assert_eq!(upstream.body(&head, 0).0, b"x");
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
        assert_eq!(client.reply().status, 200);
        finish(&upstream);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_repeatable_request_survives_a_connection_that_closes_under_it() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    client.send(GET);
    let mut first = backend.accept();
    first.head();
    first.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    client.reply();
    client.send(GET);
    first.head();
    drop(first);
    let mut second = backend.accept();
    second.head();
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    assert_eq!(client.reply().text(), "2");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    second.head();
    drop(second);
    let reply = client.reply();
    assert_eq!(reply.status, 502, "a POST is not sent twice");
    assert!(
        reply.text().starts_with("backend.connection_lost"),
        "{}",
        reply.text()
    );
    assert!(backend.nobody_else());
}

#[test]
fn bodies_without_a_length_stream_both_ways_with_trailers() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: x-up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    let mut upstream = backend.accept();
    let head = upstream.head();
    assert!(
        head.contains("transfer-encoding: chunked")
            && head.contains("te: trailers")
            && head.contains("connection: te"),
        "{head}"
    );
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n");
    let reply_head = client.head();
    client.send("1\r\nc\r\n0\r\nX-Up: 1\r\n\r\n");
    assert_eq!(upstream.body(&head, 0), (b"abcx-up: 1\r\n".to_vec(), true));
    upstream.send("2\r\nBC\r\n0\r\nX-Down: 2\r\n\r\n");
    assert_eq!(
        client.body(&reply_head, 200),
        (b"ABCx-down: 2\r\n".to_vec(), true)
    );
}

#[test]
fn a_body_that_ends_with_the_connection_is_complete() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    client.send(GET);
    let mut upstream = backend.accept();
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    finish(&upstream);
    let reply = client.reply();
    assert_eq!(
        (reply.text(), reply.complete, reply.header("transfer-encoding")),
        ("until the end", true, Some("chunked"))
    );
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut upstream = backend.accept();
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let reply = client.reply();
    assert_eq!(
        (reply.text(), reply.header("transfer-encoding")),
        ("abc", None),
        "HTTP/1.0 knows no chunks"
    );
}

#[test]
fn head_keeps_the_length_it_tells() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = backend.accept();
    assert!(upstream.head().starts_with("HEAD "));
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    assert!(client.head().contains("content-length: 12345"));
    client.send(GET);
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.reply().text(), "ok");
}

#[test]
fn an_expectation_goes_through_to_the_backend() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let request = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let mut client = gateway.connect();
    client.send(request);
    let mut upstream = backend.accept();
    let head = upstream.head();
    assert!(head.contains("expect: 100-continue"), "{head}");
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    assert_eq!(upstream.body(&head, 0).0, b"body");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.reply().status, 200);
    client.send(request);
    upstream.head();
    upstream.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    let reply = client.reply();
    assert_eq!(
        (reply.status, reply.text(), reply.header("connection")),
        (401, "no", Some("close"))
    );
}

#[test]
fn a_backend_may_answer_before_it_has_read_everything() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome");
    let mut upstream = backend.accept();
    upstream.head();
    upstream.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    assert_eq!((client.reply().text(), client.closes()), ("no", true));
}
