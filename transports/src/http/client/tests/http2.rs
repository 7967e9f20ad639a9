//! HTTP/2 on both sides, with TLS and without. Two gateways in a row: one is the other's backend.

use crate::http::testing::{Backend, TestGateway};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::Path;

/// A folder with `ca.pem`, and `NAME.pem` and `NAME.key` for each name.
fn certificates(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    for name in names {
        issue(folder.path(), name, name, &authority);
    }
    folder
}

fn issue(folder: &Path, file: &str, name: &str, authority: &CertifiedIssuer<'_, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, authority)
        .unwrap();
    std::fs::write(folder.join(format!("{file}.pem")), certificate.pem()).unwrap();
    std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
}

/// A gateway that echoes, over TLS where `tls` says how.
fn echo(tls: &str, folder: &Path) -> TestGateway {
    let settings = format!(
        "settings: {{ listeners: {{ http: {{ port: 0, address: 127.0.0.1 {tls} }} }}, management: {{ port: 0 }} }}\n"
    );
    let steps = "proxies:\n  echo: { from: { http: / }, steps: [ echo ] }\n  none: { from: { http: /none }, steps: [ echo: 204 ] }\n";
    TestGateway::start_in(&format!("{settings}{steps}"), folder, 1)
}

/// A gateway before a URL.
fn front(url: &str, settings: &str, folder: &Path) -> TestGateway {
    let listener = "settings:\n  listeners: { http: { port: 0, address: 127.0.0.1 } }\n  management: { port: 0 }\n  limits: { body: 1GiB }\n";
    let yaml = format!(
        "{listener}endpoints:\n  e: {{ http: {{ url: \"{url}\", {settings} }} }}\nproxies:\n  p: {{ from: {{ http: / }}, to: e }}\n"
    );
    TestGateway::start_in(&yaml, folder, 1)
}

const POST: &str = "POST /x HTTP/1.1\r\nHost: gate\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn http2_with_prior_knowledge_carries_requests_bodies_and_trailers() {
    let here = Path::new(".");
    let backend = echo("", here);
    let gateway = front(
        &format!("http://{}", backend.address),
        "http2: prior_knowledge",
        here,
    );
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send(POST);
        let reply = client.reply();
        assert_eq!((reply.status, reply.text()), (200, "hello"));
        assert_eq!(
            reply.header("x-seen"),
            Some(&*format!("POST /x {}", backend.address))
        );
    }
    assert_eq!(
        backend.gateway.metrics.connections.get(),
        1,
        "one connection carries all of them"
    );
    client.send("POST /x HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(client.reply().text(), "abx-sum: 1\r\n");
    client.send("HEAD /x HTTP/1.1\r\nHost: gate\r\nContent-Length: 5\r\n\r\nhello");
    assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    client.send("GET /none HTTP/1.1\r\nHost: gate\r\n\r\n");
    assert_eq!(client.reply().status, 204);
    let large = "z".repeat(3 << 20);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{large}",
        large.len()
    ));
    let reply = client.reply();
    assert!(reply.complete && reply.body == large.as_bytes());
}

#[test]
fn http2_refuses_what_http1_refuses() {
    let here = Path::new(".");
    let backend = echo("", here);
    let gateway = front(
        &format!("http://{}/%2e%2e%2f", backend.address),
        "http2: prior_knowledge",
        here,
    );
    assert_eq!(gateway.request(POST).status, 400);
    let gateway = front(
        &format!("http://{}", backend.address),
        "http2: prior_knowledge",
        here,
    );
    let long = "x".repeat(40_000);
    let reply = gateway.request(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\nB: {long}\r\n\r\n"
    ));
    assert_eq!(reply.status, 431);
}

#[test]
fn a_stream_that_breaks_off_never_looks_complete() {
    let here = Path::new(".");
    let origin = Backend::start();
    let middle = TestGateway::start(&origin.proxy());
    let gateway = front(
        &format!("http://{}", middle.address),
        "http2: prior_knowledge",
        here,
    );
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let head = client.head();
    drop(upstream);
    assert!(!client.body(&head, 200).1);
}

#[test]
fn tls_is_spoken_both_ways_and_http2_chosen_by_alpn() {
    let files = certificates(&["localhost"]);
    let backend = echo(
        ", tls: { certificate: localhost.pem, key: localhost.key }",
        files.path(),
    );
    let url = format!("https://localhost:{}", backend.address.port());
    for (settings, status) in [
        ("tls: { ca: ca.pem }", 200),
        ("tls: { ca: ca.pem }, http2: never", 200),
        ("tls: { ca: ca.pem }, http2: prior_knowledge", 200),
        ("tls: { insecure_skip_verify: true }", 200),
        ("tls: { ca: ca.pem, server_name: other.example }", 502),
        ("http2: never", 502),
    ] {
        let gateway = front(&url, settings, files.path());
        let mut client = gateway.connect();
        for _ in 0..2 {
            client.send(POST);
            let reply = client.reply();
            assert_eq!(reply.status, status, "{settings}: {}", reply.text());
            let expected = if status == 200 { "hello" } else { "backend.connect" };
            assert!(reply.text().starts_with(expected), "{settings}: {}", reply.text());
        }
        if status == 200 {
            let large = "z".repeat(3 << 20);
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{large}",
                large.len()
            ));
            assert!(client.reply().body == large.as_bytes(), "{settings}");
        }
    }
}

#[test]
fn certificates_are_chosen_by_name_and_replaced_at_a_reload() {
    let files = certificates(&["localhost", "other.example", "new.example"]);
    let tls = ", tls: { certificate: localhost.pem, key: localhost.key, certificates: [ { certificate: other.example.pem, key: other.example.key } ] }";
    let backend = echo(tls, files.path());
    let status = |name: &str| {
        let settings = format!("tls: {{ ca: ca.pem, server_name: {name} }}");
        front(
            &format!("https://localhost:{}", backend.address.port()),
            &settings,
            files.path(),
        )
        .request(POST)
        .status
    };
    assert_eq!(
        (
            status("localhost"),
            status("other.example"),
            status("new.example")
        ),
        (200, 200, 502)
    );
    for end in ["pem", "key"] {
        std::fs::copy(
            files.path().join(format!("new.example.{end}")),
            files.path().join(format!("other.example.{end}")),
        )
        .unwrap();
    }
    let yaml = format!(
        "settings: {{ listeners: {{ http: {{ port: 0, address: 127.0.0.1 {tls} }} }}, management: {{ port: 0 }} }}\nproxies:\n  echo: {{ from: {{ http: / }}, steps: [ echo ] }}\n"
    );
    backend.reload(&yaml, files.path());
    assert_eq!(
        (
            status("localhost"),
            status("other.example"),
            status("new.example")
        ),
        (200, 502, 200)
    );
}

#[test]
fn a_reload_can_turn_tls_on() {
    let files = certificates(&["localhost"]);
    let backend = echo("", files.path());
    let url = format!("localhost:{}", backend.address.port());
    assert_eq!(
        front(&format!("http://{url}"), "http2: never", files.path())
            .request(POST)
            .status,
        200
    );
    let tls = ", tls: { certificate: localhost.pem, key: localhost.key }";
    let yaml = format!(
        "settings: {{ listeners: {{ http: {{ port: 0, address: 127.0.0.1 {tls} }} }}, management: {{ port: 0 }} }}\nproxies:\n  echo: {{ from: {{ http: / }}, steps: [ echo ] }}\n"
    );
    backend.reload(&yaml, files.path());
    assert_eq!(
        front(&format!("https://{url}"), "tls: { ca: ca.pem }", files.path())
            .request(POST)
            .status,
        200
    );
}

#[test]
fn clients_can_be_made_to_show_a_certificate() {
    let files = certificates(&["localhost", "client"]);
    for (auth, without) in [("required", 502), ("optional", 200)] {
        let tls = format!(
            ", tls: {{ certificate: localhost.pem, key: localhost.key, client_ca: ca.pem, client_auth: {auth} }}"
        );
        let backend = echo(&tls, files.path());
        let url = format!("https://localhost:{}", backend.address.port());
        for (settings, status) in [
            ("certificate: client.pem, key: client.key", 200),
            ("server_name: localhost", without),
        ] {
            let gateway = front(&url, &format!("tls: {{ ca: ca.pem, {settings} }}"), files.path());
            assert_eq!(gateway.request(POST).status, status, "{auth}: {settings}");
        }
    }
}
