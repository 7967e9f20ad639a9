//! How far numbered streams have come. In memory for every kind of store; a durable one writes each change with the settlement it
//! belongs to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most streams that a store knows the place of; the one that has not moved for longest is forgotten.
const STREAMS_MAX: usize = 100_000;

/// The places of all streams.
#[derive(Default)]
pub(super) struct Places {
    streams: HashMap<Arc<str>, Known>,
    /// By when they moved last.
    order: BTreeMap<u64, Arc<str>>,
    moves: u64,
}

struct Known {
    number: i64,
    moved: u64,
}

/// A change of a place, to be written.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) stream: Arc<str>,
    pub(super) number: i64,
    /// Grows with every move.
    pub(super) moved: u64,
    /// A stream that is forgotten for it.
    pub(super) forgotten: Option<Arc<str>>,
}

impl Places {
    pub(super) fn number(&self, stream: &str) -> Option<i64> {
        self.streams.get(stream).map(|known| known.number)
    }

    /// Notes that a stream has come to this number.
    pub(super) fn advance(&mut self, stream: &str, number: i64) -> Moved {
        let stream = match self.streams.get_key_value(stream) {
            Some((known, _)) => Arc::clone(known),
            None => stream.into(),
        };
        let moved = self.moves + 1;
        self.restore(Arc::clone(&stream), number, moved);
        let forgotten = (self.streams.len() > STREAMS_MAX)
            .then(|| self.order.pop_first())
            .flatten()
            .map(|(_, oldest)| oldest);
        if let Some(oldest) = &forgotten {
            self.streams.remove(oldest);
        }
        Moved {
            stream,
            number,
            moved,
            forgotten,
        }
    }

    /// Takes over what was written.
    pub(super) fn restore(&mut self, stream: Arc<str>, number: i64, moved: u64) {
        self.moves = self.moves.max(moved);
        self.order.insert(moved, Arc::clone(&stream));
        if let Some(before) = self.streams.insert(stream, Known { number, moved }) {
            self.order.remove(&before.moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_that_moved_longest_ago_is_forgotten() {
        let mut places = Places::default();
        for stream in 0..STREAMS_MAX {
            assert!(places.advance(&stream.to_string(), 1).forgotten.is_none());
        }
        places.advance("0", 2);
        assert_eq!(places.advance("new", 5).forgotten.as_deref(), Some("1"));
        assert_eq!(
            (places.number("0"), places.number("1"), places.number("new")),
            (Some(2), None, Some(5))
        );
    }
}
