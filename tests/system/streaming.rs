//! Large bodies stream: a gibibyte in both directions, in a gateway that stays small.

use mediary_tests::{Backend, Gateway, RawClient, Reply};

const SIZE: u64 = 1 << 30;
const MEMORY_MAX: u64 = 64 << 20;

fn gateway(backend: &Backend) -> Gateway {
    let project = format!(
        "proxies:\n  a:\n    from: {{ http: /a }}\n    timeout: 5m\n    to: {}\n",
        backend.url()
    );
    Gateway::start(project.as_str(), &["settings.limits.body=2GiB"])
}

#[test]
fn a_gibibyte_comes_down_in_little_memory() {
    let backend = Backend::replying(Reply::status(200).generated(SIZE));
    let gateway = gateway(&backend);
    let mut client = RawClient::connect(gateway.url("http"));
    client
        .send("GET /a HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")
        .unwrap();
    let received = client.count_rest();
    assert!(received > SIZE, "only {received} bytes of head and body arrived");
    let peak = gateway.memory().peak_bytes;
    assert!(peak < MEMORY_MAX, "the gateway grew to {peak} bytes");
}

#[test]
fn a_gibibyte_goes_up_in_little_memory() {
    let backend = Backend::start(|request| Reply::ok("text/plain", request.body_length.to_string()));
    let gateway = gateway(&backend);
    let mut client = RawClient::connect(gateway.url("http"));
    client
        .send(format!(
            "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: {SIZE}\r\n\r\n"
        ))
        .unwrap();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..SIZE / (1 << 20) {
        client.send(&block).unwrap();
    }
    let reply = client.read_reply().expect("an answer");
    assert_eq!((reply.status, reply.text()), (200, SIZE.to_string()));
    let peak = gateway.memory().peak_bytes;
    assert!(peak < MEMORY_MAX, "the gateway grew to {peak} bytes");
}
