//! Being told of new files, where the file system does. Polling goes on beside it: notices can be lost.

use crate::files::Wake;
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Notify;

/// Wakes a listener when something below `root` changes.
pub(super) fn wake(root: PathBuf, recursive: bool) -> Wake {
    Box::new(move |notifier| {
        let mode = if recursive {
            RecursiveMode::Recursive
        } else {
            RecursiveMode::NonRecursive
        };
        let mut watcher = watcher(Arc::clone(notifier), root.clone())?;
        match watcher.watch(&root, mode) {
            Ok(()) => Some(Box::new(watcher)),
            Err(error) => {
                tracing::info!(folder = %root.display(), %error, "the folder cannot be watched; it is polled");
                None
            }
        }
    })
}

fn watcher(notifier: Arc<Notify>, root: PathBuf) -> Option<RecommendedWatcher> {
    let notice = move |event: notify::Result<notify::Event>| {
        // Claims and temporary files change all the time.
        let matters = |path: &PathBuf| {
            let below = path.strip_prefix(&root).unwrap_or(path);
            !below.iter().any(|name| name.as_encoded_bytes().starts_with(b"."))
        };
        if event.is_ok_and(|event| completes(event.kind) && event.paths.iter().any(matters)) {
            notifier.notify_one();
        }
    };
    notify::recommended_watcher(notice).ok()
}

/// Whether a file is complete after this: renamed to its name, or closed by its writer.
fn completes(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any))
    )
}
