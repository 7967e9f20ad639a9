//! From the bytes of a document to UTF-8 (XML 1.0 section 4.3.3 and appendix F).

use super::{Failure, Parsed};
use crate::limits::{Limits, ParseErrorKind};
use bytes::{Buf, Bytes};
use bytestring::ByteString;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// No document is larger, whatever the limits say: offsets are 32 bits wide, and one bit is spare.
const BYTES_MAX: usize = 1 << 31;

/// Text without its byte order mark.
pub(super) struct Decoded {
    pub(super) text: ByteString,
    pub(super) was_utf8: bool,
}

pub(super) fn decode(mut source: Bytes, charset: Option<&str>, limits: &Limits) -> Parsed<Decoded> {
    check_size(source.len(), limits)?;
    let (encoding, mark) = detect(&source, charset)?;
    source.advance(mark);
    let was_utf8 = encoding == UTF_8;
    let text = if was_utf8 {
        utf8(source)?
    } else {
        other(&source, encoding)?
    };
    check_size(text.len(), limits)?;
    if charset.is_none() {
        check_declared(&text, encoding)?;
    }
    Ok(Decoded { text, was_utf8 })
}

fn other(body: &[u8], encoding: &'static Encoding) -> Parsed<ByteString> {
    let text = encoding.decode_without_bom_handling_and_without_replacement(body);
    match text {
        Some(text) => Ok(ByteString::from(text.into_owned())),
        None => Err(failure(0, format!("the bytes are not {} text", encoding.name()))),
    }
}

/// Refuses a document whose declaration contradicts its byte order mark.
fn check_declared(text: &str, encoding: &'static Encoding) -> Parsed<()> {
    let Some(label) = declared_label(text.as_bytes()) else {
        return Ok(());
    };
    let is_utf16 = |encoding| encoding == UTF_16LE || encoding == UTF_16BE;
    let declared = known(label)?;
    if declared == encoding || is_utf16(declared) && is_utf16(encoding) {
        return Ok(());
    }
    Err(failure(
        0,
        format!("the document says {label} but is {}", encoding.name()),
    ))
}

pub(super) fn check_size(length: usize, limits: &Limits) -> Parsed<()> {
    let most = limits.bytes.min(BYTES_MAX);
    if length <= most {
        return Ok(());
    }
    let message = format!("the document has {length} bytes, more than {most}");
    Err(Failure {
        kind: ParseErrorKind::BytesLimit,
        at: 0,
        message,
    })
}

fn utf8(body: Bytes) -> Parsed<ByteString> {
    ByteString::try_from(body).map_err(|error| {
        failure(
            0,
            format!(
                "the bytes are not UTF-8 text: byte {} is wrong",
                error.valid_up_to() + 1
            ),
        )
    })
}

fn failure(at: usize, message: String) -> Failure {
    Failure {
        kind: ParseErrorKind::Encoding,
        at,
        message,
    }
}

/// The encoding and the length of the byte order mark.
fn detect(source: &[u8], charset: Option<&str>) -> Parsed<(&'static Encoding, usize)> {
    if let Some((encoding, length)) = Encoding::for_bom(source) {
        return Ok((encoding, length));
    }
    if let Some(label) = charset {
        return Ok((known(label)?, 0));
    }
    match source.get(..4) {
        Some([b'<', 0, b'?', 0]) => Ok((UTF_16LE, 0)),
        Some([0, b'<', 0, b'?']) => Ok((UTF_16BE, 0)),
        _ => Ok((declared(source)?, 0)),
    }
}

/// The encoding that the XML declaration of an ASCII-compatible document names.
fn declared(source: &[u8]) -> Parsed<&'static Encoding> {
    let Some(label) = declared_label(source) else {
        return Ok(UTF_8);
    };
    let encoding = known(label)?;
    if encoding == UTF_16LE || encoding == UTF_16BE {
        return Err(failure(0, format!("the document says {label} but is not")));
    }
    Ok(encoding)
}

fn declared_label(source: &[u8]) -> Option<&str> {
    if !source.starts_with(b"<?xml") {
        return None;
    }
    let end = memchr::memchr(b'>', &source[..source.len().min(1024)])?;
    let declaration = std::str::from_utf8(&source[..end]).ok()?;
    let (_, after) = declaration.split_once("encoding")?;
    let value = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = value
        .chars()
        .next()
        .filter(|&first| first == '"' || first == '\'')?;
    value[1..].split(quote).next()
}

fn known(label: &str) -> Parsed<&'static Encoding> {
    Encoding::for_label_no_replacement(label.as_bytes())
        .ok_or_else(|| failure(0, format!("unknown encoding {label:?}")))
}
