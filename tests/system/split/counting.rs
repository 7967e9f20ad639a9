//! Helper: A backend that keeps nothing: it compares each body with the rows that have to come next.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The backend. Its thread ends with the test process.
pub(super) struct Counting {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    header: &'static str,
    row: fn(u64) -> String,
    rows: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Counting {
    /// Expects documents of this header and the rows of this function, in order.
    pub(super) fn start(header: &'static str, row: fn(u64) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            header,
            row,
            rows: AtomicU64::new(0),
            problem: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(&connection, &shared));
            }
        });
        Self { shared, port }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many rows came.
    pub(super) fn rows(&self) -> u64 {
        self.shared.rows.load(Ordering::SeqCst)
    }

    /// What came that should not have.
    pub(super) fn problem(&self) -> Option<String> {
        self.shared.problem.lock().unwrap().clone()
    }
}

fn serve(connection: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::with_capacity(256 << 10, connection);
    while let Some(body) = request(&mut reader) {
        shared.check(&body);
        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        if (&*connection).write_all(reply).is_err() {
            return;
        }
    }
}

/// The body of the next request.
fn request(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

impl Shared {
    fn check(&self, body: &[u8]) {
        let first = self.rows.load(Ordering::SeqCst);
        let Some(mut rest) = body.strip_prefix(self.header.as_bytes()) else {
            return self.note(format!("no header at row {first}"));
        };
        let mut number = first;
        while !rest.is_empty() {
            match rest.strip_prefix((self.row)(number).as_bytes()) {
                Some(more) => rest = more,
                None => {
                    return self.note(format!(
                        "row {number} is another one: {}",
                        String::from_utf8_lossy(&rest[..rest.len().min(40)])
                    ));
                }
            }
            number += 1;
        }
        self.rows.store(number, Ordering::SeqCst);
    }

    fn note(&self, problem: String) {
        self.problem.lock().unwrap().get_or_insert(problem);
    }
}
