//! What goes into the queue of a store and what comes out of it.

use super::StoredMessage;
use super::finished::{Ended, Memory};
use super::places::Moved;
use std::sync::Arc;

/// The limits of a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) messages_max: u64,
    pub(super) bytes_max: u64,
    pub(super) finished: Memory,
}

/// A message in the queue.
#[derive(Debug)]
pub struct Slot {
    pub(super) id: Arc<str>,
    pub(super) key: Option<Arc<str>>,
    pub(super) stored_at: i64,
    pub(super) attempts: u32,
    /// What it counts for `bytes_max`.
    pub(super) size: u64,
    /// The message itself, where it is kept in memory.
    pub(super) message: Option<Arc<StoredMessage>>,
}

impl Slot {
    /// A message that counts so many bytes.
    #[must_use]
    pub fn new(message: StoredMessage, size: u64) -> Self {
        Self {
            id: message.id.as_str().into(),
            key: message.key.as_deref().map(Into::into),
            stored_at: message.stored_at,
            attempts: message.attempts,
            size,
            message: Some(Arc::new(message)),
        }
    }
}

/// A message as the queue hands it out.
#[derive(Clone, Debug)]
pub struct Found {
    pub(super) sequence: u64,
    /// Its id.
    pub id: Arc<str>,
    /// How often its delivery was tried and failed.
    pub attempts: u32,
    /// The message itself, where it is kept in memory.
    pub message: Option<Arc<StoredMessage>>,
}

/// A lease that ended.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) sequence: u64,
    pub(super) attempts: u32,
    /// How it ended, where it left.
    pub(super) ended: Option<Ended>,
    pub(super) moved: Option<Moved>,
}

/// Which messages are leased.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first of each key.
    ByKey,
    /// All.
    Any,
}
