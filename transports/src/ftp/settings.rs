//! `connections: { NAME: { ftp: ... } }`

use super::session::Opener;
use crate::http::tls::{ClientTls, Verification, client_config};
use crate::remote::folder::Connection;
use crate::remote::settings::usable;
use engine::build::Build;
use engine::config::{Duration, Node, SecretText, Spanned};
use engine::registry::ConnectionSpec;
use rustls::ClientConfig;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A login at an FTP server, shared by all artifacts that name the connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FtpConnectionConfig {
    /// The server's name or address.
    pub host: Spanned<String>,
    /// Its port. The default is 21, with implicit TLS 990.
    #[serde(default)]
    pub port: Option<u16>,
    /// Who logs in.
    #[serde(default = "anonymous")]
    pub user: Spanned<String>,
    /// The password.
    #[serde(default = "no_password")]
    pub password: SecretText,
    /// Whether the connections are encrypted, the data connections included.
    #[serde(default)]
    pub tls: TlsMode,
    /// Authorities to trust beside the well-known ones, a PEM file.
    #[serde(default)]
    pub ca: Option<Spanned<String>>,
    /// The name that the server's certificate must have, where it is not `host`.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Accepts any certificate. Only for tests: whoever is on the way can read and change everything.
    #[serde(default)]
    pub insecure_skip_verify: bool,
    /// How long connecting, a command, or a pause in a transfer may take.
    #[serde(default = "timeout")]
    pub timeout: Duration,
    /// Most control connections at once. More operations wait.
    #[serde(default = "connections_max")]
    #[schemars(range(min = 1))]
    pub connections_max: usize,
}

fn anonymous() -> Spanned<String> {
    Spanned::new("anonymous".to_owned(), Default::default())
}

fn no_password() -> SecretText {
    SecretText::new("")
}

fn timeout() -> Duration {
    Duration::from_secs(30)
}

fn connections_max() -> usize {
    8
}

/// How an FTP connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TlsMode {
    /// Not at all: whoever is on the way reads the password.
    #[default]
    None,
    /// After the command `AUTH TLS` on the ordinary port (RFC 4217).
    Explicit,
    /// From the first byte, on a port of its own.
    Implicit,
}

/// What opening a control connection takes.
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: SecretText,
    pub(super) security: Security,
    server_name: Option<String>,
    pub(super) timeout: std::time::Duration,
}

/// TLS, where there is.
pub(super) enum Security {
    None,
    Explicit(ClientConfig),
    Implicit(ClientConfig),
}

impl Settings {
    /// The name that the certificate has to have.
    pub(super) fn tls_name(&self) -> &str {
        self.server_name.as_deref().unwrap_or(&self.host)
    }

    /// Scheme, host and port.
    pub(super) fn authority(&self) -> String {
        let scheme = match self.security {
            Security::None => "ftp",
            _ => "ftps",
        };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

/// FTP connections.
pub(super) const CONNECTION: ConnectionSpec = ConnectionSpec {
    schema: SchemaGenerator::subschema_for::<FtpConnectionConfig>,
    build,
};

fn build(name: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Any + Send + Sync>> {
    let config: FtpConnectionConfig = cx.read(node)?;
    if !usable(&config.host, cx) || !usable(&config.user, cx) {
        return None;
    }
    if config.password.expose().chars().any(char::is_control) {
        cx.error(
            "config.bad_value",
            node.span,
            "the password has a control character",
            None,
        );
        return None;
    }
    let ca = match &config.ca {
        Some(path) => Some(cx.file_at(&path.value, path.span)?.bytes),
        None => None,
    };
    let security = match tls(&config, ca.as_deref()) {
        Ok(security) => security,
        Err(problem) => {
            cx.error("config.bad_tls", node.span, problem, None);
            return None;
        }
    };
    let key = key(name, &config, ca.as_deref());
    let (connections_max, timeout) = (config.connections_max, config.timeout.get());
    let opener = Opener(settings(config, security));
    let connection = cx
        .state
        .get_or_insert(key, || Connection::new(opener, connections_max, timeout));
    Some(connection)
}

fn tls(config: &FtpConnectionConfig, ca: Option<&[u8]>) -> Result<Security, String> {
    let client = || {
        client_config(&ClientTls {
            authorities: ca,
            verification: match config.insecure_skip_verify {
                true => Verification::None,
                false => Verification::Full,
            },
            ..ClientTls::default()
        })
    };
    Ok(match config.tls {
        TlsMode::None => Security::None,
        TlsMode::Explicit => Security::Explicit(client()?),
        TlsMode::Implicit => Security::Implicit(client()?),
    })
}

/// Equal settings share their sessions over reloads.
fn key(name: &str, config: &FtpConnectionConfig, ca: Option<&[u8]>) -> String {
    let mut hasher = DefaultHasher::new();
    (
        &config.host.value,
        config.port,
        &config.user.value,
        config.password.expose(),
    )
        .hash(&mut hasher);
    (config.tls, ca, &config.server_name, config.insecure_skip_verify).hash(&mut hasher);
    (config.timeout, config.connections_max).hash(&mut hasher);
    format!("connections.{name}.ftp.{:x}", hasher.finish())
}

fn settings(config: FtpConnectionConfig, security: Security) -> Settings {
    let default_port = if config.tls == TlsMode::Implicit { 990 } else { 21 };
    Settings {
        port: config.port.unwrap_or(default_port),
        host: config.host.value,
        user: config.user.value,
        password: config.password,
        security,
        server_name: config.server_name,
        timeout: config.timeout.into(),
    }
}
