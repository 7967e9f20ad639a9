//! The layers around an attempt, outermost first: what the endpoint adds to the message, retries, circuit breaker.

use super::group::Tried;
use super::outcome::Outcome;
use super::parcel::Parcel;
use super::{Endpoint, Kind, Waiting, reply};
use crate::exchange::Exchange;
use crate::fault::{Fault, FaultCode};
use crate::mediator::BoxFuture;
use crate::message::Message;
use crate::transport::CallOptions;
use http::{HeaderMap, HeaderValue, header};
use std::time::Duration;
use tokio::time::Instant;

/// One call, as all layers see it.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) options: &'a CallOptions,
    pub(super) waiting: Waiting,
}

/// Whether the message may have to be sent again after the attempt at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Again {
    /// This is the last attempt.
    Never,
    /// If that does no harm.
    Safe,
    /// Whatever the method.
    Any,
}

/// What an outer layer grants an inner one.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) deadline: Instant,
    pub(super) again: Again,
}

impl Frame {
    /// The same with at most `timeout` from now.
    pub(super) fn within(self, timeout: Option<Duration>) -> Self {
        let own = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self {
            deadline: own.map_or(self.deadline, |own| own.min(self.deadline)),
            ..self
        }
    }
}

/// How far a call has come at one endpoint.
#[derive(Clone, Copy, Default)]
struct Progress {
    tried: Tried,
    /// Attempts beyond the first, moves to other members included.
    retries: u32,
    /// Those of them that were waited for.
    waits: u32,
}

/// What to do after an attempt.
enum Next {
    Finish,
    /// Try another member at once. The number says whether that counts as a retry.
    Elsewhere(u32),
    After(Duration),
}

impl Endpoint {
    /// The whole call, from the outermost endpoint.
    pub(super) async fn run_first(&self, call: Call<'_>, mut parcel: Parcel) -> Result<Message, Fault> {
        let frame = Frame {
            deadline: call.exchange.deadline,
            again: Again::Never,
        };
        self.run(&call, &mut parcel, frame).await.result
    }

    /// A call from another endpoint. Boxed, as endpoints nest.
    pub(super) fn run_nested<'a>(
        &'a self,
        call: &'a Call<'a>,
        parcel: &'a mut Parcel,
        frame: Frame,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(self.run(call, parcel, frame))
    }

    async fn run(&self, call: &Call<'_>, outer: &mut Parcel, frame: Frame) -> Outcome {
        let changes_headers = !self.policy.headers.is_empty() && !outer.dressed;
        let outcome = if changes_headers || self.policy.soap.is_some() {
            let mut own = match self.dress(call, outer, frame.again).await {
                Ok(own) => own,
                Err(fault) => {
                    return Outcome {
                        result: Err(fault),
                        repeatable: false,
                    };
                }
            };
            let outcome = self.attempts(call, &mut own, frame).await;
            outer.give_back(own);
            outcome
        } else {
            self.attempts(call, outer, frame).await
        };
        reply::judge(&self.policy, call, outcome).await
    }

    /// The message with what this endpoint adds to it.
    async fn dress(&self, call: &Call<'_>, outer: &mut Parcel, again: Again) -> Result<Parcel, Fault> {
        let dressed = outer.dressed;
        let mut own = match &self.policy.soap {
            Some(soap) => {
                let mut own = outer.derive_rewritable(call, again).await?;
                soap.wrap(call, &mut own.message)?;
                own
            }
            None => outer.derive(again),
        };
        if !dressed {
            self.policy
                .headers
                .render(call.exchange)?
                .apply(&mut own.message.headers);
        }
        Ok(own)
    }

    async fn attempts(&self, call: &Call<'_>, parcel: &mut Parcel, frame: Frame) -> Outcome {
        if let Some(budget) = self.policy.retry.as_ref().and_then(|retry| retry.budget.as_ref()) {
            budget.deposit();
        }
        let mut progress = Progress::default();
        loop {
            let again = frame.again.max(self.again(progress));
            let outcome = self
                .attempt(call, parcel, &mut progress.tried, Frame { again, ..frame })
                .await;
            match self.next(&outcome, parcel, progress) {
                Next::Elsewhere(counts) => progress.retries += counts,
                Next::After(delay) if Instant::now() + delay < frame.deadline => {
                    let (retries, waits) = (progress.retries + 1, progress.waits + 1);
                    progress = Progress {
                        tried: Tried::default(),
                        retries,
                        waits,
                    };
                    drop(outcome);
                    tokio::time::sleep(delay).await;
                }
                Next::Finish | Next::After(_) => return outcome,
            }
            self.metrics.retried.inc();
        }
    }

    /// Whether an attempt may follow the one that comes now.
    fn again(&self, Progress { tried, retries, .. }: Progress) -> Again {
        let own = match &self.policy.retry {
            Some(retry) if retries < retry.attempts && retry.non_idempotent => Again::Any,
            Some(retry) if retries < retry.attempts => Again::Safe,
            _ => Again::Never,
        };
        match &self.kind {
            Kind::Group(group) if group.untried(tried) > 1 => own.max(Again::Safe),
            _ => own,
        }
    }

    fn next(&self, outcome: &Outcome, parcel: &Parcel, progress: Progress) -> Next {
        let candidates = |tried| match &self.kind {
            Kind::Group(group) => group.candidates(tried),
            Kind::Address(_) | Kind::Recipients(_) => 0,
        };
        let is_group = matches!(self.kind, Kind::Group(_));
        if outcome.result.is_ok() && self.policy.retry.is_none() || !parcel.present() {
            return Next::Finish;
        }
        let elsewhere = is_group && candidates(progress.tried) != 0;
        if elsewhere && outcome.refused() {
            return Next::Elsewhere(0);
        }
        let Some(retry) = &self.policy.retry else {
            return Next::Finish;
        };
        let wanted = retry.on.match_outcome(outcome) && (outcome.repeatable || retry.non_idempotent);
        if !wanted || progress.retries >= retry.attempts {
            return Next::Finish;
        }
        if elsewhere {
            return Next::Elsewhere(1);
        }
        // Without a budget every member is tried once and no more.
        let Some(budget) = &retry.budget else {
            return Next::Finish;
        };
        let possible = !is_group || candidates(Tried::default()) != 0;
        let delay = outcome
            .retry_after()
            .unwrap_or_else(|| retry.delay(progress.waits + 1));
        if possible && delay <= retry.backoff_max && budget.withdraw() {
            Next::After(delay)
        } else {
            Next::Finish
        }
    }

    async fn attempt(
        &self,
        call: &Call<'_>,
        parcel: &mut Parcel,
        tried: &mut Tried,
        frame: Frame,
    ) -> Outcome {
        let Some((breaker, failures)) = &self.policy.breaker else {
            return self.dispatch(call, parcel, tried, frame).await;
        };
        let permit = match breaker.admit() {
            Ok(permit) => permit,
            Err(wait) => {
                self.metrics.refused.inc();
                return Outcome::unsent(self.circuit_open(wait));
            }
        };
        let outcome = self.dispatch(call, parcel, tried, frame).await;
        if outcome.tells_health() {
            permit.record(failures.match_outcome(&outcome));
        }
        outcome
    }

    async fn dispatch(
        &self,
        call: &Call<'_>,
        parcel: &mut Parcel,
        tried: &mut Tried,
        frame: Frame,
    ) -> Outcome {
        match &self.kind {
            Kind::Address(address) => {
                address
                    .send(call, parcel, frame, self.policy.timeout, &self.metrics)
                    .await
            }
            Kind::Group(group) => {
                group
                    .send(call, parcel, tried, frame.within(self.policy.timeout))
                    .await
            }
            Kind::Recipients(recipients) => {
                recipients
                    .send(call, parcel, frame.within(self.policy.timeout))
                    .await
            }
        }
    }

    fn circuit_open(&self, wait: Duration) -> Fault {
        Fault::new(FaultCode::CircuitOpen, "The backend is suspended after failures.")
            .with_detail(format!(
                "the circuit of endpoint `{}` is open for {wait:?}",
                self.name
            ))
            .with_headers(retry_after(wait))
    }

    /// Whether an attempt would be made now, as far as circuits are concerned.
    pub(super) fn available(&self) -> bool {
        let own = self
            .policy
            .breaker
            .as_ref()
            .is_none_or(|(breaker, _)| breaker.available());
        own && match &self.kind {
            Kind::Group(group) => group.candidates(Tried::default()) != 0,
            Kind::Address(_) | Kind::Recipients(_) => true,
        }
    }

    /// How long until that may be the case.
    pub(super) fn wait(&self) -> Duration {
        let own = self
            .policy
            .breaker
            .as_ref()
            .and_then(|(breaker, _)| breaker.wait())
            .unwrap_or_default();
        match &self.kind {
            Kind::Group(group) => own.max(group.wait()),
            Kind::Address(_) | Kind::Recipients(_) => own,
        }
    }
}

/// `Retry-After` in whole seconds, at least one (RFC 9110 section 10.2.3).
pub(super) fn retry_after(wait: Duration) -> HeaderMap {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX));
    headers.insert(header::RETRY_AFTER, value);
    headers
}
