//! Finding the end of a head, and writing one.

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// A line that does not end with CRLF.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BareLineEnd;

/// The length of the head at the start of `buffer`, its empty line included. `from` is where an earlier look ended.
///
/// # Errors
/// A LF without CR, which some readers take for a line's end and others do not.
pub(crate) fn find_head_end(buffer: &[u8], from: usize) -> Result<Option<usize>, BareLineEnd> {
    for at in memchr::memchr_iter(b'\n', &buffer[from..]).map(|at| from + at) {
        if at == 0 || buffer[at - 1] != b'\r' {
            return Err(BareLineEnd);
        }
        if at >= 3 && buffer[at - 2] == b'\n' {
            return Ok(Some(at + 1));
        }
    }
    Ok(None)
}

/// Writes the head of a message.
pub(crate) struct HeadWriter(BytesMut);

impl HeadWriter {
    /// A request line. `target` is the origin form.
    pub(crate) fn request(method: &Method, target: &str) -> Self {
        let mut head = BytesMut::with_capacity(512);
        head.put_slice(method.as_str().as_bytes());
        head.put_u8(b' ');
        head.put_slice(target.as_bytes());
        head.put_slice(b" HTTP/1.1\r\n");
        Self(head)
    }

    /// A status line. HTTP/1.0 clients get it too: the version is the sender's own (RFC 9110 section 2.5).
    pub(crate) fn response(status: StatusCode) -> Self {
        let mut head = BytesMut::with_capacity(512);
        head.put_slice(b"HTTP/1.1 ");
        head.put_slice(status.as_str().as_bytes());
        head.put_u8(b' ');
        head.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        head.put_slice(b"\r\n");
        Self(head)
    }

    /// One field.
    pub(crate) fn field(&mut self, name: &HeaderName, value: &[u8]) {
        self.0.put_slice(name.as_str().as_bytes());
        self.0.put_slice(b": ");
        self.0.put_slice(value);
        self.0.put_slice(b"\r\n");
    }

    /// All fields of a map.
    pub(crate) fn fields(&mut self, headers: &HeaderMap) {
        for (name, value) in headers {
            self.field(name, HeaderValue::as_bytes(value));
        }
    }

    /// A field with a number.
    pub(crate) fn number(&mut self, name: &HeaderName, mut value: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + u8::try_from(value % 10).unwrap_or_default();
            value /= 10;
            if value == 0 {
                return self.field(name, &digits[start..]);
            }
        }
    }

    /// The head with its empty line.
    pub(crate) fn finish(mut self) -> BytesMut {
        self.0.put_slice(b"\r\n");
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line_and_lines_with_crlf() {
        assert_eq!(
            find_head_end(b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest", 0),
            Ok(Some(24))
        );
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\nA: b\r\n\r", 10), Ok(None));
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\nA: b\r\n\r\n", 23), Ok(Some(24)));
        assert_eq!(
            find_head_end(b"GET / HTTP/1.1\nA: b\r\n\r\n", 0),
            Err(BareLineEnd)
        );
        assert_eq!(
            find_head_end(b"GET / HTTP/1.1\r\nA: b\r\n\n", 0),
            Err(BareLineEnd)
        );
    }

    #[test]
    fn heads_are_written() {
        let mut head = HeadWriter::response(StatusCode::NOT_FOUND);
        head.number(&http::header::CONTENT_LENGTH, 1200);
        head.number(&http::header::AGE, 0);
        assert_eq!(
            &head.finish()[..],
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 1200\r\nage: 0\r\n\r\n"
        );
    }
}
