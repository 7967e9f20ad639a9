//! `--watch`: what changes on disk. The whole folder of the project is watched, so that templates, schemas and
//! certificates count like definitions. Left out is what is no part of it: folders called `data`, where messages
//! come and go, and hidden files. Events come before the writer is done, hence the quiet time.

use engine::config::{Project, is_in_data};
use notify_debouncer_full::notify::event::EventKind;
use notify_debouncer_full::notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the disk has to be quiet before a reload.
const QUIET: Duration = Duration::from_millis(200);

/// A watch that is on until it is dropped.
pub(super) struct Watch {
    changes: mpsc::Receiver<()>,
    _debouncer: Option<Debouncer<RecommendedWatcher, RecommendedCache>>,
}

impl Watch {
    /// Watches a project. Where the system cannot, it says so in the log and serves on without.
    pub(super) fn start(project: &Project) -> Self {
        let (sender, changes) = mpsc::channel(1);
        let folder = match project.folder.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => project.folder.clone(),
        };
        // Events tell paths as they were asked for.
        let folder = folder.canonicalize().unwrap_or(folder);
        let watched = folder.clone();
        let notify = move |result: DebounceEventResult| {
            // A full channel means that a reload is due already.
            if is_change(&result, &watched) {
                let _ = sender.try_send(());
            }
        };
        let started = new_debouncer(QUIET, None, notify).and_then(|mut debouncer| {
            debouncer.watch(&folder, RecursiveMode::Recursive)?;
            Ok(debouncer)
        });
        if let Err(error) = &started {
            tracing::error!(%error, folder = %folder.display(), "changes of the project are not seen");
        }
        Self {
            changes,
            _debouncer: started.ok(),
        }
    }

    /// Waits for a change; for ever where there is no watch.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Reading a file is an event too, but no change.
fn is_change(result: &DebounceEventResult, folder: &Path) -> bool {
    let aside = |path: &PathBuf| {
        let below = path.strip_prefix(folder);
        below.is_ok_and(|below| is_in_data(below) || is_hidden(below))
    };
    match result {
        Ok(events) => events.iter().any(|event| {
            let all_aside = !event.paths.is_empty() && event.paths.iter().all(aside);
            !all_aside && !matches!(event.kind, EventKind::Access(_))
        }),
        Err(_) => true,
    }
}

/// Names with two dots are those by which Kubernetes changes a mounted volume as a whole.
fn is_hidden(below: &Path) -> bool {
    below.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        name.starts_with('.') && !name.starts_with("..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_are_no_part_of_a_project_unless_a_volume_is_mounted() {
        for hidden in [".git/index", ".mediary.yaml.swp", "a/.spool/b.csv"] {
            assert!(is_hidden(Path::new(hidden)), "{hidden}");
        }
        for shown in ["mediary.yaml", "a/b.yaml", "..data", "..2026_11_21/mediary.yaml"] {
            assert!(!is_hidden(Path::new(shown)), "{shown}");
        }
    }
}
