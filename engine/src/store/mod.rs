//! Message stores: where messages wait for a processor, and where those go that failed for good.

use crate::fault::Fault;
use crate::mediator::BoxFuture;
use crate::message::{Message, StartLine};
use crate::payload::Payload;
use crate::registry::StoreSpec;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value as Json;
use std::sync::Arc;

/// The kinds of store that need no transport, with their YAML keys.
pub static BUILT_IN: &[(&str, StoreSpec)] = &[];

/// A message as it is stored. Its bytes and headers never change; only its attempts and its fault do.
#[derive(Clone, Debug, Default)]
pub struct StoredMessage {
    /// Unique and in the order of arrival: a UUID of version 7.
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

/// A message store.
pub trait Store: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &Arc<str>;

    /// Opens it, where that has not been done. A server that is away is no error: messages are refused until it is there.
    ///
    /// # Errors
    /// `gateway.store` where its file cannot be opened.
    fn open(&self) -> BoxFuture<'_, Result<(), Fault>>;

    /// Stores a message. Once this succeeds the message survives what the kind of store promises to survive.
    ///
    /// # Errors
    /// `gateway.store` where it is full or its disk or server fails. The message is not stored.
    fn put(&self, message: StoredMessage) -> BoxFuture<'_, Result<(), Fault>>;
}
