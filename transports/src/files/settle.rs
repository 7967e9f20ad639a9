//! What becomes of files after their delivery, many at once: deleted, moved, or put back.

use super::folder::{Folder, Phase};
use super::listener::Settlement;
use super::path;
use super::serve::Taken;
use engine::exchange::{Entry, Exchange};
use engine::fault::{Fault, FaultCode};
use engine::files::Change;
use engine::message::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Most files settled in one go.
const BATCH: usize = 64;
/// The wait before a change that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What was decided about a file.
pub(super) enum Fate {
    /// It is delivered, or kept as a dead letter.
    Done,
    /// It failed for good.
    Failed(Fault),
    /// It goes back.
    Release,
}

/// A file and what was decided.
pub(super) struct Settled {
    pub(super) file: Taken,
    pub(super) fate: Fate,
}

impl Settled {
    pub(super) fn release(file: Taken) -> Self {
        Self {
            file,
            fate: Fate::Release,
        }
    }
}

/// A change that is wanted, and the file it is about.
struct Wanted {
    path: String,
    change: Change,
    releases: bool,
}

/// Settles files until nobody sends any more.
pub(super) async fn run(folder: &Folder, mut settling: mpsc::Receiver<Settled>) {
    let mut settled = Vec::with_capacity(BATCH);
    let mut wanted: Vec<Wanted> = Vec::new();
    while settling.recv_many(&mut settled, BATCH).await > 0 {
        wanted.extend(settled.drain(..).map(|settled| decide(folder, &settled)));
        while !wanted.is_empty() {
            wanted = apply(folder, wanted).await;
            if wanted.is_empty() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                // The claims stay; another owner takes them over.
                () = folder.reached(Phase::Halting) => break,
            }
        }
        wanted.clear();
    }
}

/// Makes the changes. Those that have to be tried again are given back.
async fn apply(folder: &Folder, wanted: Vec<Wanted>) -> Vec<Wanted> {
    let changes = wanted.iter().map(|wanted| wanted.change.clone()).collect();
    let results = folder.store.apply(changes).await;
    let mut again = Vec::new();
    for (mut wanted, result) in wanted.into_iter().zip(results) {
        match result {
            Ok(there) => {
                if !there {
                    tracing::warn!(listener = %folder.settings.artifact, file = %wanted.path.escape_debug(), "the claim was gone: the file may be delivered twice");
                }
                folder.held.lock().remove(&wanted.path);
                continue;
            }
            // A new file has the name. The claim stays until the name is free or another owner puts it back.
            Err(fault) if fault.code() == FaultCode::Conflict && wanted.releases => {
                folder.held.lock().remove(&wanted.path);
                continue;
            }
            Err(fault) if fault.code() == FaultCode::Conflict => {
                if let Change::Rename { to, .. } = &mut wanted.change {
                    *to = path::numbered(to, &uuid::Uuid::now_v7().simple().to_string());
                }
            }
            Err(fault) => {
                folder.health.down(fault.to_string());
                tracing::warn!(listener = %folder.settings.artifact, file = %wanted.path.escape_debug(), %fault, "a file cannot be settled");
            }
        }
        again.push(wanted);
    }
    again
}

fn decide(folder: &Folder, settled: &Settled) -> Wanted {
    let taken = &settled.file;
    let settings = &folder.settings;
    let change = match &settled.fate {
        Fate::Release => rename(&taken.claim, taken.file.path.clone()),
        Fate::Done => settle(folder, taken, &settings.after, ".done"),
        Fate::Failed(fault) => {
            tracing::warn!(listener = %settings.artifact, file = %taken.file.path.escape_debug(), %fault, "a file failed");
            settle(folder, taken, &settings.on_fault, ".failed")
        }
    };
    Wanted {
        path: taken.file.path.clone(),
        change,
        releases: matches!(settled.fate, Fate::Release),
    }
}

fn settle(folder: &Folder, taken: &Taken, settlement: &Settlement, otherwise: &str) -> Change {
    let wanted = match settlement {
        Settlement::Delete => {
            return Change::Delete {
                path: taken.claim.clone(),
            };
        }
        Settlement::Folder(into) => Ok(path::join(into, &taken.file.path)),
        Settlement::Path(template) => template
            .render(&exchange(folder, taken))
            .and_then(|to| path::check(&to).map(|()| to)),
    };
    let to = match wanted {
        // Moved there it would be taken again, for ever.
        Ok(to) if folder.settings.matches(&to) => path::join(otherwise, &to),
        Ok(to) => to,
        Err(fault) => {
            tracing::warn!(listener = %folder.settings.artifact, file = %taken.file.path.escape_debug(), %fault, "the file's new path is of no use");
            path::join(otherwise, &taken.file.path)
        }
    };
    rename(&taken.claim, to)
}

fn rename(from: &str, to: String) -> Change {
    Change::Rename {
        from: from.to_owned(),
        to,
        replace: false,
    }
}

/// An exchange in which the new path is evaluated.
fn exchange(folder: &Folder, taken: &Taken) -> Exchange {
    let entry = Entry {
        artifact: Arc::clone(&folder.settings.artifact),
        source: Some(Arc::new(taken.source())),
        scheme: "event",
        ..Entry::default()
    };
    let deployment = folder.gateway.deployment();
    Exchange::new(
        Message::default(),
        Arc::new(entry),
        deployment,
        Instant::now() + PAUSE,
    )
}
