//! `connections: { NAME: { amqp: ... } }`, and the choice between such a connection and a URL in place.

use crate::amqp::broker::Broker;
use engine::build::Build;
use engine::config::{Duration, Node, SecretText, Span, Spanned, Text};
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use schemars::JsonSchema;
use serde::Deserialize;
use std::any::Any;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv6Addr;
use std::sync::Arc;

/// A connection to a broker.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::amqp) struct ConnectionConfig {
    /// `amqp://user:password@host:5672/vhost`, with TLS `amqps://`. Without a path the virtual host is `/`; in a path it is
    /// percent-encoded (`/%2F`).
    pub url: Text,
    /// The user, in place of the URL's.
    #[serde(default)]
    pub user: Option<String>,
    /// The password, in place of the URL's. Best from a secret: `${secret.NAME}`.
    #[serde(default)]
    pub password: Option<SecretText>,
    /// A connection that is silent for twice this time is given up. The broker may ask for a shorter time.
    #[serde(default = "heartbeat")]
    pub heartbeat: Duration,
    /// TLS of `amqps` URLs. Without it the well-known authorities are trusted.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
}

fn heartbeat() -> Duration {
    Duration::from_secs(20)
}

/// The TLS of a connection. Files are PEM.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::amqp) struct TlsConfig {
    /// Authorities to trust beside the well-known ones.
    pub ca: Option<Spanned<String>>,
    /// The certificate to show, for brokers that ask for one.
    pub certificate: Option<Spanned<String>>,
    /// Its private key, PKCS #8.
    pub key: Option<Spanned<String>>,
}

/// Builds the connection of this name.
pub(in crate::amqp) fn build(
    _: &Arc<str>,
    node: &Node,
    cx: &mut Build<'_>,
) -> Option<Arc<dyn Any + Send + Sync>> {
    let config: ConnectionConfig = cx.read_with_shorthand(node, "url")?;
    broker(&config, cx).map(|broker| broker as Arc<dyn Any + Send + Sync>)
}

/// The broker that a consumer or sender names: a shared connection, or a URL of its own.
pub(super) fn choose(
    connection: Option<&Spanned<String>>,
    url: Option<Text>,
    span: Span,
    cx: &mut Build<'_>,
) -> Option<Arc<Broker>> {
    match (connection, url) {
        (Some(name), None) => cx.connection(name),
        (None, Some(url)) => {
            let config = ConnectionConfig {
                url,
                user: None,
                password: None,
                heartbeat: heartbeat(),
                tls: None,
            };
            broker(&config, cx)
        }
        (Some(_), Some(_)) | (None, None) => {
            let help = "`connection: NAME` refers to an entry of `connections`, `url: amqp://...` is a broker given in place";
            cx.error(
                "config.bad_value",
                span,
                "exactly one of `connection` and `url` is needed",
                Some(help.to_owned()),
            );
            None
        }
    }
}

/// Equal settings are one broker, also over reloads.
fn broker(config: &ConnectionConfig, cx: &mut Build<'_>) -> Option<Arc<Broker>> {
    let uri = uri(config, cx);
    let tls = tls(config.tls.as_ref(), cx)?;
    let uri = uri?;
    if config.tls.is_some() && uri.scheme != AMQPScheme::AMQPS {
        let help = Some("TLS is spoken with `amqps://`".to_owned());
        cx.error(
            "config.bad_tls",
            config.url.span(),
            "there are TLS settings for a URL without TLS",
            help,
        );
        return None;
    }
    let mut hasher = DefaultHasher::new();
    (uri.to_string(), &tls.cert_chain).hash(&mut hasher);
    if let Some(OwnedIdentity::PKCS8 { pem, key }) = &tls.identity {
        (pem, key).hash(&mut hasher);
    }
    let host = &uri.authority.host;
    let key = format!("amqp:{host}:{}:{:x}", uri.authority.port, hasher.finish());
    let state = cx.state;
    Some(state.get_or_insert(key.clone(), || Broker::new(key, uri, tls)))
}

fn uri(config: &ConnectionConfig, cx: &mut Build<'_>) -> Option<AMQPUri> {
    let parsed: Option<AMQPUri> = config.url.as_str().parse().ok();
    // The library takes a missing host for `localhost`.
    let Some(mut uri) = parsed.filter(|_| config.url.as_str().contains("://")) else {
        let help = "write it as `amqp://user:password@host:5672/vhost`; special characters are percent-encoded, \
                    or `user` and `password` stand beside the URL";
        cx.error(
            "config.bad_url",
            config.url.span(),
            "this is no URL of AMQP",
            Some(help.to_owned()),
        );
        return None;
    };
    if let Some(address) = ipv6(config.url.as_str()) {
        uri.authority.host = address.to_string();
    }
    if uri.vhost.is_empty() && uri.authority.host.is_empty() {
        uri.authority.host = "localhost".to_owned();
    }
    if let Some(user) = &config.user {
        uri.authority.userinfo.username.clone_from(user);
    }
    if let Some(password) = &config.password {
        uri.authority.userinfo.password = password.expose().to_owned();
    }
    let seconds = config.heartbeat.get().as_secs().max(1);
    let heartbeat = u16::try_from(seconds).unwrap_or(u16::MAX);
    uri.query.heartbeat.get_or_insert(heartbeat);
    Some(uri)
}

/// The host of a URL where it is an address of IPv6, which the library takes for none and so for `localhost`.
fn ipv6(url: &str) -> Option<Ipv6Addr> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let (address, _) = host.strip_prefix('[')?.split_once(']')?;
    address.parse().ok()
}

fn tls(config: Option<&TlsConfig>, cx: &mut Build<'_>) -> Option<OwnedTLSConfig> {
    let mut tls = OwnedTLSConfig::default();
    let Some(config) = config else {
        return Some(tls);
    };
    if let Some(ca) = &config.ca {
        let pem = cx.file_at(&ca.value, ca.span)?;
        tls.cert_chain = Some(String::from_utf8_lossy(&pem.bytes).into_owned());
    }
    match (&config.certificate, &config.key) {
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            let certificate = cx.file_at(&certificate.value, certificate.span);
            let key = cx.file_at(&key.value, key.span)?;
            tls.identity = Some(OwnedIdentity::PKCS8 {
                pem: certificate?.bytes.to_vec(),
                key: key.bytes.to_vec(),
            });
        }
        (Some(lone), None) | (None, Some(lone)) => {
            let help = Some("`certificate` and `key` belong together".to_owned());
            let problem = "one of `certificate` and `key` is missing";
            cx.error("config.bad_tls", lone.span, problem, help);
            return None;
        }
    }
    Some(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv6_is_found_wherever_it_stands() {
        let found = |url: &str| ipv6(url).map(|address| address.to_string());
        assert_eq!(found("amqp://[::1]").as_deref(), Some("::1"));
        assert_eq!(
            found("amqps://me:p%40ss@[fe80::1]:5671/v?heartbeat=5").as_deref(),
            Some("fe80::1")
        );
        assert_eq!(found("amqp://localhost/[::1]"), None);
        assert_eq!(found("amqp://10.0.0.1"), None);
        assert_eq!(found("amqp://[::1"), None);
    }
}
