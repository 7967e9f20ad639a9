//! `http: URL` of an endpoint.

use super::file;
use super::listener::report;
use crate::http::client::{Address, Braces, ClientSettings, Http2, HttpSender};
use crate::http::tls::{ClientTls, Identity, Verification, client_config};
use engine::build::{Build, Resource};
use engine::config::{Duration, Node, Spanned, Text};
use engine::expression::Escape;
use engine::transport::Sender;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Where an endpoint sends to over HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpSenderConfig {
    /// The URL. It may have variables in braces (RFC 6570: `/orders/{id}{?page}`), filled from the step's parameters, the exchange's
    /// variables and the client's path and query; and `${ ... }`, whose values are escaped unless the URL begins with one.
    pub url: Text,
    /// When HTTP/2 is spoken.
    #[serde(default)]
    pub http2: Http2Config,
    /// The TLS of `https` URLs. Without it the well-known authorities are trusted.
    #[serde(default)]
    pub tls: Option<ClientTlsConfig>,
    /// Most connections to a host at once, for each data-plane thread. More wait.
    #[serde(default = "connections_max")]
    #[schemars(range(min = 1))]
    pub connections_max: usize,
    /// How long an unused connection is kept.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: Duration,
    /// How long connecting may take, TLS included.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// Sends the host that the client asked for, not the URL's.
    #[serde(default)]
    pub preserve_host: bool,
}

fn connections_max() -> usize {
    1024
}

/// Shorter than what most servers allow, so that connections are seldom closed under a request.
fn idle_timeout() -> Duration {
    Duration::from_secs(30)
}

fn connect_timeout() -> Duration {
    Duration::from_secs(5)
}

/// When HTTP/2 is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Http2Config {
    /// Over TLS where the backend offers it.
    #[default]
    Auto,
    /// Always, also without TLS.
    PriorKnowledge,
    /// Never.
    Never,
}

/// The TLS of a client. Files are PEM.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClientTlsConfig {
    /// Authorities to trust beside the well-known ones.
    pub ca: Option<Spanned<String>>,
    /// The certificate to show, for backends that ask for one.
    pub certificate: Option<Spanned<String>>,
    /// Its private key.
    pub key: Option<Spanned<String>>,
    /// The name that the backend's certificate must have, where it is not the URL's host.
    pub server_name: Option<String>,
    /// Accepts any certificate. Only for tests: whoever is on the way can read and change everything.
    pub insecure_skip_verify: bool,
}

/// Builds the sender for an address.
pub(super) fn build(node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Sender>> {
    let config: HttpSenderConfig = cx.read_with_shorthand(node, "url")?;
    let address = address(&config.url, cx);
    let tls = tls(&config, cx)?;
    let settings = ClientSettings {
        http2: match config.http2 {
            Http2Config::Auto => Http2::Auto,
            Http2Config::PriorKnowledge => Http2::PriorKnowledge,
            Http2Config::Never => Http2::Never,
        },
        connections_max: config.connections_max,
        idle_timeout: config.idle_timeout.into(),
        connect_timeout: config.connect_timeout.into(),
        preserve_host: config.preserve_host,
        server_name: config
            .tls
            .as_ref()
            .and_then(|tls| tls.server_name.as_deref())
            .map(Arc::from),
        identity: tls.1,
        tls: tls.0,
    };
    Some(Arc::new(HttpSender::new(address?, settings)))
}

fn address(url: &Text, cx: &mut Build<'_>) -> Option<Address> {
    let text = url.as_str();
    if text.contains("${") {
        let whole = text.starts_with("${");
        let (escape, braces) = if whole {
            (Escape::None, Braces::Data)
        } else {
            (Escape::Url, Braces::Variables)
        };
        let template = cx.template(url, escape)?;
        return Some(match template.as_literal() {
            Some(literal) => parse(&literal, url, cx)?,
            None => Address::Evaluated(template, braces),
        });
    }
    parse(text, url, cx)
}

fn parse(text: &str, url: &Text, cx: &mut Build<'_>) -> Option<Address> {
    match Address::parse(text) {
        Ok(address) => Some(address),
        Err(problem) => {
            let help = Some("write an absolute URL, such as `http://localhost:9000/app`".to_owned());
            cx.error("config.bad_url", url.span(), problem, help);
            None
        }
    }
}

/// TLS settings, and a number that is equal for equal settings: connections are shared where it is.
fn tls(config: &HttpSenderConfig, cx: &mut Build<'_>) -> Option<(Arc<rustls::ClientConfig>, u64)> {
    let none = ClientTlsConfig::default();
    let tls = config.tls.as_ref().unwrap_or(&none);
    let mut files: Vec<Option<Resource>> = Vec::new();
    for path in [&tls.ca, &tls.certificate, &tls.key] {
        files.push(match path {
            Some(path) => Some(file(path, cx)?),
            None => None,
        });
    }
    let [ca, certificate, key] = &files[..] else {
        return None;
    };
    if let (Some(lone), None, _) | (None, _, Some(lone)) = (&tls.certificate, &tls.key, &tls.key) {
        let help = Some("`certificate` and `key` belong together".to_owned());
        cx.error(
            "config.bad_tls",
            lone.span,
            "one of `certificate` and `key` is missing",
            help,
        );
        return None;
    }
    let identity = certificate.as_ref().zip(key.as_ref());
    let protocols: &[&[u8]] = match config.http2 {
        Http2Config::Auto => &[b"h2", b"http/1.1"],
        Http2Config::PriorKnowledge => &[b"h2"],
        Http2Config::Never => &[b"http/1.1"],
    };
    let built = client_config(&ClientTls {
        authorities: ca.as_ref().map(|file| &file.bytes[..]),
        identity: identity.map(|(certificate, key)| Identity {
            certificate: &certificate.bytes,
            key: &key.bytes,
        }),
        verification: if tls.insecure_skip_verify {
            Verification::None
        } else {
            Verification::Full
        },
        protocols,
    });
    let mut hasher = DefaultHasher::new();
    for file in &files {
        file.as_ref().map(|file| &file.bytes).hash(&mut hasher);
    }
    (
        &tls.server_name,
        tls.insecure_skip_verify,
        protocols,
        config.connections_max,
    )
        .hash(&mut hasher);
    config.idle_timeout.hash(&mut hasher);
    let span = config.url.span();
    report(built, span, cx).map(|built| (Arc::new(built), hasher.finish()))
}
