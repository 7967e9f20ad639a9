//! How a stored message looks in a file: one version byte, then its fields, each with its length before it. No names, no padding.
//!
//! Integers are LEB128. A record is written once and never changed, so a store's attempts are kept beside it.

use super::{DeadLetter, Port, StoredMessage};
use crate::message::StartLine;
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use std::sync::Arc;

/// The version this program writes.
const VERSION: u8 = 2;
/// The first version: its dead letters do not tell which port they came through.
const VERSION_1: u8 = 1;

/// Writes a message.
pub(super) fn encode(message: &StoredMessage) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.body.len() + 256);
    out.push(VERSION);
    text(&mut out, &message.id);
    text(&mut out, &message.correlation_id);
    optional(&mut out, message.key.as_deref());
    out.extend_from_slice(&message.stored_at.to_be_bytes());
    number(&mut out, u64::from(message.attempts));
    start(&mut out, &message.start);
    number(&mut out, message.headers.len() as u64);
    for (name, value) in &message.headers {
        text(&mut out, name.as_str());
        field(&mut out, value.as_bytes());
    }
    let source = message.source.as_ref().map(ToString::to_string);
    optional(&mut out, source.as_deref());
    match &message.dead {
        None => out.push(0),
        Some(dead) => {
            out.push(1);
            dead_letter(&mut out, dead);
        }
    }
    field(&mut out, &message.body);
    out
}

fn start(out: &mut Vec<u8>, start: &StartLine) {
    match start {
        StartLine::Event => out.push(0),
        StartLine::Request { method, uri } => {
            out.push(1);
            text(out, method.as_str());
            text(out, &uri.to_string());
        }
        StartLine::Response { status } => {
            out.push(2);
            number(out, u64::from(status.as_u16()));
        }
    }
}

fn dead_letter(out: &mut Vec<u8>, dead: &DeadLetter) {
    text(out, &dead.artifact);
    text(out, &dead.code);
    text(out, &dead.message);
    optional(out, dead.detail.as_deref());
    optional(out, dead.step.as_deref());
    number(out, dead.history.len() as u64);
    for step in &dead.history {
        text(out, step);
    }
    match &dead.port {
        None => out.push(0),
        Some(port) => {
            out.push(1);
            text(out, &port.listener);
            text(out, &port.host);
            out.push(u8::from(port.secure));
        }
    }
}

pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    field(out, text.as_bytes());
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn optional(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(1);
            text(out, value);
        }
    }
}

pub(super) fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a message. `None` where the bytes are no record of a known version.
pub(super) fn decode(record: Bytes) -> Option<StoredMessage> {
    let mut reader = Reader(record);
    let version = reader.byte()?;
    if !(VERSION_1..=VERSION).contains(&version) {
        return None;
    }
    let mut message = StoredMessage {
        id: reader.text()?,
        correlation_id: reader.text()?,
        key: reader.optional()?,
        stored_at: reader.time()?,
        attempts: u32::try_from(reader.number()?).ok()?,
        start: reader.start()?,
        ..StoredMessage::default()
    };
    message.headers = reader.headers()?;
    message.source = match reader.optional()? {
        None => None,
        Some(json) => Some(Arc::new(serde_json::from_str(&json).ok()?)),
    };
    message.dead = match reader.byte()? {
        0 => None,
        _ => Some(reader.dead_letter(version)?),
    };
    message.body = reader.field()?;
    Some(message)
}

/// Reads fields from the front.
pub(super) struct Reader(pub(super) Bytes);

impl Reader {
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub(super) fn time(&mut self) -> Option<i64> {
        self.0.try_get_i64().ok()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn field(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.number()?).ok()?;
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    pub(super) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.field()?.into()).ok()
    }

    fn optional(&mut self) -> Option<Option<String>> {
        match self.byte()? {
            0 => Some(None),
            _ => self.text().map(Some),
        }
    }

    fn start(&mut self) -> Option<StartLine> {
        Some(match self.byte()? {
            0 => StartLine::Event,
            1 => StartLine::Request {
                method: Method::from_bytes(&self.field()?).ok()?,
                uri: Uri::from_maybe_shared(self.field()?).ok()?,
            },
            _ => StartLine::Response {
                status: StatusCode::from_u16(u16::try_from(self.number()?).ok()?).ok()?,
            },
        })
    }

    fn headers(&mut self) -> Option<HeaderMap> {
        let count = self.number()?;
        let mut headers = HeaderMap::new();
        for _ in 0..count {
            let name = HeaderName::from_bytes(&self.field()?).ok()?;
            let value = HeaderValue::from_maybe_shared(self.field()?).ok()?;
            headers.try_append(name, value).ok()?;
        }
        Some(headers)
    }

    fn dead_letter(&mut self, version: u8) -> Option<DeadLetter> {
        let mut dead = DeadLetter {
            artifact: self.text()?,
            code: self.text()?,
            message: self.text()?,
            detail: self.optional()?,
            step: self.optional()?,
            ..DeadLetter::default()
        };
        for _ in 0..self.number()? {
            dead.history.push(self.text()?.into());
        }
        if version > VERSION_1 && self.byte()? == 1 {
            dead.port = Some(Port {
                listener: self.text()?,
                host: self.text()?,
                secure: self.byte()? == 1,
            });
        }
        Some(dead)
    }
}

/// What the queue has to know of a record, without its headers and its body: id, key, time and attempts.
pub(super) fn head(record: &[u8]) -> Option<(String, Option<String>, i64, u32)> {
    // Ids, keys and the rest of the head are short; only so much is copied of a large record.
    let enough = record.len().min(64 << 10);
    head_of(&record[..enough]).or_else(|| head_of(record))
}

fn head_of(record: &[u8]) -> Option<(String, Option<String>, i64, u32)> {
    let mut reader = Reader(Bytes::copy_from_slice(record));
    if !(VERSION_1..=VERSION).contains(&reader.byte()?) {
        return None;
    }
    let id = reader.text()?;
    reader.field()?;
    let key = reader.optional()?;
    let stored_at = reader.time()?;
    Some((id, key, stored_at, u32::try_from(reader.number()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> StoredMessage {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_bytes(b"\xff").unwrap());
        StoredMessage {
            id: "i".into(),
            correlation_id: "c".into(),
            key: Some("k".into()),
            stored_at: -5,
            attempts: 300,
            start: StartLine::Request {
                method: Method::PATCH,
                uri: "/a?b=c".parse().unwrap(),
            },
            headers,
            body: Bytes::from_static(b"\0body"),
            source: Some(Arc::new(serde_json::json!({ "a": 1 }))),
            dead: Some(DeadLetter {
                artifact: "proxies.a".into(),
                history: vec!["one".into(), "two".into()],
                step: Some("one".into()),
                port: Some(Port {
                    listener: "http".into(),
                    host: "a.example".into(),
                    secure: true,
                }),
                ..DeadLetter::default()
            }),
        }
    }

    #[test]
    fn a_record_is_the_message() {
        let message = message();
        let record = encode(&message);
        let read = decode(record.clone().into()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{message:?}"));
        assert_eq!(head(&record).unwrap(), ("i".into(), Some("k".into()), -5, 300));
    }

    #[test]
    fn what_is_no_record_is_refused_without_a_panic() {
        let record = encode(&message());
        for length in 0..record.len() {
            assert!(decode(Bytes::copy_from_slice(&record[..length])).is_none());
        }
        for at in 0..record.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut broken = record.clone();
                broken[at] ^= flip;
                drop(decode(broken.into()));
            }
        }
    }
}
