//! A message of a test that goes to an artifact without a network port, as the queue, the folder or the schedule would deliver it.

use super::definition::SendConfig;
use super::{body, mocks};
use crate::client::Received;
use crate::gateway::Served;
use bytes::Bytes;
use engine::config::Sources;
use engine::fault::Fault;
use engine::message::Message;
use engine::payload::Payload;
use engine::transport::{Delivery, Settled};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The largest reply.
const REPLY_BYTES_MAX: u64 = 64 << 20;

/// Delivers the message and waits until it is settled.
///
/// # Errors
/// Why it cannot be delivered.
pub(super) async fn deliver(
    served: &Served,
    to: &str,
    send: &SendConfig,
    sources: &Sources,
) -> Result<Received, String> {
    let artifact: Arc<str> = if to.contains('.') {
        to.into()
    } else {
        format!("proxies.{to}").into()
    };
    if !served.gateway.deployment().entries.contains_key(&artifact) {
        return Err(format!(
            "there is no `{artifact}` that receives from a queue, a folder or a schedule"
        ));
    }
    let delivery = Delivery {
        artifact,
        message: message(send, sources)?,
        source: send
            .source
            .as_ref()
            .map(|source| source.to_json().into())
            .unwrap_or_default(),
        ..Delivery::default()
    };
    let gateway = Arc::clone(&served.gateway);
    let (settled, outcome) = oneshot::channel();
    served.gateway.workers.spawn(async move {
        let received = match gateway.deliver(delivery).await {
            Settled::Done(reply) => done(reply).await,
            Settled::DeadLettered(fault) | Settled::Failed(fault) | Settled::Later(fault) => failed(&fault),
        };
        // An error means that nobody waits any more.
        drop(settled.send(received));
    });
    let outcome = outcome.await;
    outcome.map_err(|_| "the exchange ended without a result".to_owned())
}

fn message(send: &SendConfig, sources: &Sources) -> Result<Message, String> {
    let body = body::load(send.content(), sources).map_err(|problem| problem.message)?;
    let mut message = Message {
        headers: mocks::headers(&send.headers, &body)?,
        ..Message::default()
    };
    message.payload = body.bytes.map(Payload::bytes).unwrap_or_default();
    Ok(message)
}

async fn done(mut reply: Message) -> Received {
    if let Err(fault) = reply.payload.buffer(REPLY_BYTES_MAX).await {
        return failed(&fault);
    }
    Received {
        status: reply.status().unwrap_or(StatusCode::OK),
        body: reply.payload.as_bytes().cloned().unwrap_or_default(),
        headers: reply.headers,
    }
}

/// The fault as a problem document.
fn failed(fault: &Fault) -> Received {
    let document = json!({
        "status": fault.status().as_u16(),
        "code": fault.name(),
        "detail": fault.message(),
        "details": fault.details(),
    });
    let mut headers = HeaderMap::new();
    let media_type = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, media_type);
    Received {
        status: fault.status(),
        headers,
        body: Bytes::from(document.to_string()),
    }
}
