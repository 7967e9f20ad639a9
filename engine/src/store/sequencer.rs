//! Numbered messages in the order of their numbers, stream by stream. Knows nothing of stores and deliveries: what arrives goes in, whose
//! turn it is comes out.
//!
//! ```text
//! waiting ──its number is the next──▶ its turn ──ended──▶ the next number
//!    │                                   │
//!    └──a smaller number is missing      └──tried again: the stream waits for it
//!       for `timeout`: the gap is left
//! ```
//! A number that has had its turn is late: it gets a turn at once, which says so, and moves nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// All streams that have something waiting or under way. A stream that has nothing is forgotten: its place is told when it comes back.
pub(super) struct Sequencer<T> {
    timeout: Duration,
    /// The number that a stream without a place begins with; without it its first message waits for smaller ones.
    first: Option<i64>,
    streams: HashMap<Arc<str>, Stream<T>>,
    /// Streams whose first message has its turn.
    ready: VecDeque<Arc<str>>,
    /// When the streams with a gap stop waiting for it.
    deadlines: BTreeSet<(Instant, Arc<str>)>,
    arrivals: u64,
}

struct Stream<T> {
    next: Option<i64>,
    /// By number; those of the same number in the order of arrival.
    waiting: BTreeMap<(i64, u64), (Arc<str>, T)>,
    stage: Stage,
    deadline: Option<Instant>,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Waiting,
    Ready,
    UnderWay,
    /// The message of this id failed and comes again.
    Retrying(Arc<str>),
}

/// A message whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn<T> {
    pub(super) stream: Arc<str>,
    pub(super) number: i64,
    pub(super) id: Arc<str>,
    /// Whether its number, or a larger one, has had its turn already.
    pub(super) late: bool,
    pub(super) message: T,
}

/// Numbers that did not come in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) stream: Arc<str>,
    /// The first number that is missing; `None` at the beginning of a stream, which nobody knows.
    pub(super) expected: Option<i64>,
    /// Where the stream goes on.
    pub(super) found: i64,
}

impl<T> Sequencer<T> {
    pub(super) fn new(timeout: Duration, first: Option<i64>) -> Self {
        Self {
            timeout,
            first,
            streams: HashMap::new(),
            ready: VecDeque::new(),
            deadlines: BTreeSet::new(),
            arrivals: 0,
        }
    }

    /// A message has come. `place` is the last number of its stream that had its turn, where that is known.
    pub(super) fn arrive(
        &mut self,
        stream: &Arc<str>,
        number: i64,
        id: Arc<str>,
        message: T,
        place: Option<i64>,
    ) {
        let begin = place.map(|last| last.saturating_add(1)).or(self.first);
        let entry = self.streams.entry(Arc::clone(stream)).or_insert_with(|| Stream {
            next: begin,
            waiting: BTreeMap::new(),
            stage: Stage::Waiting,
            deadline: None,
        });
        if matches!(&entry.stage, Stage::Retrying(retried) if *retried == id) {
            entry.stage = Stage::Waiting;
        }
        self.arrivals += 1;
        entry.waiting.insert((number, self.arrivals), (id, message));
        self.look_at(stream);
    }

    /// The next message to deliver. Its stream waits until [`Sequencer::ended`] or [`Sequencer::retried`].
    pub(super) fn next_turn(&mut self) -> Option<Turn<T>> {
        loop {
            let name = self.ready.pop_front()?;
            let Some(stream) = self.streams.get_mut(&name) else {
                continue;
            };
            let Some(((number, _), (id, message))) = stream.waiting.pop_first() else {
                continue;
            };
            stream.stage = Stage::UnderWay;
            let late = stream.next.is_some_and(|next| number < next);
            return Some(Turn {
                stream: name,
                number,
                id,
                late,
                message,
            });
        }
    }

    /// A turn is over. `passed` is the number that the stream has now passed, where that was in turn.
    pub(super) fn ended(&mut self, name: &Arc<str>, passed: Option<i64>) {
        let Some(stream) = self.streams.get_mut(name) else {
            return;
        };
        stream.stage = Stage::Waiting;
        stream.pass(passed);
        self.look_at(name);
    }

    /// A turn has to be tried again: the stream waits until the message arrives once more.
    pub(super) fn retried(&mut self, name: &Arc<str>, id: Arc<str>) {
        let Some(stream) = self.streams.get_mut(name) else {
            return;
        };
        let back = stream.waiting.values().any(|(waiting, _)| *waiting == id);
        stream.stage = match back {
            true => Stage::Waiting,
            false => Stage::Retrying(id),
        };
        self.look_at(name);
    }

    /// The messages that streams wait for to be tried again.
    pub(super) fn retrying(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let streams = self.streams.iter();
        let retrying = streams.filter_map(|(name, stream)| match &stream.stage {
            Stage::Retrying(id) => Some((Arc::clone(name), Arc::clone(id))),
            _ => None,
        });
        retrying.collect()
    }

    /// When the next gap is left.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Leaves the gaps that have been waited for long enough. Another processor may have brought a stream further meanwhile, which
    /// `place` tells.
    pub(super) fn leave_gaps(&mut self, now: Instant, place: impl Fn(&str) -> Option<i64>) -> Vec<Gap> {
        let mut gaps = Vec::new();
        while let Some((_, name)) = self.deadlines.first().filter(|(at, _)| *at <= now).cloned() {
            let Some(stream) = self.streams.get_mut(&name) else {
                self.deadlines.pop_first();
                continue;
            };
            stream.pass(place(&name));
            if let Some(((found, _), _)) = stream.waiting.first_key_value()
                && stream.next.is_none_or(|next| *found > next)
            {
                gaps.push(Gap {
                    stream: Arc::clone(&name),
                    expected: stream.next,
                    found: *found,
                });
                stream.next = Some(*found);
            }
            self.look_at(&name);
        }
        gaps
    }

    /// After a change of a stream: is it somebody's turn, is there a gap, is there nothing left?
    fn look_at(&mut self, name: &Arc<str>) {
        let Some(stream) = self.streams.get_mut(name) else {
            return;
        };
        if stream.stage != Stage::Waiting {
            return;
        }
        let smallest = stream.waiting.first_key_value().map(|((number, _), _)| *number);
        let gap = match (smallest, stream.next) {
            (Some(smallest), next) => next.is_none_or(|next| smallest > next),
            (None, _) => false,
        };
        if !gap && let Some(at) = stream.deadline.take() {
            self.deadlines.remove(&(at, Arc::clone(name)));
        }
        if smallest.is_none() {
            self.streams.remove(name);
        } else if !gap {
            stream.stage = Stage::Ready;
            self.ready.push_back(Arc::clone(name));
        } else if stream.deadline.is_none() {
            let at = Instant::now() + self.timeout;
            stream.deadline = Some(at);
            self.deadlines.insert((at, Arc::clone(name)));
        }
    }
}

impl<T> Stream<T> {
    fn pass(&mut self, passed: Option<i64>) {
        if let Some(passed) = passed {
            let next = passed.saturating_add(1);
            self.next = Some(self.next.map_or(next, |known| known.max(next)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn sequencer(first: Option<i64>) -> Sequencer<()> {
        Sequencer::new(TIMEOUT, first)
    }

    fn arrive(sequencer: &mut Sequencer<()>, number: i64, place: Option<i64>) {
        sequencer.arrive(&"s".into(), number, format!("id {number}").into(), (), place);
    }

    /// All turns that can be had now, each ended well.
    fn turns(sequencer: &mut Sequencer<()>) -> Vec<(i64, bool)> {
        let mut turns = Vec::new();
        while let Some(turn) = sequencer.next_turn() {
            turns.push((turn.number, turn.late));
            sequencer.ended(&turn.stream, (!turn.late).then_some(turn.number));
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_come_out_in_order_one_at_a_time() {
        let mut sequencer = sequencer(Some(1));
        for number in [3, 2, 1, 4] {
            arrive(&mut sequencer, number, None);
        }
        let turn = sequencer.next_turn().unwrap();
        assert_eq!((turn.number, turn.late), (1, false));
        assert_eq!(
            sequencer.next_turn(),
            None,
            "the stream waits for the end of the turn"
        );
        sequencer.ended(&turn.stream, Some(1));
        assert_eq!(turns(&mut sequencer), [(2, false), (3, false), (4, false)]);
        assert!(sequencer.streams.is_empty() && sequencer.deadlines.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_is_left_after_its_time_and_what_comes_then_is_late() {
        let mut sequencer = sequencer(None);
        arrive(&mut sequencer, 7, Some(4));
        arrive(&mut sequencer, 9, Some(4));
        assert_eq!(turns(&mut sequencer), []);
        tokio::time::advance(TIMEOUT / 2).await;
        assert_eq!(sequencer.leave_gaps(Instant::now(), |_| None), []);
        tokio::time::advance(TIMEOUT).await;
        let gaps = sequencer.leave_gaps(Instant::now(), |_| None);
        let gap = |expected, found| Gap {
            stream: "s".into(),
            expected: Some(expected),
            found,
        };
        assert_eq!(gaps, [gap(5, 7)]);
        arrive(&mut sequencer, 6, Some(4));
        arrive(&mut sequencer, 7, Some(4));
        assert_eq!(
            turns(&mut sequencer),
            [(6, true), (7, false), (7, true)],
            "8 has its own time"
        );
        arrive(&mut sequencer, 8, Some(7));
        assert_eq!(turns(&mut sequencer), [(8, false), (9, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_stream_waits_for_its_beginning() {
        let mut sequencer = sequencer(None);
        arrive(&mut sequencer, 12, None);
        arrive(&mut sequencer, 11, None);
        assert_eq!(turns(&mut sequencer), []);
        tokio::time::advance(TIMEOUT).await;
        let gaps = sequencer.leave_gaps(Instant::now(), |_| None);
        assert_eq!((gaps[0].expected, gaps[0].found), (None, 11));
        assert_eq!(turns(&mut sequencer), [(11, false), (12, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_waits_for_what_is_tried_again() {
        let mut sequencer = sequencer(Some(1));
        arrive(&mut sequencer, 1, None);
        arrive(&mut sequencer, 2, None);
        let turn = sequencer.next_turn().unwrap();
        sequencer.retried(&turn.stream, turn.id);
        tokio::time::advance(TIMEOUT * 2).await;
        assert_eq!(sequencer.leave_gaps(Instant::now(), |_| None), []);
        assert_eq!(sequencer.next_turn(), None);
        assert_eq!(sequencer.retrying(), [("s".into(), "id 1".into())]);
        arrive(&mut sequencer, 1, None);
        assert_eq!(turns(&mut sequencer), [(1, false), (2, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_processor_has_delivered_is_no_gap() {
        let mut sequencer = sequencer(Some(1));
        arrive(&mut sequencer, 3, None);
        tokio::time::advance(TIMEOUT).await;
        assert_eq!(sequencer.leave_gaps(Instant::now(), |_| Some(2)), []);
        assert_eq!(turns(&mut sequencer), [(3, false)]);
    }
}
