//! The receiving side of `local`: takes messages from the queue, delivers them, answers who waits.

use super::channel::{Channel, Parcel};
use engine::fault::{Fault, FaultCode};
use engine::gateway::Gateway;
use engine::mediator::BoxFuture;
use engine::message::{Message, StartLine};
use engine::transport::{Delivery, Listener, RunningListener, Settled};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// First pause before a one-way message that the gateway could not take is delivered again; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often a drain looks whether somebody may still send.
const GLANCE: Duration = Duration::from_millis(10);

/// The settings of a receiver.
#[derive(Clone, Copy)]
pub(super) struct Settings {
    pub(super) capacity: usize,
    pub(super) concurrency: usize,
}

/// What an artifact receives from.
pub(super) struct Local {
    artifact: Arc<str>,
    channel: Arc<Channel>,
    settings: Settings,
}

impl Local {
    pub(super) fn new(artifact: Arc<str>, channel: Arc<Channel>, settings: Settings) -> Self {
        Self {
            artifact,
            channel,
            settings,
        }
    }
}

impl Listener for Local {
    fn name(&self) -> &Arc<str> {
        &self.artifact
    }

    fn key(&self) -> String {
        let Settings {
            capacity,
            concurrency,
        } = self.settings;
        format!(
            "local {} {} {capacity} {concurrency}",
            self.channel.name, self.artifact
        )
    }

    fn bind<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> BoxFuture<'a, Result<Box<dyn RunningListener>, Fault>> {
        Box::pin(async move {
            let receiving = Arc::new(Receiving {
                artifact: Arc::clone(&self.artifact),
                channel: Arc::clone(&self.channel),
                gateway: Arc::clone(gateway),
                free: Arc::new(Semaphore::new(self.settings.concurrency)),
                concurrency: self.settings.concurrency,
                receiver: self.channel.open(self.settings.capacity, gateway),
                stop: watch::Sender::new(false),
            });
            let health = gateway.health.register(&self.artifact);
            let task = Arc::clone(&receiving);
            gateway.workers.spawn(async move {
                health.up();
                task.run().await;
            });
            let running: Box<dyn RunningListener> = Box::new(RunningLocal(receiving));
            Ok(running)
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A receiver at work.
struct Receiving {
    artifact: Arc<str>,
    channel: Arc<Channel>,
    gateway: Arc<Gateway>,
    /// Permits of those that are not at work.
    free: Arc<Semaphore>,
    concurrency: usize,
    receiver: u64,
    stop: watch::Sender<bool>,
}

impl Receiving {
    /// Takes messages until it is told to stop.
    async fn run(self: Arc<Self>) {
        let mut stop = self.stop.subscribe();
        loop {
            let Ok(permit) = Arc::clone(&self.free).acquire_owned().await else {
                return;
            };
            let parcel = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                parcel = self.channel.take() => parcel,
            };
            let receiving = Arc::clone(&self);
            self.gateway.workers.spawn(async move {
                receiving.serve(parcel).await;
                drop(permit);
            });
        }
    }

    async fn serve(&self, mut parcel: Parcel) {
        parcel.message.start = StartLine::Event;
        match parcel.reply.take() {
            None => self.serve_alone(parcel).await,
            Some(reply) => {
                let one_way = parcel.one_way;
                let outcome = match self.deliver(parcel).await {
                    Settled::Done(reply) => Ok(reply),
                    // It is kept: that is all that the sender wants.
                    Settled::DeadLettered(_) if one_way => Ok(Message::response(StatusCode::ACCEPTED)),
                    Settled::DeadLettered(fault) | Settled::Failed(fault) | Settled::Later(fault) => {
                        Err(fault)
                    }
                };
                // A caller whose time was up has gone.
                let _ = reply.send(outcome);
            }
        }
    }

    /// Nobody else keeps the message: while the gateway cannot take it, it is delivered again.
    async fn serve_alone(&self, mut parcel: Parcel) {
        let mut pause = PAUSE_MIN;
        loop {
            let again = copy(&parcel);
            match self.deliver(parcel).await {
                Settled::Done(_) | Settled::DeadLettered(_) => return,
                Settled::Failed(fault) => return self.lost(&again.id, &fault),
                Settled::Later(_) => sleep(pause).await,
            }
            parcel = again;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Delivers in the deployment that the message was accepted in, where that serves it: a reload must not take its artifact away.
    async fn deliver(&self, mut parcel: Parcel) -> Settled {
        let accepted = parcel.deployment.take();
        let accepted = accepted.filter(|deployment| deployment.entries.contains_key(&self.artifact));
        let deployment = accepted.unwrap_or_else(|| self.gateway.deployment());
        self.gateway.deliver_in(deployment, self.delivery(parcel)).await
    }

    fn delivery(&self, parcel: Parcel) -> Delivery {
        Delivery {
            artifact: Arc::clone(&self.artifact),
            message: parcel.message,
            id: parcel.id.to_string(),
            source: parcel.source.into(),
            traceparent: parcel.traceparent,
            redelivers: false,
        }
    }

    fn lost(&self, id: &str, fault: &Fault) {
        tracing::error!(listener = %self.artifact, id, %fault, "a local message is lost: the artifact has no dead-letter store");
    }

    /// Waits until nothing is queued, at work, or, at the end of the process, on its way to the queue.
    async fn settle(&self, closing: bool) {
        let at_rest = || {
            let idle = self.free.available_permits() + 1 >= self.concurrency;
            let quiet = closing || !self.gateway.draining() || self.gateway.metrics.in_flight.get() == 0;
            idle && quiet && self.channel.is_empty()
        };
        while !at_rest() {
            sleep(GLANCE).await;
        }
    }

    /// Answers what is still queued when the time is over.
    fn give_up(&self) {
        while let Some(parcel) = self.channel.try_take() {
            let fault = Fault::new(FaultCode::Draining, "The gateway is shutting down.");
            match parcel.reply {
                Some(reply) => drop(reply.send(Err(fault))),
                None => {
                    tracing::error!(listener = %self.artifact, id = %parcel.id, "a local message is lost: the grace time is over");
                }
            }
        }
    }
}

/// The same message once more; one-way messages are in memory.
fn copy(parcel: &Parcel) -> Parcel {
    Parcel {
        message: Message {
            start: parcel.message.start.clone(),
            headers: parcel.message.headers.clone(),
            payload: parcel.message.payload.share().unwrap_or_default(),
        },
        id: Arc::clone(&parcel.id),
        traceparent: parcel.traceparent.clone(),
        source: parcel.source.clone(),
        one_way: parcel.one_way,
        reply: None,
        deployment: parcel.deployment.clone(),
    }
}

struct RunningLocal(Arc<Receiving>);

impl RunningListener for RunningLocal {
    fn url(&self) -> String {
        format!("local://{}", self.0.channel.name)
    }

    fn drain(&self, grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let end = Instant::now() + grace;
            let receiving = &self.0;
            if receiving.gateway.draining() {
                // Exchanges that are still going may send here.
                let _ = timeout_at(end, receiving.settle(false)).await;
            }
            let others = receiving.channel.close(receiving.receiver);
            if !others {
                let _ = timeout_at(end, receiving.settle(true)).await;
            }
            receiving.stop.send_replace(true);
            let all = u32::try_from(receiving.concurrency).unwrap_or(u32::MAX);
            let _ = timeout_at(end, receiving.free.acquire_many(all)).await;
            if !others {
                receiving.give_up();
            }
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
