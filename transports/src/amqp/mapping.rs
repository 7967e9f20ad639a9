//! Headers and properties, both ways. What is no valid header of a message stays readable in `source`.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

/// Headers that belong to one hop or are properties of their own: never mapped.
const NOT_MAPPED: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How often a message has been delivered in vain, as we count it when we publish it again.
pub(super) const ATTEMPTS: &str = "x-mediary-attempts";
/// When a message may be tried again, in milliseconds since 1970.
pub(super) const NOT_BEFORE: &str = "x-mediary-not-before";
/// Names with this beginning are ours: they neither come from headers of messages nor become such.
const OURS: &str = "x-mediary-";
/// Where a message came from that we published again.
pub(super) const EXCHANGE: &str = "x-mediary-exchange";
/// As [`EXCHANGE`], the routing key.
pub(super) const ROUTING_KEY: &str = "x-mediary-routing-key";
/// The status of a reply that is an error, so that the requester can tell.
pub(super) const STATUS: &str = "x-mediary-status";

/// The headers of a message from its properties.
pub(super) fn to_headers(properties: &BasicProperties) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut insert = |name: HeaderName, value: &Option<ShortString>| {
        let value = value.as_ref().map(|value| HeaderValue::from_str(value.as_str()));
        if let Some(Ok(value)) = value {
            headers.insert(name, value);
        }
    };
    insert(CONTENT_TYPE, properties.content_type());
    insert(CONTENT_ENCODING, properties.content_encoding());
    for (name, value) in properties.headers().iter().flat_map(FieldTable::inner) {
        let Ok(name) = HeaderName::try_from(name.as_str()) else {
            continue;
        };
        let ours = name.as_str().starts_with(OURS);
        if ours || NOT_MAPPED.contains(&name.as_str()) {
            continue;
        }
        if let Some(value) = header_value(value) {
            headers.insert(name, value);
        }
    }
    headers
}

fn header_value(value: &AMQPValue) -> Option<HeaderValue> {
    match value {
        AMQPValue::LongString(text) => HeaderValue::from_bytes(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => HeaderValue::from_str(text.as_str()).ok(),
        AMQPValue::Boolean(_)
        | AMQPValue::ShortShortInt(_)
        | AMQPValue::ShortShortUInt(_)
        | AMQPValue::ShortInt(_)
        | AMQPValue::ShortUInt(_)
        | AMQPValue::LongInt(_)
        | AMQPValue::LongUInt(_)
        | AMQPValue::LongLongInt(_)
        | AMQPValue::Float(_)
        | AMQPValue::Double(_)
        | AMQPValue::Timestamp(_) => HeaderValue::from_str(&json_value(value).to_string()).ok(),
        _ => None,
    }
}

/// The properties as JSON, without the headers.
pub(super) fn properties_json(properties: &BasicProperties) -> Json {
    let mut json = Map::new();
    let mut text = |name: &str, value: &Option<ShortString>| {
        if let Some(value) = value {
            json.insert(name.to_owned(), value.as_str().into());
        }
    };
    text("content_type", properties.content_type());
    text("content_encoding", properties.content_encoding());
    text("message_id", properties.message_id());
    text("correlation_id", properties.correlation_id());
    text("reply_to", properties.reply_to());
    text("expiration", properties.expiration());
    text("type", properties.kind());
    text("app_id", properties.app_id());
    text("user_id", properties.user_id());
    let mut number = |name: &str, value: Option<u64>| {
        if let Some(value) = value {
            json.insert(name.to_owned(), value.into());
        }
    };
    number("priority", properties.priority().map(Into::into));
    number("delivery_mode", properties.delivery_mode().map(Into::into));
    number("timestamp", *properties.timestamp());
    Json::Object(json)
}

/// A table as JSON. Bytes that are no text are read as such with replacement characters.
pub(super) fn table_json(table: &FieldTable) -> Json {
    let entries = table.inner().iter();
    Json::Object(
        entries
            .map(|(name, value)| (name.to_string(), json_value(value)))
            .collect(),
    )
}

fn json_value(value: &AMQPValue) -> Json {
    match value {
        AMQPValue::Boolean(value) => (*value).into(),
        AMQPValue::ShortShortInt(value) => (*value).into(),
        AMQPValue::ShortShortUInt(value) => (*value).into(),
        AMQPValue::ShortInt(value) => (*value).into(),
        AMQPValue::ShortUInt(value) => (*value).into(),
        AMQPValue::LongInt(value) => (*value).into(),
        AMQPValue::LongUInt(value) => (*value).into(),
        AMQPValue::LongLongInt(value) => (*value).into(),
        AMQPValue::Float(value) => json!(f64::from(*value)),
        AMQPValue::Double(value) => json!(*value),
        AMQPValue::DecimalValue(value) => json!(f64::from(value.value) / 10_f64.powi(value.scale.into())),
        AMQPValue::ShortString(value) => value.as_str().into(),
        AMQPValue::LongString(value) => value.to_string().into(),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(json_value).collect(),
        AMQPValue::Timestamp(value) => (*value).into(),
        AMQPValue::FieldTable(table) => table_json(table),
        AMQPValue::ByteArray(bytes) => String::from_utf8_lossy(bytes.as_slice()).into(),
        AMQPValue::Void => Json::Null,
    }
}

/// A whole number that somebody wrote into a header, in whatever type.
pub(super) fn count(properties: &BasicProperties, name: &str) -> u64 {
    let value = properties
        .headers()
        .as_ref()
        .and_then(|table| table.inner().get(name));
    value
        .map(json_value)
        .and_then(|value| value.as_u64())
        .unwrap_or(0)
}

/// Notes in the table that the message is not to be tried before a pause from now is over.
pub(super) fn set_pause(table: &mut FieldTable, pause: Duration) {
    let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
    let due = AMQPValue::LongLongInt(now().saturating_add(pause));
    table.insert(NOT_BEFORE.into(), due);
}

/// How long a message has still to wait before it is tried again.
pub(super) fn pause(properties: &BasicProperties) -> Duration {
    let due = count(properties, NOT_BEFORE);
    let now = u64::try_from(now()).unwrap_or(0);
    Duration::from_millis(due.saturating_sub(now))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A text that stands in the table.
pub(super) fn text(properties: &BasicProperties, name: &str) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// About how many bytes the properties have on the wire, where they must fit into one frame. Never too few.
pub(super) fn size(properties: &BasicProperties) -> usize {
    // Eleven texts of at most 256 bytes each, and some numbers.
    const REST: usize = 3072;
    properties.headers().as_ref().map_or(0, table_size) + REST
}

fn table_size(table: &FieldTable) -> usize {
    let entries = table.inner().iter();
    let entries = entries.map(|(name, value)| 1 + name.as_str().len() + value_size(value));
    4 + entries.sum::<usize>()
}

fn value_size(value: &AMQPValue) -> usize {
    1 + match value {
        AMQPValue::ShortString(text) => 1 + text.as_str().len(),
        AMQPValue::LongString(text) => 4 + text.as_bytes().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.as_slice().len(),
        AMQPValue::FieldArray(values) => 4 + values.as_slice().iter().map(value_size).sum::<usize>(),
        AMQPValue::FieldTable(table) => table_size(table),
        _ => 8,
    }
}

/// Properties from the headers of a message: the media type, its encoding and the table of all others. Headers that AMQP cannot
/// name (longer than 255 bytes) are left out; of several values of one name the last one counts.
pub(super) fn from_headers(headers: &HeaderMap) -> BasicProperties {
    let text = |name: HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.and_then(|value| ShortString::try_new(value).ok())
    };
    let mut properties = BasicProperties::default();
    if let Some(value) = text(CONTENT_TYPE) {
        properties = properties.with_content_type(value);
    }
    if let Some(value) = text(CONTENT_ENCODING) {
        properties = properties.with_content_encoding(value);
    }
    let mut table = FieldTable::default();
    for (name, value) in headers {
        if NOT_MAPPED.contains(&name.as_str()) || name.as_str().starts_with(OURS) {
            continue;
        }
        if let Ok(name) = ShortString::try_new(name.as_str()) {
            table.insert(name, AMQPValue::LongString(value.as_bytes().into()));
        }
    }
    if table.inner().is_empty() {
        properties
    } else {
        properties.with_headers(table)
    }
}

/// The properties of a message that is published again, and its headers: `user_id`, which the broker would compare with our own user,
/// and routing headers, which would send copies elsewhere, become plain facts; so does the time after which the broker would drop
/// it, unless it goes on to `expire`.
pub(super) fn republished(properties: &BasicProperties, expire: bool) -> (BasicProperties, FieldTable) {
    let mut copy = BasicProperties::default().with_delivery_mode(2);
    macro_rules! keep {
        ($($get:ident $with:ident;)*) => { $(if let Some(value) = properties.$get() { copy = copy.$with(value.clone()); })* };
    }
    keep! {
        content_type with_content_type;
        content_encoding with_content_encoding;
        priority with_priority;
        correlation_id with_correlation_id;
        reply_to with_reply_to;
        message_id with_message_id;
        timestamp with_timestamp;
        kind with_type;
        app_id with_app_id;
    }
    let mut table = FieldTable::default();
    for (name, value) in properties.headers().iter().flat_map(FieldTable::inner) {
        if !["CC", "BCC"].contains(&name.as_str()) {
            table.insert(name.clone(), value.clone());
        }
    }
    if let Some(user) = properties.user_id() {
        set(&mut table, "x-mediary-user-id", user.as_str());
    }
    match properties.expiration() {
        Some(expiration) if expire => copy = copy.with_expiration(expiration.clone()),
        Some(expiration) => set(&mut table, "x-mediary-expiration", expiration.as_str()),
        None => {}
    }
    (copy, table)
}

/// Sets a text in a table. The name is one of ours, of less than 256 bytes.
pub(super) fn set(table: &mut FieldTable, name: &'static str, value: &str) {
    table.insert(name.into(), AMQPValue::LongString(value.into()));
}
