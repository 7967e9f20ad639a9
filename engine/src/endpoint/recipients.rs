//! Recipient list (Enterprise Integration Patterns): every recipient gets a copy of the message.
//!
//! All copies are sent at the same time and each is waited for, since giving up on a slow recipient would lose its copy. The
//! reply is that of the first recipient, in the order of the list, that succeeded.

use super::Endpoint;
use super::outcome::Outcome;
use super::parcel::Parcel;
use super::run::{Again, Call, Frame};
use crate::fault::{Fault, FaultCode};
use crate::message::Message;
use futures_util::future::join_all;
use serde_json::json;
use std::sync::Arc;

/// The recipients.
pub(super) struct Recipients {
    pub(super) members: Box<[Arc<Endpoint>]>,
    /// How many have to succeed.
    pub(super) required: usize,
}

impl Recipients {
    pub(super) async fn send(&self, call: &Call<'_>, parcel: &mut Parcel, frame: Frame) -> Outcome {
        if let Err(fault) = parcel.buffer(call).await {
            return Outcome {
                result: Err(fault),
                repeatable: false,
            };
        }
        let mut copies: Vec<Parcel> = self.members.iter().map(|_| copy(&parcel.message)).collect();
        let frame = Frame {
            again: Again::Never,
            ..frame
        };
        let sending = self.members.iter().zip(&mut copies);
        let sending = sending.map(|(member, copy)| member.run_nested(call, copy, frame));
        self.merge(join_all(sending).await)
    }

    fn merge(&self, outcomes: Vec<Outcome>) -> Outcome {
        let repeatable = outcomes.iter().all(|outcome| outcome.repeatable);
        let succeeded = outcomes.iter().filter(|outcome| success(outcome)).count();
        let result = if succeeded >= self.required {
            let first = outcomes.into_iter().find(success);
            first.map_or_else(|| Ok(Message::default()), |outcome| outcome.result)
        } else {
            Err(self.fault(&outcomes, succeeded))
        };
        Outcome { result, repeatable }
    }

    /// The fault of the first recipient that failed, with what became of each.
    fn fault(&self, outcomes: &[Outcome], succeeded: usize) -> Fault {
        let failed = outcomes.iter().find(|outcome| !success(outcome));
        let code = failed.and_then(|outcome| outcome.result.as_ref().err().map(Fault::code));
        let recipients = self.members.iter().zip(outcomes).map(|(member, outcome)| {
            let fault = outcome.result.as_ref().err().map(Fault::name);
            let status = outcome.status().map(|status| status.as_u16());
            json!({ "endpoint": &**member.name(), "status": status, "fault": fault })
        });
        let recipients: Vec<_> = recipients.collect();
        let required = self.required;
        let message = format!(
            "{succeeded} of {} recipients accepted the message, {required} have to.",
            outcomes.len()
        );
        let mut details = json!({ "recipients": recipients });
        if let Some(status) = failed.and_then(Outcome::status) {
            details["status"] = status.as_u16().into();
        }
        Fault::new(code.unwrap_or(FaultCode::BackendStatus), message).with_details(details)
    }
}

/// Success is a reply that is no error.
fn success(outcome: &Outcome) -> bool {
    let good = |reply: &Message| reply.status().is_none_or(|status| status.as_u16() < 400);
    outcome.result.as_ref().is_ok_and(good)
}

fn copy(message: &Message) -> Parcel {
    let payload = message.payload.share().unwrap_or_default();
    Parcel::new(Message {
        start: message.start.clone(),
        headers: message.headers.clone(),
        payload,
    })
}
