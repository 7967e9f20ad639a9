//! A message store in a queue of a broker.
//!
//! ```text
//!  put ──▶ publish, confirmed ──▶ QUEUE ──▶ consumer ──▶ held ──take──▶ leased ──▶ done: acknowledged
//!                                   ▲                     ▲                └─────▶ failed
//!                                   │  without a key      │  with a key             │
//!                                   └─ published again ───┴── waits here ───────────┘
//! ```
//! A broker cannot look into a queue or change a message in it. So a message that failed is published again with its count, at the end
//! of the queue; one that has a key stays where it is, as its order would be lost, and so its count is lost with the process.

mod held;
mod record;
mod session;

use super::broker::{Backoff, Broker};
use super::channels::{Publish, PublishError};
use super::mapping;
use super::topology::{Declare, ensure_queue};
use engine::fault::{Fault, FaultCode};
use engine::mediator::BoxFuture;
use engine::store::queue::Order;
use engine::store::{MessageState, Settlement, Store, StoredMessage};
use held::{Held, Receipt};
use lapin::BasicProperties;
use lapin::options::BasicAckOptions;
use lapin::types::{AMQPValue, ShortString};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// How long the consumer stays when nobody takes messages.
const IDLE: Duration = Duration::from_secs(5);
/// Most time until an acknowledgement is on its way.
const ACK_TIME: Duration = Duration::from_secs(5);

/// The settings of a store.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) queue: ShortString,
    /// What to declare where the queue does not exist; `None` for nothing.
    pub(super) declare: Option<Declare>,
    pub(super) prefetch: u16,
    /// Most time until the broker has confirmed a message.
    pub(super) timeout: Duration,
}

impl Settings {
    fn queue_label(&self) -> String {
        format!("store {}", self.queue)
    }
}

/// A store by its name; stores of equal settings share the rest, also over reloads.
pub(super) struct AmqpStore {
    name: Arc<str>,
    shared: Arc<Shared>,
    /// Whether the last taker was told that the broker is away.
    away: AtomicBool,
}

/// What the stores of equal settings share.
pub(super) struct Shared {
    broker: Arc<Broker>,
    settings: Settings,
    held: Held,
    state: watch::Sender<State>,
    taking: Mutex<Taking>,
}

/// The state of the consumer.
#[derive(Clone, Debug, PartialEq)]
enum State {
    Starting,
    Up,
    Down(String),
}

/// Who takes messages.
struct Taking {
    takers: usize,
    /// Whether there is a task that receives.
    receiving: bool,
    last: Instant,
}

impl Shared {
    pub(super) fn new(broker: Arc<Broker>, settings: Settings) -> Self {
        Self {
            broker,
            settings,
            held: Held::new(),
            state: watch::Sender::new(State::Starting),
            taking: Mutex::new(Taking {
                takers: 0,
                receiving: false,
                last: Instant::now(),
            }),
        }
    }

    /// Counts a taker and sees to it that there is a consumer.
    fn enter(self: &Arc<Self>) -> Taker<'_> {
        let mut taking = self.taking.lock();
        taking.takers += 1;
        if !std::mem::replace(&mut taking.receiving, true) {
            self.state.send_replace(State::Starting);
            drop(tokio::spawn(session::receive_while_taken(Arc::clone(self))));
        }
        Taker(self)
    }

    /// Whether nobody needs the consumer any more, which then has to end.
    fn retires(&self) -> bool {
        let mut taking = self.taking.lock();
        let idle = taking.takers == 0 && taking.last.elapsed() > IDLE && !self.held.any_leased();
        taking.receiving = !idle;
        idle
    }
}

/// Somebody who takes messages.
struct Taker<'a>(&'a Shared);

impl Drop for Taker<'_> {
    fn drop(&mut self) {
        let mut taking = self.0.taking.lock();
        taking.takers -= 1;
        taking.last = Instant::now();
    }
}

impl AmqpStore {
    pub(super) fn new(name: Arc<str>, shared: Arc<Shared>) -> Self {
        let away = AtomicBool::new(false);
        Self { name, shared, away }
    }

    fn fault(&self, detail: impl std::fmt::Display) -> Fault {
        let fault = Fault::new(FaultCode::Store, "The message cannot be stored now.");
        fault.with_detail(format!("store `{}`: {detail}", self.name))
    }

    async fn put(&self, message: &StoredMessage) -> Result<(), Fault> {
        let link = self.shared.broker.link();
        let link = link.await.map_err(|problem| self.fault(problem))?;
        let properties = record::encode(message, link.header_max());
        let properties = properties.map_err(|problem| self.fault(problem))?;
        let published = self.shared.publish(&properties, &message.body).await;
        published.map_err(|problem| self.fault(problem))
    }

    async fn take(&self, max: usize) -> Result<Vec<StoredMessage>, Fault> {
        let shared = &self.shared;
        let _taker = shared.enter();
        let mut state = shared.state.subscribe();
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                State::Down(problem) => {
                    self.away.store(true, Ordering::Relaxed);
                    return Err(self.fault(problem));
                }
                State::Starting => {
                    // The sender is alive as long as we are.
                    let _ = state.changed().await;
                    continue;
                }
                State::Up if self.away.swap(false, Ordering::Relaxed) => return Ok(Vec::new()),
                State::Up => {}
            }
            tokio::select! {
                found = shared.held.queue.take(max, Order::ByKey) => {
                    let messages = shared.held.leased(found);
                    if !messages.is_empty() {
                        return Ok(messages);
                    }
                }
                _ = state.changed() => {}
            }
        }
    }

    async fn settle(&self, id: &str, how: Settlement) -> Result<(), Fault> {
        let held = &self.shared.held;
        let receipt = match how {
            Settlement::Done | Settlement::Failed => held.leave(id, how),
            Settlement::Retry { counted: false, .. } => {
                held.pause(id, how);
                None
            }
            Settlement::Retry { pause, counted: true } => match self.shared.publish_again(id, pause).await {
                true => held.superseded(id),
                false => {
                    held.pause(id, how);
                    None
                }
            },
        };
        if let Some(receipt) = receipt {
            acknowledge(receipt).await;
        }
        Ok(())
    }
}

/// What cannot be acknowledged any more comes again, and is known then.
async fn acknowledge(receipt: Receipt) {
    let ack = receipt.channel.basic_ack(receipt.tag, BasicAckOptions::default());
    let _ = timeout(ACK_TIME, ack).await;
}

impl Shared {
    /// Publishes until the broker has confirmed. A message whose confirm was lost with the connection is published again: it has
    /// the same id, so that it is not taken twice.
    async fn publish(&self, properties: &BasicProperties, body: &[u8]) -> Result<(), String> {
        let deadline = Instant::now() + self.settings.timeout;
        let mut backoff = Backoff::default();
        let mut declared = false;
        loop {
            let problem = match timeout_at(deadline, self.publish_once(properties, body)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(PublishError::Unroutable(_))) if !declared => {
                    declared = true;
                    self.declare(deadline).await?;
                    continue;
                }
                Ok(Err(PublishError::Lost(problem) | PublishError::Nacked(problem))) => problem,
                Ok(Err(error)) => return Err(error.text().to_owned()),
                Err(_) => {
                    let limit = self.settings.timeout.as_secs_f64();
                    return Err(format!(
                        "the broker did not confirm the message within {limit} seconds"
                    ));
                }
            };
            let pause = backoff.next();
            if Instant::now() + pause >= deadline {
                return Err(problem);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn publish_once(&self, properties: &BasicProperties, body: &[u8]) -> Result<(), PublishError> {
        let link = self.broker.link().await.map_err(PublishError::Unsent)?;
        let message = Publish {
            exchange: ShortString::default(),
            routing_key: self.settings.queue.clone(),
            mandatory: true,
            properties: properties.clone(),
            body,
        };
        link.publish(message).await
    }

    async fn declare(&self, deadline: Instant) -> Result<(), String> {
        let queue = &self.settings.queue;
        let link = self.broker.link().await?;
        let declared = ensure_queue(link.connection(), queue, self.settings.declare);
        match timeout_at(deadline, declared).await {
            Ok(declared) => declared.map_err(|error| format!("queue `{queue}`: {error}")),
            Err(_) => Err(format!("queue `{queue}`: the broker does not answer")),
        }
    }

    /// Puts a copy of a message with its new count at the end of the queue. `false` where the message has to stay.
    async fn publish_again(&self, id: &str, pause: Duration) -> bool {
        let Some((properties, message, attempts)) = self.held.supersede(id) else {
            return false;
        };
        let (properties, mut table) = mapping::republished(&properties, true);
        let attempts = AMQPValue::LongLongInt(i64::from(attempts) + 1);
        table.insert(mapping::ATTEMPTS.into(), attempts);
        mapping::set_pause(&mut table, pause);
        let published = self.publish(&properties.with_headers(table), &message.body).await;
        if let Err(problem) = &published {
            tracing::warn!(queue = %self.settings.queue, message = id, problem, "the count of a message cannot be stored");
        }
        published.is_ok()
    }
}

impl Store for AmqpStore {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn identity(&self) -> String {
        format!("{} {:?}", self.shared.broker.key, self.shared.settings)
    }

    fn open(&self) -> BoxFuture<'_, Result<(), Fault>> {
        // It connects when it is first used: a broker that is away is no reason not to start.
        Box::pin(async { Ok(()) })
    }

    fn put(&self, message: StoredMessage) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move { self.put(&message).await })
    }

    fn take(&self, max: usize) -> BoxFuture<'_, Result<Vec<StoredMessage>, Fault>> {
        Box::pin(self.take(max))
    }

    fn settle<'a>(&'a self, id: &'a str, how: Settlement) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.settle(id, how))
    }

    fn release(&self, id: &str) {
        self.shared.held.release(id);
    }

    fn state(&self, id: &str) -> Option<MessageState> {
        // Of what is still in the broker nothing is known.
        self.shared.held.queue.state(id)
    }
}
