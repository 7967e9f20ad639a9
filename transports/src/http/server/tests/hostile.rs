//! What hostile and broken clients see: requests that two readers could understand differently are refused, and the connection ends.

use crate::http::testing::{ECHO, TestGateway};
use std::time::Duration;

/// Requests with the status they are refused with. Behind each stands a second request, which must never be answered.
const REFUSED: &[(&str, u16)] = &[
    // Framing.
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nabcd",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -4\r\n\r\nabcd",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\nabcd",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4 4\r\n\r\nabcd",
        400,
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
        413,
    ),
    // Chunks. The handler reads the body, so that the fault reaches the client.
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        400,
    ),
    // Hosts.
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400),
    ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    // Lines and fields.
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: b\rC: d\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: b\x07c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA(b: c\r\n\r\n", 400),
    // Request lines and targets.
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /\r\nHost: a\r\n\r\n", 400),
    ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /../a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a/%2e%2e/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a%5cb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a%0d%0aX:%20y HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /%c0%af HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
];

#[test]
fn ambiguous_requests_are_refused_and_end_the_connection() {
    let gateway =
        TestGateway::start("proxies:\n  a: { from: { http: / }, steps: [ echo: { buffer: true } ] }\n");
    for (request, status) in REFUSED {
        let mut client = gateway.connect();
        client.send(request);
        client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let reply = client.reply();
        assert_eq!(
            (reply.status, reply.header("connection")),
            (*status, Some("close")),
            "{request:?}: {reply:?}"
        );
        assert!(reply.complete && !reply.body.is_empty(), "{request:?}");
        assert!(client.closes(), "the connection stays open after {request:?}");
    }
    assert!(REFUSED.len() >= 40);
}

#[test]
fn what_is_unusual_but_unambiguous_is_served() {
    let gateway = TestGateway::start(ECHO);
    for (request, seen) in [
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / a"),
        ("GET http://A:80/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x a:80"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
            "POST / a",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "POST / a",
        ),
        (
            "GET /a//b;c?d=%2F HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            "GET /a//b;c?d=%2F [::1]:80",
        ),
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "BREW / a"),
    ] {
        let reply = gateway.request(request);
        assert_eq!(
            (reply.status, reply.header("x-seen")),
            (200, Some(seen)),
            "{request:?}"
        );
    }
}

#[test]
fn heads_have_limits() {
    let gateway = TestGateway::start(ECHO);
    let many = (0..101)
        .map(|index| format!("a{index}: b\r\n"))
        .collect::<String>();
    assert_eq!(
        gateway
            .request(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"))
            .status,
        431
    );
    let long = "x".repeat(70_000);
    assert_eq!(
        gateway
            .request(format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n"))
            .status,
        431
    );
    assert_eq!(
        gateway
            .request(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .status,
        431
    );
    let fits = "x".repeat(60_000);
    assert_eq!(
        gateway
            .request(format!("GET / HTTP/1.1\r\nHost: a\r\nA: {fits}\r\n\r\n"))
            .status,
        200
    );
}

#[test]
fn bodies_have_limits_whether_announced_or_not() {
    let settings = "settings: { listeners: { http: { port: 0, address: 127.0.0.1 } }, management: { port: 0 }, limits: { body: 1KiB } }\n";
    let gateway = TestGateway::start(&format!(
        "{settings}proxies:\n  a: {{ from: {{ http: / }}, steps: [ echo: {{ buffer: true }} ] }}\n"
    ));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1025\r\n\r\n");
    let reply = client.reply();
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    let reply = gateway.request(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}{chunk}0\r\n\r\n"
    ));
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    let reply = gateway.request(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    ));
    assert_eq!((reply.status, reply.body.len()), (200, 1024));
}

#[test]
fn slow_clients_are_told_and_let_go() {
    let listener =
        "{ port: 0, address: 127.0.0.1, header_timeout: 150ms, idle_timeout: 150ms, body_timeout: 150ms }";
    let settings = format!("settings: {{ listeners: {{ http: {listener} }}, management: {{ port: 0 }} }}\n");
    let gateway = TestGateway::start(&format!(
        "{settings}proxies:\n  a: {{ from: {{ http: / }}, steps: [ echo: {{ buffer: true }} ] }}\n"
    ));
    assert!(
        gateway.connect().closes(),
        "an idle connection ends without a word"
    );
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    assert_eq!(client.reply().status, 408);
    assert!(client.closes());
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    let reply = client.reply();
    assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
    let started = std::time::Instant::now();
    let mut client = gateway.connect();
    for byte in "GET / HTTP/1.1\r\nHost: slowloris\r\n".bytes() {
        client.send([byte]);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.reply().status, 408);
    assert!(started.elapsed() < Duration::from_secs(5));
}
