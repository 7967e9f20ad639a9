//! Headers that belong to one connection only (RFC 9110 section 7.6.1). They are removed on the way in, both ways.

use http::{HeaderMap, HeaderName, HeaderValue, header};

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes hop-by-hop fields: those named here and those that `connection` names. `te: trailers` stays.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if let Some(connection) = headers.remove(header::CONNECTION) {
        remove_named(headers, &connection);
    }
    for name in [
        &KEEP_ALIVE,
        &PROXY_CONNECTION,
        &header::TRANSFER_ENCODING,
        &header::UPGRADE,
        &header::PROXY_AUTHENTICATE,
    ] {
        headers.remove(name);
    }
    if headers.contains_key(header::TE) {
        let trailers = accepts_trailers(headers);
        headers.remove(header::TE);
        if trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
    }
}

/// What `connection` names is removed, except fields that a client must not be able to make disappear.
fn remove_named(headers: &mut HeaderMap, connection: &HeaderValue) {
    let named = connection
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii);
    for name in named.filter_map(|name| HeaderName::from_bytes(name).ok()) {
        if !END_TO_END.contains(&name) {
            headers.remove(name);
        }
    }
}

/// Fields that are never hop-by-hop: their removal would change the meaning of the message behind a check.
const END_TO_END: [HeaderName; 11] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::AUTHORIZATION,
    header::COOKIE,
    header::FORWARDED,
    header::CACHE_CONTROL,
    header::ORIGIN,
    header::TE,
    header::EXPECT,
];

fn accepts_trailers(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(header::TE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    values
        .map(<[u8]>::trim_ascii)
        .any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// Whether `connection` has this option.
pub(crate) fn connection_has(headers: &HeaderMap, option: &str) -> bool {
    let values = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    values
        .map(<[u8]>::trim_ascii)
        .any(|value| value.eq_ignore_ascii_case(option.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connections_own_fields_end_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-mine, authorization"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip;q=0.5, trailers"),
            ("upgrade", "h2c"),
            ("x-mine", "1"),
            ("x-other", "2"),
            ("authorization", "Basic eA=="),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        assert!(connection_has(&headers, "Close"));
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "te", "x-other"]);
        assert_eq!(headers["te"], "trailers");
    }
}
