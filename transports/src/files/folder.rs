//! A folder that is listened to: looks at it, chooses files, claims and serves them, until it is drained.

use super::claims::Owner;
use super::config::Sort;
use super::listener::Settings;
use super::path;
use super::serve::{Taken, Work};
use super::settle::{self, Settled};
use engine::fault::Fault;
use engine::files::{Claimed, FileInfo, FileStore};
use engine::gateway::Gateway;
use engine::observe::HealthHandle;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::Instant;

/// Most files that one look at a folder tells.
const LIST_MAX: usize = 100_000;
/// Most files claimed before they can be worked on.
const CLAIM_AHEAD: usize = 64;
/// Files of at most so many bytes are read while they are claimed.
const WHOLE_BYTES: u64 = 64 << 10;
/// Most files that wait to be settled where that is cheap. Elsewhere it is the concurrency, because what was delivered and is not settled
/// comes again after a crash.
const SETTLE_QUEUE: usize = 256;
/// The longest wait after the folder could not be read.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long a drain waits for files to be put back, beyond its grace.
const RELEASE_TIME: Duration = Duration::from_secs(5);

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Files are taken.
    Running,
    /// No more are taken; what is worked on may finish.
    Stopping,
    /// What is worked on is given up and put back.
    Halting,
}

/// A folder that is listened to.
pub(crate) struct Folder {
    pub(super) gateway: Arc<Gateway>,
    pub(super) settings: Arc<Settings>,
    pub(crate) store: Arc<dyn FileStore>,
    pub(super) owner: Owner,
    pub(super) health: HealthHandle,
    /// Notified when the folder may have changed.
    pub(crate) wake: Arc<Notify>,
    pub(super) phase: watch::Sender<Phase>,
    /// Paths of files that are claimed: a new file of the same name has to wait.
    pub(super) held: Mutex<HashSet<String>>,
    sizes: Mutex<HashMap<String, (u64, Instant)>>,
    /// How many unnameable files were told of.
    unnamed: AtomicU64,
    permits: Arc<Semaphore>,
    starting: Mutex<Option<Starting>>,
}

/// What the tasks are started with.
type Starting = (mpsc::Sender<Settled>, mpsc::Receiver<Settled>, mpsc::Sender<()>);

/// Ends when every task of a folder has.
pub(super) type Finished = mpsc::Receiver<()>;

impl Folder {
    pub(super) fn new(
        gateway: &Arc<Gateway>,
        settings: &Arc<Settings>,
        store: &Arc<dyn FileStore>,
    ) -> (Arc<Self>, Finished) {
        let queue = if store.batches() {
            SETTLE_QUEUE
        } else {
            settings.concurrency.max(1)
        };
        let (settle, settling) = mpsc::channel(queue);
        let (alive, finished) = mpsc::channel(1);
        // Parts are worked on at once instead of files.
        let files = if settings.split.is_some() {
            1
        } else {
            settings.concurrency
        };
        let folder = Self {
            gateway: Arc::clone(gateway),
            settings: Arc::clone(settings),
            store: Arc::clone(store),
            owner: Owner::new(settings.lease),
            health: gateway.health.register(&settings.artifact),
            wake: Arc::default(),
            phase: watch::Sender::new(Phase::Running),
            held: Mutex::default(),
            sizes: Mutex::default(),
            unnamed: AtomicU64::new(0),
            permits: Arc::new(Semaphore::new(files)),
            starting: Mutex::new(Some((settle, settling, alive))),
        };
        (Arc::new(folder), finished)
    }

    /// Waits until the end has come as far as `phase`.
    pub(super) async fn reached(&self, phase: Phase) {
        // The sender lives in `self`: the wait cannot fail.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    pub(super) fn running(&self) -> bool {
        *self.phase.borrow() == Phase::Running
    }

    /// Stops: nothing new is taken, what is worked on has `grace`, the rest is put back.
    pub(super) async fn drain(&self, grace: Duration, finished: &mut Finished) {
        self.phase.send_replace(Phase::Stopping);
        let ended = tokio::time::timeout(grace, finished.recv()).await;
        self.phase.send_replace(Phase::Halting);
        if ended.is_err() {
            let _ = tokio::time::timeout(RELEASE_TIME, finished.recv()).await;
        }
        self.owner.leave(&*self.store).await;
    }

    async fn look(self: &Arc<Self>, settle: &mpsc::Sender<Settled>) -> Result<bool, Fault> {
        let candidates = self.candidates().await?;
        let full = candidates.len() == self.settings.batch;
        for chunk in candidates.chunks(CLAIM_AHEAD) {
            let permit = tokio::select! {
                permit = self.permits.acquire() => permit.ok(),
                () = self.reached(Phase::Stopping) => None,
            };
            if permit.is_none() {
                return Ok(false);
            }
            drop(permit);
            self.owner.hold(&*self.store).await?;
            for taken in self.claim(chunk).await? {
                self.begin(taken, settle).await;
            }
        }
        Ok(full)
    }

    /// Tells of files that were put aside because nobody can name them.
    fn note_unnamed(&self) {
        let now = self.store.unnamed();
        let new = now.saturating_sub(self.unnamed.swap(now, Ordering::Relaxed));
        if new > 0 {
            self.gateway.metrics.files_unnamed(&self.settings.artifact, new);
            self.health.note(format!(
                "{now} files whose names are not UTF-8 were moved to .failed"
            ));
        }
    }

    async fn candidates(&self) -> Result<Vec<FileInfo>, Fault> {
        let mut files = self.store.list("", self.settings.recursive, LIST_MAX).await?;
        self.note_unnamed();
        {
            let held = self.held.lock();
            files.retain(|file| self.settings.matches(&file.path) && !held.contains(&file.path));
        }
        let now = jiff::Timestamp::now().as_millisecond();
        let age = i64::try_from(self.settings.minimum_age.as_millis()).unwrap_or(i64::MAX);
        if age > 0 {
            files.retain(|file| {
                file.modified
                    .is_none_or(|modified| now.saturating_sub(modified) >= age)
            });
        }
        self.retain_stable(&mut files);
        match self.settings.sort {
            Sort::Name => files.sort_unstable_by(|a, b| a.path.cmp(&b.path)),
            Sort::Modified => files.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path))),
            Sort::Size => files.sort_by(|a, b| (a.size, &a.path).cmp(&(b.size, &b.path))),
        }
        files.truncate(self.settings.batch);
        Ok(files)
    }

    fn retain_stable(&self, files: &mut Vec<FileInfo>) {
        let wanted = self.settings.stable_for;
        if wanted.is_zero() {
            return;
        }
        let mut sizes = self.sizes.lock();
        let before = std::mem::take(&mut *sizes);
        let now = Instant::now();
        files.retain(|file| {
            let since = match before.get(&file.path) {
                Some((size, since)) if *size == file.size => *since,
                _ => now,
            };
            sizes.insert(file.path.clone(), (file.size, since));
            now - since >= wanted
        });
    }

    /// Claims files; those that somebody else was faster with are left out.
    async fn claim(&self, files: &[FileInfo]) -> Result<Vec<Taken>, Fault> {
        let claims = files
            .iter()
            .map(|file| (file.path.clone(), self.owner.claim_path(&file.path)))
            .collect();
        self.held
            .lock()
            .extend(files.iter().map(|file| file.path.clone()));
        let results = self.store.claim(claims, WHOLE_BYTES).await;
        let mut taken = Vec::with_capacity(files.len());
        let mut problem = None;
        for (file, result) in files.iter().zip(results) {
            let content = match result {
                Ok(Claimed::Whole(bytes)) => Some(bytes),
                Ok(Claimed::Unread) => None,
                Ok(Claimed::Gone) => {
                    self.held.lock().remove(&file.path);
                    continue;
                }
                Err(fault) => {
                    self.held.lock().remove(&file.path);
                    tracing::warn!(listener = %self.settings.artifact, file = %file.path.escape_debug(), %fault, "a file cannot be claimed");
                    problem = Some(fault);
                    continue;
                }
            };
            taken.push(Taken::new(
                file.clone(),
                self.owner.claim_path(&file.path),
                content,
            ));
        }
        match problem {
            Some(fault) if taken.is_empty() => Err(fault),
            _ => Ok(taken),
        }
    }

    /// Works on a file as soon as there is room for it.
    async fn begin(self: &Arc<Self>, taken: Taken, settle: &mpsc::Sender<Settled>) {
        let permit = tokio::select! {
            permit = Arc::clone(&self.permits).acquire_owned() => permit.ok(),
            () = self.reached(Phase::Stopping) => None,
        };
        let settle = settle.clone();
        let Some(permit) = permit else {
            let _ = settle.send(Settled::release(taken)).await;
            return;
        };
        let folder = Arc::clone(self);
        self.gateway.workers.spawn(async move {
            let settled = folder.work(taken).await;
            let _ = settle.send(settled).await;
            drop(permit);
        });
    }
}

impl Folder {
    async fn work(self: &Arc<Self>, taken: Taken) -> Settled {
        let file = Arc::new(taken);
        let (fate, checkpoint) = match &self.settings.split {
            Some(split) => self.serve_split(&file, split).await,
            None => {
                let whole = Work::File(&file);
                let fate = tokio::select! {
                    fate = self.serve(&whole) => fate,
                    () = self.reached(Phase::Halting) => settle::Fate::Release,
                };
                (fate, false)
            }
        };
        Settled {
            file,
            fate,
            checkpoint,
        }
    }
}

impl Settings {
    /// Whether a file of this path is taken.
    pub(super) fn matches(&self, file: &str) -> bool {
        let subject = if self.by_path { file } else { path::name(file) };
        let here = self.recursive || !file.contains('/');
        here && !path::hidden(file) && self.pattern.is_match(subject)
    }
}

/// Starts the tasks of a folder.
pub(super) fn start(folder: &Arc<Folder>) {
    let Some((settle, settling, alive)) = folder.starting.lock().take() else {
        return;
    };
    let workers = &folder.gateway.workers;
    let (looking, keeping) = (Arc::clone(folder), Arc::clone(folder));
    workers.spawn(async move { look_on(looking, settle).await });
    workers.spawn(async move {
        let listener = &keeping.settings.artifact;
        tokio::select! {
            () = keeping.owner.keep(&*keeping.store, listener, &keeping.wake, &keeping.held) => {}
            () = keeping.reached(Phase::Halting) => {}
        }
    });
    let settler = Arc::clone(folder);
    workers.spawn(async move {
        settle::run(&settler, settling).await;
        drop(alive);
    });
}

async fn look_on(folder: Arc<Folder>, settle: mpsc::Sender<Settled>) {
    let every = folder.settings.every;
    let mut backoff = every;
    while folder.running() {
        let pause = match folder.look(&settle).await {
            Ok(full) => {
                folder.health.up();
                backoff = every;
                if full { Duration::ZERO } else { every }
            }
            Err(fault) => {
                folder.health.down(fault.to_string());
                backoff = (backoff * 2).min(BACKOFF_MAX.max(every));
                backoff
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = folder.wake.notified() => {}
            () = folder.reached(Phase::Stopping) => {}
        }
    }
}
