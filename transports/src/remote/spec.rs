//! The registration of a protocol: listeners and senders are those of all folders, over a connection.

use super::folder::Connection;
use super::protocol::Protocol;
use crate::files::{self, FolderConfig, SenderConfig, merged_schema, split_settings};
use engine::build::Build;
use engine::config::{Node, Span, Spanned};
use engine::files::FileStore;
use engine::registry::{ConnectionSpec, EntryPoint, EntrySpec, SenderSpec, TransportSpec};
use engine::transport::Sender;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// The registration of a protocol whose connections are [`Connection`]s of it.
pub(crate) const fn spec<P: Protocol>(
    name: &'static str,
    docs: &'static str,
    connection: ConnectionSpec,
) -> TransportSpec {
    TransportSpec {
        name,
        docs,
        listener: None,
        entry: Some(EntrySpec {
            schema: merged_schema::<OnConnection, FolderConfig>,
            build: entry::<P>,
        }),
        sender: Some(SenderSpec {
            schemes: &[],
            schema: merged_schema::<OnConnection, SenderConfig>,
            build: sender::<P>,
        }),
        connection: Some(connection),
        store: None,
    }
}

/// Which connection a folder is on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OnConnection {
    /// The name of one of `connections`.
    connection: Spanned<String>,
}

fn entry<P: Protocol>(artifact: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<EntryPoint> {
    let (own, shared) = split_settings(node, &["connection"]);
    let own: Option<OnConnection> = cx.read(&own);
    let config: FolderConfig = cx.read(&shared)?;
    let own = own?;
    let connection = cx.connection::<Connection<P>>(&own.connection)?;
    let store = folder(&connection, &config.folder, cx)?;
    check_sessions(&connection, own.connection.span, &config, cx);
    files::listener(artifact, store, &config, None, cx)
}

fn sender<P: Protocol>(node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Sender>> {
    let (own, shared) = split_settings(node, &["connection"]);
    let own: Option<OnConnection> = cx.read(&own);
    let config: SenderConfig = cx.read(&shared)?;
    let connection = cx.connection::<Connection<P>>(&own?.connection)?;
    let store = folder(&connection, &config.folder, cx)?;
    files::sender(store, &config, cx)
}

/// A listener renews its lease and settles files while others are being read.
fn check_sessions<P: Protocol>(
    connection: &Connection<P>,
    named: Span,
    config: &FolderConfig,
    cx: &mut Build<'_>,
) {
    let reads_long = P::READING_HOLDS_SESSION || config.split.is_some();
    if reads_long && connection.sessions_max() < 2 {
        let problem = "this listener needs a second session while a file is read";
        let help = Some("set `connections_max: 2` at least on the connection".to_owned());
        cx.error("config.too_few_sessions", named, problem, help);
    }
}

fn folder<P: Protocol>(
    connection: &Connection<P>,
    folder: &Spanned<String>,
    cx: &mut Build<'_>,
) -> Option<Arc<dyn FileStore>> {
    let above = folder.value.split('/').any(|name| name == "..");
    if above || folder.value.chars().any(char::is_control) {
        let problem = "the folder has `..` or a control character in it";
        cx.error("config.bad_path", folder.span, problem, None);
        return None;
    }
    Some(connection.folder(&folder.value))
}
