//! Rows of comma-separated values (RFC 4180): each part is a file of its own with the header row before its rows. A quote opens a cell only
//! at its beginning, as for the CSV format that parses the parts; line breaks in quoted cells end no row.

use super::scan::{Found, Malformed, Scan};
use memchr::{memchr, memchr3};
use std::sync::Arc;

/// Finds the ends of rows.
pub(super) struct Rows {
    delimiter: u8,
    /// The header row, once it was read; empty where there is none.
    header: Option<Arc<[u8]>>,
    state: Cell,
    seen: usize,
}

/// Where in a row the scan is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// Before the first byte of a cell.
    Start,
    /// In a cell without quotes, or behind the quoted part of one.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that ends the quoted part, unless another one follows.
    Quote,
    /// Behind a carriage return that ends the row.
    Return,
}

impl Rows {
    pub(super) fn new(delimiter: u8, has_header: bool) -> Self {
        Self {
            delimiter,
            header: (!has_header).then(Arc::default),
            state: Cell::Start,
            seen: 0,
        }
    }

    /// Goes on to the end of the row. `None` where it is not in the window.
    fn row_end(&mut self, window: &[u8]) -> Option<usize> {
        while self.seen < window.len() {
            let rest = &window[self.seen..];
            match self.state {
                Cell::Plain => match memchr3(self.delimiter, b'\n', b'\r', rest) {
                    Some(0) => {}
                    at => {
                        self.seen += at.unwrap_or(rest.len());
                        continue;
                    }
                },
                Cell::Quoted => {
                    self.seen += match memchr(b'"', rest) {
                        Some(at) => {
                            self.state = Cell::Quote;
                            at + 1
                        }
                        None => rest.len(),
                    };
                    continue;
                }
                Cell::Return => {
                    return Some(self.seen + usize::from(rest[0] == b'\n'));
                }
                Cell::Start | Cell::Quote => {}
            }
            self.seen += 1;
            self.state = match (rest[0], self.state) {
                (b'\n', _) => return Some(self.seen),
                (b'\r', _) => Cell::Return,
                (byte, _) if byte == self.delimiter => Cell::Start,
                (b'"', Cell::Start | Cell::Quote) => Cell::Quoted,
                _ => Cell::Plain,
            };
        }
        None
    }

    /// A row is complete: the first one may be the header.
    fn row(&mut self, row: &[u8]) -> Found {
        (self.state, self.seen) = (Cell::Start, 0);
        if self.header.is_some() {
            return Found::Part(row.len());
        }
        let mut header = row.to_vec();
        if !matches!(header.last(), Some(b'\n' | b'\r')) {
            header.push(b'\n');
        }
        self.header = Some(header.into());
        Found::Skip(row.len())
    }
}

impl Scan for Rows {
    fn scan(&mut self, window: &[u8], end: bool) -> Result<Found, Malformed> {
        if self.seen == 0 {
            let blank = window.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
            match blank.count() {
                0 => {}
                count => return Ok(Found::Skip(count)),
            }
        }
        if let Some(length) = self.row_end(window) {
            return Ok(self.row(&window[..length]));
        }
        match (end, window.is_empty()) {
            (false, _) => Ok(Found::More),
            (true, true) => Ok(Found::End),
            (true, false) if self.state == Cell::Quoted => {
                Malformed::new(0, "a quoted cell of the row has no end")
            }
            (true, false) => Ok(self.row(window)),
        }
    }

    fn context(&self) -> Arc<[u8]> {
        self.header.clone().unwrap_or_default()
    }

    fn open(&self, document: &mut Vec<u8>) {
        document.extend_from_slice(self.header.as_deref().unwrap_or_default());
    }

    fn add(&self, document: &mut Vec<u8>, part: &[u8], _: usize) {
        document.extend_from_slice(part);
    }

    fn close(&self, _: &mut Vec<u8>) {}
}
