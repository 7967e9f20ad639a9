//! Message stores: where messages wait for a processor, and where those go that failed for good.

pub mod describe;
mod durable;
mod finished;
mod memory;
mod places;
mod processor;
pub mod queue;
mod record;
mod resequence;
mod sequencer;
mod slot;
mod tables;
mod writer;

use crate::fault::{Fault, FaultCode};
use crate::mediator::BoxFuture;
use crate::message::{Message, StartLine};
use crate::payload::Payload;
use crate::registry::StoreSpec;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;

pub use durable::DurableConfig;
pub use memory::MemoryConfig;
pub(crate) use processor::{Processing, ProcessorListener, Sampling};
pub(crate) use resequence::{Late, Resequencing};

/// The kinds of store that need no transport, with their YAML keys.
pub static BUILT_IN: &[(&str, StoreSpec)] = &[("memory", memory::SPEC), ("durable", durable::SPEC)];

/// A message as it is stored. Its bytes and headers never change; only its attempts and its fault do.
#[derive(Clone, Debug, Default)]
pub struct StoredMessage {
    /// Unique among the messages of the store: a UUID of version 7, or what the caller chose.
    pub id: String,
    /// The id of the exchange that stored it.
    pub correlation_id: String,
    /// Messages with the same key are processed one after the other.
    pub key: Option<String>,
    /// When it was stored, in milliseconds since 1970.
    pub stored_at: i64,
    /// How often a processor has tried to deliver it.
    pub attempts: u32,
    /// The start line it had.
    pub start: StartLine,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What its transport told about its source.
    pub source: Option<Arc<Json>>,
    /// Why it is here, where this is a dead letter.
    pub dead: Option<DeadLetter>,
}

/// Why a message failed for good.
#[derive(Clone, Debug, Default)]
pub struct DeadLetter {
    /// The artifact that it failed in: `proxies.orders`.
    pub artifact: String,
    /// The stable name of the fault.
    pub code: String,
    /// Its public message.
    pub message: String,
    /// What only the operator may know.
    pub detail: Option<String>,
    /// The step that failed.
    pub step: Option<String>,
    /// The steps that ran, in order.
    pub history: Vec<Arc<str>>,
    /// The network port it came through, where it came through one.
    pub port: Option<Port>,
}

/// What of a network port is needed to find the route of a request again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// The name of the listener.
    pub listener: String,
    /// The authority that the client asked for.
    pub host: String,
    /// Whether the client used TLS.
    pub secure: bool,
}

/// How far a stream of numbered messages has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The stream: which processor reads it, and its name there.
    pub stream: &'a str,
    /// The last number that had its turn.
    pub number: i64,
}

impl StoredMessage {
    /// A message to store now, under a new id. The payload has to be bytes or empty.
    #[must_use]
    pub fn new(message: Message, correlation_id: &str, source: Option<Arc<Json>>) -> Self {
        let stored_at = jiff::Timestamp::now().as_millisecond();
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            correlation_id: correlation_id.to_owned(),
            stored_at,
            start: message.start,
            headers: message.headers,
            body: message.payload.as_bytes().cloned().unwrap_or_default(),
            source,
            ..Self::default()
        }
    }

    /// The message to deliver: as it was, but a stored reply is an event, as nobody waits for it any more.
    #[must_use]
    pub(crate) fn into_request(self) -> Message {
        let mut message = Message {
            start: self.start,
            headers: self.headers,
            payload: Payload::bytes(self.body),
        };
        if let StartLine::Response { .. } = message.start {
            message.start = StartLine::Event;
        }
        message
    }

    /// The message as it was.
    #[must_use]
    pub fn to_message(&self) -> Message {
        Message {
            start: self.start.clone(),
            headers: self.headers.clone(),
            payload: Payload::bytes(self.body.clone()),
        }
    }
}

/// What became of a message that was taken from a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It was processed: it leaves the store.
    Done,
    /// It failed for good and is kept elsewhere, or was given up: it leaves the store.
    Failed,
    /// It is tried again after a pause. Later messages of its key wait as well.
    Retry {
        /// How long from now. A restart of the process ends the pause.
        pause: Duration,
        /// Whether this attempt counts.
        counted: bool,
    },
}

/// Where a stored message is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a processor, for the first time or again.
    Waiting,
    /// A processor has it.
    Processing,
    /// It was processed.
    Done,
    /// It failed for good.
    Failed,
}

impl Stage {
    /// Whether the message is still in the store.
    #[must_use]
    pub fn in_store(self) -> bool {
        matches!(self, Self::Waiting | Self::Processing)
    }

    /// As it is told in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Processing => "processing",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// The state of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageState {
    /// Where it is.
    pub stage: Stage,
    /// How often its delivery was tried and failed.
    pub attempts: u32,
}

/// How full a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Messages in it, those being processed included.
    pub messages: u64,
    /// Their bytes: headers, bodies and the rest of their records.
    pub bytes: u64,
}

/// A message store. Kinds that keep messages in a server of their own may leave out what that server cannot do.
pub trait Store: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &Arc<str>;

    /// Where its messages are: its kind and file or address. Two stores of one identity are one store.
    fn identity(&self) -> String {
        self.name().to_string()
    }

    /// Whether its messages survive the end of the process.
    fn survives(&self) -> bool {
        true
    }

    /// Opens it, where that has not been done. A server that is away is no error: messages are refused until it is there.
    ///
    /// # Errors
    /// `gateway.store` where its file cannot be opened.
    fn open(&self) -> BoxFuture<'_, Result<(), Fault>>;

    /// Stores a message. Once this succeeds the message survives what the kind of store promises to survive.
    ///
    /// # Errors
    /// `gateway.store` where it is full or its disk or server fails. The message is not stored. `gateway.stored_already`
    /// ([`FaultCode::StoredAlready`]) where a message of this id is in the store: that one stays as it is. Of several that are put at once
    /// exactly one is stored. Kinds that keep messages in a server may be unable to tell.
    fn put(&self, message: StoredMessage) -> BoxFuture<'_, Result<(), Fault>>;

    /// Leases the next messages that are due, in order, at least one and at most `max`; waits until there is one. Of the messages
    /// of a key only the first is ever leased. None at all says that a store that could not be read is there again. A lease ends with
    /// [`Store::settle`], [`Store::release`] or the process. Dropping the future leases nothing.
    ///
    /// # Errors
    /// `gateway.store` where the messages cannot be read.
    fn take(&self, max: usize) -> BoxFuture<'_, Result<Vec<StoredMessage>, Fault>> {
        let _ = max;
        Box::pin(async { Err(self.cannot("be processed from")) })
    }

    /// Ends a lease. Settlements reach the disk with the next commit, which nobody waits for: after a crash the messages come again that
    /// were settled since the last commit began. Those are at most the ones that arrive within two commits, each a few milliseconds.
    ///
    /// # Errors
    /// `gateway.store` where the store is closed.
    fn settle<'a>(&'a self, id: &'a str, how: Settlement) -> BoxFuture<'a, Result<(), Fault>> {
        let _ = (id, how);
        Box::pin(async { Err(self.cannot("be processed from")) })
    }

    /// Leases as [`Store::take`] does, also messages behind others of their key: for a processor that has an order of its own.
    ///
    /// # Errors
    /// `gateway.store` where the messages cannot be read.
    fn take_unordered(&self, max: usize) -> BoxFuture<'_, Result<Vec<StoredMessage>, Fault>> {
        self.take(max)
    }

    /// Ends a lease as [`Store::settle`] does, and notes in the same write how far a stream has come. Kinds that have no room for that
    /// forget it.
    ///
    /// # Errors
    /// `gateway.store` where the store is closed.
    fn settle_at<'a>(
        &'a self,
        id: &'a str,
        how: Settlement,
        place: Place<'a>,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        let _ = place;
        self.settle(id, how)
    }

    /// The last number of a stream that had its turn; `None` where it never had one, or where the store has forgotten.
    fn place(&self, stream: &str) -> Option<i64> {
        let _ = stream;
        None
    }

    /// Gives a leased message back as if it had never been taken.
    fn release(&self, id: &str) {
        let _ = id;
    }

    /// One message, whoever has it.
    ///
    /// # Errors
    /// `gateway.store` where it cannot be read.
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<StoredMessage>, Fault>> {
        let _ = id;
        Box::pin(async { Err(self.cannot("be looked into")) })
    }

    /// At most `max` messages in order, those behind the one with the id `after`, or the first.
    ///
    /// # Errors
    /// `gateway.store` where they cannot be read.
    fn list<'a>(
        &'a self,
        after: Option<&'a str>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredMessage>, Fault>> {
        let _ = (after, max);
        Box::pin(async { Err(self.cannot("be looked into")) })
    }

    /// Removes a message for good. `false` where there is none of this id.
    ///
    /// # Errors
    /// `gateway.store` where it cannot be removed.
    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, Fault>> {
        let _ = id;
        Box::pin(async { Err(self.cannot("be changed")) })
    }

    /// Removes several messages for good: after a crash all of them are there or none. Says how many there were.
    ///
    /// # Errors
    /// As [`Store::remove`].
    fn remove_all<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<usize, Fault>> {
        Box::pin(async move {
            let mut removed = 0;
            for id in ids {
                removed += usize::from(self.remove(id).await?);
            }
            Ok(removed)
        })
    }

    /// The state of a message; `None` where the store never had it, or has forgotten that it had.
    fn state(&self, id: &str) -> Option<MessageState> {
        let _ = id;
        None
    }

    /// Notes that a message which had failed for good was delivered after all, by a replay of its dead letter. Nothing where the store
    /// does not remember that it failed.
    fn delivered_after_all(&self, id: &str) {
        let _ = id;
    }

    /// Whether its messages can be looked up, listed and removed by their ids at any time, so that steps can keep state in it.
    fn addressable(&self) -> bool {
        false
    }

    /// How full it is, where it can tell.
    fn fill(&self) -> Option<Fill> {
        None
    }

    /// The fault for what this kind of store cannot do.
    fn cannot(&self, what: &str) -> Fault {
        Fault::new(FaultCode::LimitExceeded, "This kind of store cannot do that.")
            .with_detail(format!("store `{}` cannot {what}", self.name()))
    }
}

/// `gateway.store` with what the log may know.
pub(crate) fn store_fault(name: &str, detail: impl std::fmt::Display) -> Fault {
    Fault::new(FaultCode::Store, "The message cannot be stored now.")
        .with_detail(format!("store `{name}`: {detail}"))
}

/// `gateway.stored_already`.
pub(crate) fn stored_already(name: &str, id: &str) -> Fault {
    Fault::new(FaultCode::StoredAlready, "This message is stored already.")
        .with_detail(format!("store `{name}` has a message `{id}`"))
}

#[cfg(test)]
mod tests;
