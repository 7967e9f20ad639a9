//! Clients that send numbered messages by HTTP and remember which were accepted.
//!
//! Every try has a number of its own: what was refused, or never answered, is counted and not sent again, so that a message that arrives
//! twice was doubled by the gateway and by nobody else.

use super::ledger::body;
use http_body_util::Full;
use mediary_tests::{Answer, Client, Connection};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Connections at the same time.
pub(super) const CLIENTS: usize = 64;
/// The pause of a client after it was refused.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks at the counts.
const POLL: Duration = Duration::from_millis(5);

/// Clients at work on a thread of their own, until enough messages were accepted or the value is dropped.
pub(super) struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    url: Mutex<String>,
    bytes: usize,
    wanted: usize,
    next: AtomicUsize,
    under_way: AtomicUsize,
    stop: AtomicBool,
    accepted: Mutex<HashSet<usize>>,
    refusals: Mutex<BTreeMap<String, usize>>,
}

impl Load {
    /// Sends messages of so many bytes to `URL?name=NUMBER` until so many were accepted.
    pub(super) fn start(url: String, wanted: usize, bytes: usize) -> Self {
        let shared = Arc::new(Shared {
            url: Mutex::new(url),
            bytes,
            wanted,
            next: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            accepted: Mutex::default(),
            refusals: Mutex::default(),
        });
        let clients = Arc::clone(&shared);
        let thread = std::thread::spawn(move || run(&clients));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Sends to another address from now on.
    pub(super) fn turn_to(&self, url: String) {
        *self.shared.url.lock() = url;
    }

    /// How many messages were accepted.
    pub(super) fn accepted(&self) -> usize {
        self.shared.accepted.lock().len()
    }

    /// The numbers of the accepted messages.
    pub(super) fn numbers(&self) -> HashSet<usize> {
        self.shared.accepted.lock().clone()
    }

    /// What the others were answered: the code of the fault, or why there was no answer; and how often.
    pub(super) fn refusals(&self) -> BTreeMap<String, usize> {
        self.shared.refusals.lock().clone()
    }

    /// How many messages were not accepted.
    pub(super) fn refused(&self) -> usize {
        self.shared.refusals.lock().values().sum()
    }

    /// Waits until a count is reached; false when the time is up first.
    pub(super) fn reaches(&self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let started = Instant::now();
        while !done(self) {
            if started.elapsed() > limit {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// Waits until all that were wanted are accepted; false when the time is up first.
    pub(super) fn ends(&mut self, limit: Duration) -> bool {
        let wanted = self.shared.wanted;
        let all = self.reaches(limit, |load| load.accepted() >= wanted);
        self.stop();
        all
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Arc<Shared>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(client(Arc::clone(shared))))
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    });
}

/// One client with one connection, which it opens again when it was lost.
async fn client(shared: Arc<Shared>) {
    let mut connection: Option<(String, Connection)> = None;
    while !shared.stop.load(Ordering::Relaxed) {
        if !shared.begins() {
            tokio::time::sleep(POLL).await;
            continue;
        }
        let accepted = shared.send(&mut connection).await;
        shared.under_way.fetch_sub(1, Ordering::SeqCst);
        if !accepted {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Shared {
    /// Whether one more message is wanted.
    fn begins(&self) -> bool {
        let accepted = self.accepted.lock();
        let wanted = accepted.len() + self.under_way.load(Ordering::SeqCst) < self.wanted;
        if wanted {
            self.under_way.fetch_add(1, Ordering::SeqCst);
        }
        wanted
    }

    async fn send(&self, kept: &mut Option<(String, Connection)>) -> bool {
        let url = self.url.lock().clone();
        if kept
            .as_ref()
            .is_none_or(|(to, connection)| *to != url || connection.is_closed())
        {
            *kept = None;
            match Client::new().connect(&url).await {
                Ok(connection) => *kept = Some((url.clone(), connection)),
                Err(_) => return false,
            }
        }
        let Some((_, connection)) = kept else {
            return false;
        };
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let request = http::Request::post(format!("{url}?name={number:05}"))
            .header("content-type", "text/plain")
            .body(Full::<bytes::Bytes>::from(body(number, self.bytes)))
            .unwrap();
        let refusal = match connection.send(request).await {
            Ok(answer) if answer.status < 300 => {
                self.accepted.lock().insert(number);
                return true;
            }
            Ok(answer) => told(&answer),
            Err(_) => {
                *kept = None;
                "no answer".to_owned()
            }
        };
        *self.refusals.lock().entry(refusal).or_default() += 1;
        false
    }
}

/// The status and the code of the fault.
fn told(answer: &Answer) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    format!(
        "{} {}",
        answer.status,
        problem["code"].as_str().unwrap_or("without a code")
    )
}
