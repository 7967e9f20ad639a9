//! `connections: { NAME: { sftp: ... } }`

use super::host_key::Expected;
use super::session::Opener;
use crate::remote::folder::Connection;
use crate::remote::settings::usable;
use engine::build::Build;
use engine::config::{Duration, Node, SecretText, Spanned};
use engine::registry::ConnectionSpec;
use russh::keys::{PrivateKey, PublicKey, decode_secret_key};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use std::any::Any;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A login at an SFTP server, shared by all artifacts that name the connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SftpConnectionConfig {
    /// The server's name or address.
    pub host: Spanned<String>,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// Who logs in.
    pub user: Spanned<String>,
    /// The password, for servers that take one; also given where the server asks for it in a dialogue (keyboard-interactive).
    #[serde(default)]
    pub password: Option<SecretText>,
    /// The private key, a file in the format of OpenSSH or PEM.
    #[serde(default)]
    pub key: Option<Spanned<String>>,
    /// What the private key is encrypted with.
    #[serde(default)]
    pub passphrase: Option<SecretText>,
    /// The server's public key: `ssh-ed25519 AAAA...`. One of `host_key` and `known_hosts` is required.
    #[serde(default)]
    pub host_key: Option<Spanned<String>>,
    /// A file of known hosts, as OpenSSH writes it. It is read again at each login.
    #[serde(default)]
    pub known_hosts: Option<Spanned<String>>,
    /// How long connecting, a request, or a pause in a transfer may take.
    #[serde(default = "timeout")]
    pub timeout: Duration,
    /// Most SSH connections at once. More operations wait.
    #[serde(default = "connections_max")]
    #[schemars(range(min = 1))]
    pub connections_max: usize,
}

fn port() -> u16 {
    22
}

fn timeout() -> Duration {
    Duration::from_secs(30)
}

fn connections_max() -> usize {
    4
}

/// What logging in takes.
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: Option<SecretText>,
    pub(super) key: Option<Arc<PrivateKey>>,
    pub(super) expected: Expected,
    pub(super) timeout: std::time::Duration,
}

impl Settings {
    /// Scheme, host and port.
    pub(super) fn authority(&self) -> String {
        format!("sftp://{}:{}", self.host, self.port)
    }
}

/// SFTP connections.
pub(super) const CONNECTION: ConnectionSpec = ConnectionSpec {
    schema: SchemaGenerator::subschema_for::<SftpConnectionConfig>,
    build,
};

fn build(name: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Any + Send + Sync>> {
    let config: SftpConnectionConfig = cx.read(node)?;
    if !usable(&config.host, cx) || !usable(&config.user, cx) {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    let expected = expected(&config, node, cx);
    let key = private_key(&config, node, &mut hasher, cx)?;
    let secret = |secret: &Option<SecretText>| secret.as_ref().map(|secret| secret.expose().to_owned());
    (
        &config.host.value,
        config.port,
        &config.user.value,
        secret(&config.password),
    )
        .hash(&mut hasher);
    (config.timeout, config.connections_max).hash(&mut hasher);
    for file in [&config.host_key, &config.known_hosts] {
        file.as_ref().map(|file| &file.value).hash(&mut hasher);
    }
    let (connections_max, timeout) = (config.connections_max, config.timeout.get());
    let opener = Opener(Settings {
        host: config.host.value,
        port: config.port,
        user: config.user.value,
        password: config.password,
        key,
        expected: expected?,
        timeout,
    });
    let state_key = format!("connections.{name}.sftp.{:x}", hasher.finish());
    let connection = cx
        .state
        .get_or_insert(state_key, || Connection::new(opener, connections_max, timeout));
    Some(connection)
}

fn expected(config: &SftpConnectionConfig, node: &Node, cx: &mut Build<'_>) -> Option<Expected> {
    match (&config.host_key, &config.known_hosts) {
        (Some(key), None) => match PublicKey::from_openssh(key.value.trim()) {
            Ok(key) => Some(Expected::Key(key)),
            Err(error) => {
                let help = Some("such as `ssh-ed25519 AAAA...`; `ssh-keyscan HOST` shows it".to_owned());
                cx.error(
                    "config.bad_value",
                    key.span,
                    format!("this is no public key: {error}"),
                    help,
                );
                None
            }
        },
        (None, Some(path)) => {
            let file = cx.file_at(&path.value, path.span)?;
            file.file.map(Expected::KnownHosts)
        }
        _ => {
            let help = Some(
                "`ssh-keyscan HOST` shows the server's keys; compare them with the server's owner".to_owned(),
            );
            let problem = "one of `host_key` and `known_hosts` is required, so that no other server can take this one's place";
            cx.error("config.missing_key", node.span, problem, help);
            None
        }
    }
}

/// `None` where there is a problem, which is reported.
#[expect(clippy::option_option, reason = "no key is a setting too")]
fn private_key(
    config: &SftpConnectionConfig,
    node: &Node,
    hasher: &mut DefaultHasher,
    cx: &mut Build<'_>,
) -> Option<Option<Arc<PrivateKey>>> {
    let Some(path) = &config.key else {
        if config.password.is_none() {
            cx.error(
                "config.missing_key",
                node.span,
                "one of `password` and `key` is required",
                None,
            );
            return None;
        }
        return Some(None);
    };
    let file = cx.file_at(&path.value, path.span)?;
    file.bytes.hash(hasher);
    let text = String::from_utf8_lossy(&file.bytes);
    match decode_secret_key(&text, config.passphrase.as_ref().map(SecretText::expose)) {
        Ok(key) => Some(Some(Arc::new(key))),
        Err(error) => {
            let help = Some("an encrypted key needs its `passphrase`".to_owned());
            cx.error(
                "config.bad_value",
                path.span,
                format!("the private key cannot be read: {error}"),
                help,
            );
            None
        }
    }
}
