//! What counts as a failure: kinds of fault and statuses. Retry, failover and circuit breaker each have a set of their own.

use super::outcome::Outcome;
use crate::fault::{Fault, FaultCode};
use http::StatusCode;
use serde_json::Value as Json;

/// A set of HTTP statuses. A bit each, from 100 to 611.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Statuses([u64; 8]);

impl Statuses {
    /// Adds all statuses from `first` to `last`.
    pub(super) fn insert(&mut self, first: u16, last: u16) {
        for bit in (first.max(100)..=last.min(611)).map(|status| usize::from(status - 100)) {
            self.0[bit / 64] |= 1 << (bit % 64);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; 8]
    }

    pub(super) fn contains(&self, status: StatusCode) -> bool {
        let bit = usize::from(status.as_u16()).wrapping_sub(100);
        self.0
            .get(bit / 64)
            .is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }
}

/// The ways in which an attempt fails without a reply that could be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Connect = 1,
    Timeout = 2,
    ConnectionLost = 4,
    BadReply = 8,
    CircuitOpen = 16,
}

impl Failure {
    /// The kind of a fault; `None` for those that say nothing about the backend's health.
    pub(super) fn of(fault: &Fault) -> Option<Self> {
        match fault.code() {
            FaultCode::Connect => Some(Self::Connect),
            FaultCode::Timeout => Some(Self::Timeout),
            FaultCode::ConnectionLost | FaultCode::IncompleteBody => Some(Self::ConnectionLost),
            FaultCode::BadReply | FaultCode::ReplyTooLarge => Some(Self::BadReply),
            FaultCode::CircuitOpen | FaultCode::NoEndpoint => Some(Self::CircuitOpen),
            _ => None,
        }
    }
}

/// A set of failures and statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Triggers {
    failures: u8,
    pub(super) statuses: Statuses,
}

impl Triggers {
    pub(super) fn insert(&mut self, failure: Failure) {
        self.failures |= failure as u8;
    }

    pub(super) fn insert_all(&mut self, failures: impl IntoIterator<Item = Failure>) {
        failures.into_iter().for_each(|failure| self.insert(failure));
    }

    /// Whether this outcome is one of those in the set.
    pub(super) fn match_outcome(&self, outcome: &Outcome) -> bool {
        let by_status = outcome
            .status()
            .is_some_and(|status| self.statuses.contains(status));
        by_status
            || outcome
                .failure()
                .is_some_and(|failure| self.failures & failure as u8 != 0)
    }
}

/// The backend's status where a fault stands for a reply.
pub(super) fn status_of(fault: &Fault) -> Option<StatusCode> {
    let status = fault
        .details()
        .and_then(|details| details.get("status"))
        .and_then(Json::as_u64)?;
    let of_reply = matches!(fault.code(), FaultCode::BackendStatus | FaultCode::SoapFault);
    let status = u16::try_from(status).ok().filter(|_| of_reply)?;
    StatusCode::from_u16(status).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_a_set() {
        let mut statuses = Statuses::default();
        assert!(statuses.is_empty());
        statuses.insert(404, 404);
        statuses.insert(500, 599);
        let contains = |status| statuses.contains(StatusCode::from_u16(status).unwrap());
        assert!(contains(404) && contains(500) && contains(599));
        assert!(!contains(403) && !contains(405) && !contains(499) && !contains(600) && !contains(999));
    }
}
