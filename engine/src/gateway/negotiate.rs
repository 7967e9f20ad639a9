//! How a client wants to read faults: as it speaks, then as it asks.

use crate::format::{self, FaultStyle};
use crate::message::Message;
use http::header;

/// The style for a request. A SOAP client gets a SOAP fault of its version; others what `accept` prefers, else a problem document.
pub(super) fn fault_style(request: &Message, soap_service: bool) -> FaultStyle {
    let media = format::media_type(request.content_type());
    if media.essence_str() == "application/soap+xml" {
        return FaultStyle::Soap12;
    }
    if request.headers.contains_key("soapaction") || (soap_service && media.essence_str() == "text/xml") {
        return FaultStyle::Soap11;
    }
    let accept = request
        .headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    match accept.and_then(preferred) {
        Some(style) => style,
        None if soap_service => FaultStyle::Soap11,
        None => FaultStyle::Problem,
    }
}

/// The style of the media range with the highest quality (RFC 9110 section 12.5.1); the first of equals.
fn preferred(accept: &str) -> Option<FaultStyle> {
    let mut best: Option<(FaultStyle, f32)> = None;
    for range in accept.split(',').take(32) {
        let mut parts = range.split(';').map(str::trim);
        let Some(style) = parts.next().and_then(style_of) else {
            continue;
        };
        let quality = parts
            .find_map(|part| part.strip_prefix("q="))
            .and_then(|quality| quality.parse().ok())
            .unwrap_or(1.0);
        if quality > 0.0 && best.is_none_or(|(_, highest)| quality > highest) {
            best = Some((style, quality));
        }
    }
    best.map(|(style, _)| style)
}

fn style_of(range: &str) -> Option<FaultStyle> {
    match range.to_ascii_lowercase().as_str() {
        "application/problem+json" | "application/json" | "application/*" | "*/*" => {
            Some(FaultStyle::Problem)
        }
        "application/soap+xml" => Some(FaultStyle::Soap12),
        "application/problem+xml" | "application/xml" | "text/xml" => Some(FaultStyle::Xml),
        "text/plain" | "text/*" => Some(FaultStyle::Text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn style(headers: &[(&'static str, &'static str)], soap_service: bool) -> FaultStyle {
        let mut request = Message::default();
        for (name, value) in headers {
            request.headers.insert(*name, HeaderValue::from_static(value));
        }
        fault_style(&request, soap_service)
    }

    #[test]
    fn the_client_is_answered_in_its_own_language() {
        assert_eq!(style(&[], false), FaultStyle::Problem);
        assert_eq!(style(&[], true), FaultStyle::Soap11);
        assert_eq!(
            style(&[("soapaction", "\"\""), ("content-type", "text/xml")], false),
            FaultStyle::Soap11
        );
        assert_eq!(
            style(&[("content-type", "application/soap+xml; charset=utf-8")], false),
            FaultStyle::Soap12
        );
        assert_eq!(
            style(
                &[("accept", "text/html, application/xml;q=0.9, */*;q=0.8")],
                false
            ),
            FaultStyle::Xml
        );
        assert_eq!(
            style(&[("accept", "text/plain;q=0.5, application/json")], false),
            FaultStyle::Problem
        );
        assert_eq!(
            style(&[("accept", "application/json;q=0")], false),
            FaultStyle::Problem
        );
    }
}
