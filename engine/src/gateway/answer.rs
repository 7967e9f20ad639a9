//! From the end of an exchange to the reply that leaves: the current message as a response, or a fault in the client's format.

use crate::exchange::{Entry, Exchange};
use crate::fault::{Fault, Origin};
use crate::format::{FaultStyle, Formats};
use crate::mediator::Flow;
use crate::message::{Message, StartLine};
use crate::payload::Payload;
use http::{StatusCode, header};

/// Makes the current message the reply.
pub(super) fn reply(exchange: &mut Exchange, flow: Flow) -> Result<Flow, Fault> {
    if flow == Flow::Drop {
        exchange.message = Message::response(StatusCode::ACCEPTED);
        return Ok(flow);
    }
    let formats = std::sync::Arc::clone(&exchange.deployment.formats);
    exchange.message.format(&formats)?;
    if !matches!(exchange.message.start, StartLine::Response { .. }) {
        exchange.become_reply(StatusCode::OK);
    }
    Ok(flow)
}

/// Replaces the message by the fault, rendered as the client reads it.
pub(super) fn render_fault(exchange: &mut Exchange, fault: &Fault) {
    let entry = &exchange.entry;
    exchange.message = fault_message(&exchange.deployment.formats, fault, &entry.id, entry.fault_style);
}

/// A fault as a reply.
pub(super) fn fault_message(formats: &Formats, fault: &Fault, id: &str, style: FaultStyle) -> Message {
    let rendered = formats.render_fault(fault, id, style);
    let mut message = Message::response(rendered.status);
    message.headers.extend(fault.headers().clone());
    message.set_content_type(rendered.media_type);
    message.payload = Payload::bytes(rendered.bytes);
    message
}

/// Adds the headers that policies asked for (CORS, rate limits) to whatever is answered, in place of the backend's own; `vary` adds
/// to what the backend says.
pub(super) fn add_reply_headers(exchange: &mut Exchange) {
    let headers = std::mem::take(&mut exchange.reply_headers);
    for name in headers.keys() {
        if name != header::VARY {
            exchange.message.headers.remove(name);
        }
        for value in headers.get_all(name) {
            exchange.message.headers.append(name, value.clone());
        }
    }
}

/// One line for a fault that leaves: what the client was not told is here.
pub(super) fn log_fault(fault: &Fault, entry: &Entry) {
    let detail = fault.detail();
    let step = fault.step();
    if fault.origin() == Origin::Client {
        tracing::debug!(code = fault.name(), fault = fault.message(), detail, step, id = %entry.id, "request refused");
    } else {
        tracing::warn!(code = fault.name(), fault = fault.message(), detail, step, artifact = %entry.artifact, route = %entry.route, id = %entry.id, "exchange failed");
    }
}
