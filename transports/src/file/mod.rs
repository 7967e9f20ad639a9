//! Local folders: files become messages, messages become files.

mod alive;
mod below;
mod io;
mod local;
mod watch;

#[cfg(test)]
mod tests;

use crate::files::{self, FolderConfig, SenderConfig, merged_schema, split_settings};
use engine::build::Build;
use engine::config::{Node, Spanned, expand_shorthand};
use engine::files::FileStore;
use engine::registry::{EntryPoint, EntrySpec, SenderSpec, TransportSpec};
use engine::transport::Sender;
use local::LocalFolder;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

/// The registration of local files.
pub(crate) const SPEC: TransportSpec = TransportSpec {
    name: "file",
    docs: "Files in local folders.\n\n\
           A proxy receives each file of a folder as a message (`from: { file: { folder: data/in, pattern: \"*.csv\" } }`); an endpoint writes \
           each message to a file (`file: { folder: data/out, name: \"${payload.id}.json\" }`). Relative folders start from the YAML file's \
           own. `split` delivers a file in parts, without ever holding all of it: lines, rows, XML elements or the items of a JSON array.\n\n\
           Several gateways may listen on one folder: a file is claimed by a rename into `.mediary` and delivered by one of them. \
           Delivery is at least once: a gateway that dies after the delivery and before it could settle the file delivers it again. \
           Writers should use a temporary name that begins with a dot, or the listener `stable_for`.",
    listener: None,
    entry: Some(EntrySpec {
        schema: merged_schema::<FolderConfig, FileEntryConfig>,
        build: entry,
    }),
    sender: Some(SenderSpec {
        schemes: &["file"],
        schema: SchemaGenerator::subschema_for::<SenderConfig>,
        build: sender,
    }),
    connection: None,
    store: None,
};

/// What only local folders have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileEntryConfig {
    /// Whether changes are noticed at once, where the file system tells them; otherwise after `every`.
    #[serde(default = "yes")]
    watch: bool,
}

fn yes() -> bool {
    true
}

fn entry(artifact: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<EntryPoint> {
    let (own, shared) = split_settings(node, &["watch"]);
    let own: FileEntryConfig = cx.read(&own)?;
    let config: FolderConfig = cx.read(&expand_shorthand(&shared, "folder"))?;
    let root = root(&config.folder, cx)?;
    let store: Arc<dyn FileStore> = Arc::new(LocalFolder::listened_to(root.clone()));
    let wake = own.watch.then(|| watch::wake(root, config.recursive));
    files::listener(artifact, store, &config, wake, cx)
}

fn sender(node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Sender>> {
    let config: SenderConfig = cx.read(&expand_shorthand(node, "folder"))?;
    let root = root(&config.folder, cx)?;
    files::sender(Arc::new(LocalFolder::new(root)), &config, cx)
}

/// The folder that a setting names: a path, or a `file://` URL.
fn root(folder: &Spanned<String>, cx: &mut Build<'_>) -> Option<PathBuf> {
    let path = folder.value.strip_prefix("file://").unwrap_or(&folder.value);
    if path.is_empty() || path.contains('\0') {
        cx.error("config.bad_path", folder.span, "this is no folder", None);
        return None;
    }
    let joined = cx.folder(folder.span).join(path);
    let root = std::path::absolute(joined).ok()?;
    cx.check_data_folder(&root, folder.span).then_some(root)
}
