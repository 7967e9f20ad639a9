//! What well-behaved clients see.

use crate::http::testing::{ECHO, TestGateway};

#[test]
fn requests_are_answered_and_the_connection_is_kept() {
    let gateway = TestGateway::start(ECHO);
    let mut client = gateway.connect();
    for path in ["/", "/a/b?c=d", "/a/%7euser/../x"] {
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: Gate.example\r\nContent-Length: 5\r\n\r\nhello"
        ));
        let reply = client.reply();
        assert_eq!((reply.status, reply.text(), reply.complete), (200, "hello", true));
        assert!(reply.header("date").is_some());
        assert_eq!(reply.header("connection"), None);
        assert_eq!(reply.header("content-length"), Some("5"));
        assert_eq!(reply.header("x-correlation-id").unwrap().len(), 36);
        let seen = reply.header("x-seen").unwrap();
        let path = if path.contains("%7e") { "/a/x" } else { path };
        assert_eq!(seen, format!("POST {path} gate.example"));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let gateway = TestGateway::start(ECHO);
    let mut client = gateway.connect();
    client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nAGET /2 HTTP/1.1\r\nHost: a\r\n\r\nPOST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nC\r\n0\r\n\r\n");
    for (path, body) in [("POST /1 a", "A"), ("GET /2 a", ""), ("POST /3 a", "C")] {
        let reply = client.reply();
        assert_eq!((reply.header("x-seen"), reply.text()), (Some(path), body));
    }
}

#[test]
fn bodies_arrive_in_pieces_and_stream_back() {
    let gateway = TestGateway::start(ECHO);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3\r\nabc\r\n");
    let head = client.head();
    assert!(
        head.contains("transfer-encoding: chunked"),
        "the reply begins before the request ends: {head}"
    );
    client.send("4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n");
    assert_eq!(client.body(&head, 200), (b"abcdefgx-sum: 7\r\n".to_vec(), true));
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n{}",
        "x".repeat(300_000)
    ));
    let reply = client.reply();
    assert_eq!(
        (reply.body.len(), reply.header("content-length")),
        (300_000, Some("300000"))
    );
}

#[test]
fn a_client_that_waits_for_100_is_told_when_its_body_is_read() {
    let gateway = TestGateway::start(ECHO);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ok");
    assert_eq!(client.reply().text(), "ok");
    let missing = TestGateway::start("proxies:\n  a: { from: { http: /a }, steps: [ echo ] }\n");
    let reply =
        missing.request("POST /b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!((reply.status, reply.header("connection")), (404, Some("close")));
    let reply = gateway.request("POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(reply.status, 417);
}

#[test]
fn head_and_empty_statuses_have_no_body() {
    let yaml = "proxies:\n  a: { from: { http: / }, steps: [ echo ] }\n  b: { from: { http: /none }, steps: [ echo: 204 ] }\n  c: { from: { http: /old }, steps: [ echo: 304 ] }\n";
    let gateway = TestGateway::start(yaml);
    let mut client = gateway.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert!(client.head().contains("content-length: 3\r\n"));
    client.send("POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    let head = client.head();
    assert!(
        head.starts_with("HTTP/1.1 204 No Content\r\n") && !head.contains("content-length"),
        "{head}"
    );
    client.send("POST /old HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert!(client.head().starts_with("HTTP/1.1 304 "));
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.reply().status, 200);
}

#[test]
fn http_1_0_closes_unless_asked_not_to() {
    let gateway = TestGateway::start(ECHO);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi");
    let reply = client.reply();
    assert_eq!(
        (reply.text(), reply.header("connection")),
        ("hi", Some("keep-alive"))
    );
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.reply().header("connection"), Some("close"));
    assert!(client.closes());
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n");
    assert_eq!(client.reply().header("connection"), Some("close"));
    assert!(client.closes());
}

#[test]
fn ids_and_origins_are_believed_from_trusted_peers_only() {
    let headers =
        "X-Correlation-Id: mine\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: x-hop\r\nX-Hop: 1\r\nTE: gzip\r\n";
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    let reply = TestGateway::start(ECHO).request(&request);
    assert_ne!(reply.header("x-correlation-id"), Some("mine"));
    assert_eq!(reply.header("x-client"), Some("127.0.0.1"));
    assert_eq!((reply.header("x-hop"), reply.header("te")), (None, None));
    let settings = "settings: { listeners: { http: { port: 0, address: 127.0.0.1, trusted_proxies: [127.0.0.0/8], via: gate } }, management: { port: 0 } }\n";
    let reply = TestGateway::start(&format!("{settings}{ECHO}")).request(&request);
    assert_eq!(reply.header("x-correlation-id"), Some("mine"));
    assert_eq!(reply.header("x-client"), Some("1.2.3.4"));
    assert_eq!(reply.header("via"), Some("1.1 gate"));
}

#[test]
fn the_management_port_tells_health_and_metrics() {
    let yaml =
        "settings: { listeners: { http: { port: 0, address: 127.0.0.1 } }, management: { port: 0 } }\n";
    let gateway = TestGateway::start(&format!("{yaml}{ECHO}"));
    let bound = gateway.block_on(gateway.gateway.bind()).unwrap();
    let url = &bound
        .iter()
        .find(|listener| &*listener.name == "management")
        .unwrap()
        .url;
    let mut client =
        crate::http::testing::Raw::connect(url.strip_prefix("http://").unwrap().parse().unwrap());
    client.send("GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.reply().text(), "ready\n");
    client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.reply().text().contains("mediary_connections 1"));
}
