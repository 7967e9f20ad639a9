//! How backends fail, and what the client sees of it.

use crate::http::testing::{Backend, Reply, TestGateway};

const GET: &str = "GET / HTTP/1.1\r\nHost: gate\r\n\r\n";

/// What the client gets when the backend answers `bytes` and closes.
fn answered(bytes: &[u8]) -> Reply {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    client.send(GET);
    let mut upstream = backend.accept();
    upstream.head();
    upstream.send(bytes);
    drop(upstream);
    client.reply()
}

#[test]
fn replies_that_cannot_be_understood_are_faults() {
    let many: String = (0..300).map(|index| format!("a{index}: b\r\n")).collect();
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(100_000));
    for bytes in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b",
        &format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        &long,
        &"HTTP/1.1 102 Processing\r\n\r\n".repeat(40),
    ] {
        let reply = answered(bytes.as_bytes());
        let start = &bytes[..bytes.len().min(60)];
        assert_eq!(reply.status, 502, "{start:?}");
        assert!(
            reply.text().starts_with("backend.bad_reply"),
            "{start:?}: {}",
            reply.text()
        );
    }
    assert!(answered(b"").text().starts_with("backend.connection_lost"));
}

#[test]
fn a_body_that_breaks_off_never_looks_complete() {
    for (bytes, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "abc"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "abc",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            "abc",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX",
            "abc",
        ),
    ] {
        let reply = answered(bytes.as_bytes());
        assert_eq!((reply.status, reply.complete), (200, false), "{bytes:?}");
        assert!(
            body.as_bytes().starts_with(&reply.body),
            "{bytes:?}: {:?}",
            reply.body
        );
    }
    // Broken off before any byte of the body: a fault where the head has not left yet, else a reply that is incomplete.
    let reply = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    if reply.status == 502 {
        assert!(
            reply.text().starts_with("backend.incomplete_body"),
            "{}",
            reply.text()
        );
    } else {
        assert_eq!((reply.status, reply.complete, reply.body.len()), (200, false, 0));
    }
}

#[test]
fn an_http_1_0_client_sees_a_reset_when_its_body_breaks_off() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut upstream = backend.accept();
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.head();
    drop(upstream);
    let mut rest = Vec::new();
    let outcome = std::io::Read::read_to_end(&mut client.stream, &mut rest);
    assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_backend_that_is_not_there_or_too_slow_is_a_fault() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let gateway = TestGateway::start(&format!(
        "proxies:\n  p: {{ from: {{ http: / }}, to: \"http://{address}\" }}\n"
    ));
    let reply = gateway.request(GET);
    assert_eq!(reply.status, 502);
    assert!(reply.text().starts_with("backend.connect"), "{}", reply.text());
    let backend = Backend::start();
    let yaml = format!(
        "endpoints:\n  slow: {{ http: \"http://{}\", timeout: 100ms }}\nproxies:\n  p: {{ from: {{ http: / }}, to: slow }}\n",
        backend.address
    );
    let gateway = TestGateway::start(&yaml);
    let mut client = gateway.connect();
    client.send(GET);
    let mut upstream = backend.accept();
    upstream.head();
    let reply = client.reply();
    assert_eq!(reply.status, 504);
    assert!(reply.text().starts_with("backend.timeout"), "{}", reply.text());
    assert!(upstream.closes(), "the connection is not used again");
}

#[test]
fn a_client_that_goes_away_ends_the_call_to_the_backend() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    client.send(GET);
    let mut upstream = backend.accept();
    upstream.head();
    drop(client);
    assert!(upstream.closes());
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
    let mut upstream = backend.accept();
    upstream.head();
    drop(client);
    assert!(
        !upstream.body("POST\r\ncontent-length: 1000\r\n", 0).1,
        "half a request never looks complete"
    );
}

#[test]
fn a_half_sent_chunked_request_never_looks_complete() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut upstream = backend.accept();
    let head = upstream.head();
    client.send("nonsense\r\n");
    assert_eq!(client.reply().status, 400);
    assert_eq!(upstream.body(&head, 0), (b"abc".to_vec(), false));
}
