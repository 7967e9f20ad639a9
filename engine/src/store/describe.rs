//! Stored messages as JSON, for operators: the management port and `mediary store` show the same.

use super::{Store, StoredMessage};
use crate::message::StartLine;
use crate::observe::{MASK, is_masked};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

/// A message in a line of a list: what it is and why it is here, without headers and body.
#[must_use]
pub fn summary(store: &dyn Store, message: &StoredMessage) -> Json {
    let stored_at = jiff::Timestamp::from_millisecond(message.stored_at).ok();
    let state = store.state(&message.id).map(|state| state.stage.name());
    let mut line = json!({
        "id": message.id,
        "correlation_id": message.correlation_id,
        "key": message.key,
        "stored_at": stored_at.map(|time| time.to_string()),
        "state": state,
        "attempts": message.attempts,
        "bytes": message.body.len(),
    });
    if let Some(dead) = &message.dead {
        line["artifact"] = dead.artifact.as_str().into();
        line["fault"] = json!({ "code": dead.code, "message": dead.message, "detail": dead.detail });
    }
    line
}

/// All of a message. A body that is no UTF-8 is told as `body_base64`; the values of headers with credentials are masked.
#[must_use]
pub fn details(store: &dyn Store, message: &StoredMessage) -> Json {
    let mut all = summary(store, message);
    all["start"] = match &message.start {
        StartLine::Request { method, uri } => format!("{method} {uri}").into(),
        StartLine::Response { status } => status.as_u16().into(),
        StartLine::Event => Json::Null,
    };
    let mut headers = Map::new();
    for (name, value) in &message.headers {
        let value = match is_masked(name.as_str()) {
            true => MASK.into(),
            false => String::from_utf8_lossy(value.as_bytes()),
        };
        match headers.get_mut(name.as_str()) {
            Some(Json::Array(values)) => values.push(value.into()),
            _ => drop(headers.insert(name.to_string(), json!([value]))),
        }
    }
    all["headers"] = headers.into();
    all["source"] = message.source.as_deref().cloned().unwrap_or_default();
    match std::str::from_utf8(&message.body) {
        Ok(text) => all["body"] = text.into(),
        Err(_) => all["body_base64"] = STANDARD.encode(&message.body).into(),
    }
    if let Some(dead) = &message.dead {
        all["fault"]["step"] = dead.step.clone().into();
        let history: Vec<&str> = dead.history.iter().map(|step| &**step).collect();
        all["history"] = history.into();
    }
    all
}
