//! From a checked request to the gateway, and from its reply to what is sent: the part that HTTP/1.1 and HTTP/2 share.

use super::accept::Peer;
use super::lifecycle::Shared;
use super::settings::ServerSettings;
use crate::http::edge::ids::{
    CORRELATION_ID, TRACEPARENT, TRACESTATE, new_correlation_id, traceparent, usable_correlation_id,
};
use crate::http::edge::{forwarded, hop};
use crate::http::wire::{Content, http_date};
use engine::fault::Fault;
use engine::message::{Message, StartLine};
use engine::payload::Payload;
use engine::transport::Inbound;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use std::sync::Arc;

/// A request whose head has been checked.
pub(super) struct Arrival {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) host: String,
}

/// Settles where a request came from and what it is called.
pub(super) fn inbound(settings: &ServerSettings, peer: Peer, arrival: Arrival, payload: Payload) -> Inbound {
    let Arrival {
        method,
        uri,
        mut headers,
        host,
    } = arrival;
    hop::remove_hop_by_hop(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    let id = correlation_id(&mut headers, settings, peer);
    let (traceparent, continued) = traceparent(headers.get(&TRACEPARENT));
    if !continued {
        headers.remove(&TRACESTATE);
    }
    insert(&mut headers, &TRACEPARENT, &traceparent);
    if let Some(name) = &settings.via {
        append_via(&mut headers, name);
    }
    let origin = forwarded::settle(&mut headers, peer.address, peer.scheme, host, &settings.trusted);
    Inbound {
        message: Message {
            start: StartLine::Request { method, uri },
            headers,
            payload,
        },
        listener: Arc::clone(&settings.name),
        peer: Some(peer.address),
        client_address: Some(origin.address),
        scheme: origin.scheme,
        host: origin.host,
        id,
        traceparent: Some(traceparent),
    }
}

fn correlation_id(headers: &mut HeaderMap, settings: &ServerSettings, peer: Peer) -> String {
    let given = headers.get(&CORRELATION_ID);
    let believed =
        given.filter(|_| settings.accept_correlation_id || settings.trusted.contains(peer.address.ip()));
    if let Some(id) = believed.and_then(usable_correlation_id) {
        return id;
    }
    let id = new_correlation_id();
    insert(headers, &CORRELATION_ID, &id);
    id
}

fn insert(headers: &mut HeaderMap, name: &http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn append_via(headers: &mut HeaderMap, name: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("1.1 {name}")) {
        headers.append(header::VIA, value);
    }
}

/// A reply as it goes out, framing aside.
pub(super) struct Outgoing {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
    /// What `content-length` to send where there is no body to tell it.
    pub(super) length: Option<u64>,
}

/// Cleans a reply. Whatever a step did to the headers, the framing is the transport's.
pub(super) fn outgoing(message: Message, id: &str, settings: &ServerSettings, method: &Method) -> Outgoing {
    let Message {
        start,
        mut headers,
        payload,
    } = message;
    let status = match start {
        StartLine::Response { status } if !status.is_informational() => status,
        StartLine::Response { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    let announced = headers.remove(header::CONTENT_LENGTH);
    hop::remove_hop_by_hop(&mut headers);
    headers.remove(header::TE);
    insert(&mut headers, &CORRELATION_ID, id);
    headers.entry(header::DATE).or_insert_with(http_date);
    if let Some(name) = &settings.via {
        append_via(&mut headers, name);
    }
    let content = Content::from(payload);
    let (content, length) = body_for(status, method, content, announced.as_ref());
    Outgoing {
        status,
        headers,
        content,
        length,
    }
}

/// Which body and length a reply has (RFC 9110 sections 6.4.1 and 8.6).
fn body_for(
    status: StatusCode,
    method: &Method,
    content: Content,
    announced: Option<&HeaderValue>,
) -> (Content, Option<u64>) {
    let announced = announced
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    if status == StatusCode::NO_CONTENT {
        return (Content::Empty, None);
    }
    let of_content = match &content {
        Content::Empty => None,
        other => other.length(),
    };
    if *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        return (Content::Empty, of_content.or(announced));
    }
    match content {
        Content::Empty => (Content::Empty, Some(0)),
        content => (content, of_content),
    }
}

/// The reply to a request that was refused before it had an id.
pub(super) fn refusal(
    shared: &Shared,
    settings: &ServerSettings,
    request: &Message,
    fault: &Fault,
    method: &Method,
) -> Outgoing {
    let id = new_correlation_id();
    tracing::debug!(code = fault.name(), message = fault.message(), %id, listener = %settings.name, "request refused at the edge");
    let message = shared.gateway.edge_fault(request, &id, fault);
    outgoing(message, &id, settings, method)
}

/// Notes that a reply broke off after its head was sent. The client sees it as a broken connection or stream.
pub(super) fn broken_off(shared: &Shared, fault: &Fault, id: &str) {
    shared.gateway.metrics.fault(fault);
    tracing::warn!(code = fault.name(), message = fault.message(), detail = fault.detail(), %id, "reply broke off");
}
