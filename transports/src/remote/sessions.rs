//! Logged-in sessions of a connection: bounded, reused, and replaced when they break.
//!
//! Transfers may not take all of them: while files are long, leases are renewed and others are claimed and settled on the last one.
//!
//! A session is lent to one operation at a time. Sockets are driven by the runtime they were made in; using one from another is
//! allowed, and a session whose runtime is gone fails like any broken one.

use super::failure::{Failure, timeout};
use engine::fault::{Fault, FaultCode};
use engine::mediator::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long an unused session is kept. Servers close theirs after minutes.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Opens sessions.
pub(crate) trait Open: Send + Sync + 'static {
    /// What it opens.
    type Session: Send + 'static;

    /// Connects and logs in.
    fn open(&self) -> BoxFuture<'_, Result<Self::Session, Fault>>;
}

/// The sessions of one connection.
pub(crate) struct Sessions<O: Open> {
    opener: O,
    /// Most sessions at once.
    pub(super) count_max: usize,
    idle: Mutex<Vec<(O::Session, Instant)>>,
    permits: Arc<Semaphore>,
    /// For those that hold a session for a whole file.
    transfers: Arc<Semaphore>,
    /// How long connecting, and waiting for a session, may take.
    timeout: Duration,
}

/// A session that is lent. It goes back only by [`Lease::give_back`]; dropping it closes it.
pub(crate) struct Lease<O: Open> {
    pub(crate) session: O::Session,
    /// It was used before, so that its end may have gone unnoticed.
    pub(crate) reused: bool,
    permit: OwnedSemaphorePermit,
    /// Where it is held for a transfer.
    transfer: Option<OwnedSemaphorePermit>,
    home: Arc<Sessions<O>>,
}

impl<O: Open> Sessions<O> {
    /// No session yet, at most `count_max` of them later.
    pub(crate) fn new(opener: O, count_max: usize, timeout: Duration) -> Self {
        let count_max = count_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            opener,
            count_max,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(count_max)),
            transfers: Arc::new(Semaphore::new((count_max - 1).max(1))),
            timeout,
        }
    }

    /// How it opens them.
    pub(crate) fn opener(&self) -> &O {
        &self.opener
    }

    /// A session, where possible one that is open already.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease<O>, Fault> {
        self.lend(None).await
    }

    /// A session to be held for a whole file.
    pub(crate) async fn transfer(self: &Arc<Self>) -> Result<Lease<O>, Fault> {
        let transfer = self.permit(&self.transfers).await?;
        self.lend(Some(transfer)).await
    }

    async fn lend(self: &Arc<Self>, transfer: Option<OwnedSemaphorePermit>) -> Result<Lease<O>, Fault> {
        let permit = self.permit(&self.permits).await?;
        let idle = self.newest_idle();
        let reused = idle.is_some();
        let session = match idle {
            Some(session) => session,
            None => self.open().await?,
        };
        Ok(Lease {
            session,
            reused,
            permit,
            transfer,
            home: Arc::clone(self),
        })
    }

    /// A session that was just opened. Those that lie idle are closed: they may be as broken as the one it stands in for.
    pub(crate) async fn fresh(self: &Arc<Self>) -> Result<Lease<O>, Fault> {
        self.lend_fresh(None).await
    }

    /// The same, to be held for the rest of a file.
    pub(crate) async fn fresh_transfer(self: &Arc<Self>) -> Result<Lease<O>, Fault> {
        let transfer = self.permit(&self.transfers).await?;
        self.lend_fresh(Some(transfer)).await
    }

    async fn lend_fresh(self: &Arc<Self>, transfer: Option<OwnedSemaphorePermit>) -> Result<Lease<O>, Fault> {
        let permit = self.permit(&self.permits).await?;
        self.idle.lock().clear();
        let session = self.open().await?;
        Ok(Lease {
            session,
            reused: false,
            permit,
            transfer,
            home: Arc::clone(self),
        })
    }

    async fn permit(&self, permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Fault> {
        let waiting = Arc::clone(permits).acquire_owned();
        let busy = |_| {
            Fault::new(
                FaultCode::Overloaded,
                "All connections to the file server are busy.",
            )
        };
        let permit = tokio::time::timeout(self.timeout, waiting).await.map_err(busy)?;
        permit.map_err(|closed| Fault::internal(closed.to_string()))
    }

    fn newest_idle(&self) -> Option<O::Session> {
        let mut idle = self.idle.lock();
        idle.retain(|(_, since)| since.elapsed() < IDLE_MAX);
        idle.pop().map(|(session, _)| session)
    }

    async fn open(&self) -> Result<O::Session, Fault> {
        let opening = tokio::time::timeout(self.timeout, self.opener.open()).await;
        opening.unwrap_or_else(|_| Err(timeout()))
    }
}

impl<O: Open> Lease<O> {
    /// The session can be used on.
    pub(crate) fn give_back(self) {
        self.home.idle.lock().push((self.session, Instant::now()));
        drop(self.permit);
    }

    /// A new session instead of this one, which broke.
    pub(crate) async fn replace(self) -> Result<Self, Fault> {
        let Self {
            session,
            permit,
            transfer,
            home,
            ..
        } = self;
        drop((session, permit));
        home.lend_fresh(transfer).await
    }
}

/// Waits for an operation at most so long; too long breaks the session.
pub(crate) async fn within<T>(
    limit: Duration,
    operation: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let late = Failure {
        fault: timeout(),
        broken: true,
    };
    tokio::time::timeout(limit, operation).await.unwrap_or(Err(late))
}

/// Runs an operation on a session, once more on a fresh one where the first broke after it had been idle. `$again` says that an
/// earlier try may have had its effect.
macro_rules! on_session {
    ($sessions:expr, $limit:expr, |$session:ident, $again:ident| $operation:expr) => {{
        let limit = $limit;
        let mut lease = $sessions.lease().await?;
        let mut $again = false;
        loop {
            let outcome = {
                let $session = &mut lease.session;
                $crate::remote::sessions::within(limit, $operation).await
            };
            match outcome {
                Ok(value) => {
                    lease.give_back();
                    break Ok(value);
                }
                Err(failure) if !failure.broken => {
                    lease.give_back();
                    break Err(failure.fault);
                }
                Err(_) if lease.reused && !$again => {
                    lease = lease.replace().await?;
                    $again = true;
                }
                Err(failure) => break Err(failure.fault),
            }
        }
    }};
}

pub(crate) use on_session;

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(Mutex<u32>);

    impl Open for Numbers {
        type Session = u32;

        fn open(&self) -> BoxFuture<'_, Result<u32, Fault>> {
            let mut opened = self.0.lock();
            *opened += 1;
            let number = *opened;
            Box::pin(async move { Ok(number) })
        }
    }

    fn sessions(count_max: usize) -> Arc<Sessions<Numbers>> {
        let timeout = Duration::from_millis(20);
        Arc::new(Sessions::new(Numbers(Mutex::default()), count_max, timeout))
    }

    #[tokio::test]
    async fn transfers_leave_one_session_to_the_others() {
        let sessions = sessions(3);
        let (first, _second) = (
            sessions.transfer().await.unwrap(),
            sessions.transfer().await.unwrap(),
        );
        let busy = sessions.transfer().await.err().unwrap();
        assert_eq!(busy.code(), FaultCode::Overloaded);
        let lease = sessions.lease().await.unwrap();
        assert_eq!(
            sessions.lease().await.err().unwrap().code(),
            FaultCode::Overloaded
        );
        lease.give_back();
        let fresh = first.replace().await.unwrap();
        assert!(!fresh.reused && sessions.transfer().await.is_err());
        drop(fresh);
        sessions.fresh_transfer().await.unwrap();
    }

    #[tokio::test]
    async fn a_single_session_does_everything_in_turn() {
        let sessions = sessions(1);
        let transfer = sessions.transfer().await.unwrap();
        assert!(sessions.lease().await.is_err());
        transfer.give_back();
        let lease = sessions.lease().await.unwrap();
        assert_eq!((lease.session, lease.reused), (1, true));
    }
}
