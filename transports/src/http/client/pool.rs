//! Idle connections, per thread and target. Nothing is shared between threads, so nothing is locked: a connection goes back to
//! the thread that opened it, or is closed.

use super::connect::Target;
use super::{ClientSettings, http1, http2};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How often unused connections are looked through.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

#[derive(Default)]
struct Pool {
    hosts: HashMap<Target, Host>,
    sweeper: Option<tokio::task::JoinHandle<()>>,
}

struct Host {
    /// The most recently used last: those that are not needed grow old and go.
    idle: Vec<(http1::Connection, Instant)>,
    idle_timeout: Duration,
    http2: Option<(http2::Connection, Instant)>,
    slots: Arc<Semaphore>,
}

/// A connection that was kept.
pub(super) enum Checkout {
    Http1(http1::Connection),
    Http2(http2::Connection),
}

/// The right to one connection to a target. It ends with the last clone.
#[derive(Clone)]
pub(super) struct Lease(Arc<Leased>);

struct Leased {
    target: Target,
    thread: ThreadId,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// Waits until there are fewer than `connections_max` connections in use. The caller limits the time.
    pub(super) async fn acquire(target: &Target, settings: &ClientSettings) -> Self {
        let slots = POOL.with_borrow_mut(|pool| pool.slots(target, settings));
        let slot = match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => Some(slot),
            Err(_) => slots.acquire_owned().await.ok(),
        };
        Self(Arc::new(Leased {
            target: target.clone(),
            thread: std::thread::current().id(),
            _slot: slot,
        }))
    }

    /// A kept connection that seems alive.
    pub(super) fn check_out(&self) -> Option<Checkout> {
        POOL.with_borrow_mut(|pool| {
            let host = pool.hosts.get_mut(&self.0.target)?;
            if let Some((connection, used)) = &mut host.http2 {
                if connection.is_usable() {
                    *used = Instant::now();
                    return Some(Checkout::Http2(connection.clone()));
                }
                host.http2 = None;
            }
            while let Some((mut connection, _)) = host.idle.pop() {
                if connection.is_alive() {
                    return Some(Checkout::Http1(connection));
                }
            }
            None
        })
    }

    /// Keeps a connection whose exchange is over.
    pub(super) fn check_in(&self, connection: http1::Connection) {
        if self.0.thread != std::thread::current().id() {
            return;
        }
        POOL.with_borrow_mut(|pool| {
            if let Some(host) = pool.hosts.get_mut(&self.0.target) {
                host.idle.push((connection, Instant::now()));
            }
        });
    }

    /// Keeps an HTTP/2 connection, which any number of exchanges share.
    pub(super) fn keep_http2(&self, connection: &http2::Connection) {
        if self.0.thread != std::thread::current().id() {
            return;
        }
        POOL.with_borrow_mut(|pool| {
            if let Some(host) = pool.hosts.get_mut(&self.0.target) {
                host.http2 = Some((connection.clone(), Instant::now()));
            }
        });
    }
}

impl Pool {
    fn slots(&mut self, target: &Target, settings: &ClientSettings) -> Arc<Semaphore> {
        if let Some(host) = self.hosts.get(target) {
            return Arc::clone(&host.slots);
        }
        if self
            .sweeper
            .as_ref()
            .is_none_or(tokio::task::JoinHandle::is_finished)
        {
            self.sweeper = Some(tokio::spawn(sweep()));
        }
        let slots = Arc::new(Semaphore::new(
            settings.connections_max.clamp(1, Semaphore::MAX_PERMITS),
        ));
        let host = Host {
            idle: Vec::new(),
            idle_timeout: settings.idle_timeout,
            http2: None,
            slots: Arc::clone(&slots),
        };
        self.hosts.insert(target.clone(), host);
        slots
    }

    /// Closes what was not used for `idle_timeout`, and forgets targets that nobody uses.
    fn sweep(&mut self) {
        let now = Instant::now();
        self.hosts.retain(|_, host| {
            let idle_timeout = host.idle_timeout;
            host.idle
                .retain_mut(|(connection, used)| now - *used < idle_timeout && connection.is_alive());
            let unused = |(connection, used): &(http2::Connection, Instant)| {
                !connection.is_usable() || (now - *used >= idle_timeout && connection.is_idle())
            };
            if host.http2.as_ref().is_some_and(unused) {
                host.http2 = None;
            }
            !host.idle.is_empty() || host.http2.is_some() || Arc::strong_count(&host.slots) > 1
        });
    }
}

async fn sweep() {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let empty = POOL.with_borrow_mut(|pool| {
            pool.sweep();
            pool.hosts.is_empty()
        });
        if empty {
            return POOL.with_borrow_mut(|pool| pool.sweeper = None);
        }
    }
}
