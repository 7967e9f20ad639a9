//! What has been sent of an upload but is not surely on the server's disk: a message's body streams and cannot be read twice, so
//! the end of it is kept until then, within a limit.

use bytes::Bytes;
use std::collections::VecDeque;

/// The end of what was sent.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    chunks: VecDeque<Bytes>,
    /// The offset of the first chunk.
    start: u64,
    /// The offset behind the last chunk.
    end: u64,
}

impl Replay {
    /// Adds what is sent now, and forgets what is more than `keep` bytes back.
    pub(crate) fn push(&mut self, chunk: Bytes, keep: u64) {
        self.end += chunk.len() as u64;
        self.chunks.push_back(chunk);
        while let Some(first) = self.chunks.front()
            && self.end - self.start - first.len() as u64 >= keep
        {
            self.start += first.len() as u64;
            self.chunks.pop_front();
        }
    }

    /// How much was sent in all.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Whether everything from the beginning is kept.
    pub(crate) fn is_whole(&self) -> bool {
        self.start == 0
    }

    /// What was sent from `offset` on; `None` where that is not kept any more.
    pub(crate) fn since(&self, offset: u64) -> Option<Vec<Bytes>> {
        if offset < self.start || offset > self.end {
            return None;
        }
        let mut at = self.start;
        let mut rest = Vec::new();
        for chunk in &self.chunks {
            let next = at + chunk.len() as u64;
            if next > offset {
                let skip = usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX);
                rest.push(chunk.slice(skip.min(chunk.len())..));
            }
            at = next;
        }
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_can_be_sent_again_from_any_offset() {
        let mut replay = Replay::default();
        for chunk in ["abc", "def", "ghi"] {
            replay.push(Bytes::from(chunk), 5);
        }
        assert_eq!(replay.end(), 9);
        assert!(!replay.is_whole());
        assert_eq!(replay.since(2), None);
        assert_eq!(replay.since(10), None);
        assert_eq!(replay.since(4), Some(vec![Bytes::from("ef"), Bytes::from("ghi")]));
        assert_eq!(replay.since(9), Some(vec![]));
    }
}
