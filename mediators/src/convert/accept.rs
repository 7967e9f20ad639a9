//! Proactive negotiation (RFC 9110 section 12.5.1): which of several media types a client's `accept` header prefers.

use http::{HeaderMap, header};

/// Media ranges of a header that are looked at.
const RANGES_MAX: usize = 32;

/// The index of the media type that the client prefers, the first of equals; `None` where it accepts none of them. A client that
/// says nothing accepts anything.
pub(super) fn preferred(media_types: &[&str], headers: &HeaderMap) -> Option<usize> {
    let values = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range<'_>> = values
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .take(RANGES_MAX)
        .collect();
    if ranges.is_empty() {
        return Some(0);
    }
    let mut best: Option<(usize, f32)> = None;
    for (index, media_type) in media_types.iter().enumerate() {
        let quality = quality(media_type, &ranges);
        if quality > 0.0 && best.is_none_or(|(_, highest)| quality > highest) {
            best = Some((index, quality));
        }
    }
    best.map(|(index, _)| index)
}

/// The quality that the most precise of the matching ranges gives this media type; 0 where none matches.
fn quality(media_type: &str, ranges: &[Range<'_>]) -> f32 {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let matching = ranges
        .iter()
        .filter_map(|range| Some((range.precision(essence)?, range.quality)));
    // The first of equals: `max_by_key` would take the last.
    matching
        .rev()
        .max_by_key(|(precision, _)| *precision)
        .map_or(0.0, |(_, quality)| quality)
}

/// A media range such as `text/*;q=0.5`. Other parameters than `q` are not looked at.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: f32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.and_then(|quality| quality.parse().ok()).unwrap_or(1.0);
        Some(Self {
            kind,
            subtype,
            quality,
        })
    }

    /// How precisely this range names the media type; `None` where it does not match.
    fn precision(&self, essence: &str) -> Option<u8> {
        let (kind, subtype) = essence.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (range, "*") if range.eq_ignore_ascii_case(kind) => Some(1),
            (range, sub) if range.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => Some(2),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_s_wish_decides_then_the_order() {
        let choose = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            preferred(&["application/json", "application/xml; charset=utf-8"], &headers)
        };
        assert_eq!(preferred(&["application/json"], &HeaderMap::new()), Some(0));
        for (accept, chosen) in [
            ("*/*", Some(0)),
            ("application/*", Some(0)),
            ("Application/XML", Some(1)),
            ("application/xml, application/json", Some(0)),
            ("application/json;q=0.5, application/xml;q=0.9", Some(1)),
            ("application/json;q=0, */*;q=0.1", Some(1)),
            (
                "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8",
                Some(1),
            ),
            ("image/png", None),
            ("application/json;q=0", None),
            ("nonsense", Some(0)),
        ] {
            assert_eq!(choose(accept), chosen, "{accept}");
        }
    }
}
