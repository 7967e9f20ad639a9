//! The life of a listener: it runs, drains, closes. Connections look at one atomic number per wake-up, and no lock.

use super::ServerSettings;
use arc_swap::ArcSwap;
use engine::gateway::Gateway;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;

/// Accepting.
const RUNNING: u8 = 0;
/// Connections end with the exchange they are in.
const DRAINING: u8 = 1;
/// Connections end at once.
const CLOSED: u8 = 2;

/// Time that connections have to notice that they are closed.
const CLOSING_TIME: Duration = Duration::from_secs(1);

/// What all workers of a listener share.
pub(super) struct Shared {
    pub(super) gateway: Arc<Gateway>,
    pub(super) settings: Arc<ArcSwap<ServerSettings>>,
    phase: AtomicU8,
    phase_changed: Notify,
    connections: AtomicUsize,
    acceptors: AtomicUsize,
    connection_closed: Notify,
}

impl Shared {
    pub(super) fn new(gateway: Arc<Gateway>, settings: Arc<ArcSwap<ServerSettings>>) -> Arc<Self> {
        Arc::new(Self {
            gateway,
            settings,
            phase: AtomicU8::new(RUNNING),
            phase_changed: Notify::new(),
            connections: AtomicUsize::new(0),
            acceptors: AtomicUsize::new(0),
            connection_closed: Notify::new(),
        })
    }

    /// The listener's name, for the log.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.settings.load().name)
    }

    /// Whether connections should end with the exchange they are in.
    pub(super) fn draining(&self) -> bool {
        self.phase.load(Ordering::Relaxed) != RUNNING
    }

    /// Waits until the listener is to be drained.
    pub(super) async fn drained(&self) {
        let mut changed = pin!(self.phase_changed.notified());
        changed.as_mut().enable();
        if !self.draining() {
            changed.await;
        }
    }

    /// Waits for room for one more connection.
    pub(super) async fn room(&self, connections_max: usize) {
        loop {
            let mut closed = pin!(self.connection_closed.notified());
            closed.as_mut().enable();
            if self.connections.load(Ordering::Relaxed) < connections_max {
                return;
            }
            closed.await;
        }
    }

    /// Counts a connection until the slot is dropped.
    pub(super) fn occupy(self: &Arc<Self>) -> Slot {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.gateway.metrics.connections.inc();
        Slot(Arc::clone(self))
    }

    /// Counts an accepting socket until it is closed.
    pub(super) fn accepting(self: &Arc<Self>) -> Acceptor {
        self.acceptors.fetch_add(1, Ordering::Relaxed);
        Acceptor(Arc::clone(self))
    }

    /// Stops accepting, waits at most `grace` for connections to end, then closes them.
    pub(super) async fn drain(&self, grace: Duration) {
        self.enter(DRAINING);
        if tokio::time::timeout(grace, self.all_closed()).await.is_err() {
            self.enter(CLOSED);
            let _ = tokio::time::timeout(CLOSING_TIME, self.all_closed()).await;
        }
    }

    async fn all_closed(&self) {
        loop {
            let mut closed = pin!(self.connection_closed.notified());
            closed.as_mut().enable();
            if self.connections.load(Ordering::Acquire) == 0 && self.acceptors.load(Ordering::Acquire) == 0 {
                return;
            }
            closed.await;
        }
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Ordering::Release);
        self.phase_changed.notify_waiters();
    }

    /// Runs a connection. It is polled whenever the phase changes, and dropped when that is to close.
    pub(super) async fn live(&self, mut connection: Pin<Box<impl Future<Output = ()>>>) {
        loop {
            let mut changed = pin!(self.phase_changed.notified());
            changed.as_mut().enable();
            let phase = self.phase.load(Ordering::Acquire);
            if phase == CLOSED {
                return;
            }
            let mut registered = false;
            let finished = poll_fn(|cx| {
                if !registered {
                    // Registers the waker. That the phase has changed shows below.
                    let _ = changed.as_mut().poll(cx);
                    registered = true;
                }
                if connection.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                if self.phase.load(Ordering::Relaxed) == phase {
                    Poll::Pending
                } else {
                    Poll::Ready(false)
                }
            });
            if finished.await {
                return;
            }
        }
    }
}

/// A connection being counted.
pub(super) struct Slot(Arc<Shared>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.gateway.metrics.connections.dec();
        self.0.connections.fetch_sub(1, Ordering::Release);
        self.0.connection_closed.notify_waiters();
    }
}

/// A socket that accepts.
pub(super) struct Acceptor(Arc<Shared>);

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.0.acceptors.fetch_sub(1, Ordering::Release);
        self.0.connection_closed.notify_waiters();
    }
}
