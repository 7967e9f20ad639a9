//! The processor that delivers numbered messages in the order of their numbers. The order itself is the [`Sequencer`]'s; here it meets
//! the store and the gateway.
//!
//! Every message is leased when it comes, so that its number is known; of those that wait only the id is kept once they take more than
//! [`HELD_BYTES_MAX`] together. The last number of a stream is written with the settlement of its message, so that a crash can deliver a
//! message twice but never skips one.

use super::processor::{Lease, STORE_PAUSE, TAKE_MAX, Worker};
use super::sequencer::{Gap, Sequencer, Turn};
use super::{Place, Settlement, StoredMessage};
use crate::exchange::{Entry, Exchange};
use crate::expression::Expression;
use crate::fault::{Fault, FaultCode};
use crate::transport::Settled;
use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;
use serde_json::Value as Json;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Most bytes of waiting messages that are kept in memory.
const HELD_BYTES_MAX: usize = 16 << 20;
/// How often is looked whether a message still exists that a stream waits for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Most time for reading the number of a message.
const READ_TIME: Duration = Duration::from_secs(10);

/// Where the numbers are and what is done about missing ones.
#[derive(Clone)]
pub(crate) struct Resequencing {
    /// The number: a whole number.
    pub(crate) by: Arc<Expression>,
    /// The stream that the message belongs to; without it the key it was stored with.
    pub(crate) stream: Option<Arc<Expression>>,
    /// How long a gap is waited for.
    pub(crate) timeout: Duration,
    /// The number that every stream begins with.
    pub(crate) first: Option<i64>,
    /// What is done with a message whose number has had its turn.
    pub(crate) late: Late,
}

impl std::fmt::Debug for Resequencing {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stream = self.stream.as_ref().map(|stream| stream.source());
        write!(
            to,
            "{} {stream:?} {:?} {:?} {:?}",
            self.by.source(),
            self.timeout,
            self.first,
            self.late
        )
    }
}

/// What is done with a late message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    Deliver,
    DeadLetter,
    Discard,
}

/// A message that waits: with its lease, and as long as there is memory for it, itself.
type Held = Lease;

/// How a turn ended.
enum Ended {
    /// The stream has passed this number, where the turn was no late one.
    Left(Option<i64>),
    Again,
}

/// Tells the end of a turn, also where its task panics: then the message comes again.
struct Report {
    to: UnboundedSender<(Arc<str>, Arc<str>, Ended)>,
    stream: Arc<str>,
    id: Arc<str>,
    ended: Ended,
}

impl Drop for Report {
    fn drop(&mut self) {
        let ended = std::mem::replace(&mut self.ended, Ended::Again);
        // Nobody listens any more where the processor was stopped.
        let _ = self
            .to
            .send((Arc::clone(&self.stream), Arc::clone(&self.id), ended));
    }
}

struct Resequencer {
    worker: Arc<Worker>,
    settings: Resequencing,
    sequencer: Sequencer<Held>,
    /// A turn whose message waits for a permit.
    permits: Arc<Semaphore>,
    report: UnboundedSender<(Arc<str>, Arc<str>, Ended)>,
    held_bytes: usize,
    gaps: Counter,
    late: Counter,
}

impl Worker {
    /// Takes and delivers until the future is dropped; what waits then is given back.
    pub(super) async fn resequence(self: Arc<Self>, settings: Resequencing, permits: Arc<Semaphore>) {
        let (gaps, late) = self.gateway.metrics.resequence(&self.name);
        // As many reports as deliveries are under way: `parallel` bounds them.
        let (report, reports) = unbounded_channel();
        let resequencer = Resequencer {
            sequencer: Sequencer::new(settings.timeout, settings.first),
            settings,
            permits,
            report,
            held_bytes: 0,
            gaps,
            late,
            worker: self,
        };
        resequencer.run(reports).await;
    }
}

impl Resequencer {
    async fn run(mut self, mut reports: UnboundedReceiver<(Arc<str>, Arc<str>, Ended)>) {
        let mut store_failed = false;
        let mut look_again = tokio::time::interval(LOOK_AGAIN);
        let store = Arc::clone(&self.worker.store);
        loop {
            let gap = self.sequencer.deadline();
            let gap = async move {
                match gap {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Ended turns first: they make the next ones.
                biased;
                Some((stream, id, ended)) = reports.recv() => self.ended(&stream, id, &ended),
                () = gap => self.leave_gaps(),
                _ = look_again.tick() => self.look_again().await,
                taken = store.take_unordered(TAKE_MAX) => match taken {
                    Ok(messages) => {
                        self.worker.store_works(&mut store_failed);
                        for message in messages {
                            self.arrive(message).await;
                        }
                    }
                    Err(fault) => self.worker.store_fails(&mut store_failed, &fault).await,
                },
            }
            self.deliver();
        }
    }

    async fn arrive(&mut self, message: StoredMessage) {
        let found = AssertUnwindSafe(self.number(&message)).catch_unwind().await;
        let found =
            found.unwrap_or_else(|_| Err(Fault::internal("panic while reading the number of a message")));
        let mut lease = Lease::new(Arc::clone(&self.worker.store), message);
        let (stream, number) = match found {
            Ok(found) => found,
            Err(fault) => return self.refuse(lease, fault),
        };
        let bytes = lease.message.as_ref().map_or(0, |message| message.body.len());
        match self.held_bytes + bytes <= HELD_BYTES_MAX {
            true => self.held_bytes += bytes,
            false => lease.message = None,
        }
        let place = self.worker.store.place(&self.place_name(&stream));
        let id = lease.id.as_str().into();
        self.sequencer.arrive(&stream, number, id, lease, place);
    }

    /// Streams of two processors of one store have places of their own.
    fn place_name(&self, stream: &str) -> String {
        place_name(&self.worker.name, stream)
    }

    /// The stream and the number of a message.
    async fn number(&self, message: &StoredMessage) -> Result<(Arc<str>, i64), Fault> {
        let entry = Entry {
            id: message.correlation_id.clone(),
            artifact: Arc::clone(&self.worker.name),
            source: message.source.clone().map(Into::into).unwrap_or_default(),
            ..Entry::default()
        };
        let deadline = Instant::now() + READ_TIME;
        let deployment = self.worker.gateway.deployment();
        let mut exchange = Exchange::new(message.to_message(), Arc::new(entry), deployment, deadline);
        let stream = self.settings.stream.as_ref();
        let needs = stream.map_or(self.settings.by.needs(), |stream| {
            stream.needs().max(self.settings.by.needs())
        });
        exchange.lift(needs).await?;
        let stream = match stream {
            Some(stream) => stream.text(&exchange)?,
            None => message.key.clone().unwrap_or_default(),
        };
        let value = self.settings.by.evaluate(&exchange)?.to_json();
        let number = match &value {
            Json::Number(number) => number.as_i64(),
            Json::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| {
            Fault::new(
                FaultCode::Expression,
                "An expression could not be evaluated for this message.",
            )
            .with_detail(format!(
                "`{}` is no whole number: {value}",
                self.settings.by.source()
            ))
        })?;
        Ok((stream.into(), number))
    }

    /// Gives up a message that has no place in any stream.
    fn refuse(&self, mut lease: Lease, fault: Fault) {
        let Some(message) = lease.message.take() else {
            return;
        };
        let worker = Arc::clone(&self.worker);
        self.worker.gateway.workers.spawn(async move {
            let attempts = message.attempts;
            let settled = worker.gateway.give_up(worker.delivery(message), fault).await;
            let how = worker.settlement(&lease.id, attempts, &settled);
            lease.settle(how, None, &worker.name).await;
        });
    }

    /// Starts the turns that there are, as many as may be under way.
    fn deliver(&mut self) {
        while let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            let Some(turn) = self.sequencer.next_turn() else {
                return;
            };
            if let Some(message) = &turn.message.message {
                self.held_bytes = self.held_bytes.saturating_sub(message.body.len());
            }
            if turn.late {
                self.late.inc();
                tracing::warn!(processor = %self.worker.name, stream = %turn.stream, number = turn.number, message = %turn.id, rule = ?self.settings.late, "a message came after its turn");
            }
            let report = Report {
                to: self.report.clone(),
                stream: Arc::clone(&turn.stream),
                id: Arc::clone(&turn.id),
                ended: Ended::Again,
            };
            let (worker, late) = (Arc::clone(&self.worker), self.settings.late);
            self.worker
                .gateway
                .workers
                .spawn(take_turn(worker, turn, late, report, permit));
        }
    }

    fn ended(&mut self, stream: &Arc<str>, id: Arc<str>, ended: &Ended) {
        match ended {
            Ended::Left(passed) => self.sequencer.ended(stream, *passed),
            Ended::Again => self.sequencer.retried(stream, id),
        }
    }

    fn leave_gaps(&mut self) {
        let worker = &self.worker;
        let place = |stream: &str| worker.store.place(&place_name(&worker.name, stream));
        for gap in self.sequencer.leave_gaps(Instant::now(), place) {
            let Gap {
                stream,
                expected,
                found,
            } = gap;
            // The beginning of an unknown stream is no gap.
            if let Some(expected) = expected {
                self.gaps.inc();
                tracing::warn!(processor = %worker.name, %stream, expected, found, "numbers are missing and did not come in time: the stream goes on without them");
            }
        }
    }

    /// A message that is tried again may have been removed by an operator.
    async fn look_again(&mut self) {
        for (stream, id) in self.sequencer.retrying() {
            let store = &self.worker.store;
            let there = store.state(&id).is_some_and(|state| state.stage.in_store());
            if !there && matches!(store.get(&id).await, Ok(None)) {
                self.sequencer.ended(&stream, None);
            }
        }
    }
}

fn place_name(processor: &str, stream: &str) -> String {
    format!("{processor}/{stream}")
}

/// Delivers one message and settles it.
async fn take_turn(
    worker: Arc<Worker>,
    turn: Turn<Held>,
    late: Late,
    mut report: Report,
    permit: OwnedSemaphorePermit,
) {
    let mut lease = turn.message;
    let message = match lease.message.take() {
        Some(message) => Ok(Some(message)),
        None => worker.store.get(&lease.id).await,
    };
    let message = match message {
        Ok(Some(message)) => message,
        // Removed by an operator.
        Ok(None) => {
            report.ended = Ended::Left((!turn.late).then_some(turn.number));
            return;
        }
        Err(fault) => {
            tracing::error!(processor = %worker.name, message = lease.id, %fault, "a message cannot be read");
            tokio::time::sleep(STORE_PAUSE).await;
            return;
        }
    };
    let attempts = message.attempts;
    let delivery = worker.delivery(message);
    let settled = match (turn.late, late) {
        (true, Late::Discard) => Settled::Done(crate::message::Message::default()),
        (true, Late::DeadLetter) => {
            let fault = Fault::new(FaultCode::OutOfSequence, "The message came after its turn.");
            let detail = format!("number {} of stream `{}`", turn.number, turn.stream);
            worker.gateway.give_up(delivery, fault.with_detail(detail)).await
        }
        _ => worker.gateway.deliver(delivery).await,
    };
    let how = worker.settlement(&lease.id, attempts, &settled);
    let passed = (!turn.late).then_some(turn.number);
    let name = place_name(&worker.name, &turn.stream);
    let left = !matches!(how, Settlement::Retry { .. });
    let place = passed.filter(|_| left).map(|number| Place {
        stream: &name,
        number,
    });
    lease.settle(how, place, &worker.name).await;
    if left {
        report.ended = Ended::Left(passed);
    }
    // The next turn needs the permit: it is free before the end is told.
    drop(permit);
    drop(report);
}
