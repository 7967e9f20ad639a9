//! Where tests write. The folders and stores of a project may be those of a gateway that is at work on this machine, so a test gets
//! folders of its own: copies of the relative ones as they are at its start. Its stores are empty at the start.

use engine::config::{Key, Node, NodeValue, ScalarStyle, Sources, expand_shorthand};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Most bytes that are copied.
const COPIED_BYTES_MAX: u64 = 64 << 20;
/// Most files and folders that are copied.
const COPIED_FILES_MAX: usize = 10_000;
/// The keys that file transports have their settings under.
const FILE: &str = "file";

/// The folders of one test, removed with this value.
pub(super) struct Sandbox {
    root: TempDir,
    files: usize,
    bytes: u64,
}

impl Sandbox {
    /// # Errors
    /// Why there is no temporary folder.
    pub(super) fn new() -> Result<Self, String> {
        let root = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        Ok(Self {
            root,
            files: 0,
            bytes: 0,
        })
    }

    /// The project with its folders and stores moved here.
    ///
    /// # Errors
    /// Why a folder cannot be copied.
    pub(super) fn hold(&mut self, root: &Node, sources: &Sources) -> Result<Node, String> {
        let moved = self.folders(root, ["", ""], sources)?;
        Ok(self.stores(&moved))
    }

    /// The tree with every relative folder under a key `file` replaced by its copy. `above` are the two keys that lead here.
    fn folders(&mut self, node: &Node, above: [&str; 2], sources: &Sources) -> Result<Node, String> {
        match &node.value {
            NodeValue::Null | NodeValue::Scalar(_) => Ok(node.clone()),
            NodeValue::Sequence(items) => {
                let items = items.iter().map(|item| self.folders(item, above, sources));
                Ok(Node::sequence(node.span, items.collect::<Result<Vec<_>, _>>()?))
            }
            NodeValue::Mapping(entries) => {
                let entry = |(key, value): &(Key, Node)| {
                    let value = match &*key.text {
                        FILE if is_transport(above) => {
                            self.settings(&expand_shorthand(value, "folder"), sources)?
                        }
                        FILE => self.settings(value, sources)?,
                        name => self.folders(value, [above[1], name], sources)?,
                    };
                    Ok((key.clone(), value))
                };
                let entries: Result<Vec<(Key, Node)>, String> = entries.iter().map(entry).collect();
                Ok(Node::mapping(node.span, entries?))
            }
        }
    }

    fn settings(&mut self, settings: &Node, sources: &Sources) -> Result<Node, String> {
        let Some(folder) = settings.get("folder").and_then(Node::as_str) else {
            return Ok(settings.clone());
        };
        if folder.starts_with("file://") || Path::new(folder).is_absolute() {
            return Ok(settings.clone());
        }
        let span = settings.get("folder").map_or(settings.span, |folder| folder.span);
        let original = sources.folder(span.source).join(folder);
        let copy = self
            .copy(&original)
            .map_err(|problem| format!("the folder {} of the project: {problem}", original.display()))?;
        Ok(replaced(settings, "folder", &copy))
    }

    /// The copy of a folder. Folders in each other stay so.
    fn copy(&mut self, original: &Path) -> Result<PathBuf, String> {
        let absolute = std::path::absolute(original).map_err(|error| error.to_string())?;
        let below: PathBuf = normal_parts(&absolute);
        let copy = self.root.path().join("files").join(below);
        if absolute.is_dir() {
            self.copy_files(&absolute, &copy)?;
        }
        Ok(copy)
    }

    fn copy_files(&mut self, from: &Path, to: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        fs::create_dir_all(to).map_err(failed)?;
        for entry in fs::read_dir(from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let target = to.join(entry.file_name());
            // Hidden ones are those of a gateway at work: claims, and files that are not written yet.
            if entry.file_name().to_string_lossy().starts_with('.') || target.is_file() {
                continue;
            }
            if kind.is_dir() {
                self.copy_files(&entry.path(), &target)?;
            } else if kind.is_file() {
                self.bytes += fs::copy(entry.path(), target).map_err(failed)?;
            }
            self.files += 1;
            if self.files > COPIED_FILES_MAX || self.bytes > COPIED_BYTES_MAX {
                return Err(format!(
                    "it is too large to be copied for a test, {COPIED_FILES_MAX} files or {} MiB at most; give the test another one with `set`",
                    COPIED_BYTES_MAX >> 20
                ));
            }
        }
        Ok(())
    }

    /// The tree with the durable stores in files here.
    fn stores(&self, root: &Node) -> Node {
        let Some(stores) = root.get("stores") else {
            return root.clone();
        };
        let store = |(name, store): &(Key, Node)| {
            let path = self.root.path().join(format!("{}.redb", name.text));
            let store = match store.get("durable") {
                Some(settings) => with(store, "durable", replaced(settings, "path", &path)),
                None => store.clone(),
            };
            (name.clone(), store)
        };
        let entries: Vec<(Key, Node)> = stores.entries().iter().map(store).collect();
        with(root, "stores", Node::mapping(stores.span, entries))
    }
}

/// Whether a transport stands below these keys: `from`, or the name of an endpoint.
fn is_transport(above: [&str; 2]) -> bool {
    above[1] == "from" || above[0] == "endpoints"
}

/// A path without its root and `..`.
fn normal_parts(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => parts.push(name),
            std::path::Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    parts
}

/// Settings with a path under a key.
fn replaced(settings: &Node, key: &str, path: &Path) -> Node {
    let span = settings.get(key).map_or(settings.span, |old| old.span);
    let path = path.to_string_lossy().into_owned();
    with(settings, key, Node::scalar(span, path, ScalarStyle::DoubleQuoted))
}

/// A mapping with another value under a key.
fn with(mapping: &Node, key: &str, value: Node) -> Node {
    let mut entries = mapping.entries().to_vec();
    match entries.iter_mut().find(|(there, _)| &*there.text == key) {
        Some((_, there)) => *there = value,
        None => entries.push((
            Key {
                text: key.into(),
                span: mapping.span,
            },
            value,
        )),
    }
    Node::mapping(mapping.span, entries)
}
