//! Helper: Text in other charsets than UTF-8, by the `charset` parameter of the media type.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use engine::fault::{Fault, FaultCode};
use engine::model::json::Malformed;
use mime::Mime;
use std::borrow::Cow;

/// The text of a body. A byte order mark wins over the parameter and is removed; without both it is UTF-8.
///
/// # Errors
/// `client.unsupported_media_type` for an unknown charset, `client.malformed_body` for bytes that are no text
/// in it.
pub(crate) fn decode<'a>(bytes: &'a [u8], media: &Mime, kind: &str) -> Result<Cow<'a, str>, Fault> {
    let (encoding, mark) = match Encoding::for_bom(bytes) {
        Some(found) => found,
        None => (asked(media, FaultCode::UnsupportedMediaType)?, 0),
    };
    let plain = &bytes[mark..];
    if encoding == UTF_8 {
        let text = std::str::from_utf8(plain);
        return text.map(Cow::Borrowed).map_err(|error| {
            Malformed::at(plain, error.valid_up_to(), "the text is not UTF-8").into_fault(kind)
        });
    }
    let text = encoding.decode_without_bom_handling_and_without_replacement(plain);
    text.ok_or_else(|| {
        let message = format!(
            "The body is not valid {kind}: the bytes are not {} text.",
            encoding.name()
        );
        Fault::new(FaultCode::MalformedBody, message)
    })
}

/// The bytes of a text in the charset that the media type asks for.
///
/// # Errors
/// `gateway.transformation` for an unknown charset and for a character it does not have.
pub(crate) fn encode(text: String, media: &Mime) -> Result<Vec<u8>, Fault> {
    let encoding = asked(media, FaultCode::Transformation)?;
    if encoding == UTF_8 {
        return Ok(text.into_bytes());
    }
    if encoding == UTF_16BE {
        return Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    if encoding == UTF_16LE {
        let mark = is_unmarked(media).then_some(0xFEFF_u16);
        return Ok(mark
            .into_iter()
            .chain(text.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect());
    }
    let (bytes, _, has_unmappable) = encoding.encode(&text);
    if has_unmappable {
        let message = format!(
            "The text holds characters that {} does not have.",
            encoding.name()
        );
        return Err(Fault::new(FaultCode::Transformation, message));
    }
    Ok(bytes.into_owned())
}

/// The media type with `charset=utf-8` in place of another charset; nothing where it needs no change.
pub(crate) fn as_utf8(media: &Mime) -> Option<String> {
    let charset = media.get_param(mime::CHARSET)?;
    if Encoding::for_label(charset.as_str().as_bytes()) == Some(UTF_8) {
        return None;
    }
    let mut changed = media.essence_str().to_owned();
    for (name, value) in media.params().filter(|(name, _)| *name != mime::CHARSET) {
        changed.push_str(&format!(
            "; {name}=\"{}\"",
            value.as_str().replace(['"', '\\'], "")
        ));
    }
    changed.push_str("; charset=utf-8");
    Some(changed)
}

/// `utf-16` without a byte order: RFC 2781 wants a mark then.
fn is_unmarked(media: &Mime) -> bool {
    media
        .get_param(mime::CHARSET)
        .is_some_and(|charset| charset.as_str().eq_ignore_ascii_case("utf-16"))
}

fn asked(media: &Mime, code: FaultCode) -> Result<&'static Encoding, Fault> {
    let Some(label) = media.get_param(mime::CHARSET) else {
        return Ok(UTF_8);
    };
    let known = Encoding::for_label_no_replacement(label.as_str().as_bytes());
    known.ok_or_else(|| Fault::new(code, "The charset of the media type is not supported."))
}
