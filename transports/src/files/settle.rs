//! What becomes of files after their delivery, many at once: deleted, moved, renamed, or put back. A change that fails is tried again while
//! others go on.

use super::folder::{Folder, Phase};
use super::listener::Settlement;
use super::path;
use super::serve::Taken;
use super::split;
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
/// Most changes that wait to be tried again; while there are more, nothing else is settled.
const AGAIN_MAX: usize = 1024;
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
    pub(super) file: Arc<Taken>,
    pub(super) fate: Fate,
    /// Whether it has a checkpoint.
    pub(super) checkpoint: bool,
}

impl Settled {
    pub(super) fn release(file: Taken) -> Self {
        Self {
            file: Arc::new(file),
            fate: Fate::Release,
            checkpoint: false,
        }
    }
}

/// A change that is wanted, and the file it is about.
struct Wanted {
    path: String,
    change: Change,
    /// Where it should go by its name alone.
    to: Option<String>,
    releases: bool,
    /// Whether the checkpoint has to go once the change is made.
    checkpoint: bool,
}

/// Settles files until nobody sends any more.
pub(super) async fn run(folder: &Folder, mut settling: mpsc::Receiver<Settled>) {
    let mut settled = Vec::with_capacity(BATCH);
    let mut again: Vec<Wanted> = Vec::new();
    let mut again_at = Instant::now();
    let mut open = true;
    while open || !again.is_empty() {
        tokio::select! {
            count = settling.recv_many(&mut settled, BATCH), if open && again.len() < AGAIN_MAX => open = count > 0,
            () = tokio::time::sleep_until(again_at), if !again.is_empty() => {
                again = apply(folder, again).await;
                again_at = Instant::now() + PAUSE;
            }
            // The claims stay; another owner takes them over.
            () = folder.reached(Phase::Halting), if !open => return,
        }
        if !settled.is_empty() {
            let wanted = settled
                .drain(..)
                .map(|settled| decide(folder, &settled))
                .collect();
            if again.is_empty() {
                again_at = Instant::now() + PAUSE;
            }
            again.extend(apply(folder, wanted).await);
        }
    }
}

/// Makes the changes. Those that have to be tried again are given back.
async fn apply(folder: &Folder, wanted: Vec<Wanted>) -> Vec<Wanted> {
    let changes = wanted.iter().map(|wanted| wanted.change.clone()).collect();
    let results = folder.store.apply(changes).await;
    let (mut again, mut checkpoints) = (Vec::new(), Vec::new());
    for (wanted, result) in wanted.into_iter().zip(results) {
        match result {
            Ok(there) => {
                if !there {
                    tracing::warn!(listener = %folder.settings.artifact, file = %wanted.path.escape_debug(), "the claim was gone: the file may be delivered twice");
                }
                if wanted.checkpoint {
                    let path = split::checkpoint_path(&wanted.path);
                    checkpoints.push(Change::Delete { path });
                }
                folder.held.lock().remove(&wanted.path);
            }
            Err(fault) => again.extend(failed(folder, wanted, &fault)),
        }
    }
    if !checkpoints.is_empty() {
        // One that stays is of no use to anybody: it counts only for the very same file.
        folder.store.apply(checkpoints).await;
    }
    again
}

/// A change that failed; `None` where it need not be tried again.
fn failed(folder: &Folder, mut wanted: Wanted, fault: &Fault) -> Option<Wanted> {
    let conflict = fault.code() == FaultCode::Conflict;
    if conflict && wanted.releases {
        // A new file has the name. The claim stays until the name is free or another owner puts it back.
        folder.held.lock().remove(&wanted.path);
        return None;
    }
    match (&mut wanted.change, &wanted.to) {
        (Change::Rename { to, .. }, Some(wished)) if conflict => {
            *to = path::numbered(wished, &uuid::Uuid::now_v7().simple().to_string());
        }
        _ => {
            folder.health.down(fault.to_string());
            tracing::warn!(listener = %folder.settings.artifact, file = %wanted.path.escape_debug(), %fault, "a file cannot be settled");
        }
    }
    Some(wanted)
}

fn decide(folder: &Folder, settled: &Settled) -> Wanted {
    let taken = &settled.file;
    let settings = &folder.settings;
    let to = match &settled.fate {
        Fate::Release => Some(taken.file.path.clone()),
        Fate::Done => destination(folder, taken, &settings.after, ".done", None),
        Fate::Failed(fault) => {
            tracing::warn!(listener = %settings.artifact, file = %taken.file.path.escape_debug(), %fault, "a file failed");
            destination(folder, taken, &settings.on_fault, ".failed", None)
        }
    };
    let from = taken.claim.clone();
    let releases = matches!(settled.fate, Fate::Release);
    Wanted {
        path: taken.file.path.clone(),
        change: match to.clone() {
            Some(to) => Change::Rename {
                from,
                to,
                replace: false,
            },
            None => Change::Delete { path: from },
        },
        to,
        releases,
        checkpoint: settled.checkpoint && !releases,
    }
}

/// Where a part of a file goes that failed for good; `None` where it is deleted.
pub(super) fn failed_path(folder: &Folder, taken: &Taken, mark: &str) -> Option<String> {
    destination(folder, taken, &folder.settings.on_fault, ".failed", Some(mark))
}

/// Where a file goes; `None` where it is deleted.
fn destination(
    folder: &Folder,
    taken: &Taken,
    settlement: &Settlement,
    otherwise: &str,
    mark: Option<&str>,
) -> Option<String> {
    let path = &taken.file.path;
    let rendered = |template: &engine::expression::Template| template.render(&exchange(folder, taken));
    let wanted = match settlement {
        Settlement::Delete => return None,
        Settlement::Folder(into) => Ok(path::join(into, path)),
        Settlement::Path(template) => rendered(template),
        Settlement::Name(template) => rendered(template).and_then(|name| path::beside(path, &name)),
    };
    let marked = |to: String| mark.map_or(to.clone(), |mark| path::numbered(&to, mark));
    let checked = wanted.map(marked).and_then(|to| path::check(&to).map(|()| to));
    Some(match checked {
        // Moved there it would be taken again, for ever.
        Ok(to) if folder.settings.matches(&to) => path::join(otherwise, &to),
        Ok(to) => to,
        Err(fault) => {
            tracing::warn!(listener = %folder.settings.artifact, file = %path.escape_debug(), %fault, "the file's new path is of no use");
            marked(path::join(otherwise, path))
        }
    })
}

/// An exchange in which the new path is evaluated.
fn exchange(folder: &Folder, taken: &Taken) -> Exchange {
    let entry = Entry {
        artifact: Arc::clone(&folder.settings.artifact),
        source: taken.source().into(),
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
