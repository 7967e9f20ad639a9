//! How a request's body is framed (RFC 9112 section 6). Everything that a second reader could frame differently is refused.

use super::bad_request;
use engine::fault::Fault;
use http::{HeaderMap, HeaderValue, Version, header};

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// After this many bytes; 0 for no body.
    Length(u64),
    /// With a last chunk.
    Chunked,
}

/// The framing of a request.
///
/// # Errors
/// `client.bad_request` for both fields, an unknown or repeated coding, differing or malformed lengths.
pub(crate) fn request_framing(headers: &HeaderMap, version: Version) -> Result<BodyFraming, Fault> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let length = content_length(headers).map_err(bad_request)?;
    let Some(coding) = codings.next() else {
        return Ok(BodyFraming::Length(length.unwrap_or(0)));
    };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(bad_request("The transfer encoding is not exactly `chunked`."));
    }
    if length.is_some() {
        return Err(bad_request(
            "The request has both a length and a transfer encoding.",
        ));
    }
    if version < Version::HTTP_11 {
        return Err(bad_request("HTTP/1.0 has no transfer encoding."));
    }
    Ok(BodyFraming::Chunked)
}

/// The content length. Equal repetitions count as one (RFC 9110 section 8.6).
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter().map(parse_length);
    let Some(first) = values.next().transpose()? else {
        return Ok(None);
    };
    for value in values {
        if value? != first {
            return Err("The content lengths differ.");
        }
    }
    Ok(Some(first))
}

fn parse_length(value: &HeaderValue) -> Result<u64, &'static str> {
    let digits = value.as_bytes();
    let number = std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    number
        .and_then(|text| text.parse().ok())
        .ok_or("The content length is no number.")
}
