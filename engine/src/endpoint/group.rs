//! Several endpoints of which one gets the message: load balance and failover. Retrying a group means trying another member.

use super::Endpoint;
use super::balance::Balance;
use super::outcome::Outcome;
use super::parcel::Parcel;
use super::run::{Call, Frame, retry_after};
use crate::fault::{Fault, FaultCode};
use crate::mediator::Needs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The members that this call has tried, a bit each: there are at most 64.
pub(super) type Tried = u64;

/// Endpoints of which one is chosen.
pub(super) struct Group {
    pub(super) members: Box<[Member]>,
    pub(super) balance: Balance,
}

/// A member of a group.
pub(super) struct Member {
    pub(super) endpoint: Arc<Endpoint>,
    /// Its share of the messages, at least 1.
    pub(super) weight: u32,
    /// The same in every process and deployment, whatever the order of the members.
    pub(super) identity: u64,
    pub(super) in_flight: AtomicU32,
}

impl Group {
    /// Sends to the member whose turn it is and marks it as tried.
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        parcel: &mut Parcel,
        tried: &mut Tried,
        frame: Frame,
    ) -> Outcome {
        let chosen = match self.balance.choose(self, self.candidates(*tried), call.exchange) {
            Ok(Some(index)) => index,
            Ok(None) => return Outcome::unsent(self.unavailable()),
            Err(fault) => {
                return Outcome {
                    result: Err(fault),
                    repeatable: false,
                };
            }
        };
        *tried |= 1 << chosen;
        let member = &self.members[chosen];
        let _in_flight = InFlight::new(member);
        let mut outcome = member.endpoint.run_nested(call, parcel, frame).await;
        if let Ok(reply) = &mut outcome.result {
            self.balance.mark_reply(member, call.exchange, reply);
        }
        outcome
    }

    /// The members not tried yet whose circuits let a call through, a bit each.
    pub(super) fn candidates(&self, tried: Tried) -> u64 {
        let untried = (0..self.members.len()).filter(|index| tried >> index & 1 == 0);
        let candidates = untried.filter(|index| self.members[*index].endpoint.available());
        candidates.fold(0, |bits, index| bits | 1 << index)
    }

    /// How much of the payload the choice of a member and the members read.
    pub(super) fn needs(&self) -> Needs {
        let members = self.members.iter().map(|member| member.endpoint.needs());
        members.max().unwrap_or_default().max(self.balance.needs())
    }

    /// How many members have not been tried.
    pub(super) fn untried(&self, tried: Tried) -> usize {
        self.members.len() - tried.count_ones() as usize
    }

    /// How long until a member may be available.
    pub(super) fn wait(&self) -> Duration {
        self.members
            .iter()
            .map(|member| member.endpoint.wait())
            .min()
            .unwrap_or_default()
    }

    fn unavailable(&self) -> Fault {
        let names: Vec<&str> = self
            .members
            .iter()
            .map(|member| &**member.endpoint.name())
            .collect();
        Fault::new(FaultCode::NoEndpoint, "No backend is available.")
            .with_detail(format!(
                "the circuits of all members are open: {}",
                names.join(", ")
            ))
            .with_headers(retry_after(self.wait()))
    }
}

/// Counts a call as in flight at a member until it is dropped.
struct InFlight<'a>(&'a Member);

impl<'a> InFlight<'a> {
    fn new(member: &'a Member) -> Self {
        member.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(member)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
