//! The registration: listeners and senders are those of all folders, over a connection.

use super::connection::SftpConnection;
use super::settings;
use crate::files::{self, FolderConfig, SenderConfig, merged_schema, split_settings};
use engine::build::Build;
use engine::config::{Node, Spanned};
use engine::files::FileStore;
use engine::registry::{EntryPoint, EntrySpec, SenderSpec, TransportSpec};
use engine::transport::Sender;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// The registration of SFTP.
pub(crate) const SPEC: TransportSpec = TransportSpec {
    name: "sftp",
    docs: "Files on SSH servers.\n\n\
           A connection (`connections: { partner: { sftp: { host: ..., key: id_ed25519, host_key: \"ssh-ed25519 ...\" } } }`) is named by \
           listeners (`from: { sftp: { connection: partner, folder: in } }`) and endpoints (`sftp: { connection: partner, folder: out }`). \
           The server's key is always verified.\n\n\
           Delivery is at least once, as with local files. Appending is not tried again.",
    listener: None,
    entry: Some(EntrySpec {
        schema: merged_schema::<OnConnection, FolderConfig>,
        build: entry,
    }),
    sender: Some(SenderSpec {
        schemes: &[],
        schema: merged_schema::<OnConnection, SenderConfig>,
        build: sender,
    }),
    connection: Some(settings::CONNECTION),
    store: None,
};

/// Which connection a folder is on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OnConnection {
    /// The name of one of `connections`.
    connection: Spanned<String>,
}

fn entry(artifact: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<EntryPoint> {
    let (own, shared) = split_settings(node, &["connection"]);
    let own: Option<OnConnection> = cx.read(&own);
    let config: FolderConfig = cx.read(&shared)?;
    let store = folder(&own?, &config.folder, cx)?;
    files::listener(artifact, store, &config, None, cx)
}

fn sender(node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Sender>> {
    let (own, shared) = split_settings(node, &["connection"]);
    let own: Option<OnConnection> = cx.read(&own);
    let config: SenderConfig = cx.read(&shared)?;
    let store = folder(&own?, &config.folder, cx)?;
    files::sender(store, &config, cx)
}

fn folder(own: &OnConnection, folder: &Spanned<String>, cx: &mut Build<'_>) -> Option<Arc<dyn FileStore>> {
    let connection = cx.connection::<SftpConnection>(&own.connection)?;
    let above = folder.value.split('/').any(|name| name == "..");
    if above || folder.value.chars().any(char::is_control) {
        cx.error(
            "config.bad_path",
            folder.span,
            "the folder has `..` or a control character in it",
            None,
        );
        return None;
    }
    Some(connection.folder(&folder.value))
}
