//! Publishing with confirms: a set of channels, each with one message in flight.
//!
//! A returned (unroutable) message and its confirm are two frames that nothing ties together once several messages are in
//! flight on a channel and the broker confirms them at once. With one message on each channel there is no doubt, and what runs
//! at the same time is bounded by the number of channels.

use super::mapping;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection, Error, ErrorKind};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Channels with confirms on one connection.
pub(super) struct Channels {
    idle: Mutex<Vec<Channel>>,
    slots: Semaphore,
}

/// A message as it is published.
pub(super) struct Publish<'a> {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) mandatory: bool,
    pub(super) properties: BasicProperties,
    pub(super) body: &'a [u8],
}

/// Why a message is not confirmed.
#[derive(Debug)]
pub(super) enum PublishError {
    /// Nothing was sent: there is no usable connection.
    Unsent(String),
    /// The connection was lost; the broker may have the message.
    Lost(String),
    /// The broker could not take it now: a queue is full, or is being made or moved.
    Nacked(String),
    /// No queue gets it.
    Unroutable(String),
    /// The broker refuses it.
    Refused(String),
}

impl PublishError {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Unsent(text)
            | Self::Lost(text)
            | Self::Nacked(text)
            | Self::Unroutable(text)
            | Self::Refused(text) => text,
        }
    }
}

impl Channels {
    /// At most `max` channels, each made when it is needed.
    pub(super) fn new(max: usize) -> Self {
        Self {
            idle: Mutex::default(),
            slots: Semaphore::new(max),
        }
    }

    /// Publishes and waits for the confirm. A channel whose confirm nobody waited for is closed, not used again.
    pub(super) async fn publish(
        &self,
        connection: &Connection,
        message: Publish<'_>,
    ) -> Result<(), PublishError> {
        let (size, max) = (mapping::size(&message.properties), header_max(connection));
        if size > max {
            let problem = format!("the headers have {size} bytes, of which {max} fit into a frame");
            return Err(PublishError::Refused(problem));
        }
        let _slot = self.slots.acquire().await;
        let idle = self.idle.lock().pop();
        let channel = match idle.filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => open(connection)
                .await
                .map_err(|error| PublishError::Unsent(error.to_string()))?,
        };
        let options = BasicPublishOptions {
            mandatory: message.mandatory,
            ..BasicPublishOptions::default()
        };
        let (exchange, key) = (message.exchange, message.routing_key);
        let confirm = channel
            .basic_publish(exchange, key, options, message.body, message.properties)
            .await;
        let confirmation = match confirm {
            Ok(confirm) => confirm.await.map_err(|error| failed(&error))?,
            Err(error) => return Err(failed(&error)),
        };
        self.idle.lock().push(channel);
        judge(confirmation)
    }
}

/// Most bytes of a message's headers: they must fit into one frame, or the broker ends the connection.
pub(super) fn header_max(connection: &Connection) -> usize {
    match connection.configuration().frame_max() {
        0 => usize::MAX,
        max => max as usize,
    }
}

async fn open(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

fn judge(confirmation: Confirmation) -> Result<(), PublishError> {
    match confirmation {
        Confirmation::Ack(None) | Confirmation::NotRequested => Ok(()),
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => Err(
            PublishError::Unroutable(format!("{} {}", returned.reply_code, returned.reply_text)),
        ),
        Confirmation::Nack(None) => Err(PublishError::Nacked(
            "the broker did not take the message".to_owned(),
        )),
    }
}

/// What the broker says about a channel is about the message; all else is about the connection.
fn failed(error: &Error) -> PublishError {
    let ErrorKind::ProtocolError(problem) = error.kind() else {
        return PublishError::Lost(error.to_string());
    };
    match problem.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => PublishError::Unroutable(error.to_string()),
        AMQPErrorKind::Soft(_) => PublishError::Refused(error.to_string()),
        AMQPErrorKind::Hard(_) => PublishError::Lost(error.to_string()),
    }
}
