//! The kinds of endpoint from their configuration.

use super::policy::Health;
use super::{define, fixed, name_of};
use crate::build::Build;
use crate::config::{Key, Node, NodeValue, OneOrMany, RawNode, Spanned};
use crate::endpoint::address::Address;
use crate::endpoint::balance::{Balance, Cookie, Turns, stable_hash};
use crate::endpoint::config::{
    Algorithm, BalanceConfig, BreakerConfig, FailoverConfig, RecipientsConfig, Require, TriggerName,
};
use crate::endpoint::group::{Group, Member};
use crate::endpoint::recipients::Recipients;
use crate::endpoint::{Endpoint, Kind};
use crate::expression::Escape;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize};

/// The cookie of `sticky_cookie` where none is named.
const COOKIE: &str = "mediary_route";

/// A kind, and what else its settings say.
pub(super) struct Built {
    pub(super) kind: Kind,
    /// The name of an endpoint that has none.
    pub(super) label: Arc<str>,
    /// `failover.on`.
    pub(super) on: Option<OneOrMany<TriggerName>>,
}

/// Builds the kind that `key` names.
pub(super) fn build(key: &Key, settings: &Node, cx: &mut Build<'_>) -> Option<Built> {
    let label = Arc::from(cx.path());
    Some(match &*key.text {
        "load_balance" => Built {
            kind: Kind::Group(load_balance(settings, cx)?),
            label,
            on: None,
        },
        "failover" => {
            let (group, on) = failover(settings, cx)?;
            Built {
                kind: Kind::Group(group),
                label,
                on,
            }
        }
        "recipient_list" => Built {
            kind: Kind::Recipients(recipient_list(settings, cx)?),
            label,
            on: None,
        },
        transport => {
            let sender = cx.registry.transport(transport)?.sender.as_ref()?;
            let sender = (sender.build)(settings, cx)?;
            let label = sender.label().into();
            Built {
                kind: Kind::Address(Address { sender }),
                label,
                on: None,
            }
        }
    })
}

/// The settings of a group; a list alone is its members.
fn expand(settings: &Node) -> Node {
    match &settings.value {
        NodeValue::Sequence(_) => crate::config::expand_shorthand(settings, "endpoints"),
        _ => settings.clone(),
    }
}

fn load_balance(settings: &Node, cx: &mut Build<'_>) -> Option<Group> {
    let config: BalanceConfig = cx.read(&expand(settings))?;
    let weights = Weights::of(config.algorithm.value);
    let members = members(&config.endpoints, config.health.as_ref(), weights, cx);
    let balance = balance(&config, cx);
    Some(Group {
        members: members?,
        balance: balance?,
    })
}

fn balance(config: &BalanceConfig, cx: &mut Build<'_>) -> Option<Balance> {
    let algorithm = config.algorithm.value;
    let count = config.endpoints.len();
    misplaced(config, cx)?;
    Some(match algorithm {
        Algorithm::RoundRobin => Balance::RoundRobin(AtomicUsize::new(0)),
        Algorithm::Weighted => Balance::Weighted(Turns::new(count)),
        Algorithm::LeastRequests => Balance::LeastRequests(AtomicUsize::new(0)),
        Algorithm::ConsistentHash => {
            let Some(text) = &config.hash_on else {
                let help = Some("add `hash_on: \"${headers['x-user']}\"` or the like".to_owned());
                cx.error(
                    "config.missing_key",
                    config.algorithm.span,
                    "`consistent_hash` needs `hash_on`",
                    help,
                );
                return None;
            };
            Balance::ConsistentHash(cx.template(text, Escape::None)?, AtomicUsize::new(0))
        }
        Algorithm::StickyCookie => {
            let name = config.cookie.as_ref().map_or(COOKIE, |name| name.value.as_str());
            Balance::StickyCookie(Cookie {
                name: name.into(),
                turns: Turns::new(count),
            })
        }
    })
}

/// Reports settings that the algorithm does not know, and a cookie name that is no token (RFC 6265 section 4.1.1).
fn misplaced(config: &BalanceConfig, cx: &mut Build<'_>) -> Option<()> {
    let algorithm = config.algorithm.value;
    let hash_on = config
        .hash_on
        .as_ref()
        .filter(|_| algorithm != Algorithm::ConsistentHash);
    let cookie = config.cookie.as_ref();
    let mut good = true;
    if let Some(text) = hash_on {
        let help = Some("add `algorithm: consistent_hash`".to_owned());
        cx.error(
            "config.misplaced_key",
            text.span(),
            "only `consistent_hash` has `hash_on`",
            help,
        );
        good = false;
    }
    if let Some(name) = cookie.filter(|_| algorithm != Algorithm::StickyCookie) {
        let help = Some("add `algorithm: sticky_cookie`".to_owned());
        cx.error(
            "config.misplaced_key",
            name.span,
            "only `sticky_cookie` has `cookie`",
            help,
        );
        good = false;
    }
    // The tokens of cookies and of header names are the same.
    if let Some(name) = cookie.filter(|name| http::HeaderName::from_bytes(name.value.as_bytes()).is_err()) {
        let help = Some("use letters, digits, `_` and `-`".to_owned());
        cx.error(
            "config.bad_value",
            name.span,
            "this cannot be the name of a cookie",
            help,
        );
        good = false;
    }
    good.then_some(())
}

fn failover(settings: &Node, cx: &mut Build<'_>) -> Option<(Group, Option<OneOrMany<TriggerName>>)> {
    let config: FailoverConfig = cx.read(&expand(settings))?;
    let members = members(&config.endpoints, config.health.as_ref(), Weights::Refused, cx)?;
    Some((
        Group {
            members,
            balance: Balance::InOrder,
        },
        config.on,
    ))
}

fn recipient_list(settings: &Node, cx: &mut Build<'_>) -> Option<Recipients> {
    let config: RecipientsConfig = cx.read(&expand(settings))?;
    let built: Vec<_> = config.endpoints.iter().map(|node| fixed(node, cx)).collect();
    let members: Vec<Arc<Endpoint>> = built.into_iter().collect::<Option<_>>()?;
    let count = members.len();
    let required = match config.require.value {
        Require::All => count,
        Require::Any => 1,
        Require::AtLeast(number) => number as usize,
    };
    if required > count {
        let message = format!("{required} of {count} recipients cannot succeed");
        cx.error(
            "config.out_of_range",
            config.require.span,
            message,
            Some(format!("at most {count}")),
        );
        return None;
    }
    Some(Recipients {
        members: members.into(),
        required,
    })
}

/// Whether members may have weights.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weights {
    Used,
    Refused,
}

impl Weights {
    fn of(algorithm: Algorithm) -> Self {
        if algorithm == Algorithm::RoundRobin {
            Self::Refused
        } else {
            Self::Used
        }
    }
}

fn members(
    nodes: &[RawNode],
    health: Option<&BreakerConfig>,
    weights: Weights,
    cx: &mut Build<'_>,
) -> Option<Box<[Member]>> {
    let health = Health::new(health);
    let built: Vec<_> = nodes
        .iter()
        .map(|node| member(node, &health, weights, cx))
        .collect();
    built.into_iter().collect()
}

fn member(node: &Node, health: &Health, weights: Weights, cx: &mut Build<'_>) -> Option<Member> {
    let (node, weight) = take_weight(node, cx)?;
    if let (Some(weight), Weights::Refused) = (&weight, weights) {
        let help = Some("use `load_balance` with `algorithm: weighted`".to_owned());
        cx.error(
            "config.misplaced_key",
            weight.span,
            "members have no weight here",
            help,
        );
        return None;
    }
    let (endpoint, identity) = match name_of(&node) {
        Some(name) => (fixed(&node, cx)?, stable_hash(name)),
        None => (
            define(None, &node, Some(health), cx)?,
            stable_hash(&format!("{node:?}")),
        ),
    };
    let weight = weight.map_or(1, |weight| weight.value.0);
    Some(Member {
        endpoint,
        weight,
        identity,
        in_flight: AtomicU32::new(0),
    })
}

/// Takes the weight out of a member. `{ endpoint: NAME, weight: 3 }` leaves the name.
fn take_weight(node: &Node, cx: &mut Build<'_>) -> Option<(Node, Option<Spanned<Weight>>)> {
    let (weight, rest): (Vec<_>, Vec<_>) = node
        .entries()
        .iter()
        .cloned()
        .partition(|(key, _)| &*key.text == "weight");
    let weight = match weight.first() {
        Some((_, weight)) => Some(cx.read::<Spanned<Weight>>(weight)?),
        None => None,
    };
    let node = match (&rest[..], &node.value) {
        ([(key, name)], _) if &*key.text == "endpoint" => name.clone(),
        (_, NodeValue::Mapping(_)) => Node::mapping(node.span, rest),
        _ => node.clone(),
    };
    Some((node, weight))
}

/// A share of the messages.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Weight(#[schemars(range(min = 1, max = 1000))] u32);
