//! How a stored message looks in a queue, so that any other client can read it: the body as it was, each header in the table under
//! its own name, and what else belongs to it in entries `x-mediary-*`.

use crate::amqp::mapping;
use engine::message::{Message, StartLine};
use engine::store::{DeadLetter, StoredMessage};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::sync::Arc;

/// When it was stored, in milliseconds since 1970. Only messages of ours have it.
const STORED_AT: &str = "x-mediary-stored-at";
/// Headers that cannot stand in the table under their own names: pairs of name and value.
const HEADERS: &str = "x-mediary-headers";
const KEY: &str = "x-mediary-key";
const METHOD: &str = "x-mediary-method";
const URI: &str = "x-mediary-uri";
const SOURCE: &str = "x-mediary-source";
const HISTORY: &str = "x-mediary-history";
/// Most bytes of a text that only explains something.
const TEXT_MAX: usize = 4096;

/// A message as it is published, persistent. `max` is the most bytes that its headers may have; where it is reached the facts about
/// its source are left out.
///
/// # Errors
/// How large they are, where that does not help.
pub(super) fn encode(message: &StoredMessage, max: usize) -> Result<BasicProperties, String> {
    let (properties, mut table) = headers(&message.headers);
    let properties = properties
        .with_delivery_mode(2)
        .with_message_id(ShortString::try_new(message.id.as_str()).unwrap_or_default());
    let properties = match ShortString::try_new(message.correlation_id.as_str()) {
        Ok(id) => properties.with_correlation_id(id),
        Err(_) => properties,
    };
    let seconds = u64::try_from(message.stored_at / 1000).unwrap_or(0);
    let properties = properties.with_timestamp(seconds);
    table.insert(STORED_AT.into(), AMQPValue::LongLongInt(message.stored_at));
    if message.attempts > 0 {
        let attempts = AMQPValue::LongLongInt(message.attempts.into());
        table.insert(mapping::ATTEMPTS.into(), attempts);
    }
    if let Some(key) = &message.key {
        mapping::set(&mut table, KEY, key);
    }
    start(&mut table, &message.start);
    if let Some(dead) = &message.dead {
        dead_letter(&mut table, dead);
    }
    let mut full = table.clone();
    if let Some(source) = &message.source {
        mapping::set(&mut full, SOURCE, &source.to_string());
    }
    for table in [full, table] {
        let properties = properties.clone().with_headers(table);
        if mapping::size(&properties) <= max {
            return Ok(properties);
        }
    }
    Err(format!("its headers have more than {max} bytes"))
}

/// Headers as properties and table. A name with several values has an array of them.
fn headers(headers: &HeaderMap) -> (BasicProperties, FieldTable) {
    let mut properties = BasicProperties::default();
    let mut table = FieldTable::default();
    let mut others = Vec::new();
    for name in headers.keys() {
        let values: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        let short = match values.as_slice() {
            [value] => value
                .to_str()
                .ok()
                .and_then(|text| ShortString::try_new(text).ok()),
            _ => None,
        };
        let texts = values
            .iter()
            .map(|value| AMQPValue::LongString(value.as_bytes().into()));
        match (name, short, ShortString::try_new(name.as_str())) {
            (&CONTENT_TYPE, Some(value), _) => properties = properties.with_content_type(value),
            (&CONTENT_ENCODING, Some(value), _) => properties = properties.with_content_encoding(value),
            (_, _, Ok(key)) if !reserved(name) => {
                let mut texts: Vec<AMQPValue> = texts.collect();
                let value = match texts.len() {
                    1 => texts.remove(0),
                    _ => AMQPValue::FieldArray(texts.into()),
                };
                table.insert(key, value);
            }
            _ => {
                for value in texts {
                    others.push(AMQPValue::LongString(name.as_str().into()));
                    others.push(value);
                }
            }
        }
    }
    if !others.is_empty() {
        table.insert(HEADERS.into(), AMQPValue::FieldArray(others.into()));
    }
    (properties, table)
}

/// Names that mean something to us or to the broker where they stand in the table.
fn reserved(name: &HeaderName) -> bool {
    let prefixes = ["x-mediary-", "x-death", "x-first-death", "x-last-death"];
    let names = [
        "content-type",
        "content-encoding",
        "x-delivery-count",
        "x-acquired-count",
    ];
    let name = name.as_str();
    prefixes.iter().any(|prefix| name.starts_with(prefix)) || names.contains(&name)
}

fn start(table: &mut FieldTable, start: &StartLine) {
    match start {
        StartLine::Request { method, uri } => {
            mapping::set(table, METHOD, method.as_str());
            mapping::set(table, URI, &uri.to_string());
        }
        StartLine::Response { status } => {
            let status = AMQPValue::LongInt(status.as_u16().into());
            table.insert(mapping::STATUS.into(), status);
        }
        StartLine::Event => {}
    }
}

fn dead_letter(table: &mut FieldTable, dead: &DeadLetter) {
    mapping::set(table, "x-mediary-artifact", &dead.artifact);
    mapping::set(table, "x-mediary-fault", &dead.code);
    mapping::set(table, "x-mediary-fault-message", cut(&dead.message));
    if let Some(detail) = &dead.detail {
        mapping::set(table, "x-mediary-fault-detail", cut(detail));
    }
    if let Some(step) = &dead.step {
        mapping::set(table, "x-mediary-fault-step", step);
    }
    let history: Vec<AMQPValue> = dead
        .history
        .iter()
        .map(|step| AMQPValue::LongString(step.as_bytes().into()))
        .collect();
    table.insert(HISTORY.into(), AMQPValue::FieldArray(history.into()));
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

/// A message from the queue. One that somebody else published gets an id of its own.
pub(super) fn decode(properties: &BasicProperties, body: Vec<u8>) -> StoredMessage {
    let stored = if is_ours(properties) {
        ours(properties)
    } else {
        let ids = [properties.correlation_id(), properties.message_id()];
        let message = Message {
            headers: mapping::to_headers(properties),
            ..Message::default()
        };
        let id = ids.into_iter().flatten().next().map_or("", ShortString::as_str);
        StoredMessage::new(message, id, None)
    };
    let attempts = mapping::count(properties, mapping::ATTEMPTS);
    StoredMessage {
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        body: body.into(),
        ..stored
    }
}

/// Whether it was stored by a gateway, which means that its id is unique.
pub(super) fn is_ours(properties: &BasicProperties) -> bool {
    properties.message_id().is_some() && mapping::count(properties, STORED_AT) > 0
}

fn ours(properties: &BasicProperties) -> StoredMessage {
    let text = |name: &str| mapping::text(properties, name);
    let short = |value: &Option<ShortString>| value.as_ref().map_or_else(String::new, ToString::to_string);
    StoredMessage {
        id: short(properties.message_id()),
        correlation_id: short(properties.correlation_id()),
        key: text(KEY),
        stored_at: i64::try_from(mapping::count(properties, STORED_AT)).unwrap_or(0),
        start: start_line(properties),
        headers: to_headers(properties),
        source: text(SOURCE)
            .and_then(|json| serde_json::from_str(&json).ok())
            .map(Arc::new),
        ..StoredMessage::default()
    }
}

fn start_line(properties: &BasicProperties) -> StartLine {
    let text = |name: &str| mapping::text(properties, name);
    let method = text(METHOD).and_then(|method| Method::try_from(method.as_str()).ok());
    let uri = text(URI).and_then(|uri| Uri::try_from(uri).ok());
    let status = u16::try_from(mapping::count(properties, mapping::STATUS)).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    match (method, uri, status) {
        (Some(method), Some(uri), _) => StartLine::Request { method, uri },
        (_, _, Some(status)) => StartLine::Response { status },
        _ => StartLine::Event,
    }
}

fn to_headers(properties: &BasicProperties) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut append = |name: &[u8], value: &[u8]| {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    };
    if let Some(value) = properties.content_type() {
        append(b"content-type", value.as_str().as_bytes());
    }
    if let Some(value) = properties.content_encoding() {
        append(b"content-encoding", value.as_str().as_bytes());
    }
    for (name, value) in properties.headers().iter().flat_map(FieldTable::inner) {
        let name = name.as_str();
        let pairs = name == HEADERS;
        match value {
            AMQPValue::FieldArray(all) if pairs => {
                for pair in texts(all.as_slice()).chunks_exact(2) {
                    append(pair[0], pair[1]);
                }
            }
            _ if HeaderName::try_from(name).is_ok_and(|name| reserved(&name)) => {}
            AMQPValue::LongString(value) => append(name.as_bytes(), value.as_bytes()),
            AMQPValue::FieldArray(all) => {
                for value in texts(all.as_slice()) {
                    append(name.as_bytes(), value);
                }
            }
            _ => {}
        }
    }
    headers
}

fn texts(values: &[AMQPValue]) -> Vec<&[u8]> {
    let texts = values.iter().filter_map(|value| match value {
        AMQPValue::LongString(text) => Some(text.as_bytes()),
        _ => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message() -> StoredMessage {
        let long = HeaderName::try_from("a".repeat(300)).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "text/plain"),
            ("host", "here"),
            ("x-one", "1"),
            ("x-two", "a"),
            ("x-two", "b"),
            ("x-mediary-key", "forged"),
            ("x-delivery-count", "9"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append("x-bytes", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        headers.append(long, HeaderValue::from_static("long"));
        StoredMessage {
            id: "0193-a".to_owned(),
            correlation_id: "c-1".to_owned(),
            key: Some("customer 7".to_owned()),
            stored_at: 1_700_000_000_123,
            attempts: 3,
            start: StartLine::Request {
                method: Method::PUT,
                uri: Uri::from_static("/a?b=c"),
            },
            headers,
            source: Some(Arc::new(json!({"file": "a\nb"}))),
            ..StoredMessage::default()
        }
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let stored = message();
        let properties = encode(&stored, usize::MAX).unwrap();
        let back = decode(&properties, b"body".to_vec());
        assert_eq!(back.headers, stored.headers);
        assert_eq!(&back.body[..], b"body");
        assert_eq!(
            (
                back.id,
                back.correlation_id,
                back.key,
                back.stored_at,
                back.attempts,
                back.source
            ),
            (
                stored.id,
                stored.correlation_id,
                stored.key,
                stored.stored_at,
                3,
                stored.source
            )
        );
        assert_eq!(format!("{:?}", back.start), format!("{:?}", stored.start));
    }

    #[test]
    fn headers_that_are_too_large_lose_the_source_first() {
        let mut stored = message();
        let size = mapping::size(&encode(&stored, usize::MAX).unwrap());
        let smaller = encode(&stored, size - 1).unwrap();
        assert_eq!(mapping::text(&smaller, SOURCE), None);
        assert!(mapping::size(&smaller) < size);
        assert!(encode(&stored, 500).unwrap_err().contains("500 bytes"));
        stored.dead = Some(DeadLetter {
            message: "ä".repeat(5000),
            ..DeadLetter::default()
        });
        let dead = encode(&stored, usize::MAX).unwrap();
        assert_eq!(
            mapping::text(&dead, "x-mediary-fault-message").unwrap().len(),
            4096
        );
    }

    #[test]
    fn a_message_of_somebody_else_is_taken_as_it_is() {
        let mut table = FieldTable::default();
        table.insert("x-count".into(), AMQPValue::LongInt(7));
        mapping::set(&mut table, METHOD, "GET");
        let properties = BasicProperties::default()
            .with_message_id("m-1".into())
            .with_headers(table);
        let found = decode(&properties, Vec::new());
        assert_ne!(found.id, "m-1", "somebody else may use an id twice");
        assert_eq!(found.correlation_id, "m-1");
        assert_eq!(found.headers["x-count"], "7");
        assert!(matches!(found.start, StartLine::Event));
    }
}
