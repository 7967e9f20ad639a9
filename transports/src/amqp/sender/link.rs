//! The connection that all senders to a broker share, with its reply queue.

use crate::amqp::channels::{Channels, Publish, PublishError, header_max};
use engine::fault::{Fault, FaultCode};
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Connection, Consumer};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OnceCell, oneshot};

/// Messages that are published at the same time. More wait.
const CHANNELS_MAX: usize = 256;
/// Requests that wait for their replies.
const WAITING_MAX: usize = 16_384;

/// A live connection.
pub(in crate::amqp) struct Link {
    connection: Connection,
    channels: Channels,
    replies: OnceCell<Replies>,
}

impl Link {
    pub(in crate::amqp) fn new(connection: Connection) -> Self {
        Self {
            connection,
            channels: Channels::new(CHANNELS_MAX),
            replies: OnceCell::new(),
        }
    }

    pub(in crate::amqp) fn connected(&self) -> bool {
        let replies = self.replies.get();
        self.connection.status().connected() && replies.is_none_or(|replies| replies.waiting.lock().is_some())
    }

    pub(in crate::amqp) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Most bytes of a message's headers.
    pub(in crate::amqp) fn header_max(&self) -> usize {
        header_max(&self.connection)
    }

    pub(in crate::amqp) async fn publish(&self, message: Publish<'_>) -> Result<(), PublishError> {
        self.channels.publish(&self.connection, message).await
    }

    /// The reply queue, made when it is first used.
    pub(super) async fn replies(&self) -> lapin::Result<&Replies> {
        self.replies
            .get_or_try_init(|| Replies::open(&self.connection))
            .await
    }
}

/// Those who wait, by correlation id. `None` when replies can come no more.
type Waiting = Arc<Mutex<Option<HashMap<String, oneshot::Sender<Delivery>>>>>;

/// A queue of our own for replies.
pub(super) struct Replies {
    pub(super) queue: ShortString,
    waiting: Waiting,
}

impl Replies {
    async fn open(connection: &Connection) -> lapin::Result<Self> {
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare("".into(), options, FieldTable::default())
            .await?
            .name()
            .clone();
        let options = BasicConsumeOptions {
            no_ack: true,
            exclusive: true,
            ..BasicConsumeOptions::default()
        };
        let consumer = channel
            .basic_consume(queue.clone(), "".into(), options, FieldTable::default())
            .await?;
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        drop(tokio::spawn(hand_out(consumer, Arc::clone(&waiting))));
        Ok(Self { queue, waiting })
    }

    /// Expects the reply to one request.
    pub(super) fn expect(&self) -> Result<Expected<'_>, Fault> {
        let (sender, reply) = oneshot::channel();
        let id = uuid::Uuid::new_v4().to_string();
        if let Some(waiting) = self.waiting.lock().as_mut() {
            if waiting.len() >= WAITING_MAX {
                let problem = "Too many requests wait for their replies.";
                return Err(Fault::new(FaultCode::Overloaded, problem));
            }
            waiting.insert(id.clone(), sender);
        }
        Ok(Expected {
            id: id.into(),
            reply: Some(reply),
            replies: self,
        })
    }
}

/// Gives each reply to whoever waits for it. Replies that nobody waits for any more are dropped.
async fn hand_out(mut consumer: Consumer, waiting: Waiting) {
    while let Some(Ok(delivery)) = consumer.next().await {
        let id = delivery.properties.correlation_id().as_ref();
        let waiter = id.and_then(|id| waiting.lock().as_mut().and_then(|all| all.remove(id.as_str())));
        if let Some(waiter) = waiter {
            // Whoever has given up meanwhile needs no reply.
            let _ = waiter.send(delivery);
        }
    }
    *waiting.lock() = None;
}

/// A reply to come. Forgotten when it is dropped.
pub(super) struct Expected<'a> {
    pub(super) id: ShortString,
    reply: Option<oneshot::Receiver<Delivery>>,
    replies: &'a Replies,
}

impl Expected<'_> {
    /// The reply; none where the connection is lost.
    pub(super) async fn reply(mut self) -> Option<Delivery> {
        let reply = self.reply.take()?;
        reply.await.ok()
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.replies.waiting.lock().as_mut() {
            waiting.remove(self.id.as_str());
        }
    }
}
