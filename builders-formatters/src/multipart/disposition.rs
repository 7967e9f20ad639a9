//! The header `content-disposition` of a part (RFC 7578 section 4.2), as browsers really write it.
//!
//! Browsers write `%22` for a quote and leave backslashes alone, so a backslash escapes nothing but a quote.

use http::HeaderValue;
use percent_encoding::percent_decode_str;

/// What the header says of a part.
pub(super) struct Disposition {
    pub(super) is_form_data: bool,
    pub(super) name: Option<String>,
    pub(super) file_name: Option<String>,
}

/// Reads the header; nothing where it is no text or a quote has no end.
pub(super) fn parse(value: &[u8]) -> Option<Disposition> {
    let text = std::str::from_utf8(value).ok()?;
    let (kind, mut rest) = text.split_once(';').unwrap_or((text, ""));
    let is_form_data = kind.trim().eq_ignore_ascii_case("form-data");
    let mut found = Disposition {
        is_form_data,
        name: None,
        file_name: None,
    };
    let mut extended = None;
    while !rest.trim().is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value_of(after.trim_start())?;
        match name.trim().to_ascii_lowercase().as_str() {
            "name" => found.name = Some(value),
            "filename" => found.file_name = Some(value),
            "filename*" => extended = decode_extended(&value),
            _ => {}
        }
        rest = after.trim_start();
        rest = rest.strip_prefix(';').unwrap_or(rest);
    }
    found.file_name = extended.or(found.file_name);
    Some(found)
}

/// A token or a quoted string, and what comes after it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[index + 1..])),
            '\\' if characters.peek().is_some_and(|(_, next)| *next == '"') => {
                characters.next();
                value.push('"');
            }
            _ => value.push(character),
        }
    }
    None
}

/// `UTF-8''na%C3%AFve` (RFC 8187).
fn decode_extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let charset = parts.next()?;
    let text = percent_decode_str(parts.nth(1)?).decode_utf8().ok()?;
    charset.eq_ignore_ascii_case("utf-8").then(|| text.into_owned())
}

/// Writes the header of a field of a form.
pub(super) fn write(name: Option<&str>, file_name: Option<&str>) -> Option<HeaderValue> {
    let mut value = "form-data".to_owned();
    for (key, text) in [("name", name), ("filename", file_name)] {
        if let Some(text) = text {
            value.push_str(&format!("; {key}=\"{}\"", escape(text)));
        }
    }
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// As the HTML standard prescribes; other control characters, which a header cannot hold, go the same way.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\0'..='\u{1F}' | '\u{7F}' => escaped.push_str(&format!("%{:02X}", u32::from(character))),
            _ => escaped.push(character),
        }
    }
    escaped
}
