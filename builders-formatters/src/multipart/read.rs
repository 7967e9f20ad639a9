//! From bytes to parts.

use super::disposition;
use bytes::Bytes;
use engine::fault::{Fault, FaultCode};
use engine::format::FormatLimits;
use engine::model::Part;
use engine::model::json::Malformed;
use http::header::{CONTENT_DISPOSITION, HeaderMap, HeaderName, HeaderValue};
use memchr::memmem::Finder;
use mime::Mime;

/// Header lines of one part at most, and their bytes.
const HEADERS_MAX: usize = 32;
const HEADER_BYTES_MAX: usize = 16 << 10;

/// The parts of a body, in order. What stands before the first and after the last boundary is ignored.
pub(super) fn parts(body: &Bytes, media: &Mime, limits: &FormatLimits) -> Result<Vec<Part>, Fault> {
    let boundary = media
        .get_param(mime::BOUNDARY)
        .filter(|boundary| (1..=70).contains(&boundary.as_str().len()));
    let Some(boundary) = boundary else {
        return Err(Fault::new(
            FaultCode::MalformedBody,
            "The media type of the multipart body has no boundary.",
        ));
    };
    let delimiter = format!("\r\n--{boundary}");
    let mut reader = Reader {
        body,
        finder: Finder::new(&delimiter),
        at: 0,
    };
    reader.first(&delimiter)?;
    let mut parts = Vec::new();
    while reader.next_part()? {
        if parts.len() == limits.parts {
            return Err(reader.malformed(reader.at, format!("more than {} parts", limits.parts)));
        }
        parts.push(reader.part()?);
    }
    Ok(parts)
}

struct Reader<'a> {
    body: &'a Bytes,
    finder: Finder<'a>,
    /// Just after a delimiter.
    at: usize,
}

impl Reader<'_> {
    #[cold]
    fn malformed(&self, offset: usize, message: impl Into<String>) -> Fault {
        Malformed::at(self.body, offset, message).into_fault("multipart data")
    }

    /// Goes past the first delimiter, which may stand at the very beginning without its line break.
    fn first(&mut self, delimiter: &str) -> Result<(), Fault> {
        let without_break = &delimiter.as_bytes()[2..];
        self.at = match self.body.starts_with(without_break) {
            true => without_break.len(),
            false => {
                let found = self.finder.find(self.body);
                found.ok_or_else(|| self.malformed(0, "the boundary does not occur"))? + delimiter.len()
            }
        };
        Ok(())
    }

    /// Goes to the beginning of the next part; false at the closing delimiter.
    fn next_part(&mut self) -> Result<bool, Fault> {
        let rest = &self.body[self.at..];
        if rest.starts_with(b"--") {
            return Ok(false);
        }
        let padding = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        if !rest[padding..].starts_with(b"\r\n") {
            return Err(self.malformed(self.at, "expected a line break after the boundary"));
        }
        self.at += padding + 2;
        Ok(true)
    }

    fn part(&mut self) -> Result<Part, Fault> {
        let start = self.at;
        let mut headers = self.headers()?;
        // The line break before the delimiter may be the one that ends the headers.
        let from = self.at - 2;
        let found = self.finder.find(&self.body[from..]);
        let end = from + found.ok_or_else(|| self.malformed(start, "the part has no end"))?;
        let content = self.body.slice(self.at..end.max(self.at));
        self.at = end + self.finder.needle().len();
        let mut part = Part {
            content,
            ..Part::default()
        };
        if let Some(value) = headers.get(CONTENT_DISPOSITION) {
            let parsed = disposition::parse(value.as_bytes());
            let parsed =
                parsed.ok_or_else(|| self.malformed(start, "the content-disposition cannot be read"))?;
            (part.name, part.file_name) = (parsed.name, parsed.file_name);
            if parsed.is_form_data {
                headers.remove(CONTENT_DISPOSITION);
            }
        }
        part.headers = headers;
        Ok(part)
    }

    /// Reads header lines and the blank line after them.
    fn headers(&mut self) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::new();
        let start = self.at;
        loop {
            let rest = &self.body[self.at..];
            let window = &rest[..rest.len().min(HEADER_BYTES_MAX)];
            let end = memchr::memmem::find(window, b"\r\n");
            let end = end.ok_or_else(|| self.malformed(self.at, "the header line has no end"))?;
            let line = &rest[..end];
            if line.is_empty() {
                self.at += 2;
                return Ok(headers);
            }
            let (name, value) =
                header(line).ok_or_else(|| self.malformed(self.at, "the header line cannot be read"))?;
            headers.append(name, value);
            self.at += end + 2;
            if headers.len() > HEADERS_MAX || self.at - start > HEADER_BYTES_MAX {
                return Err(self.malformed(start, "the headers of the part are too large"));
            }
        }
    }
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = memchr::memchr(b':', line)?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}
