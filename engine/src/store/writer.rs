//! The file of a durable store: one redb database, one thread that writes it, one commit and one fsync for all that waits.
//!
//! The channel to the thread has no limit of its own: what can be in it is bounded by the messages that the store may hold. After an
//! error of the disk the database is opened anew before the next commit, so that a full disk heals by itself.

use super::finished::{Ended, Records};
use super::places::Moved;
use super::queue::Queue;
use super::slot::Slot;
use super::tables;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use redb::{Builder, Database, DatabaseError, WriteTransaction};
use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Pages of the file that redb may keep in memory.
const CACHE_BYTES: usize = 32 << 20;
/// Messages that are kept in memory besides, so that what is taken soon is not read from the file.
const MEMORY_BYTES_MAX: u64 = 32 << 20;
/// Most jobs of one commit: what one caller has to be done at once.
const BATCH_MAX: usize = 4096;
/// How soon removals are tried again that the disk refused.
const AGAIN: Duration = Duration::from_secs(1);

/// The answer to an operation; the error is for the log.
pub(super) type Done = oneshot::Sender<Result<Written, String>>;

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is on the disk.
    Yes,
    /// A message of this id is there already.
    IdIsThere,
}

/// An operation on the file.
pub(super) enum Operation {
    Put {
        sequence: u64,
        record: Vec<u8>,
        slot: Slot,
        done: Done,
    },
    Remove {
        sequence: u64,
        /// Those that the file may have.
        attempts: u32,
        /// How it ended, where that is to be remembered.
        ended: Option<Ended>,
        moved: Option<Moved>,
        done: Option<Done>,
    },
    Attempts {
        sequence: u64,
        attempts: u32,
    },
    /// Of a message that is gone.
    Ended {
        ended: Ended,
    },
}

/// The file of a store; shared by all deployments that name it.
pub(super) struct StoreFile {
    path: PathBuf,
    pub(super) queue: Arc<Queue>,
    opened: Mutex<Option<Opened>>,
}

struct Opened {
    send: Sender<Vec<Operation>>,
    database: Arc<RwLock<Option<Database>>>,
    thread: JoinHandle<()>,
}

impl StoreFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            queue: Arc::new(Queue::new(Some(MEMORY_BYTES_MAX))),
            opened: Mutex::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file and reads what is in it, where that has not been done.
    pub(super) fn open(&self) -> Result<(), String> {
        let mut opened = self.opened.lock();
        if opened.is_some() {
            return Ok(());
        }
        let describe = |problem: String| format!("{}: {problem}", self.path.display());
        make_folder(&self.path).map_err(|error| describe(error.to_string()))?;
        let database = open_database(&self.path).map_err(describe)?;
        let records = tables::restore(&database, &self.queue, &self.path);
        let records = records.map_err(|error| describe(error.to_string()))?;
        let database = Arc::new(RwLock::new(Some(database)));
        let (send, receive) = channel();
        let writer = Writer {
            path: self.path.clone(),
            database: Arc::clone(&database),
            queue: Arc::clone(&self.queue),
            left: Vec::new(),
            records,
            fails: false,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&receive))
            .map_err(|error| describe(error.to_string()))?;
        *opened = Some(Opened {
            send,
            database,
            thread,
        });
        Ok(())
    }

    /// Hands an operation to the writer.
    pub(super) fn write(&self, operation: Operation) -> Result<(), String> {
        self.write_all(vec![operation])
    }

    /// Hands operations to the writer that share one commit.
    pub(super) fn write_all(&self, operations: Vec<Operation>) -> Result<(), String> {
        let opened = self.opened.lock();
        let opened = opened.as_ref().ok_or("it is not open")?;
        let sent = opened.send.send(operations);
        sent.map_err(|_| "its writer has ended".to_owned())
    }

    /// Reads the record of a message.
    pub(super) fn read(&self, sequence: u64) -> Result<Option<Bytes>, String> {
        let database = self
            .opened
            .lock()
            .as_ref()
            .map(|opened| Arc::clone(&opened.database));
        let database = database.ok_or("it is not open")?;
        let database = database.read();
        let database = database.as_ref().ok_or("its file cannot be opened")?;
        tables::read(database, sequence).map_err(|error| error.to_string())
    }
}

impl Drop for StoreFile {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.get_mut().take() {
            drop(opened.send);
            // It ends after the last commit. A panic there has been reported by the thread itself.
            drop(opened.thread.join());
        }
    }
}

fn make_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder),
        _ => Ok(()),
    }
}

/// A new file is for this user only: messages may hold anything.
fn make_file(path: &Path) -> std::io::Result<()> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true).create(true).truncate(false);
    options.open(path).map(drop)
}

fn open_database(path: &Path) -> Result<Database, String> {
    make_file(path).map_err(|error| error.to_string())?;
    let database = Builder::new()
        .set_cache_size(CACHE_BYTES)
        .create(path)
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => "another process has it open".to_owned(),
            other => other.to_string(),
        })?;
    // The name of a new file has to survive too.
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        folder.sync_all().map_err(|error| error.to_string())?;
    }
    Ok(database)
}

struct Writer {
    path: PathBuf,
    database: Arc<RwLock<Option<Database>>>,
    queue: Arc<Queue>,
    /// What has to be done yet, as the disk refused it: only removals and attempts.
    left: Vec<Operation>,
    /// What the file has of finished messages.
    records: Records,
    /// Whether the last write failed.
    fails: bool,
}

impl Writer {
    fn run(mut self, receive: &Receiver<Vec<Operation>>) {
        while let Some(batch) = self.next_batch(receive) {
            self.commit(batch);
        }
        if !self.left.is_empty() {
            self.commit(Vec::new());
        }
    }

    /// Everything that waits. `None` at the end.
    fn next_batch(&self, receive: &Receiver<Vec<Operation>>) -> Option<Vec<Operation>> {
        let first = match self.left.is_empty() {
            true => Some(receive.recv().ok()?),
            false => match receive.recv_timeout(AGAIN) {
                Ok(operations) => Some(operations),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return None,
            },
        };
        let more = receive.try_iter().take(BATCH_MAX);
        Some(first.into_iter().chain(more).flatten().collect())
    }

    /// First what is left, by itself: while that fails nothing new is tried, so that what is left does not grow.
    fn commit(&mut self, mut batch: Vec<Operation>) {
        let left = std::mem::take(&mut self.left);
        if !left.is_empty()
            && let Err(problem) = self.write(&left)
        {
            self.left = left;
            self.failing(&problem);
            for operation in batch {
                self.fail(operation, &problem, false);
            }
            return;
        }
        let repeated = self.repeated(&mut batch);
        match self.write(&batch) {
            Ok(()) => {
                if std::mem::take(&mut self.fails) {
                    tracing::info!(path = %self.path.display(), "a store writes again");
                }
                self.finish(batch);
                repeated.into_iter().for_each(|operation| self.refuse(operation));
            }
            Err(problem) => {
                self.failing(&problem);
                for operation in batch {
                    self.fail(operation, &problem, true);
                }
                for operation in repeated {
                    self.fail(operation, &problem, false);
                }
            }
        }
    }

    /// The database takes nothing more after an error; it is opened anew.
    fn failing(&mut self, problem: &str) {
        if !std::mem::replace(&mut self.fails, true) {
            tracing::error!(path = %self.path.display(), problem, "a store cannot write");
        }
        *self.database.write() = None;
    }

    /// Takes out the puts whose id is there already, or comes earlier in the batch. They are answered after the write: the earlier one
    /// may fail.
    fn repeated(&self, batch: &mut Vec<Operation>) -> Vec<Operation> {
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        let again = |operation: &mut Operation| match operation {
            Operation::Put { slot, .. } => {
                !seen.insert(Arc::clone(&slot.id)) || self.queue.contains(&slot.id)
            }
            _ => false,
        };
        batch.extract_if(.., again).collect()
    }

    fn refuse(&self, operation: Operation) {
        if let Operation::Put { slot, done, .. } = operation {
            self.queue.unreserve(slot.size);
            answer(Some(done), Ok(Written::IdIsThere));
        }
    }

    fn write(&mut self, batch: &[Operation]) -> Result<(), String> {
        if self.database.read().is_none() {
            *self.database.write() = Some(open_database(&self.path)?);
        }
        let database = Arc::clone(&self.database);
        let database = database.read();
        let database = database.as_ref().ok_or("its file cannot be opened")?;
        let transaction = database.begin_write().map_err(|error| error.to_string())?;
        tables::apply(&transaction, batch).map_err(|error| error.to_string())?;
        let remembered = self.remember(&transaction, batch);
        remembered.map_err(|error| error.to_string())?;
        transaction.commit().map_err(|error| error.to_string())
    }

    /// Notes how messages ended. Where the commit fails, the records in memory may be ahead of the file: the key of one is left out, and
    /// outdated ones stay in the file until it is opened again.
    fn remember(&mut self, transaction: &WriteTransaction, batch: &[Operation]) -> Result<(), redb::Error> {
        let ended = batch.iter().filter_map(|operation| match operation {
            Operation::Remove { ended, .. } => ended.clone(),
            Operation::Ended { ended } => Some(ended.clone()),
            _ => None,
        });
        let ended: Vec<Ended> = ended.collect();
        let Some(memory) = self.queue.finished().filter(|_| !ended.is_empty()) else {
            return Ok(());
        };
        let now = jiff::Timestamp::now().as_millisecond();
        let key = self.records.next();
        self.records.add(key, ended.len(), now);
        let outdated = self.records.outdated(memory, now);
        tables::remember(transaction, key, now, &ended, &outdated)
    }

    /// What is on the disk now is in the queue before it is answered.
    fn finish(&self, batch: Vec<Operation>) {
        let mut put = Vec::new();
        let mut answers = Vec::new();
        for operation in batch {
            match operation {
                Operation::Put {
                    sequence, slot, done, ..
                } => {
                    put.push((sequence, slot));
                    answers.push(done);
                }
                Operation::Remove { done, .. } => answers.extend(done),
                Operation::Attempts { .. } | Operation::Ended { .. } => {}
            }
        }
        if !put.is_empty() {
            self.queue.insert_all(put.into_iter());
        }
        for done in answers {
            answer(Some(done), Ok(Written::Yes));
        }
    }

    /// A put is refused, and removed should it have reached the disk after all. Everything else is tried again.
    fn fail(&mut self, operation: Operation, problem: &str, tried: bool) {
        match operation {
            Operation::Put {
                sequence, slot, done, ..
            } => {
                self.queue.unreserve(slot.size);
                if tried {
                    self.left.push(Operation::Remove {
                        sequence,
                        attempts: 0,
                        ended: None,
                        moved: None,
                        done: None,
                    });
                }
                answer(Some(done), Err(problem.to_owned()));
            }
            Operation::Remove {
                sequence,
                attempts,
                ended,
                moved,
                done,
            } => {
                answer(done, Err(problem.to_owned()));
                self.left.push(Operation::Remove {
                    sequence,
                    attempts,
                    ended,
                    moved,
                    done: None,
                });
            }
            other @ (Operation::Attempts { .. } | Operation::Ended { .. }) => self.left.push(other),
        }
    }
}

/// Answers whoever still waits.
fn answer(done: Option<Done>, result: Result<Written, String>) {
    if let Some(done) = done {
        drop(done.send(result));
    }
}
