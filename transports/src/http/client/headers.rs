//! The head of a request to a backend.

use super::{ClientSettings, Outbound};
use crate::http::edge::hop;
use crate::http::edge::ids::CORRELATION_ID;
use crate::http::wire::Content;
use engine::fault::Fault;
use engine::message::{Message, StartLine};
use engine::transport::SendContext;
use http::{HeaderValue, header};

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("mediary/", env!("CARGO_PKG_VERSION")));

/// The request for a message. `host` is the URL's authority, unless the client's is to be kept.
pub(super) fn outbound(
    message: Message,
    context: &SendContext,
    settings: &ClientSettings,
) -> Result<Outbound, Fault> {
    let Message {
        start,
        mut headers,
        payload,
    } = message;
    let StartLine::Request { method, uri } = start else {
        return Err(Fault::internal("only requests can be sent over HTTP"));
    };
    hop::remove_hop_by_hop(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    let authority = uri
        .authority()
        .map(|authority| HeaderValue::from_str(without_user(authority.as_str())));
    if !(settings.preserve_host && headers.contains_key(header::HOST)) {
        let host = authority
            .and_then(Result::ok)
            .ok_or_else(|| Fault::internal("the URL has no host"))?;
        headers.insert(header::HOST, host);
    }
    headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
    if let Ok(id) = HeaderValue::from_str(&context.id) {
        headers.insert(&CORRELATION_ID, id);
    }
    let content = Content::from(payload);
    if !matches!(content, Content::Stream(_)) {
        headers.remove(header::EXPECT);
    }
    Ok(Outbound {
        method,
        uri,
        headers,
        content,
    })
}

fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}
