//! The file of a durable store: one redb database, one thread that writes it, one commit and one fsync for all that waits.
//!
//! The channel to the thread has no limit of its own: what can be in it is bounded by the messages that the store may hold. After an
//! error of the disk the database is opened anew before the next commit, so that a full disk heals by itself.

use super::queue::{Queue, Slot};
use super::record;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    WriteTransaction,
};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Records by the order of arrival.
const MESSAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("messages");
/// Attempts of those messages that had some.
const ATTEMPTS: TableDefinition<'_, u64, u32> = TableDefinition::new("attempts");
/// Pages of the file that redb may keep in memory.
const CACHE_BYTES: usize = 32 << 20;
/// Messages that are kept in memory besides, so that what is taken soon is not read from the file.
const MEMORY_BYTES_MAX: u64 = 32 << 20;
/// Most operations of one commit.
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
        done: Option<Done>,
    },
    Attempts {
        sequence: u64,
        attempts: u32,
    },
}

/// The file of a store; shared by all deployments that name it.
pub(super) struct StoreFile {
    path: PathBuf,
    pub(super) queue: Arc<Queue>,
    opened: Mutex<Option<Opened>>,
}

struct Opened {
    send: Sender<Operation>,
    database: Arc<RwLock<Option<Database>>>,
    thread: JoinHandle<()>,
}

impl StoreFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            queue: Arc::new(Queue::new(MEMORY_BYTES_MAX)),
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
        restore(&database, &self.queue, &self.path).map_err(|error| describe(error.to_string()))?;
        let database = Arc::new(RwLock::new(Some(database)));
        let (send, receive) = channel();
        let writer = Writer {
            path: self.path.clone(),
            database: Arc::clone(&database),
            queue: Arc::clone(&self.queue),
            left: Vec::new(),
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
        let opened = self.opened.lock();
        let opened = opened.as_ref().ok_or("it is not open")?;
        let sent = opened.send.send(operation);
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
        read(database, sequence).map_err(|error| error.to_string())
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

fn open_database(path: &Path) -> Result<Database, String> {
    let database = Builder::new()
        .set_cache_size(CACHE_BYTES)
        .create(path)
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => "another process has it open".to_owned(),
            other => other.to_string(),
        })?;
    // The name of a new file has to survive too.
    if let Some(folder) = path.parent().and_then(|folder| std::fs::File::open(folder).ok()) {
        folder.sync_all().map_err(|error| error.to_string())?;
    }
    Ok(database)
}

fn restore(database: &Database, queue: &Queue, path: &Path) -> Result<(), redb::Error> {
    let transaction = database.begin_read()?;
    let messages = match transaction.open_table(MESSAGES) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        other => other?,
    };
    let attempts = match transaction.open_table(ATTEMPTS) {
        Err(TableError::TableDoesNotExist(_)) => None,
        other => Some(other?),
    };
    for entry in messages.iter()? {
        let (sequence, record) = entry?;
        let sequence = sequence.value();
        let Some((id, key, stored_at, stored_attempts)) = record::head(record.value()) else {
            tracing::error!(path = %path.display(), sequence, "a record of the store cannot be read; it stays in the file");
            continue;
        };
        let counted = match &attempts {
            Some(table) => table.get(sequence)?.map(|attempts| attempts.value()),
            None => None,
        };
        let slot = Slot {
            id: id.into(),
            key: key.map(Into::into),
            stored_at,
            attempts: counted.unwrap_or(stored_attempts),
            size: record.value().len() as u64,
            message: None,
        };
        queue.restore(sequence, slot);
    }
    Ok(())
}

fn read(database: &Database, sequence: u64) -> Result<Option<Bytes>, redb::Error> {
    let transaction = database.begin_read()?;
    let messages = match transaction.open_table(MESSAGES) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        other => other?,
    };
    let record = messages.get(sequence)?;
    Ok(record.map(|record| Bytes::copy_from_slice(record.value())))
}

struct Writer {
    path: PathBuf,
    database: Arc<RwLock<Option<Database>>>,
    queue: Arc<Queue>,
    /// What has to be done yet, as the disk refused it: only removals and attempts.
    left: Vec<Operation>,
}

impl Writer {
    fn run(mut self, receive: &Receiver<Operation>) {
        while let Some(batch) = self.next_batch(receive) {
            self.commit(batch);
        }
        if !self.left.is_empty() {
            self.commit(Vec::new());
        }
    }

    /// Everything that waits. `None` at the end.
    fn next_batch(&self, receive: &Receiver<Operation>) -> Option<Vec<Operation>> {
        let first = match self.left.is_empty() {
            true => Some(receive.recv().ok()?),
            false => match receive.recv_timeout(AGAIN) {
                Ok(operation) => Some(operation),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return None,
            },
        };
        let more = receive.try_iter().take(BATCH_MAX);
        Some(first.into_iter().chain(more).collect())
    }

    fn commit(&mut self, mut batch: Vec<Operation>) {
        batch.append(&mut self.left);
        let repeated = self.repeated(&mut batch);
        match self.write(&batch) {
            Ok(()) => {
                batch.into_iter().for_each(|operation| self.finish(operation));
                repeated.into_iter().for_each(|operation| self.refuse(operation));
            }
            Err(problem) => {
                tracing::error!(path = %self.path.display(), problem, "a store cannot write");
                *self.database.write() = None;
                for operation in batch.into_iter().chain(repeated) {
                    self.fail(operation, &problem);
                }
            }
        }
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

    fn write(&self, batch: &[Operation]) -> Result<(), String> {
        if self.database.read().is_none() {
            *self.database.write() = Some(open_database(&self.path)?);
        }
        let database = self.database.read();
        let database = database.as_ref().ok_or("its file cannot be opened")?;
        let transaction = database.begin_write().map_err(|error| error.to_string())?;
        apply(&transaction, batch).map_err(|error| error.to_string())?;
        transaction.commit().map_err(|error| error.to_string())
    }

    fn finish(&self, operation: Operation) {
        match operation {
            Operation::Put {
                sequence, slot, done, ..
            } => {
                self.queue.insert(sequence, slot);
                answer(Some(done), Ok(Written::Yes));
            }
            Operation::Remove { done, .. } => answer(done, Ok(Written::Yes)),
            Operation::Attempts { .. } => {}
        }
    }

    /// A put is refused, and removed should it have reached the disk after all. Everything else is tried again.
    fn fail(&mut self, operation: Operation, problem: &str) {
        match operation {
            Operation::Put {
                sequence, slot, done, ..
            } => {
                self.queue.unreserve(slot.size);
                self.left.push(Operation::Remove { sequence, done: None });
                answer(Some(done), Err(problem.to_owned()));
            }
            Operation::Remove { sequence, done } => {
                answer(done, Err(problem.to_owned()));
                self.left.push(Operation::Remove { sequence, done: None });
            }
            attempts @ Operation::Attempts { .. } => self.left.push(attempts),
        }
    }
}

/// Answers whoever still waits.
fn answer(done: Option<Done>, result: Result<Written, String>) {
    if let Some(done) = done {
        drop(done.send(result));
    }
}

fn apply(transaction: &WriteTransaction, batch: &[Operation]) -> Result<(), redb::Error> {
    let mut messages = transaction.open_table(MESSAGES)?;
    let mut attempts_of = transaction.open_table(ATTEMPTS)?;
    for operation in batch {
        match operation {
            Operation::Put { sequence, record, .. } => drop(messages.insert(sequence, record.as_slice())?),
            Operation::Remove { sequence, .. } => {
                messages.remove(sequence)?;
                attempts_of.remove(sequence)?;
            }
            Operation::Attempts { sequence, attempts } => {
                // One that was removed meanwhile must not leave its attempts behind.
                if messages.get(sequence)?.is_some() {
                    attempts_of.insert(sequence, attempts)?;
                }
            }
        }
    }
    Ok(())
}
