//! A broker that can be connected to, and the pauses between attempts. Holds the link that all senders to it share.

use super::connect::connect;
use super::sender::Link;
use arc_swap::ArcSwapOption;
use lapin::Connection;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// Most time for TCP, TLS and the handshake of AMQP together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Where a broker is and how to log in. Has no `Debug`: it holds the password.
pub(super) struct Broker {
    /// Distinguishes it from brokers with other settings. Shows no credentials.
    pub(super) key: String,
    /// `amqp://host:port/vhost`.
    pub(super) label: String,
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    link: ArcSwapOption<Link>,
    connecting: Mutex<Connecting>,
}

/// What is known of the last attempt to connect.
#[derive(Default)]
struct Connecting {
    backoff: Backoff,
    failed: Option<(String, Instant)>,
}

impl Broker {
    pub(super) fn new(key: String, uri: AMQPUri, tls: OwnedTLSConfig) -> Self {
        Self {
            key,
            label: label(&uri),
            uri,
            tls,
            link: ArcSwapOption::empty(),
            connecting: Mutex::default(),
        }
    }

    /// A new connection, whose I/O belongs to the runtime that this runs on.
    ///
    /// # Errors
    /// Why there is none, without credentials.
    pub(super) async fn connect(&self, name: &str) -> Result<Connection, String> {
        match timeout(CONNECT_TIMEOUT, connect(&self.uri, &self.tls, name)).await {
            Ok(connection) => connection.map_err(|problem| format!("{}: {problem}", self.label)),
            Err(_) => Err(format!("{}: no connection within 10 seconds", self.label)),
        }
    }

    /// The connection that senders share, made now where there is none. After a failure the next attempt waits a little;
    /// until then the failure is told again.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn link(self: &Arc<Self>) -> Result<Arc<Link>, String> {
        if let Some(link) = self.live_link() {
            return Ok(link);
        }
        let mut connecting = self.connecting.lock().await;
        if let Some(link) = self.live_link() {
            return Ok(link);
        }
        match &connecting.failed {
            Some((problem, until)) if Instant::now() < *until => return Err(problem.clone()),
            _ => {}
        }
        match self.connect("publisher").await {
            Ok(connection) => {
                *connecting = Connecting::default();
                let link = Arc::new(Link::new(connection));
                self.link.store(Some(Arc::clone(&link)));
                Ok(link)
            }
            Err(problem) => {
                let until = Instant::now() + connecting.backoff.next();
                connecting.failed = Some((problem.clone(), until));
                Err(problem)
            }
        }
    }

    fn live_link(&self) -> Option<Arc<Link>> {
        self.link.load_full().filter(|link| link.connected())
    }
}

fn label(uri: &AMQPUri) -> String {
    let vhost = percent_encoding::utf8_percent_encode(&uri.vhost, percent_encoding::NON_ALPHANUMERIC);
    let host = &uri.authority.host;
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    format!(
        "{}://{open}{host}{close}:{}/{vhost}",
        uri.scheme, uri.authority.port
    )
}

/// Pauses that double up to a limit, the half of each at random, so that not everybody comes back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    first: Duration,
    max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(PAUSE_MIN, PAUSE_MAX)
    }
}

impl Backoff {
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        Self {
            next: first.min(max),
            first,
            max,
        }
    }

    /// The pause before try number `attempts` + 1.
    pub(super) fn after(first: Duration, max: Duration, attempts: u64) -> Duration {
        let factor = 1_u32 << attempts.saturating_sub(1).min(20);
        jitter(first.saturating_mul(factor).min(max))
    }

    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.max);
        jitter(pause)
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first.min(self.max);
    }
}

fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut backoff = Backoff::new(first, max);
        for expected in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.next().as_millis();
            assert!(
                pause >= expected / 2 && pause <= expected,
                "{pause} of {expected}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= first);
        assert!(Backoff::after(first, max, u64::MAX) <= max);
        assert!(Backoff::after(first, max, 0) <= first);
    }

    #[test]
    fn a_label_shows_no_credentials() {
        let uri: AMQPUri = "amqp://me:secret@broker:5673/%2f".parse().unwrap();
        assert_eq!(label(&uri), "amqp://broker:5673/%2F");
        let mut uri = uri;
        uri.authority.host = "::1".to_owned();
        assert_eq!(label(&uri), "amqp://[::1]:5673/%2F");
    }
}
