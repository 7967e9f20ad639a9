//! Large bodies and slow readers: memory stays bounded, and nothing waits for what is not needed.

use crate::http::testing::{Backend, TestGateway};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[test]
fn a_slow_reader_slows_the_sender_down() {
    let settings = "settings: { listeners: { http: { port: 0, address: 127.0.0.1 } }, management: { port: 0 }, limits: { body: 1GiB } }\n";
    let backend = Backend::start();
    let gateway = TestGateway::start(&format!("{settings}{}", backend.proxy()));
    let mut client = gateway.connect();
    const TOTAL: u64 = 256 << 20;
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {TOTAL}\r\n\r\n"
    ));
    let upstream = backend.accept();
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let mut writing = client.stream.try_clone().unwrap();
        let sender = scope.spawn(|| {
            let piece = vec![b'x'; 1 << 20];
            let mut left = TOTAL;
            while left > 0 {
                writing.write_all(&piece).unwrap();
                left -= piece.len() as u64;
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            writing
        });
        // Nothing is read at the backend: the sender has to stand still once all socket buffers are full.
        let mut before = u64::MAX;
        while before != sent.load(Ordering::Relaxed) {
            before = sent.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(200));
        }
        assert!(
            before < 64 << 20,
            "{before} bytes were taken though nobody reads them"
        );
        let mut upstream = upstream;
        let head = upstream.head();
        assert!(head.contains(&format!("content-length: {TOTAL}")));
        let mut space = vec![0; 1 << 20];
        let mut received = upstream.pending() as u64;
        while received < TOTAL {
            received += upstream.stream.read(&mut space).unwrap() as u64;
        }
        assert_eq!(received, TOTAL);
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {TOTAL}\r\n\r\n"));
        let mut writing = upstream.stream.try_clone().unwrap();
        let answer = scope.spawn(move || {
            let piece = vec![b'y'; 1 << 20];
            (0..TOTAL >> 20)
                .try_for_each(|_| writing.write_all(&piece))
                .unwrap();
        });
        drop(sender.join().unwrap());
        client.head();
        let mut received = client.pending() as u64;
        while received < TOTAL {
            received += client.stream.read(&mut space).unwrap() as u64;
        }
        answer.join().unwrap();
        assert_eq!(received, TOTAL);
    });
}
