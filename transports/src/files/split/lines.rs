//! Lines: their bytes as they are, without the line break. Blank lines are no parts.

use super::scan::{Found, Malformed, Scan};
use memchr::memchr;
use std::sync::Arc;

/// Finds line breaks: `\n` and `\r\n`.
#[derive(Default)]
pub(super) struct Lines {
    /// How far the window was looked at.
    seen: usize,
}

impl Scan for Lines {
    fn scan(&mut self, window: &[u8], end: bool) -> Result<Found, Malformed> {
        let blank = match window {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => 0,
        };
        if blank > 0 {
            self.seen = 0;
            return Ok(Found::Skip(blank));
        }
        if let Some(length) = memchr(b'\n', &window[self.seen..]) {
            let length = self.seen + length + 1;
            self.seen = 0;
            return Ok(Found::Part(length));
        }
        self.seen = window.len();
        Ok(match (end, window.is_empty()) {
            (false, _) => Found::More,
            (true, true) => Found::End,
            (true, false) => {
                self.seen = 0;
                Found::Part(window.len())
            }
        })
    }

    fn context(&self) -> Arc<[u8]> {
        Arc::default()
    }

    fn open(&self, _: &mut Vec<u8>) {}

    fn add(&self, document: &mut Vec<u8>, part: &[u8], before: usize) {
        if before > 0 {
            document.push(b'\n');
        }
        let part = part.strip_suffix(b"\n").unwrap_or(part);
        document.extend_from_slice(part.strip_suffix(b"\r").unwrap_or(part));
    }

    fn close(&self, _: &mut Vec<u8>) {}
}
