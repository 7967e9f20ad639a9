//! Settings of a listener as the server uses them. A reload replaces them for the next request of every connection.

use crate::http::edge::path::EncodedSlashes;
use crate::http::edge::trust::TrustList;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a listener.
#[derive(Clone)]
pub struct ServerSettings {
    /// The name in the configuration.
    pub name: Arc<str>,
    /// Largest head of a request.
    pub header_bytes: usize,
    /// Most header fields; at most 256.
    pub header_count: usize,
    /// Most connections at once.
    pub connections: usize,
    /// Most time for a head, from its first byte.
    pub header_timeout: Duration,
    /// Most time a connection is kept without a request.
    pub idle_timeout: Duration,
    /// Most time in which a body must make progress, either way.
    pub body_timeout: Duration,
    /// Most streams at once on one HTTP/2 connection.
    pub streams: u32,
    /// Whether every client's correlation id is taken over, not only a trusted one's.
    pub accept_correlation_id: bool,
    /// The name in the `via` header; none sends no such header.
    pub via: Option<String>,
    /// TLS, which HTTPS listeners have.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) trusted: TrustList,
    pub(crate) encoded_slashes: EncodedSlashes,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            name: "http".into(),
            header_bytes: 64 << 10,
            header_count: 100,
            connections: 10_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            streams: 200,
            accept_correlation_id: false,
            via: None,
            tls: None,
            trusted: TrustList::default(),
            encoded_slashes: EncodedSlashes::Refuse,
        }
    }
}
