//! A client that sends exactly the bytes it is given: for malformed requests, smuggling, slow and half-closed
//! connections, where a well-behaved client cannot go. It reads replies with the least HTTP it can.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// The longest wait for bytes of a reply.
const READ_LIMIT: Duration = Duration::from_secs(20);
/// The longest reply that is kept.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// One TCP connection.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    /// Bytes that came after the last reply.
    pending: Vec<u8>,
}

/// One HTTP/1.1 reply as it came.
#[derive(Debug, Clone)]
pub struct RawReply {
    /// The status code.
    pub status: u16,
    /// Status line and headers, without the empty line.
    pub head: String,
    /// The body without chunk framing.
    pub body: Vec<u8>,
}

impl RawReply {
    /// A header's value by name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl RawClient {
    /// Connects to the host and port of a URL such as `http://127.0.0.1:41234/ignored`.
    #[track_caller]
    pub fn connect(url: &str) -> Self {
        Self::over(TcpStream::connect(address_of(url)).expect("the listener accepts"))
    }

    /// Takes over a connection.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream
            .set_read_timeout(Some(READ_LIMIT))
            .expect("a timeout above zero");
        stream
            .set_write_timeout(Some(READ_LIMIT))
            .expect("a timeout above zero");
        stream.set_nodelay(true).expect("a connected socket");
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    /// Sends bytes as they are. Fails when the peer has closed, which some tests want to see.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Closes the sending half; the reply can still be read.
    #[track_caller]
    pub fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("a connected socket");
    }

    /// Reads one reply; `None` when the connection ends before a whole one came. `100 Continue` and other
    /// interim replies count as replies without a body.
    pub fn read_reply(&mut self) -> Option<RawReply> {
        self.read_reply_to("GET")
    }

    /// The same, knowing the method: a reply to HEAD has no body whatever its headers say.
    pub fn read_reply_to(&mut self, method: &str) -> Option<RawReply> {
        let end = loop {
            if let Some(end) = find(&self.pending, b"\r\n\r\n") {
                break end;
            }
            self.read_more()?;
        };
        let head = String::from_utf8_lossy(&self.pending[..end]).into_owned();
        self.pending.drain(..end + 4);
        let status = head.split(' ').nth(1)?.get(..3)?.parse().ok()?;
        let mut reply = RawReply {
            status,
            head,
            body: Vec::new(),
        };
        reply.body = match framing(method, &reply) {
            Framing::None => Vec::new(),
            Framing::Length(length) => self.take(length)?,
            Framing::Chunked => self.read_chunks()?,
            Framing::UntilClose => self.read_rest(),
        };
        Some(reply)
    }

    /// Everything up to the end of the connection, or until nothing comes for the read limit.
    pub fn read_rest(&mut self) -> Vec<u8> {
        while self.read_more().is_some() {}
        std::mem::take(&mut self.pending)
    }

    /// Counts what comes up to the end of the connection, without keeping it.
    pub fn count_rest(&mut self) -> u64 {
        let mut chunk = vec![0; 1 << 16];
        let mut count = self.pending.len() as u64;
        self.pending.clear();
        while let Ok(read @ 1..) = self.stream.read(&mut chunk) {
            count += read as u64;
        }
        count
    }

    /// Everything that comes until the connection ends or is quiet for this long.
    #[track_caller]
    pub fn read_until_quiet(&mut self, quiet: Duration) -> Vec<u8> {
        self.stream
            .set_read_timeout(Some(quiet))
            .expect("a timeout above zero");
        let bytes = self.read_rest();
        self.stream
            .set_read_timeout(Some(READ_LIMIT))
            .expect("a timeout above zero");
        bytes
    }

    /// Whether the peer has ended the connection, waiting this long for it. Bytes that came before are kept.
    #[track_caller]
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.stream
            .set_read_timeout(Some(limit))
            .expect("a timeout above zero");
        let mut chunk = [0; 4096];
        let closed = loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break true,
                Ok(count) => self.pending.extend_from_slice(&chunk[..count]),
                Err(error) => break !is_timeout(&error),
            }
        };
        self.stream
            .set_read_timeout(Some(READ_LIMIT))
            .expect("a timeout above zero");
        closed
    }

    fn read_more(&mut self) -> Option<()> {
        let mut chunk = [0; 64 << 10];
        let count = self.stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        assert!(
            self.pending.len() + count <= REPLY_BYTES_MAX,
            "the reply is longer than {REPLY_BYTES_MAX} bytes"
        );
        self.pending.extend_from_slice(&chunk[..count]);
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.pending.len() < length {
            self.read_more()?;
        }
        Some(self.pending.drain(..length).collect())
    }

    fn take_line(&mut self) -> Option<String> {
        let end = loop {
            if let Some(end) = find(&self.pending, b"\r\n") {
                break end;
            }
            self.read_more()?;
        };
        let line: Vec<u8> = self.pending.drain(..end + 2).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// Chunks and trailers (RFC 9112 section 7.1); the trailers are dropped.
    fn read_chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line()?;
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                while !self.take_line()?.is_empty() {}
                return Some(body);
            }
            body.extend(self.take(size)?);
            self.take(2)?;
        }
    }
}

enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// How the end of a reply is known (RFC 9112 section 6.3).
fn framing(method: &str, reply: &RawReply) -> Framing {
    if method == "HEAD" || reply.status < 200 || matches!(reply.status, 204 | 304) {
        return Framing::None;
    }
    if reply
        .header("transfer-encoding")
        .is_some_and(|coding| coding.ends_with("chunked"))
    {
        return Framing::Chunked;
    }
    match reply
        .header("content-length")
        .and_then(|length| length.parse().ok())
    {
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    }
}

/// The socket address in a URL whose host is an IP address or `localhost`.
#[track_caller]
pub(crate) fn address_of(url: &str) -> SocketAddr {
    let authority = url
        .split("://")
        .nth(1)
        .unwrap_or(url)
        .split('/')
        .next()
        .unwrap_or_default();
    let authority = authority.replace("localhost", "127.0.0.1");
    authority
        .parse()
        .unwrap_or_else(|_| panic!("no address and port in {url:?}"))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    )
}
