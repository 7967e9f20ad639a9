//! The fixtures do what they claim. A backend that was meant to break and does not would make every fault
//! test pass for nothing.

mod amqp;
mod files;
mod services;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use mediary_tests::{Backend, Client, RawClient, Reply, TestServer, certificates, get, post, refused_url};
use serde_json::json;
use std::time::{Duration, Instant};

fn request(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).expect("a valid URL")
}

#[tokio::test]
async fn a_backend_records_and_echoes() {
    let backend = Backend::echo();
    let answer = post(
        &format!("{}/a%20b?c=d", backend.url()),
        "application/json",
        r#"{"n":1.10}"#,
    )
    .await;
    assert_eq!(answer.expect_status(200).text(), r#"{"n":1.10}"#);
    let recorded = backend.request();
    assert_eq!(
        (recorded.method.as_str(), recorded.path.as_str()),
        ("POST", "/a%20b?c=d")
    );
    assert_eq!(recorded.header("content-type"), "application/json");
    assert_eq!(
        (recorded.text().as_str(), recorded.body_length),
        (r#"{"n":1.10}"#, 10)
    );
    assert!(recorded.complete);
}

#[tokio::test]
async fn a_script_runs_in_order_and_repeats_its_end() {
    let backend = Backend::script(vec![Reply::status(503), Reply::json(&json!({"ok": true}))]);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(get(&backend.url()).await.status);
    }
    assert_eq!(statuses, [503, 200, 200]);
    assert_eq!(backend.wait_for_requests(3).len(), 3);
}

#[tokio::test]
async fn http2_and_tls_share_the_port() {
    let certificates = certificates();
    let backend = Backend::start_tls(certificates.server_config(), Reply::echo);
    for (client, version) in [
        (Client::new(), Version::HTTP_11),
        (Client::new().http2(), Version::HTTP_2),
    ] {
        let client = client.tls(certificates.client_config());
        assert_eq!(
            client.send(request(&backend.url())).await.unwrap().version,
            version
        );
    }
    let plain = Backend::echo();
    assert_eq!(
        Client::new()
            .http2()
            .send(request(&plain.url()))
            .await
            .unwrap()
            .version,
        Version::HTTP_2
    );
}

#[tokio::test]
async fn a_server_may_demand_a_client_certificate() {
    let certificates = certificates();
    let backend = Backend::start_tls(certificates.mutual_server_config(), Reply::echo);
    let nameless = Client::new().tls(certificates.client_config());
    assert!(nameless.send(request(&backend.url())).await.is_err());
    let known = Client::new().tls(certificates.mutual_client_config());
    assert_eq!(known.send(request(&backend.url())).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_kept_connection_is_reused() {
    let backend = Backend::echo();
    let mut connection = Client::new().connect(&backend.url()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(
            connection.send(request(&backend.url())).await.unwrap().status,
            200
        );
    }
    assert_eq!((backend.connections(), backend.open_connections()), (1, 1));
    assert!(backend.requests().iter().all(|request| request.connection == 1));
}

#[tokio::test]
async fn a_large_reply_is_generated_with_its_length() {
    let backend = Backend::replying(Reply::status(200).generated(50_000_000));
    let mut connection = Client::new().connect(&backend.url()).await.unwrap();
    let mut reply = connection.open(request(&backend.url())).await.unwrap();
    assert_eq!(reply.headers()["content-length"], "50000000");
    let mut received = 0;
    while let Some(frame) = reply.frame().await {
        received += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(received, 50_000_000);
}

#[test]
fn chunks_trailers_and_delay_arrive() {
    let delay = Duration::from_millis(60);
    let reply = Reply::ok("text/plain", "abcdef")
        .paced(2, Duration::from_millis(20))
        .trailer("x-sum", "6");
    let backend = Backend::replying(reply.delay(delay));
    let start = Instant::now();
    let mut client = RawClient::connect(&backend.url());
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n")
        .unwrap();
    let text = String::from_utf8(client.read_rest()).unwrap();
    assert!(start.elapsed() >= delay * 2, "too quick: {:?}", start.elapsed());
    let body = text.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body, "2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n0\r\nx-sum: 6\r\n\r\n");
}

#[test]
fn a_broken_reply_ends_where_it_should() {
    let whole = || Reply::ok("text/plain", "0123456789");
    let cut = "0123".to_owned();
    assert_eq!(broken_body(whole().closes_after(4)), (cut.clone(), Seen::End));
    assert_eq!(
        broken_body(whole().half_closes_after(4)),
        (cut.clone(), Seen::End)
    );
    assert_eq!(broken_body(whole().resets_after(4)), (cut.clone(), Seen::Reset));
    assert_eq!(broken_body(whole().hangs_after(4)), (cut, Seen::Nothing));
    assert_eq!(broken_body(Reply::closed()), (String::new(), Seen::End));
    assert_eq!(broken_body(Reply::reset()), (String::new(), Seen::Reset));
    assert_eq!(broken_body(Reply::never()), (String::new(), Seen::Nothing));
}

/// What a client sees after the last byte.
#[derive(Debug, PartialEq)]
enum Seen {
    End,
    Reset,
    Nothing,
}

/// The body that came and what came after it, seen with a plain socket.
fn broken_body(reply: Reply) -> (String, Seen) {
    use std::io::{ErrorKind, Read, Write};
    let backend = Backend::replying(reply);
    let mut stream = std::net::TcpStream::connect(backend.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    let seen = match stream.read_to_end(&mut bytes) {
        Ok(_) => Seen::End,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Seen::Reset,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            Seen::Nothing
        }
    };
    let text = String::from_utf8(bytes).unwrap();
    (
        text.split_once("\r\n\r\n")
            .map_or_else(String::new, |(_, body)| body.to_owned()),
        seen,
    )
}

#[test]
fn a_half_closed_connection_still_takes_bytes() {
    use std::io::{Read, Write};
    let backend = Backend::replying(Reply::ok("text/plain", "0123456789").half_closes_after(4));
    let mut stream = std::net::TcpStream::connect(backend.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    // On a closed connection the first write draws a reset, which the second one would see.
    for _ in 0..5 {
        stream.write_all(b"more").unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_backend_can_answer_before_it_reads_or_not_in_http() {
    let eager = Backend::eager(Reply::status(413));
    let mut client = RawClient::connect(&eager.url());
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        .unwrap();
    assert_eq!(client.read_reply().unwrap().status, 413);

    let raw = Backend::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc");
    assert!(Client::new().send(request(&raw.url())).await.is_err());
    assert!(Client::new().send(request(&refused_url())).await.is_err());
}

#[test]
fn the_raw_client_reads_pipelined_replies() {
    let backend = Backend::start(|request| match request.path.as_str() {
        "/chunked" => Reply::ok("text/plain", "one").chunked(),
        _ => Reply::ok("text/plain", "two"),
    });
    let mut client = RawClient::connect(&backend.url());
    client
        .send("GET /chunked HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(client.read_reply().unwrap().text(), "one");
    let second = client.read_reply().unwrap();
    assert_eq!(
        (second.text().as_str(), second.header("Content-Length")),
        ("two", Some("3"))
    );
    assert!(!client.is_closed_within(Duration::from_millis(50)));
    client.finish_sending();
    assert!(client.is_closed_within(Duration::from_secs(5)));
}

#[test]
fn a_request_cut_off_is_recorded_as_incomplete() {
    let backend = Backend::echo();
    let mut client = RawClient::connect(&backend.url());
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        .unwrap();
    drop(client);
    let recorded = &backend.wait_for_requests(1)[0];
    assert_eq!((recorded.complete, recorded.text().as_str()), (false, "abc"));
}

#[tokio::test]
async fn nginx_serves_as_a_backend() {
    let nginx = TestServer::nginx("location / { return 200 'from nginx'; }");
    assert_eq!(get(nginx.url()).await.expect_status(200).text(), "from nginx");
}
