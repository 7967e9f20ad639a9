//! Connections come and go; listeners drain.

use crate::http::testing::{Backend, ECHO, TestGateway};
use std::time::{Duration, Instant};

#[test]
fn a_client_that_goes_away_ends_its_exchange() {
    let gateway =
        TestGateway::start("proxies:\n  a: { from: { http: / }, steps: [ echo: { wait: true } ] }\n");
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    gateway.until("an exchange in flight", |gateway| {
        gateway.metrics.in_flight.get() == 1
    });
    drop(client);
    gateway.until("no exchange in flight", |gateway| {
        gateway.metrics.in_flight.get() == 0
    });
    gateway.until("no connection", |gateway| gateway.metrics.connections.get() == 0);
}

#[test]
fn draining_closes_idle_connections_and_finishes_exchanges() {
    let backend = Backend::start();
    let gateway = TestGateway::start(&backend.proxy());
    let mut idle = gateway.connect();
    let mut busy = gateway.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = backend.accept();
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    let head = busy.head();
    gateway.until("both connections", |gateway| {
        gateway.metrics.connections.get() == 2
    });
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| gateway.drain());
        assert!(idle.closes());
        gateway.until("draining", engine::gateway::Gateway::draining);
        assert!(!drained.is_finished(), "a streaming body holds the drain up");
        upstream.send("def");
        assert_eq!(busy.body(&head, 200), (b"abcdef".to_vec(), true));
        assert!(busy.closes());
    });
    assert_eq!(gateway.gateway.metrics.connections.get(), 0);
    assert!(std::net::TcpStream::connect(gateway.address).is_err());
}

#[test]
fn what_does_not_finish_within_the_grace_time_is_closed() {
    let settings = "settings: { listeners: { http: { port: 0, address: 127.0.0.1 } }, management: { port: 0 }, shutdown_grace: 100ms }\n";
    let gateway = TestGateway::start(&format!(
        "{settings}proxies:\n  a: {{ from: {{ http: / }}, steps: [ echo: {{ wait: true }} ] }}\n"
    ));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    gateway.until("an exchange in flight", |gateway| {
        gateway.metrics.in_flight.get() == 1
    });
    let started = Instant::now();
    gateway.drain();
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(client.closes());
    assert_eq!(gateway.gateway.metrics.in_flight.get(), 0);
}

#[test]
fn connections_beyond_the_limit_wait() {
    let settings = "settings: { listeners: { http: { port: 0, address: 127.0.0.1, connections: 1 } }, management: { port: 0 } }\n";
    let gateway = TestGateway::start(&format!("{settings}{ECHO}"));
    let mut first = gateway.connect();
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    first.reply();
    let mut second = gateway.connect();
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    second
        .stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    assert!(std::io::Read::read(&mut &second.stream, &mut [0]).is_err());
    second
        .stream
        .set_read_timeout(Some(crate::http::testing::PATIENCE))
        .unwrap();
    drop(first);
    assert_eq!(second.reply().status, 200);
}

#[test]
fn every_worker_has_its_own_socket() {
    let gateway = TestGateway::start_in(ECHO, std::path::Path::new("."), 3);
    let replies = (0..24).map(|_| {
        gateway
            .request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .status
    });
    assert!(replies.eq([200; 24]));
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let gateway = TestGateway::start(ECHO);
    let yaml = format!(
        "settings: {{ listeners: {{ http: {{ port: {port}, address: 127.0.0.1 }} }}, management: {{ port: 0 }} }}\n{ECHO}"
    );
    let deployment = crate::http::testing::deployment(&yaml, std::path::Path::new("."));
    let fault = gateway.block_on(gateway.gateway.reload(deployment)).unwrap_err();
    assert!(fault.message().contains("cannot listen"), "{fault}");
    assert_eq!(gateway.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
}
