//! What is in the file of a durable store: messages, their attempts, how those ended that left, and the places of numbered streams.

use super::finished::{self, Ended, Records};
use super::places::Moved;
use super::queue::Queue;
use super::record;
use super::slot::Slot;
use super::writer::Operation;
use bytes::Bytes;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
};
use std::path::Path;

/// Records by the order of arrival.
const MESSAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("messages");
/// Attempts of those messages that had some.
const ATTEMPTS: TableDefinition<'_, u64, u32> = TableDefinition::new("attempts");
/// How messages ended, a record for each commit.
const FINISHED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("finished");
/// Streams with the last number that had its turn, and when they moved.
const PLACES: TableDefinition<'_, &str, (i64, u64)> = TableDefinition::new("places");

/// Fills a queue with what is in the file. Tells which records of finished messages there are.
pub(super) fn restore(database: &Database, queue: &Queue, path: &Path) -> Result<Records, redb::Error> {
    let transaction = database.begin_read()?;
    restore_messages(&transaction, queue, path)?;
    if let Some(places) = existing(transaction.open_table(PLACES))? {
        for entry in places.iter()? {
            let (stream, place) = entry?;
            let (number, moved) = place.value();
            queue.restore_place(stream.value(), number, moved);
        }
    }
    let mut records = Records::default();
    let Some(finished) = existing(transaction.open_table(FINISHED))? else {
        return Ok(records);
    };
    for entry in finished.iter()? {
        let (key, record) = entry?;
        let (ended_at, ended) = finished::decode(record.value()).unwrap_or_default();
        records.add(key.value(), ended.len(), ended_at);
        queue.restore_ended(ended_at, ended);
    }
    Ok(records)
}

fn restore_messages(transaction: &ReadTransaction, queue: &Queue, path: &Path) -> Result<(), redb::Error> {
    let Some(messages) = existing(transaction.open_table(MESSAGES))? else {
        return Ok(());
    };
    let attempts = existing(transaction.open_table(ATTEMPTS))?;
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

/// A table that a new file, or one of an older version, does not have.
fn existing<T>(opened: Result<T, TableError>) -> Result<Option<T>, TableError> {
    match opened {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// The record of a message.
pub(super) fn read(database: &Database, sequence: u64) -> Result<Option<Bytes>, redb::Error> {
    let transaction = database.begin_read()?;
    let Some(messages) = existing(transaction.open_table(MESSAGES))? else {
        return Ok(None);
    };
    let record = messages.get(sequence)?;
    Ok(record.map(|record| Bytes::copy_from_slice(record.value())))
}

/// Writes operations.
pub(super) fn apply(transaction: &WriteTransaction, batch: &[Operation]) -> Result<(), redb::Error> {
    let mut messages = transaction.open_table(MESSAGES)?;
    let mut attempts_of = transaction.open_table(ATTEMPTS)?;
    let mut places = transaction.open_table(PLACES)?;
    for operation in batch {
        match operation {
            Operation::Put { sequence, record, .. } => drop(messages.insert(sequence, record.as_slice())?),
            Operation::Remove {
                sequence,
                attempts,
                moved,
                ..
            } => {
                messages.remove(sequence)?;
                if *attempts > 0 {
                    attempts_of.remove(sequence)?;
                }
                if let Some(Moved {
                    stream,
                    number,
                    moved,
                    forgotten,
                }) = moved
                {
                    places.insert(&**stream, (*number, *moved))?;
                    if let Some(forgotten) = forgotten {
                        places.remove(&**forgotten)?;
                    }
                }
            }
            Operation::Ended { .. } => {}
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

/// Writes how messages ended under this key, and removes older records.
pub(super) fn remember(
    transaction: &WriteTransaction,
    key: u64,
    ended_at: i64,
    ended: &[Ended],
    outdated: &[u64],
) -> Result<(), redb::Error> {
    let mut finished = transaction.open_table(FINISHED)?;
    if !ended.is_empty() {
        finished.insert(key, finished::encode(ended_at, ended).as_slice())?;
    }
    for key in outdated {
        finished.remove(key)?;
    }
    Ok(())
}
