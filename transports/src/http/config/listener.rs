//! `settings.listeners.NAME` and `settings.management`.

use super::file;
use crate::http::edge::path::EncodedSlashes;
use crate::http::edge::request_head::HEADER_COUNT_MAX;
use crate::http::edge::trust::TrustList;
use crate::http::server::{HttpListener, ServerSettings};
use crate::http::tls::{ClientAuth, Identity, server_config};
use engine::build::{Build, Resource};
use engine::config::{Duration, Node, OneOrMany, Size, Span, Spanned};
use engine::gateway::MANAGEMENT;
use engine::transport::Listener;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

const HTTP_PORT: u16 = 8290;
const HTTPS_PORT: u16 = 8253;
const MANAGEMENT_PORT: u16 = 9164;

/// A port that serves HTTP/1.1 and HTTP/2.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HttpListenerConfig {
    /// The port; 0 takes a free one. By default 8290, with `tls` 8253, for `settings.management` 9164.
    pub port: Option<u16>,
    /// The address to listen on. By default all of IPv4 (`0.0.0.0`), for `settings.management` only this machine (`127.0.0.1`).
    pub address: Option<Spanned<String>>,
    /// Serves HTTPS. Changed files are read again at a reload.
    pub tls: Option<ServerTlsConfig>,
    /// Largest head of a request; larger ones are refused with 431.
    pub header_bytes: Size,
    /// Most header fields of a request, at most 256; more are refused with 431.
    #[schemars(range(min = 1, max = 256))]
    pub header_count: usize,
    /// Most connections at once. More wait until one is closed.
    #[schemars(range(min = 1))]
    pub connections: usize,
    /// Most time for the head of a request, from its first byte; then 408. TLS handshakes have as long.
    pub header_timeout: Duration,
    /// How long a connection is kept open without a request.
    pub idle_timeout: Duration,
    /// How long a body may make no progress, in either direction.
    pub body_timeout: Duration,
    /// Most requests at once on one HTTP/2 connection.
    #[schemars(range(min = 1, max = 10_000))]
    pub streams: u32,
    /// Addresses and networks (`10.0.0.0/8`) of proxies before this gateway. Only they are believed about where a request came from
    /// (`Forwarded`, `X-Forwarded-*`) and about its correlation id.
    pub trusted_proxies: OneOrMany<Spanned<String>>,
    /// Takes the `x-correlation-id` of every client, not only of trusted proxies.
    pub accept_correlation_id: bool,
    /// The name of this gateway in the `via` header. None is sent without it.
    pub via: Option<String>,
    /// Lets `%2F` and `%5C` stand in paths. By default they are refused with 400, since backends may read them as slashes.
    pub encoded_slashes: bool,
}

impl Default for HttpListenerConfig {
    fn default() -> Self {
        let settings = ServerSettings::default();
        let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            port: None,
            address: None,
            tls: None,
            header_bytes: Size::from_bytes(settings.header_bytes as u64),
            header_count: settings.header_count,
            connections: settings.connections,
            header_timeout: Duration::from_millis(milliseconds(settings.header_timeout)),
            idle_timeout: Duration::from_millis(milliseconds(settings.idle_timeout)),
            body_timeout: Duration::from_millis(milliseconds(settings.body_timeout)),
            streams: settings.streams,
            trusted_proxies: OneOrMany::default(),
            accept_correlation_id: false,
            via: None,
            encoded_slashes: false,
        }
    }
}

/// The TLS of a listener, TLS 1.2 and 1.3. Files are PEM.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerTlsConfig {
    /// The certificate and those of the authorities above it.
    pub certificate: Spanned<String>,
    /// Its private key.
    pub key: Spanned<String>,
    /// More certificates; the client's server name (SNI) chooses. The first one serves unknown names.
    #[serde(default)]
    pub certificates: Vec<CertificateConfig>,
    /// Authorities of client certificates. With it clients have to show one.
    #[serde(default)]
    pub client_ca: Option<Spanned<String>>,
    /// Whether clients have to show a certificate where there is a `client_ca`, or may.
    #[serde(default)]
    pub client_auth: ClientAuthConfig,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientAuthConfig {
    /// Clients without a valid certificate are refused.
    #[default]
    Required,
    /// Clients may show none; a bad one is refused.
    Optional,
}

/// A certificate and its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateConfig {
    /// The certificate and those of the authorities above it.
    pub certificate: Spanned<String>,
    /// Its private key.
    pub key: Spanned<String>,
}

/// Builds the listener of this name.
pub(super) fn build(name: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Listener>> {
    let config: HttpListenerConfig = cx.read(node)?;
    let management = &**name == MANAGEMENT;
    let port = config.port.unwrap_or(match (management, &config.tls) {
        (true, _) => MANAGEMENT_PORT,
        (false, Some(_)) => HTTPS_PORT,
        (false, None) => HTTP_PORT,
    });
    let address = address(&config, management, cx);
    let trusted = trusted(&config.trusted_proxies, cx);
    let tls = match &config.tls {
        Some(tls) => Some(Arc::new(tls_settings(tls, cx)?)),
        None => None,
    };
    let settings = ServerSettings {
        name: Arc::clone(name),
        header_bytes: config.header_bytes.as_usize(),
        header_count: config.header_count.min(HEADER_COUNT_MAX),
        connections: config.connections,
        header_timeout: config.header_timeout.into(),
        idle_timeout: config.idle_timeout.into(),
        body_timeout: config.body_timeout.into(),
        streams: config.streams,
        accept_correlation_id: config.accept_correlation_id,
        via: config.via,
        tls,
        trusted: trusted?,
        encoded_slashes: if config.encoded_slashes {
            EncodedSlashes::Keep
        } else {
            EncodedSlashes::Refuse
        },
    };
    Some(Arc::new(HttpListener::new(
        SocketAddr::new(address?, port),
        settings,
    )))
}

fn address(config: &HttpListenerConfig, management: bool, cx: &mut Build<'_>) -> Option<IpAddr> {
    let Some(text) = &config.address else {
        return Some(
            if management {
                Ipv4Addr::LOCALHOST
            } else {
                Ipv4Addr::UNSPECIFIED
            }
            .into(),
        );
    };
    let address = text.value.parse();
    if address.is_err() {
        let help = Some("write `127.0.0.1`, `0.0.0.0`, `::` or an address of this machine".to_owned());
        cx.error("config.bad_value", text.span, "this is no IP address", help);
    }
    address.ok()
}

fn trusted(networks: &[Spanned<String>], cx: &mut Build<'_>) -> Option<TrustList> {
    match TrustList::parse(networks.iter().map(|network| network.value.as_str())) {
        Ok(list) => Some(list),
        Err(index) => {
            let help = Some("write an address or a network, such as `10.0.0.0/8`".to_owned());
            cx.error(
                "config.bad_value",
                networks[index].span,
                "this is neither an address nor a network",
                help,
            );
            None
        }
    }
}

fn tls_settings(tls: &ServerTlsConfig, cx: &mut Build<'_>) -> Option<rustls::ServerConfig> {
    let more = tls.certificates.iter().map(|more| (&more.certificate, &more.key));
    let pairs = std::iter::once((&tls.certificate, &tls.key)).chain(more);
    let files: Vec<Option<(Resource, Resource)>> = pairs
        .map(|(certificate, key)| file(certificate, cx).zip(file(key, cx)))
        .collect();
    let files = files.into_iter().collect::<Option<Vec<_>>>();
    let authorities = match &tls.client_ca {
        Some(path) => Some(file(path, cx)?),
        None => None,
    };
    let files = files?;
    let identity =
        |(certificate, key): &'_ (Resource, Resource)| (certificate.bytes.clone(), key.bytes.clone());
    let pairs: Vec<_> = files.iter().map(identity).collect();
    let identities: Vec<_> = pairs
        .iter()
        .map(|(certificate, key)| Identity { certificate, key })
        .collect();
    let auth = match tls.client_auth {
        ClientAuthConfig::Required => ClientAuth::Required,
        ClientAuthConfig::Optional => ClientAuth::Optional,
    };
    let clients = authorities.as_ref().map(|file| (&file.bytes[..], auth));
    report(server_config(&identities, clients), tls.certificate.span, cx)
}

/// Reports what is wrong with TLS files.
pub(super) fn report<T>(outcome: Result<T, String>, span: Span, cx: &mut Build<'_>) -> Option<T> {
    match outcome {
        Ok(config) => Some(config),
        Err(problem) => {
            let help =
                Some("certificates and keys are PEM files, and a key belongs to its certificate".to_owned());
            cx.error("config.bad_tls", span, problem, help);
            None
        }
    }
}
