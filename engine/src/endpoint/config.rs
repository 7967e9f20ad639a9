//! The configuration of endpoints. An endpoint is a mapping with one key that says where to send (a transport, `load_balance`,
//! `failover` or `recipient_list`) and any of the keys of [`PolicyConfig`].

mod leaf;
mod schema;

pub use leaf::{Percent, Require, StatusPattern, TriggerName};
pub use schema::endpoint_schema;

use crate::config::{Duration, Named, OneOrMany, RawNode, Spanned, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What holds for every kind of endpoint.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// How long each attempt may take until the head of the reply is there; never longer than what the exchange has left. An
    /// address has 30s by default. For `load_balance`, `failover` and `recipient_list` it limits each attempt at a member, beside
    /// the member's own timeout, and there is no default.
    pub timeout: Option<Duration>,
    /// Tries again after a failure. Off by default; for `load_balance` and `failover` the default is to try each member once.
    pub retry: Option<RetryConfig>,
    /// Refuses calls for a while after too many failures (`backend.circuit_open`). Off by default.
    pub circuit_breaker: Option<BreakerConfig>,
    /// Headers to set on each request, `${ ... }` evaluated per message. They replace what the message has under these names.
    pub headers: Named<Text>,
    /// Sends HTTP Basic credentials (RFC 7617).
    pub basic_auth: Option<BasicAuthConfig>,
    /// Sends this bearer token (RFC 6750), best `${secret.NAME}`.
    pub bearer: Option<Text>,
    /// Of the client's `authorization`, `cookie` and `proxy-authorization` those that a `call` hands on to this backend.
    pub forward: OneOrMany<Spanned<String>>,
    /// Statuses that are faults (`backend.status`) rather than replies: `404`, `4xx`, `5xx`. None by default.
    pub fault_on: OneOrMany<StatusPattern>,
    /// The backend speaks SOAP of this version: a payload that is no envelope is put into one, an envelope of the other version is
    /// converted, and a SOAP fault in a reply with an error status becomes `backend.soap_fault`.
    pub soap: Option<SoapVersion>,
    /// The SOAP action where the step names none.
    pub action: Option<Text>,
}

/// Retries.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// How often to try again after the first attempt, at most 10.
    #[schemars(range(max = 10))]
    pub attempts: u32,
    /// What to try again after: `connect`, `timeout`, `connection_lost`, `bad_reply`, `circuit_open`, a status (`503`) or a class
    /// of them (`5xx`). By default `connect`, `timeout`, `connection_lost`, 502, 503 and 504.
    pub on: Option<OneOrMany<TriggerName>>,
    /// The wait before the first retry; it doubles each time.
    pub backoff: Duration,
    /// The longest wait. A backend that asks for a longer one (`Retry-After` of 429 and 503) is not tried again.
    pub backoff_max: Duration,
    /// Whether to wait for a random time between half of the backoff and all of it.
    pub jitter: bool,
    /// The share of calls within the last 10 seconds that may be retries. 10 retries in 10 seconds are always allowed.
    pub budget: Percent,
    /// Whether to send a message again that may have been processed already, such as a POST that got no reply in time. Without this
    /// only idempotent methods (GET, HEAD, OPTIONS, PUT, DELETE, TRACE) are retried, and others only where nothing had been sent.
    pub non_idempotent: bool,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 2,
            on: None,
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            jitter: true,
            budget: Percent(20),
            non_idempotent: false,
        }
    }
}

/// A circuit breaker.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// The share of failures within the window that opens the circuit.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub failure_ratio: f64,
    /// The time over which the share is measured.
    pub window: Duration,
    /// How many calls the window must have seen before the share counts.
    #[schemars(range(min = 1))]
    pub requests_min: u32,
    /// Opens the circuit after so many failures in a row, whatever their share. Off by default.
    #[schemars(range(min = 1))]
    pub consecutive_failures: Option<u32>,
    /// How long the circuit stays open at first; it doubles each time a probe fails.
    pub open_for: Duration,
    /// The longest time it stays open.
    pub open_for_max: Duration,
    /// How many calls may go through at once afterwards; all of them must succeed to close the circuit.
    #[schemars(range(min = 1, max = 100))]
    pub half_open_probes: u32,
    /// The statuses that are failures, beside connection failures, timeouts and replies that cannot be understood. By default
    /// `5xx`, with `soap` 502, 503 and 504, as a SOAP 1.1 fault has status 500.
    pub statuses: Option<OneOrMany<StatusPattern>>,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failure_ratio: 0.5,
            window: Duration::from_secs(10),
            requests_min: 20,
            consecutive_failures: None,
            open_for: Duration::from_secs(30),
            open_for_max: Duration::from_secs(300),
            half_open_probes: 1,
            statuses: None,
        }
    }
}

/// User and password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuthConfig {
    /// The user; it cannot have a colon.
    pub username: Text,
    /// The password, best `${secret.NAME}`.
    pub password: Text,
}

/// The versions of SOAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum SoapVersion {
    /// SOAP 1.1.
    #[serde(rename = "1.1")]
    Soap11,
    /// SOAP 1.2.
    #[serde(rename = "1.2")]
    Soap12,
}

/// One of several endpoints gets each message. Members whose circuits are open are left out; where a member fails, another one is
/// tried by the rules of `retry`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BalanceConfig {
    /// The members, at most 64: names, URLs or definitions in place, which may have a `weight` from 1 (the default) to 1000.
    /// `{ endpoint: NAME, weight: 3 }` gives a named endpoint a weight.
    #[schemars(length(min = 1, max = 64))]
    pub endpoints: Vec<RawNode>,
    /// How a member is chosen.
    #[serde(default)]
    pub algorithm: Spanned<Algorithm>,
    /// For `consistent_hash`: the text whose hash selects the member, such as `${headers['x-user']}`. Where it is empty members
    /// take turns.
    pub hash_on: Option<Text>,
    /// For `sticky_cookie`: the name of the cookie; by default `mediary_route`.
    pub cookie: Option<Spanned<String>>,
    /// The circuit breaker of members that are given by URL or in place and have none. By default 5 failures in a row
    /// (connection failures, timeouts, 502, 503, 504) take a member out for 10s.
    pub health: Option<BreakerConfig>,
}

/// How a member is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Equal turns.
    #[default]
    RoundRobin,
    /// Turns by weight.
    Weighted,
    /// The member with the fewest calls in flight for its weight.
    LeastRequests,
    /// The same member for the same `hash_on`. When a member goes or comes, only its own share moves.
    ConsistentHash,
    /// The first reply sets a cookie, by which the client's further messages go to the same member as long as it is up.
    StickyCookie,
}

/// The first endpoint whose circuit is not open gets each message; where it fails, the next one is tried. Once its circuit lets
/// calls through again, the first one is used again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailoverConfig {
    /// The members in order of preference, at most 64: names, URLs or definitions in place.
    #[schemars(length(min = 1, max = 64))]
    pub endpoints: Vec<RawNode>,
    /// After what to go on to the next member, as in `retry.on`.
    pub on: Option<OneOrMany<TriggerName>>,
    /// The circuit breaker of members that are given by URL or in place and have none, as in `load_balance`.
    pub health: Option<BreakerConfig>,
}

/// Each endpoint gets a copy of the message, all at the same time, and each is waited for. The reply is that of the first endpoint
/// in the list that succeeded, which means a status below 400.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecipientsConfig {
    /// The recipients, at most 64: names, URLs or definitions in place.
    #[schemars(length(min = 1, max = 64))]
    pub endpoints: Vec<RawNode>,
    /// How many have to succeed: `all`, `any` or a number. Otherwise the call fails as the first recipient that did not.
    #[serde(default)]
    pub require: Spanned<Require>,
}
