//! The policy of an endpoint from its configuration.

use super::kind::Built;
use crate::build::Build;
use crate::config::{Duration, Node, OneOrMany, Spanned, suggestion};
use crate::endpoint::balance::stable_hash;
use crate::endpoint::breaker::{Breaker, BreakerSettings};
use crate::endpoint::config::{
    BreakerConfig, PolicyConfig, RetryConfig, SoapVersion, StatusPattern, TriggerName,
};
use crate::endpoint::headers::{Headers, Source};
use crate::endpoint::retry::{Budget, Retry};
use crate::endpoint::soap::Soap;
use crate::endpoint::trigger::{Failure, Statuses, Triggers};
use crate::endpoint::{Endpoint, Kind, Policy};
use crate::expression::Escape;
use crate::mediator::Needs;
use crate::model::soap::Version;
use http::{HeaderName, header};
use std::sync::Arc;

/// The default of an address's `timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A group without `retry` tries at most this many further members.
const MEMBERS_TRIED_MAX: u32 = 10;

/// The circuit breaker of group members that are given in place and have none.
pub(super) struct Health(BreakerConfig);

impl Health {
    /// The one of the configuration, else 5 failures in a row.
    pub(super) fn new(config: Option<&BreakerConfig>) -> Self {
        Self(config.cloned().unwrap_or_else(|| BreakerConfig {
            consecutive_failures: Some(5),
            requests_min: u32::MAX,
            open_for: Duration::from_secs(10),
            open_for_max: Duration::from_secs(60),
            statuses: Some(gateway_statuses()),
            ..BreakerConfig::default()
        }))
    }
}

/// The statuses of gateways in front of a backend that is not there.
fn gateway_statuses() -> OneOrMany<StatusPattern> {
    OneOrMany([502, 503, 504].map(StatusPattern::one).to_vec())
}

/// Puts an endpoint together.
pub(super) fn build(
    config: &PolicyConfig,
    name: Arc<str>,
    built: Built,
    health: Option<&Health>,
    node: &Node,
    cx: &mut Build<'_>,
) -> Option<Endpoint> {
    let Built { kind, on, .. } = built;
    let metrics = cx.metrics.backend(&name);
    let key = format!("{} {name} {:x}", cx.path(), stable_hash(&format!("{node:?}")));
    let retry = retry(config.retry.as_ref(), on.as_ref(), &kind, (&key, node), cx);
    let health = health
        .map(|Health(config)| config)
        .filter(|_| matches!(kind, Kind::Address(_)));
    let breaker = config.circuit_breaker.as_ref().or(health);
    let breaker = breaker.map(|breaker| {
        let settings = settings(breaker);
        let make = || Breaker::new(settings, metrics.state.clone());
        let shared = cx
            .state
            .get_or_insert(format!("circuit_breaker {key} {settings:?}"), make);
        (shared, failures(breaker, config))
    });
    let headers = headers(config, cx);
    let soap = soap(config, node, cx);
    let timeout = config
        .timeout
        .or_else(|| matches!(kind, Kind::Address(_)).then_some(TIMEOUT));
    let policy = Policy {
        timeout: timeout.map(Duration::get),
        retry: retry?,
        breaker,
        headers: headers?,
        soap: soap?,
        fault_on: statuses(&config.fault_on),
        forward: forward(config, cx)?,
    };
    let needs = needs(&kind)
        .max(policy.headers.needs())
        .max(policy.soap.as_ref().map_or(Needs::Headers, Soap::needs));
    Some(Endpoint {
        name,
        needs,
        policy,
        kind,
        metrics,
    })
}

fn needs(kind: &Kind) -> Needs {
    match kind {
        Kind::Address(address) => address.sender.needs(),
        Kind::Group(group) => group.needs(),
        Kind::Recipients(recipients) => recipients
            .members
            .iter()
            .map(|member| member.needs())
            .max()
            .unwrap_or_default(),
    }
}

fn statuses(patterns: &[StatusPattern]) -> Statuses {
    let mut statuses = Statuses::default();
    patterns.iter().for_each(|pattern| pattern.add_to(&mut statuses));
    statuses
}

/// The triggers of a list; without one those that tell of a backend that is not there.
fn triggers(on: Option<&OneOrMany<TriggerName>>) -> Triggers {
    let mut triggers = Triggers::default();
    match on {
        Some(names) => names.iter().for_each(|name| name.add_to(&mut triggers)),
        None => {
            triggers.insert_all([Failure::Connect, Failure::Timeout, Failure::ConnectionLost]);
            triggers.statuses = statuses(&gateway_statuses());
        }
    }
    triggers
}

#[expect(
    clippy::option_option,
    reason = "the outer level says whether there were errors"
)]
fn retry(
    config: Option<&RetryConfig>,
    failover_on: Option<&OneOrMany<TriggerName>>,
    kind: &Kind,
    (key, node): (&str, &Node),
    cx: &mut Build<'_>,
) -> Option<Option<Retry>> {
    if failover_on.is_some() && config.is_some_and(|config| config.on.is_some()) {
        let span = node.entry("retry").map_or(node.span, |(key, _)| key.span);
        let help = Some("keep one of `failover.on` and `retry.on`: they are the same list".to_owned());
        cx.error(
            "config.misplaced_key",
            span,
            "this endpoint says twice what to react to",
            help,
        );
        return None;
    }
    let further = match kind {
        Kind::Group(group) => u32::try_from(group.members.len()).unwrap_or(u32::MAX) - 1,
        Kind::Address(_) | Kind::Recipients(_) => 0,
    };
    let config = match config {
        None if further == 0 => return Some(None),
        Some(config) => config.clone(),
        None => RetryConfig {
            attempts: further.min(MEMBERS_TRIED_MAX),
            ..RetryConfig::default()
        },
    };
    let explicit = node.get("retry").is_some();
    let ratio = config.budget.ratio();
    let budget = || {
        cx.state
            .get_or_insert(format!("retry_budget {key} {ratio}"), || Budget::new(ratio))
    };
    Some(Some(Retry {
        attempts: config.attempts,
        on: triggers(failover_on.or(config.on.as_ref())),
        backoff: config.backoff.get(),
        backoff_max: config.backoff_max.get(),
        jitter: config.jitter,
        non_idempotent: config.non_idempotent,
        budget: explicit.then(budget),
    }))
}

fn settings(config: &BreakerConfig) -> BreakerSettings {
    BreakerSettings {
        failure_ratio: config.failure_ratio,
        window: config.window.get(),
        requests_min: config.requests_min,
        consecutive_failures: config.consecutive_failures,
        open_for: config.open_for.get(),
        open_for_max: config.open_for_max.get().max(config.open_for.get()),
        half_open_probes: config.half_open_probes,
    }
}

fn failures(config: &BreakerConfig, policy: &PolicyConfig) -> Triggers {
    let mut triggers = Triggers::default();
    triggers.insert_all([
        Failure::Connect,
        Failure::Timeout,
        Failure::ConnectionLost,
        Failure::BadReply,
    ]);
    match &config.statuses {
        Some(patterns) => triggers.statuses = statuses(patterns),
        None if policy.soap.is_some() => triggers.statuses = statuses(&gateway_statuses()),
        None => triggers.statuses.insert(500, 599),
    }
    triggers
}

/// Headers that belong to the connection or the framing of the body, which the transport sees to.
const NOT_SETTABLE: [HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
];

fn headers(config: &PolicyConfig, cx: &mut Build<'_>) -> Option<Headers> {
    let mut headers = Vec::new();
    let mut good = true;
    for (name, span, text) in config.headers.iter() {
        let parsed = HeaderName::try_from(name)
            .ok()
            .filter(|name| !NOT_SETTABLE.contains(name));
        let template = cx.template(text, Escape::None);
        let (Some(name), Some(template)) = (&parsed, template) else {
            if parsed.is_none() {
                cx.error(
                    "config.bad_header",
                    span,
                    format!("`{name}` is no header that can be set"),
                    None,
                );
            }
            good = false;
            continue;
        };
        match Source::text("", template) {
            Some(source) => headers.push((name.clone(), source)),
            None => {
                cx.error(
                    "config.bad_header",
                    text.span(),
                    "no header can have this value",
                    None,
                );
                good = false;
            }
        }
    }
    let credentials = credentials(config, cx)?;
    headers.extend(credentials.map(|source| (header::AUTHORIZATION, source)));
    good.then_some(Headers(headers))
}

#[expect(
    clippy::option_option,
    reason = "the outer level says whether there were errors"
)]
fn credentials(config: &PolicyConfig, cx: &mut Build<'_>) -> Option<Option<Source>> {
    let (source, span) = match (&config.basic_auth, &config.bearer) {
        (None, None) => return Some(None),
        (Some(_), Some(bearer)) => {
            let message = "an endpoint cannot have both `basic_auth` and `bearer`";
            cx.error("config.misplaced_key", bearer.span(), message, None);
            return None;
        }
        (Some(basic), None) => {
            let (user, password) = (
                cx.template(&basic.username, Escape::None),
                cx.template(&basic.password, Escape::None),
            );
            (Source::basic(user?, password?), basic.username.span())
        }
        (None, Some(bearer)) => (
            Source::text("Bearer ", cx.template(bearer, Escape::None)?),
            bearer.span(),
        ),
    };
    if source.is_none() {
        let help = "no control characters, and no `:` in a user name".to_owned();
        cx.error(
            "config.bad_header",
            span,
            "these credentials cannot be sent",
            Some(help),
        );
    }
    source.map(Some)
}

#[expect(
    clippy::option_option,
    reason = "the outer level says whether there were errors"
)]
fn soap(config: &PolicyConfig, node: &Node, cx: &mut Build<'_>) -> Option<Option<Soap>> {
    let action = match &config.action {
        Some(action) => Some(cx.template(action, Escape::None)?),
        None => None,
    };
    let version = match config.soap {
        Some(SoapVersion::Soap11) => Version::Soap11,
        Some(SoapVersion::Soap12) => Version::Soap12,
        None if action.is_none() => return Some(None),
        None => {
            let span = node.entry("action").map_or(node.span, |(key, _)| key.span);
            let help = Some("add `soap: \"1.1\"` or `soap: \"1.2\"`".to_owned());
            cx.error(
                "config.misplaced_key",
                span,
                "only SOAP endpoints have an `action`",
                help,
            );
            return None;
        }
    };
    Some(Some(Soap { version, action }))
}

/// What `forward` may name.
const FORWARDABLE: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

fn forward(config: &PolicyConfig, cx: &mut Build<'_>) -> Option<Box<[HeaderName]>> {
    let mut one = |name: &Spanned<String>| {
        let known = FORWARDABLE
            .iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(&name.value));
        if known.is_none() {
            let help = suggestion(&name.value, FORWARDABLE.iter().map(HeaderName::as_str));
            cx.error(
                "config.not_allowed",
                name.span,
                "only headers that a `call` leaves out can stand here",
                help,
            );
        }
        known.cloned()
    };
    config.forward.iter().map(&mut one).collect()
}
