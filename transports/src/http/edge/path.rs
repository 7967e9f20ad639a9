//! The path in one form (RFC 3986 section 6.2.2): the same string is routed and forwarded, so that no backend can read it differently.
//!
//! Percent escapes get upper-case digits, escaped unreserved characters are decoded, dot segments are removed. Empty segments (`//`)
//! and `;` stay, since they mean something to some backends. A path that climbs above the root is refused, and so are escaped
//! slashes, backslashes and control characters, which have been used to pass checks made on the path.

use super::bad_request;
use engine::fault::Fault;
use std::borrow::Cow;

/// Whether escaped slashes and backslashes may stand in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EncodedSlashes {
    #[default]
    Refuse,
    Keep,
}

/// Normalises a path that begins with `/`.
///
/// # Errors
/// `client.bad_request` for what cannot be normalised or is dangerous.
pub(crate) fn normalize(path: &str, slashes: EncodedSlashes) -> Result<Cow<'_, str>, Fault> {
    if !path.starts_with('/') {
        return Err(bad_request("The path does not begin with a slash."));
    }
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = normalize_escapes(path, slashes)?;
    let path = if decoded.contains("/.") {
        Cow::Owned(remove_dot_segments(&decoded)?)
    } else {
        Cow::Owned(decoded)
    };
    Ok(path)
}

/// Whether the path is normal already: no escape, no segment that begins with a dot, only characters a path may hold.
fn is_plain(path: &[u8]) -> bool {
    let mut previous = 0;
    path.iter().all(|&byte| {
        let dot_segment = byte == b'.' && previous == b'/';
        previous = byte;
        byte != b'%' && !dot_segment && is_path_character(byte)
    })
}

/// `pchar` without escapes, and `/` (RFC 3986 section 3.3).
fn is_path_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

fn normalize_escapes(path: &str, slashes: EncodedSlashes) -> Result<String, Fault> {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = bytes
                    .next()
                    .and_then(hexadecimal)
                    .zip(bytes.next().and_then(hexadecimal));
                let (high, low) =
                    digits.ok_or_else(|| bad_request("The path has a malformed percent escape."))?;
                put_escaped(&mut out, high << 4 | low, slashes)?;
            }
            byte if is_path_character(byte) => out.push(char::from(byte)),
            // Not allowed by the grammar, but sent by browsers and unambiguous once escaped.
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | b'[' | b']' => put_escape(&mut out, byte),
            _ => return Err(bad_request("The path has a character that is not allowed there.")),
        }
    }
    Ok(out)
}

fn put_escaped(out: &mut String, byte: u8, slashes: EncodedSlashes) -> Result<(), Fault> {
    match byte {
        0..=0x1f | 0x7f => return Err(bad_request("The path has an escaped control character.")),
        b'/' | b'\\' if slashes == EncodedSlashes::Refuse => {
            return Err(bad_request("The path has an escaped slash or backslash."));
        }
        // Bytes that never occur in UTF-8: overlong forms of ASCII, such as a second spelling of the slash.
        0xc0 | 0xc1 | 0xf5..=0xff => return Err(bad_request("The path has an escape that is not UTF-8.")),
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
        byte => put_escape(out, byte),
    }
    Ok(())
}

fn put_escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn hexadecimal(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// RFC 3986 section 5.2.4, except that climbing above the root is an error.
fn remove_dot_segments(path: &str) -> Result<String, Fault> {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." && kept.pop().is_none() {
                    return Err(bad_request("The path leads above the root."));
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str) -> Option<String> {
        normalize(path, EncodedSlashes::Refuse).ok().map(Cow::into_owned)
    }

    #[test]
    fn equal_paths_get_one_form() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b;v=1/c", "/a/b;v=1/c"),
            ("/a//b", "/a//b"),
            ("/%7euser/%c3%a9", "/~user/%C3%A9"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/...", "/a/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a|b", "/a%7Cb"),
            ("/a%20b", "/a%20b"),
        ] {
            assert_eq!(normal(path).as_deref(), Some(expected), "{path}");
            assert_eq!(normal(expected).as_deref(), Some(expected), "not stable: {path}");
        }
    }

    #[test]
    fn dangerous_paths_are_refused() {
        for path in [
            "",
            "a",
            "/..",
            "/a/../../b",
            "/%2e%2e/b",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0ab",
            "/a%7f",
            "/%",
            "/%4",
            "/%zz",
            "/%c0%af",
            "/%ff",
            "/é",
            "/a#b",
            "/a b",
        ] {
            assert_eq!(normal(path), None, "{path}");
        }
        assert_eq!(normalize("/a%2fb%5c", EncodedSlashes::Keep).unwrap(), "/a%2Fb%5C");
        assert!(normalize("/a%00", EncodedSlashes::Keep).is_err());
    }
}
