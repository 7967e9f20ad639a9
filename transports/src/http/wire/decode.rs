//! Body framing of HTTP/1.1 (RFC 9112 sections 6 and 7), as strict as the grammar: what two readers could understand
//! differently is an error, since it could smuggle a request past one of them.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Longest chunk line: the size and extensions.
const CHUNK_LINE_BYTES_MAX: usize = 512;
/// Largest trailer section.
const TRAILER_BYTES_MAX: usize = 16 << 10;
/// Most trailer fields.
const TRAILERS_MAX: usize = 64;

/// Bytes that are no HTTP/1.1, with what is wrong about them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WireError(pub(crate) &'static str);

/// Takes one body out of a buffer, piece by piece.
#[derive(Debug)]
pub(crate) struct Decoder(State);

#[derive(Debug)]
enum State {
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Done,
}

/// One step of decoding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// A piece of the body; never empty.
    Data(Bytes),
    /// The trailer section of a chunked body; the end follows.
    Trailers(HeaderMap),
    /// The body is complete.
    End,
    /// The buffer has to be filled first.
    NeedMore,
}

impl Decoder {
    /// A body of a known length, which may be 0.
    pub(crate) fn length(bytes: u64) -> Self {
        Self(if bytes == 0 {
            State::Done
        } else {
            State::Length(bytes)
        })
    }

    /// A chunked body.
    pub(crate) fn chunked() -> Self {
        Self(State::ChunkSize)
    }

    /// A body that ends with the connection. Only replies may have one.
    pub(crate) fn until_close() -> Self {
        Self(State::UntilClose)
    }

    /// Whether the body is complete.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// Bytes still to come, where that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self.0 {
            State::Length(bytes) => Some(bytes),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// What the end of the connection means here: `true` where the body is complete by it.
    pub(crate) fn end_of_connection(&mut self) -> bool {
        if matches!(self.0, State::UntilClose) {
            self.0 = State::Done;
        }
        self.is_done()
    }

    /// Takes the next piece out of `buffer`.
    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, WireError> {
        loop {
            match &mut self.0 {
                State::Done => return Ok(Decoded::End),
                _ if buffer.is_empty() => return Ok(Decoded::NeedMore),
                State::UntilClose => return Ok(Decoded::Data(buffer.split().freeze())),
                State::Length(left) => {
                    let data = take(buffer, *left);
                    *left -= data.len() as u64;
                    if *left == 0 {
                        self.0 = State::Done;
                    }
                    return Ok(Decoded::Data(data));
                }
                State::ChunkData(left) => {
                    let data = take(buffer, *left);
                    *left -= data.len() as u64;
                    if *left == 0 {
                        self.0 = State::ChunkEnd;
                    }
                    return Ok(Decoded::Data(data));
                }
                State::ChunkSize => {
                    let Some(size) = chunk_size(buffer)? else {
                        return Ok(Decoded::NeedMore);
                    };
                    self.0 = if size == 0 {
                        State::Trailers
                    } else {
                        State::ChunkData(size)
                    };
                }
                State::ChunkEnd => {
                    if buffer[0] != b'\r' || buffer.get(1).is_some_and(|byte| *byte != b'\n') {
                        return Err(WireError("a chunk does not end where its size says"));
                    }
                    if buffer.len() < 2 {
                        return Ok(Decoded::NeedMore);
                    }
                    drop(buffer.split_to(2));
                    self.0 = State::ChunkSize;
                }
                State::Trailers => {
                    let Some(trailers) = trailers(buffer)? else {
                        return Ok(Decoded::NeedMore);
                    };
                    self.0 = State::Done;
                    if !trailers.is_empty() {
                        return Ok(Decoded::Trailers(trailers));
                    }
                }
            }
        }
    }
}

fn take(buffer: &mut BytesMut, most: u64) -> Bytes {
    let count = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
    if count == buffer.len() {
        buffer.split().freeze()
    } else {
        buffer.split_to(count).freeze()
    }
}

/// Reads a chunk line: `1*HEXDIG [ chunk-ext ] CRLF`.
fn chunk_size(buffer: &mut BytesMut) -> Result<Option<u64>, WireError> {
    let Some(end) = memchr::memchr(b'\n', &buffer[..buffer.len().min(CHUNK_LINE_BYTES_MAX)]) else {
        let too_long = buffer.len() >= CHUNK_LINE_BYTES_MAX;
        return if too_long {
            Err(WireError("a chunk line is too long"))
        } else {
            Ok(None)
        };
    };
    let line = buffer[..end]
        .strip_suffix(b"\r")
        .ok_or(WireError("a chunk line ends with a bare LF"))?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 || digits > 15 {
        return Err(WireError("a chunk size is no hexadecimal number"));
    }
    let extension = line[digits..].trim_ascii_start();
    let extension_fits = extension.is_empty() && digits == line.len() || extension.first() == Some(&b';');
    if !extension_fits
        || extension
            .iter()
            .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return Err(WireError("a chunk line is malformed"));
    }
    let text = std::str::from_utf8(&line[..digits]).map_err(|_| WireError("a chunk size is no number"))?;
    let size = u64::from_str_radix(text, 16).map_err(|_| WireError("a chunk size is no number"))?;
    drop(buffer.split_to(end + 1));
    Ok(Some(size))
}

/// Reads the trailer section with its empty line. Fields that frame or route a message are not allowed there
/// (RFC 9110 section 6.5.1) and dropped.
fn trailers(buffer: &mut BytesMut) -> Result<Option<HeaderMap>, WireError> {
    if buffer.starts_with(b"\r\n") {
        drop(buffer.split_to(2));
        return Ok(Some(HeaderMap::new()));
    }
    let Some(end) =
        super::find_head_end(buffer, 0).map_err(|_| WireError("the trailer section is malformed"))?
    else {
        let too_long = buffer.len() >= TRAILER_BYTES_MAX;
        return if too_long {
            Err(WireError("the trailer section is too large"))
        } else {
            Ok(None)
        };
    };
    let section = buffer.split_to(end).freeze();
    let mut fields = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let parsed =
        httparse::parse_headers(&section, &mut fields).map_err(|_| WireError("a trailer is malformed"))?;
    let httparse::Status::Complete((_, fields)) = parsed else {
        return Err(WireError("a trailer is malformed"));
    };
    let mut trailers = HeaderMap::new();
    for field in fields {
        let name =
            HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| WireError("a trailer is malformed"))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| WireError("a trailer is malformed"))?;
        if !NOT_IN_TRAILERS.contains(&name) {
            trailers.append(name, value);
        }
    }
    Ok(Some(trailers))
}

const NOT_IN_TRAILERS: [HeaderName; 13] = [
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
    header::HOST,
    header::CONNECTION,
    header::TRAILER,
    header::TE,
    header::AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    header::EXPECT,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` in steps of `step` bytes; the body, its trailers and what is left over.
    fn decode(
        mut decoder: Decoder,
        wire: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), WireError> {
        let mut buffer = BytesMut::new();
        let mut rest = wire;
        let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
        loop {
            match decoder.decode(&mut buffer)? {
                Decoded::Data(data) => body.extend_from_slice(&data),
                Decoded::Trailers(found) => trailers = found,
                Decoded::End => return Ok((body, trailers, [&buffer[..], rest].concat())),
                Decoded::NeedMore if rest.is_empty() => return Err(WireError("incomplete")),
                Decoded::NeedMore => {
                    let (now, later) = rest.split_at(step.min(rest.len()));
                    buffer.extend_from_slice(now);
                    rest = later;
                }
            }
        }
    }

    #[test]
    fn bodies_are_read_in_any_pieces() {
        let wire = b"5\r\nhello\r\n6;name=\"v\"\r\n world\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\nGET /";
        for step in [1, 2, 3, 7, 100] {
            let (body, trailers, rest) = decode(Decoder::chunked(), wire, step).unwrap();
            assert_eq!((&body[..], &rest[..]), (&b"hello world"[..], &b"GET /"[..]));
            assert_eq!(trailers.len(), 1);
            assert_eq!(trailers["x-sum"], "1");
            let (body, _, rest) = decode(Decoder::length(5), b"12345678", step).unwrap();
            assert_eq!((&body[..], &rest[..]), (&b"12345"[..], &b"678"[..]));
        }
    }

    #[test]
    fn whatever_two_readers_could_read_differently_is_refused() {
        let bad: [&[u8]; 12] = [
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloXX0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"5 \r\nhello\r\n0\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b"FFFFFFFFFFFFFFFFF\r\nhello",
            b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\nA: b\n\r\n",
        ];
        for wire in bad {
            let outcome = decode(Decoder::chunked(), wire, 100);
            assert!(
                matches!(&outcome, Err(WireError(why)) if *why != "incomplete"),
                "{wire:?}: {outcome:?}"
            );
        }
        assert_eq!(
            decode(Decoder::chunked(), &[b'1'; 600], 64),
            Err(WireError("a chunk line is too long"))
        );
    }
}
