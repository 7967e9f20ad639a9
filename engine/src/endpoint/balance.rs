//! Which member of a group gets the next message.

use super::group::{Group, Member};
use crate::exchange::Exchange;
use crate::expression::Template;
use crate::fault::Fault;
use crate::mediator::Needs;
use crate::message::Message;
use http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The ways to choose. All look only at the candidates: members whose circuits let a call through and that were not tried yet.
pub(super) enum Balance {
    /// Failover: the first in the order of the configuration.
    InOrder,
    /// Equal turns.
    RoundRobin(AtomicUsize),
    /// Turns by weight, as evenly spread as possible.
    Weighted(Turns),
    /// The fewest calls in flight for its weight; equals take turns.
    LeastRequests(AtomicUsize),
    /// The same member for the same text, as long as it is a candidate.
    ConsistentHash(Template, AtomicUsize),
    /// The member that the client's cookie names.
    StickyCookie(Cookie),
}

/// A sticky cookie, and the turns of clients without one.
pub(super) struct Cookie {
    pub(super) name: Box<str>,
    pub(super) turns: Turns,
}

impl Balance {
    /// The index of a member; `None` where there is no candidate.
    pub(super) fn choose(
        &self,
        group: &Group,
        candidates: u64,
        exchange: &Exchange,
    ) -> Result<Option<usize>, Fault> {
        if candidates == 0 {
            return Ok(None);
        }
        let members = &group.members;
        Ok(Some(match self {
            Self::InOrder => candidates.trailing_zeros() as usize,
            Self::RoundRobin(turn) => in_turn(turn, candidates),
            Self::Weighted(turns) => turns.next(members, candidates),
            Self::LeastRequests(turn) => least_requests(turn, members, candidates),
            Self::ConsistentHash(on, turn) => match on.render(exchange)? {
                text if text.is_empty() => in_turn(turn, candidates),
                text => rendezvous(&text, members, candidates),
            },
            Self::StickyCookie(cookie) => {
                let named = cookie.member(&exchange.message.headers, members);
                let usable = named.filter(|index| candidates >> index & 1 == 1);
                usable.unwrap_or_else(|| cookie.turns.next(members, candidates))
            }
        }))
    }

    /// How much of the payload the choice reads.
    pub(super) fn needs(&self) -> Needs {
        match self {
            Self::ConsistentHash(on, _) => on.needs(),
            _ => Needs::Headers,
        }
    }

    /// Tells the client which member answered, where that has to stick and is news.
    pub(super) fn mark_reply(&self, member: &Member, exchange: &Exchange, reply: &mut Message) {
        let Self::StickyCookie(cookie) = self else { return };
        if cookie
            .values(&exchange.message.headers)
            .any(|value| value == member_id(member))
        {
            return;
        }
        let secure = if exchange.entry.scheme == "https" {
            "; Secure"
        } else {
            ""
        };
        let text = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Lax{secure}",
            cookie.name,
            member_id(member)
        );
        if let Ok(value) = HeaderValue::from_str(&text) {
            reply.headers.append(header::SET_COOKIE, value);
        }
    }
}

impl Cookie {
    fn member(&self, headers: &HeaderMap, members: &[Member]) -> Option<usize> {
        self.values(headers)
            .find_map(|value| members.iter().position(|member| member_id(member) == value))
    }

    /// The values of the cookies of this name (RFC 6265 section 4.2).
    fn values<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let lines = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let pairs = lines
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs
            .filter(|(name, _)| *name == &*self.name)
            .map(|(_, value)| value)
    }
}

/// What a cookie says of a member: nothing about its address.
fn member_id(member: &Member) -> String {
    format!("{:016x}", member.identity)
}

/// The members whose bits are set.
fn indices(candidates: u64) -> impl Iterator<Item = usize> {
    (0..u64::BITS as usize).filter(move |index| candidates >> index & 1 == 1)
}

fn in_turn(turn: &AtomicUsize, candidates: u64) -> usize {
    let turn = turn.fetch_add(1, Ordering::Relaxed);
    let count = candidates.count_ones() as usize;
    indices(candidates).nth(turn % count).unwrap_or_default()
}

/// Smooth weighted round robin: at each turn everyone earns its weight, the richest is chosen and pays for all.
pub(super) struct Turns(Mutex<Box<[i64]>>);

impl Turns {
    pub(super) fn new(members: usize) -> Self {
        Self(Mutex::new(vec![0; members].into()))
    }

    fn next(&self, members: &[Member], candidates: u64) -> usize {
        let mut credits = self.0.lock();
        let mut total = 0;
        let mut chosen = candidates.trailing_zeros() as usize;
        for index in indices(candidates) {
            credits[index] += i64::from(members[index].weight);
            total += i64::from(members[index].weight);
            if credits[index] > credits[chosen] {
                chosen = index;
            }
        }
        credits[chosen] -= total;
        chosen
    }
}

fn least_requests(turn: &AtomicUsize, members: &[Member], candidates: u64) -> usize {
    let turn = turn.fetch_add(1, Ordering::Relaxed);
    let count = members.len();
    let load = |index: &usize| {
        let member = &members[*index];
        let in_flight = u64::from(member.in_flight.load(Ordering::Relaxed)) + 1;
        (in_flight << 16) / u64::from(member.weight)
    };
    let rotated = (0..count).map(|index| (index + turn) % count);
    let candidates = rotated.filter(|index| candidates >> index & 1 == 1);
    candidates.min_by_key(load).unwrap_or_default()
}

/// Rendezvous hashing: the member with the highest score for this text. A member that leaves moves only its own texts.
fn rendezvous(text: &str, members: &[Member], candidates: u64) -> usize {
    let key = stable_hash(text);
    let score = |index: &usize| {
        let member = &members[*index];
        let hash = mix(key ^ mix(member.identity));
        // A number in (0, 1], from the upper 53 bits. The weight counts as in weighted rendezvous hashing.
        let uniform = ((hash >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        f64::from(member.weight) / -uniform.ln().min(-f64::MIN_POSITIVE)
    };
    indices(candidates)
        .max_by(|a, b| score(a).total_cmp(&score(b)))
        .unwrap_or_default()
}

/// FNV-1a with a final mix. Not the standard library's hash, which may change from release to release.
pub(super) fn stable_hash(text: &str) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(text.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// The finalizer of SplitMix64.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
