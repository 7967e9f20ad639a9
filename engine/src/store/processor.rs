//! The listener that drains a store.
//!
//! ```text
//! waiting ──take──▶ leased ──deliver──▶ done: removed
//!    ▲                         ├──────▶ kept as a dead letter: removed
//!    └────── back-off ─────────┴──────▶ failed
//! ```
//! A lease that nobody settles (a panic, a shutdown) is given back. Nothing ever switches the processor off.

use super::{Place, Resequencing, Settlement, Store, StoredMessage};
use crate::facts::Facts;
use crate::fault::{Fault, FaultCode};
use crate::gateway::Gateway;
use crate::mediator::BoxFuture;
use crate::observe::HealthHandle;
use crate::transport::{Delivery, Listener, RunningListener, Settled};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;

/// Most messages taken from the store at once.
pub(super) const TAKE_MAX: usize = 64;
/// The pause after the store itself failed.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How many messages are remembered as failing again and again, for the health report.
const STUCK_MAX: usize = 1000;

/// How a processor works.
#[derive(Clone, Debug)]
pub(crate) struct Processing {
    /// How often a message is tried; `None` is for ever.
    pub(crate) attempts_max: Option<u32>,
    pub(crate) backoff: Duration,
    pub(crate) backoff_max: Duration,
    /// How many messages at once.
    pub(crate) parallel: usize,
    pub(crate) sampling: Option<Sampling>,
    pub(crate) resequencing: Option<Resequencing>,
}

/// So many messages at a time, and the time between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    pub(crate) every: Duration,
    pub(crate) count: usize,
}

impl Processing {
    /// The pause after so many failed attempts.
    fn pause(&self, attempts: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(doubled).min(self.backoff_max)
    }
}

/// The processor as a listener.
pub(crate) struct ProcessorListener {
    name: Arc<str>,
    store: Arc<dyn Store>,
    settings: Processing,
}

impl ProcessorListener {
    pub(crate) fn new(name: Arc<str>, store: Arc<dyn Store>, settings: Processing) -> Self {
        Self {
            name,
            store,
            settings,
        }
    }
}

impl Listener for ProcessorListener {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn key(&self) -> String {
        format!("{} {} {:?}", self.name, self.store.identity(), self.settings)
    }

    fn bind<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> BoxFuture<'a, Result<Box<dyn RunningListener>, Fault>> {
        Box::pin(async move {
            let (stop, stopped) = watch::channel(false);
            let permits = Arc::new(Semaphore::new(self.settings.parallel));
            let worker = Arc::new(Worker {
                name: Arc::clone(&self.name),
                store: Arc::clone(&self.store),
                settings: self.settings.clone(),
                gateway: Arc::clone(gateway),
                health: gateway.health.register(&self.name),
                stuck: Mutex::default(),
                troubled: AtomicBool::new(false),
            });
            let running = Running {
                url: format!("store:{}", self.store.name()),
                permits: Arc::clone(&permits),
                parallel: self.settings.parallel,
                stop,
            };
            gateway.workers.spawn(worker.run(permits, stopped));
            Ok(Box::new(running) as Box<dyn RunningListener>)
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Running {
    url: String,
    permits: Arc<Semaphore>,
    parallel: usize,
    stop: watch::Sender<bool>,
}

impl RunningListener for Running {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn drain(&self, grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.stop.send_replace(true);
            let all = u32::try_from(self.parallel).unwrap_or(u32::MAX);
            // What is still being delivered then comes again after the restart.
            if tokio::time::timeout(grace, self.permits.acquire_many(all))
                .await
                .is_err()
            {
                tracing::warn!(
                    store = self.url,
                    "a processor was stopped in the middle of deliveries"
                );
            }
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

pub(super) struct Worker {
    pub(super) name: Arc<str>,
    pub(super) store: Arc<dyn Store>,
    settings: Processing,
    pub(super) gateway: Arc<Gateway>,
    health: HealthHandle,
    /// Messages that were tried more often than makes sense, and stay.
    stuck: Mutex<HashSet<String>>,
    /// Whether the last report was about something else than stuck messages.
    troubled: AtomicBool,
}

impl Worker {
    async fn run(self: Arc<Self>, permits: Arc<Semaphore>, mut stopped: watch::Receiver<bool>) {
        self.health.up();
        tokio::select! {
            () = Arc::clone(&self).work(permits) => {}
            // An error means that the listener is gone, which is a stop too.
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }

    async fn work(self: Arc<Self>, permits: Arc<Semaphore>) {
        match self.settings.resequencing.clone() {
            Some(resequencing) => self.resequence(resequencing, permits).await,
            None => self.take_for_ever(permits).await,
        }
    }

    async fn take_for_ever(self: Arc<Self>, permits: Arc<Semaphore>) {
        let sampling = self.settings.sampling;
        let mut ticks = tokio::time::interval(sampling.map_or(Duration::from_secs(1), |it| {
            it.every.max(Duration::from_millis(1))
        }));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut store_failed = false;
        loop {
            let max = match sampling {
                None => TAKE_MAX,
                Some(sampling) => {
                    ticks.tick().await;
                    sampling.count
                }
            };
            match self.take(&permits, max).await {
                Ok(leases) => {
                    self.store_works(&mut store_failed);
                    for (lease, permit) in leases {
                        self.gateway
                            .workers
                            .spawn(Arc::clone(&self).process(lease, permit));
                    }
                }
                Err(fault) => self.store_fails(&mut store_failed, &fault).await,
            }
        }
    }

    pub(super) fn store_works(&self, failed: &mut bool) {
        if std::mem::take(failed) {
            self.report();
        }
    }

    pub(super) async fn store_fails(&self, failed: &mut bool, fault: &Fault) {
        *failed = true;
        self.health.down(fault.to_string());
        tokio::time::sleep(STORE_PAUSE).await;
    }

    /// Takes messages, no more than may be delivered now, each with its permit.
    async fn take(
        &self,
        permits: &Arc<Semaphore>,
        max: usize,
    ) -> Result<Vec<(Lease, OwnedSemaphorePermit)>, Fault> {
        let closed = |_| Fault::internal("the permits of a processor were closed");
        let mut held = vec![Arc::clone(permits).acquire_owned().await.map_err(closed)?];
        while held.len() < max
            && let Ok(permit) = Arc::clone(permits).try_acquire_owned()
        {
            held.push(permit);
        }
        let messages = self.store.take(held.len()).await?;
        let leases = messages
            .into_iter()
            .map(|message| Lease::new(Arc::clone(&self.store), message));
        Ok(leases.zip(held).collect())
    }

    async fn process(self: Arc<Self>, mut lease: Lease, permit: OwnedSemaphorePermit) {
        if let Some(message) = lease.message.take() {
            let attempts = message.attempts;
            let settled = self.gateway.deliver(self.delivery(message)).await;
            let how = self.settlement(&lease.id, attempts, &settled);
            lease.settle(how, None, &self.name).await;
        }
        drop(permit);
    }

    pub(super) fn delivery(&self, mut stored: StoredMessage) -> Delivery {
        let store = Arc::clone(self.store.name());
        let (id, key) = (std::mem::take(&mut stored.id), stored.key.take());
        let (attempts, stored_at, origin) = (stored.attempts, stored.stored_at, stored.source.take());
        let source = Facts::when_read(move || {
            json!({
                "store": &*store,
                "id": id,
                "key": key,
                "attempts": attempts,
                "stored_at": stored_at,
                "source": origin.as_deref().unwrap_or(&Json::Null),
            })
        });
        let last = self
            .settings
            .attempts_max
            .is_some_and(|max| stored.attempts + 1 >= max);
        Delivery {
            artifact: Arc::clone(&self.name),
            id: std::mem::take(&mut stored.correlation_id),
            message: stored.into_request(),
            source,
            traceparent: None,
            redelivers: !last,
        }
    }

    pub(super) fn settlement(&self, id: &str, attempts: u32, settled: &Settled) -> Settlement {
        let pause = self.settings.pause(attempts.saturating_add(1));
        match settled {
            Settled::Done(_) => {
                self.not_stuck(id);
                Settlement::Done
            }
            Settled::DeadLettered(_) => Settlement::Failed,
            Settled::Later(fault) => {
                self.troubled.store(true, Ordering::Relaxed);
                self.health.down(format!("nothing can be delivered now: {fault}"));
                Settlement::Retry {
                    pause: self.settings.backoff,
                    counted: false,
                }
            }
            Settled::Failed(fault) if fault.code() == FaultCode::CircuitOpen => Settlement::Retry {
                pause,
                counted: false,
            },
            Settled::Failed(fault) if fault.worth_redelivery() && attempts < STUCK_AFTER => {
                Settlement::Retry { pause, counted: true }
            }
            Settled::Failed(fault) => {
                self.stuck(id, fault);
                let pause = if fault.worth_redelivery() {
                    pause
                } else {
                    self.settings.backoff_max
                };
                Settlement::Retry { pause, counted: true }
            }
        }
    }

    fn stuck(&self, id: &str, fault: &Fault) {
        tracing::error!(processor = %self.name, message = id, %fault, "a message fails again and again; it stays in the store, as there is no dead_letter");
        let mut stuck = self.stuck.lock();
        if stuck.len() < STUCK_MAX {
            stuck.insert(id.to_owned());
        }
        drop(stuck);
        self.report();
    }

    fn not_stuck(&self, id: &str) {
        let mut stuck = self.stuck.lock();
        if !stuck.is_empty() || self.troubled.swap(false, Ordering::Relaxed) {
            stuck.remove(id);
            drop(stuck);
            self.report();
        }
    }

    /// Up, unless messages are stuck that are still there.
    fn report(&self) {
        let mut stuck = self.stuck.lock();
        stuck.retain(|id| self.store.state(id).is_some_and(|state| state.stage.in_store()));
        match stuck.len() {
            0 => self.health.up(),
            count => self.health.down(format!("{count} messages fail again and again")),
        }
    }
}

/// How often a message may fail before it is reported as stuck, where it is tried for ever.
const STUCK_AFTER: u32 = 10;

/// A leased message, given back when it is dropped unsettled.
pub(super) struct Lease {
    store: Arc<dyn Store>,
    /// Empty once it is settled.
    pub(super) id: String,
    pub(super) message: Option<StoredMessage>,
}

impl Lease {
    pub(super) fn new(store: Arc<dyn Store>, message: StoredMessage) -> Self {
        Self {
            store,
            id: message.id.clone(),
            message: Some(message),
        }
    }

    /// Ends the lease. Where the store refuses that, the message is given back.
    pub(super) async fn settle(mut self, how: Settlement, place: Option<Place<'_>>, processor: &str) {
        let id = std::mem::take(&mut self.id);
        let settled = match place {
            Some(place) => self.store.settle_at(&id, how, place).await,
            None => self.store.settle(&id, how).await,
        };
        if let Err(fault) = settled {
            tracing::error!(processor, message = id, %fault, "a delivery cannot be settled");
            self.id = id;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.id.is_empty() {
            self.store.release(&self.id);
        }
    }
}
