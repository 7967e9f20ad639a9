//! The receiving half: a queue as the entry of a proxy.

mod acks;
mod bindings;
mod message;
pub(super) mod session;
mod settle;

use super::broker::{Backoff, Broker};
use super::topology::QueueKind;
use engine::fault::Fault;
use engine::gateway::Gateway;
use engine::mediator::BoxFuture;
use engine::observe::HealthHandle;
use engine::transport::{Listener, RunningListener};
use lapin::types::ShortString;
use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Time for closing connections after the grace.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// The settings of an entry.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) queue: ShortString,
    pub(super) dead_letter_queue: ShortString,
    pub(super) prefetch: u16,
    pub(super) concurrency: u16,
    pub(super) consumers: u16,
    /// What to declare where the queue does not exist; `None` for nothing.
    pub(super) declare: Option<QueueKind>,
    pub(super) bind: Vec<Binding>,
    pub(super) redeliveries: u64,
    pub(super) backoff: Duration,
    pub(super) backoff_max: Duration,
    pub(super) on_fault: OnFault,
    pub(super) body_max: usize,
}

/// What becomes of a message that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFault {
    DeadLetter,
    Reject,
}

/// A binding of the queue.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
}

/// A queue that a deployment wants to receive from.
pub(super) struct AmqpListener {
    name: Arc<str>,
    broker: Arc<Broker>,
    settings: Settings,
}

impl AmqpListener {
    pub(super) fn new(name: Arc<str>, broker: Arc<Broker>, settings: Settings) -> Self {
        Self {
            name,
            broker,
            settings,
        }
    }
}

impl Listener for AmqpListener {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn key(&self) -> String {
        format!("{}:{}:{:?}", self.name, self.broker.key, self.settings)
    }

    fn bind<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> BoxFuture<'a, Result<Box<dyn RunningListener>, Fault>> {
        Box::pin(async move {
            let (drain, drained) = watch::channel(None);
            let shared = Arc::new(Shared {
                name: Arc::clone(&self.name),
                broker: Arc::clone(&self.broker),
                settings: self.settings.clone(),
                gateway: Arc::clone(gateway),
                states: Mutex::new(vec![Some("starting".to_owned()); self.settings.consumers.into()]),
                health: gateway.health.register(&self.name),
                drained,
            });
            let workers = gateway.workers.handles();
            let tasks = (0..usize::from(self.settings.consumers))
                .map(|index| workers[index % workers.len()].spawn(consume(Arc::clone(&shared), index)))
                .collect();
            Ok(Box::new(Running {
                url: format!("{}/{}", self.broker.label, self.settings.queue),
                drain,
                tasks: Mutex::new(tasks),
            }) as Box<dyn RunningListener>)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What the consumers of a listener share.
struct Shared {
    name: Arc<str>,
    broker: Arc<Broker>,
    settings: Settings,
    gateway: Arc<Gateway>,
    /// Why each consumer is down, where it is.
    states: Mutex<Vec<Option<String>>>,
    health: HealthHandle,
    /// Until when what is in flight may go on, once the listener is drained.
    drained: watch::Receiver<Option<Instant>>,
}

impl Shared {
    /// The listener is up when all its consumers are.
    fn set_state(&self, consumer: usize, problem: Option<String>) {
        let mut states = self.states.lock();
        states[consumer] = problem;
        match states.iter().flatten().next() {
            Some(problem) => self.health.down(problem.as_str()),
            None => self.health.up(),
        }
    }

    /// Waits until the listener is drained; says until when what is in flight may go on.
    async fn drained(&self) -> Instant {
        let mut drained = self.drained.clone();
        match drained.wait_for(Option::is_some).await {
            Ok(deadline) => deadline.unwrap_or_else(Instant::now),
            // The listener is gone.
            Err(_) => Instant::now(),
        }
    }

    /// Waits for `pause`. Says `false` where the listener is drained before.
    async fn rest(&self, pause: Duration) -> bool {
        tokio::select! {
            _ = self.drained() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

/// Receives until the listener is drained, over one connection after the other.
async fn consume(shared: Arc<Shared>, index: usize) {
    let mut backoff = Backoff::default();
    loop {
        let session = session::run(&shared, || {
            backoff.reset();
            shared.set_state(index, None);
        });
        let Err(problem) = session.await else { return };
        shared.set_state(index, Some(problem));
        if !shared.rest(backoff.next()).await {
            return;
        }
    }
}

/// A queue that is received from.
struct Running {
    url: String,
    drain: watch::Sender<Option<Instant>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl RunningListener for Running {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn drain(&self, grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let deadline = Instant::now() + grace;
            self.drain.send_replace(Some(deadline));
            let tasks = std::mem::take(&mut *self.tasks.lock());
            for mut task in tasks {
                let ended = tokio::time::timeout_at(deadline + CLOSING_TIME, &mut task).await;
                if ended.is_err() {
                    task.abort();
                }
            }
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
