//! A file as a row of parts: reads a chunk when the scanner wants more, and gathers parts into documents. What is held is a window of at
//! most one part and one chunk.

use super::config::Split;
use super::scan::{Found, Malformed, Scan};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use engine::fault::{Fault, FaultCode};
use engine::files::Content;
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// How much is read at a time.
const CHUNK_BYTES: usize = 128 << 10;
/// The mark of UTF-8 at the beginning of a file.
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One message of a file.
#[derive(Debug)]
pub(super) struct Part {
    /// Its number in the file, from 0.
    pub(super) index: u64,
    /// Where it begins.
    pub(super) place: Place,
    /// How many lines, rows, elements or items it has.
    pub(super) count: usize,
    /// The document.
    pub(super) bytes: Bytes,
}

/// Where a part begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// In bytes from the beginning of the file.
    pub(super) offset: u64,
    /// What a scanner has to read before it.
    pub(super) context: Arc<[u8]>,
}

/// Why there is no next part.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file cannot be read now.
    Unreadable(std::io::Error),
    /// The file is not what it should be.
    Bad(Fault),
}

/// The parts of one file.
pub(super) struct Parts {
    content: Content,
    scan: Box<dyn Scan>,
    window: BytesMut,
    /// Where the window begins. Wraps while the context is read, which stands before the beginning of the file.
    base: u64,
    /// How many bytes of the file are still to be read.
    left: u64,
    group: usize,
    part_max: usize,
    /// The number of the next part.
    index: u64,
    /// A part that did not fit into the last document.
    kept: Option<(Place, Bytes)>,
    /// What the next call has to tell.
    trouble: Option<Trouble>,
    /// Whether the first bytes were looked at.
    begun: bool,
}

impl Parts {
    /// The parts of a file of this size from a place on, the first of which has this number. `content` begins at the place.
    pub(super) fn new(
        split: &Split,
        scan: Box<dyn Scan>,
        content: Content,
        size: u64,
        from: &Place,
        index: u64,
    ) -> Self {
        Self {
            content,
            scan,
            window: BytesMut::from(&*from.context),
            base: from.offset.wrapping_sub(from.context.len() as u64),
            left: size.saturating_sub(from.offset),
            group: split.group,
            part_max: split.part_max,
            index,
            kept: None,
            trouble: None,
            begun: from.offset > 0,
        }
    }

    /// Where reading goes on, for a content that is opened again.
    pub(super) fn position(&self) -> u64 {
        self.base.wrapping_add(self.window.len() as u64)
    }

    /// Goes on with a content that begins at [`Self::position`].
    pub(super) fn reopen(&mut self, content: Content) {
        self.content = content;
    }

    /// The next message; `None` at the end of the file. After [`Trouble::Unreadable`] it can be called again.
    pub(super) async fn next(&mut self) -> Result<Option<Part>, Trouble> {
        let mut document = Vec::new();
        let mut place = None;
        let mut count = 0;
        while count < self.group {
            let found = match self.kept.take() {
                Some(kept) => Some(kept),
                None => match self.trouble.take().map_or(Ok(()), Err) {
                    Ok(()) => self.part().await,
                    told => told.map(|()| None),
                }
                .or_else(|trouble| self.hold(trouble, count))?,
            };
            let Some((at, bytes)) = found else { break };
            if count == 0 {
                self.scan.open(&mut document);
                place = Some(at);
            } else if document.len() + bytes.len() >= self.part_max
                || place.as_ref().is_some_and(|first| first.context != at.context)
            {
                self.kept = Some((at, bytes));
                break;
            }
            self.scan.add(&mut document, &bytes, count);
            count += 1;
        }
        let Some(place) = place else { return Ok(None) };
        self.scan.close(&mut document);
        let index = self.index;
        self.index += 1;
        Ok(Some(Part {
            index,
            place,
            count,
            bytes: document.into(),
        }))
    }

    /// What was gathered goes out before the trouble is told.
    fn hold(&mut self, trouble: Trouble, count: usize) -> Result<Option<(Place, Bytes)>, Trouble> {
        if count == 0 {
            return Err(trouble);
        }
        self.trouble = Some(trouble);
        Ok(None)
    }

    /// The next line, row, element or item.
    async fn part(&mut self) -> Result<Option<(Place, Bytes)>, Trouble> {
        loop {
            let found = match self.begun {
                true => self.scan.scan(&self.window, self.left == 0),
                false => self.begin(),
            };
            match found.map_err(|malformed| Trouble::Bad(self.malformed(&malformed)))? {
                Found::End => return Ok(None),
                Found::More => self.read().await?,
                Found::Skip(length) => {
                    self.window.advance(length);
                    self.base = self.base.wrapping_add(length as u64);
                }
                Found::Part(length) if length > self.part_max => return Err(Trouble::Bad(self.too_long())),
                Found::Part(length) => {
                    let place = Place {
                        offset: self.base,
                        context: self.scan.context(),
                    };
                    let part = Bytes::copy_from_slice(&self.window[..length]);
                    self.window.advance(length);
                    self.base = self.base.wrapping_add(length as u64);
                    return Ok(Some((place, part)));
                }
            }
        }
    }

    /// Looks at the first bytes of the file: the mark of UTF-8 is no content, other Unicode encodings cannot be split.
    fn begin(&mut self) -> Result<Found, Malformed> {
        if self.window.len() < UTF8_MARK.len() && self.left > 0 {
            return Ok(Found::More);
        }
        if self.window.starts_with(b"\xFF\xFE") || self.window.starts_with(b"\xFE\xFF") {
            return Malformed::new(0, "files in UTF-16 cannot be split");
        }
        self.begun = true;
        let marked = self.window.starts_with(UTF8_MARK);
        Ok(Found::Skip(if marked { UTF8_MARK.len() } else { 0 }))
    }

    async fn read(&mut self) -> Result<(), Trouble> {
        if self.window.len() > self.part_max {
            return Err(Trouble::Bad(self.too_long()));
        }
        if self.left == 0 {
            // Only a scanner with a fault asks for more than there is.
            return Err(Trouble::Bad(Fault::internal(
                "the scanner wants more than the file has",
            )));
        }
        let wanted = CHUNK_BYTES.min(usize::try_from(self.left).unwrap_or(CHUNK_BYTES));
        self.window.reserve(wanted);
        let mut room = (&mut self.window).limit(wanted);
        match self.content.read_buf(&mut room).await {
            Err(error) => Err(Trouble::Unreadable(error)),
            Ok(0) => {
                let detail = format!("{} bytes are missing", self.left);
                let fault = Fault::new(FaultCode::IncompleteBody, "The file ended early.");
                Err(Trouble::Bad(fault.with_detail(detail)))
            }
            Ok(read) => {
                self.left = self.left.saturating_sub(read as u64);
                Ok(())
            }
        }
    }

    fn too_long(&self) -> Fault {
        let detail = format!(
            "at byte {}: longer than `part_max`, {} bytes",
            self.base, self.part_max
        );
        Fault::new(FaultCode::BodyTooLarge, "A part of the file is too long.").with_detail(detail)
    }

    fn malformed(&self, malformed: &Malformed) -> Fault {
        let at = self.base.wrapping_add(malformed.at as u64);
        let detail = format!("at byte {at}: {}", malformed.what);
        Fault::new(FaultCode::MalformedBody, "The file cannot be split.").with_detail(detail)
    }
}
