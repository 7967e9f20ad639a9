//! Which replies are faults.

use super::Policy;
use super::outcome::Outcome;
use super::run::Call;
use super::soap;
use crate::fault::{Fault, FaultCode};
use crate::format;
use crate::message::Message;
use crate::payload::Payload;
use http::header;
use serde_json::{Value as Json, json};

/// Most bytes of a reply's body that a fault shows in its details.
const BODY_SHOWN_BYTES_MAX: usize = 4096;

/// Turns a reply into a fault where the policy says so.
pub(super) async fn judge(policy: &Policy, call: &Call<'_>, outcome: Outcome) -> Outcome {
    if policy.soap.is_none() && policy.fault_on.is_empty() {
        return outcome;
    }
    let Outcome { result, repeatable } = outcome;
    let result = match result {
        Ok(reply) => judge_reply(policy, call, reply).await,
        Err(fault) => Err(fault),
    };
    Outcome { result, repeatable }
}

/// A SOAP fault comes with an error status (SOAP 1.1 section 6.2, SOAP 1.2 part 2 section 7.5.2.2), so that no other reply is parsed
/// just to look.
async fn judge_reply(policy: &Policy, call: &Call<'_>, mut reply: Message) -> Result<Message, Fault> {
    let Some(status) = reply.status() else {
        return Ok(reply);
    };
    if policy.soap.is_some() && status.as_u16() >= 400 && soap::is_xml(reply.content_type()) {
        read(call, &mut reply).await;
        if let Some(fault) = soap::fault(call, &mut reply, status) {
            return Err(fault.with_reply(reply));
        }
    }
    if !policy.fault_on.contains(status) {
        return Ok(reply);
    }
    read(call, &mut reply).await;
    let mut details = json!({ "status": status.as_u16() });
    if let Some(body) = shown_body(&reply) {
        details["body"] = body;
    }
    let message = format!("The backend answered with status {}.", status.as_u16());
    Err(Fault::new(FaultCode::BackendStatus, message)
        .with_details(details)
        .with_reply(reply))
}

/// Buffers the reply. Where that fails the error reply counts as one without a body: its status is what matters.
async fn read(call: &Call<'_>, reply: &mut Message) {
    let limit = call.exchange.deployment.settings.limits.body_bytes;
    let buffered = tokio::time::timeout_at(call.exchange.deadline, reply.payload.buffer(limit)).await;
    if !matches!(buffered, Ok(Ok(()))) {
        reply.payload = Payload::default();
    }
}

/// A small body in a form that a fault's details can hold.
fn shown_body(reply: &Message) -> Option<Json> {
    let bytes = reply
        .payload
        .as_bytes()
        .filter(|bytes| bytes.len() <= BODY_SHOWN_BYTES_MAX)?;
    if reply.headers.contains_key(header::CONTENT_ENCODING) {
        return None;
    }
    let media = format::media_type(reply.content_type());
    if media.subtype() == mime::JSON || media.suffix() == Some(mime::JSON) {
        return serde_json::from_slice(bytes).ok();
    }
    let textual = media.type_() == mime::TEXT || soap::is_xml(reply.content_type());
    std::str::from_utf8(bytes)
        .ok()
        .filter(|_| textual)
        .map(Json::from)
}
