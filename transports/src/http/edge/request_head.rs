//! The head of an HTTP/1.1 request, as strict as RFC 9112 allows a server to be.

use super::bad_request;
use super::framing::{BodyFraming, request_framing};
use super::target;
use bytes::Bytes;
use engine::fault::{Fault, FaultCode};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use std::mem::MaybeUninit;

/// Most header fields there is room for, whatever the configuration says.
pub(crate) const HEADER_COUNT_MAX: usize = 256;

/// A head that was understood. Target and headers are as they came.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// Range of the target in `bytes`.
    pub(crate) target: std::ops::Range<usize>,
    pub(crate) bytes: Bytes,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

impl RequestHead {
    /// The request target.
    pub(crate) fn target(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.target.clone()]).unwrap_or_default()
    }
}

/// Reads a complete head. `count_max` limits its fields.
///
/// # Errors
/// `client.bad_request`, `client.headers_too_large`; 505 for another version, 405 for methods that make no sense at a gateway.
pub(crate) fn parse(bytes: Bytes, count_max: usize) -> Result<RequestHead, Fault> {
    let mut space = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; HEADER_COUNT_MAX];
    let mut request = httparse::Request::new(&mut []);
    let room = &mut space[..count_max.min(HEADER_COUNT_MAX)];
    let config = httparse::ParserConfig::default();
    let outcome = config.parse_request_with_uninit_headers(&mut request, &bytes, room);
    match outcome {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(bad_request("The head of the request is incomplete.")),
        Err(httparse::Error::TooManyHeaders) => return Err(too_many()),
        Err(httparse::Error::Version) if has_version(&bytes) => return Err(wrong_version()),
        Err(error) => {
            return Err(bad_request(format!(
                "The head of the request is malformed: {error}."
            )));
        }
    }
    let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes());
    let method = method.map_err(|_| bad_request("The method is malformed."))?;
    let version = if request.version == Some(1) {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    };
    let target = range_in(&bytes, request.path.unwrap_or_default().as_bytes());
    let headers = take_headers(&bytes, request.headers)?;
    Ok(RequestHead {
        method,
        target,
        version,
        headers,
        bytes,
    })
}

fn take_headers(bytes: &Bytes, fields: &[httparse::Header<'_>]) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::with_capacity(fields.len() + 6);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| bad_request("A header name is malformed."))?;
        let value = bytes.slice(range_in(bytes, field.value));
        let value =
            HeaderValue::from_maybe_shared(value).map_err(|_| bad_request("A header value is malformed."))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Where a part lies in the whole. An empty part may lie anywhere.
fn range_in(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    if part.is_empty() || start > whole.len() {
        0..0
    } else {
        start..start + part.len()
    }
}

/// The fault for too many fields.
pub(crate) fn too_many() -> Fault {
    Fault::new(
        FaultCode::HeadersTooLarge,
        "The request has too many header fields.",
    )
}

/// Whether the request line has three words, the last one a version.
fn has_version(head: &[u8]) -> bool {
    let line = head
        .split(|byte| *byte == b'\r')
        .find(|line| !line.trim_ascii().is_empty())
        .unwrap_or_default();
    let words: Vec<&[u8]> = line.trim_ascii().splitn(4, |byte| *byte == b' ').collect();
    matches!(&words[..], [_, _, version] if version.starts_with(b"HTTP/"))
}

fn wrong_version() -> Fault {
    bad_request("The HTTP version is not supported.").with_status(StatusCode::HTTP_VERSION_NOT_SUPPORTED)
}

/// What the head says about host and body, after the checks between its parts.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) target: target::Target<'a>,
    pub(crate) host: String,
    pub(crate) framing: BodyFraming,
    pub(crate) expects_continue: bool,
}

/// Checks what can only be checked across fields: host, framing, expectation, method.
pub(crate) fn check<'a>(head: &'a RequestHead, scheme: &str) -> Result<Checked<'a>, Fault> {
    check_method(&head.method)?;
    let target = target::split(head.target())?;
    if target.path == "*" && head.method != Method::OPTIONS {
        return Err(bad_request("The target `*` is for OPTIONS only."));
    }
    let host = host(&head.headers, head.version, target.authority, scheme)?;
    let framing = request_framing(&head.headers, head.version)?;
    let expects_continue = expectation(&head.headers)? && head.version == Version::HTTP_11;
    Ok(Checked {
        target,
        host,
        framing,
        expects_continue: expects_continue && framing != BodyFraming::Length(0),
    })
}

/// CONNECT would make the gateway an open proxy; TRACE shows a script what it may not see.
pub(crate) fn check_method(method: &Method) -> Result<(), Fault> {
    if *method == Method::CONNECT || *method == Method::TRACE {
        return Err(Fault::new(
            FaultCode::MethodNotAllowed,
            "The method is not served here.",
        ));
    }
    Ok(())
}

/// Exactly one host (RFC 9112 section 3.2), the same as in an absolute target.
pub(crate) fn host(
    headers: &HeaderMap,
    version: Version,
    authority: Option<&str>,
    scheme: &str,
) -> Result<String, Fault> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(bad_request("The request has more than one host.")),
        (Some(host), None) => Some(host.to_str().map_err(|_| bad_request("The host is malformed."))?),
        (None, _) if version == Version::HTTP_11 => return Err(bad_request("The request has no host.")),
        (None, _) => None,
    };
    for given in [host, authority].into_iter().flatten() {
        target::check_authority(given)?;
    }
    match (host, authority) {
        (Some(host), Some(authority)) if !target::same_authority(host, authority, scheme) => {
            Err(bad_request("The host differs from the request target."))
        }
        _ => Ok(authority.or(host).unwrap_or_default().to_ascii_lowercase()),
    }
}

/// Whether the client waits for `100 Continue`. Any other expectation cannot be met (RFC 9110 section 10.1.1).
pub(crate) fn expectation(headers: &HeaderMap) -> Result<bool, Fault> {
    match headers.get(header::EXPECT) {
        None => Ok(false),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Fault::new(
            FaultCode::ExpectationFailed,
            "The expectation is not `100-continue`.",
        )),
    }
}
