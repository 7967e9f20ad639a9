//! The ids of an exchange: the correlation id and the W3C trace context.

use http::{HeaderName, HeaderValue};
use rand::RngCore;
use std::time::{SystemTime, UNIX_EPOCH};

/// The header of the correlation id.
pub(crate) static CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// W3C trace context.
pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Vendor data beside it.
pub(crate) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Longest correlation id that is taken over.
const CORRELATION_ID_BYTES_MAX: usize = 128;

/// A new correlation id: a UUID of version 7, which sorts by time.
pub(crate) fn new_correlation_id() -> String {
    let mut random = [0; 10];
    rand::rng().fill_bytes(&mut random);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis());
    let millis = u64::try_from(now).unwrap_or(u64::MAX);
    uuid::Builder::from_unix_timestamp_millis(millis, &random)
        .into_uuid()
        .to_string()
}

/// A client's correlation id, where it is short and printable.
pub(crate) fn usable_correlation_id(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let fits = !text.is_empty() && text.len() <= CORRELATION_ID_BYTES_MAX;
    (fits && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| text.to_owned())
}

/// The `traceparent` to send on: a child of the client's where that is valid, else the root of a new trace.
/// The second value tells whether the client's was valid, and with it its `tracestate`.
pub(crate) fn traceparent(incoming: Option<&HeaderValue>) -> (String, bool) {
    let mut random = [0; 24];
    rand::rng().fill_bytes(&mut random);
    // Ids of all zeros are invalid.
    random[0] |= 1;
    random[16] |= 1;
    let parent = incoming
        .and_then(|value| value.to_str().ok())
        .filter(|value| is_valid(value.as_bytes()));
    let mut text = String::with_capacity(55);
    text.push_str("00-");
    match parent {
        Some(parent) => text.push_str(&parent[3..35]),
        None => put_hexadecimal(&mut text, &random[..16]),
    }
    text.push('-');
    put_hexadecimal(&mut text, &random[16..]);
    text.push_str(match parent {
        Some(parent) if parent.as_bytes()[54] & 1 == 0 => "-00",
        _ => "-01",
    });
    (text, parent.is_some())
}

/// Trace context level 1, section 3.2.2: version, trace id, parent id, flags, all in lower-case hexadecimal digits.
fn is_valid(value: &[u8]) -> bool {
    let lower_hex = |bytes: &[u8]| {
        bytes
            .iter()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
    };
    let not_zero = |bytes: &[u8]| bytes.iter().any(|byte| *byte != b'0');
    if value.len() < 55 || value[2] != b'-' || value[35] != b'-' || value[52] != b'-' || &value[..2] == b"ff"
    {
        return false;
    }
    let later_version = &value[..2] != b"00";
    let end_fits = value.len() == 55 || (later_version && value[55] == b'-');
    let digits = lower_hex(&value[..2])
        && lower_hex(&value[3..35])
        && lower_hex(&value[36..52])
        && lower_hex(&value[53..55]);
    end_fits && digits && not_zero(&value[3..35]) && not_zero(&value[36..52])
}

fn put_hexadecimal(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_parent_is_continued_and_anything_else_starts_anew() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let (child, valid) = traceparent(Some(&HeaderValue::from_static(parent)));
        assert!(valid && is_valid(child.as_bytes()));
        assert_eq!(child[..36], parent[..36]);
        assert_ne!(child[36..52], parent[36..52]);
        assert_eq!(&child[52..], "-00");
        for bad in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "x",
        ] {
            let (root, valid) = traceparent(Some(&HeaderValue::from_static(bad)));
            assert!(!valid && is_valid(root.as_bytes()), "{bad}");
            assert!(root.ends_with("-01"));
        }
    }

    #[test]
    fn correlation_ids_are_uuids_of_version_7_or_short_and_printable() {
        let id = new_correlation_id();
        assert_eq!((id.len(), &id[14..15]), (36, "7"));
        assert!(usable_correlation_id(&HeaderValue::from_static("order-1/2")).is_some());
        assert!(usable_correlation_id(&HeaderValue::from_static("a b")).is_none());
        assert!(usable_correlation_id(&HeaderValue::from_str(&"x".repeat(129)).unwrap()).is_none());
    }
}
