//! Short texts with a syntax of their own: failures, statuses, shares.

use crate::config::{Leaf, LeafError, leaf_schema};
use crate::endpoint::trigger::{Failure, Statuses, Triggers};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use std::borrow::Cow;
use std::fmt;

/// A status or a class of them: `404`, `5xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusPattern {
    first: u16,
    last: u16,
}

impl StatusPattern {
    pub(in crate::endpoint) fn one(status: u16) -> Self {
        Self {
            first: status,
            last: status,
        }
    }

    pub(in crate::endpoint) fn add_to(self, statuses: &mut Statuses) {
        statuses.insert(self.first, self.last);
    }
}

impl Leaf for StatusPattern {
    const NAME: &'static str = "status";
    const DESCRIPTION: &'static str = "A status such as `404`, or a class of them such as `5xx`.";
    const PATTERN: &'static str = "^([1-5][0-9]{2}|[1-5]xx)$|\\$\\{";
    const EXAMPLES: &'static [&'static str] = &["404", "4xx", "5xx"];

    fn parse(text: &str) -> Result<Self, LeafError> {
        let class = text
            .strip_suffix("xx")
            .and_then(|class| class.parse::<u16>().ok());
        if let Some(class) = class.filter(|class| (1..=5).contains(class)) {
            return Ok(Self {
                first: class * 100,
                last: class * 100 + 99,
            });
        }
        let status = text
            .parse()
            .ok()
            .filter(|status| text.len() == 3 && (100..=599).contains(status));
        let help = "write a status such as `404`, or a class such as `5xx`";
        status
            .map(|status| Self {
                first: status,
                last: status,
            })
            .ok_or_else(|| LeafError::new("not a status", help))
    }
}

impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}xx", self.first / 100)
        }
    }
}

/// What a retry or failover reacts to: a kind of failure or a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerName {
    /// No connection could be made.
    Connect,
    /// No reply in time.
    Timeout,
    /// The connection was lost before the reply was complete.
    ConnectionLost,
    /// The reply could not be understood.
    BadReply,
    /// The circuit breaker of a member refused the call.
    CircuitOpen,
    /// A reply with such a status.
    Status(StatusPattern),
}

const FAILURES: [(&str, TriggerName, Failure); 5] = [
    ("connect", TriggerName::Connect, Failure::Connect),
    ("timeout", TriggerName::Timeout, Failure::Timeout),
    (
        "connection_lost",
        TriggerName::ConnectionLost,
        Failure::ConnectionLost,
    ),
    ("bad_reply", TriggerName::BadReply, Failure::BadReply),
    ("circuit_open", TriggerName::CircuitOpen, Failure::CircuitOpen),
];

impl TriggerName {
    pub(in crate::endpoint) fn add_to(self, triggers: &mut Triggers) {
        match self {
            Self::Status(pattern) => pattern.add_to(&mut triggers.statuses),
            failure => {
                let known = FAILURES.iter().find(|(_, name, _)| *name == failure);
                known
                    .into_iter()
                    .for_each(|(_, _, failure)| triggers.insert(*failure));
            }
        }
    }
}

impl Leaf for TriggerName {
    const NAME: &'static str = "failure_or_status";
    const DESCRIPTION: &'static str = "A kind of failure (`connect`, `timeout`, `connection_lost`, `bad_reply`, `circuit_open`), a status such as `503`, or a class of them such as `5xx`.";
    const PATTERN: &'static str =
        "^(connect|timeout|connection_lost|bad_reply|circuit_open|[1-5][0-9]{2}|[1-5]xx)$|\\$\\{";
    const EXAMPLES: &'static [&'static str] = &["connect", "timeout", "503", "5xx"];

    fn parse(text: &str) -> Result<Self, LeafError> {
        if let Some((_, failure, _)) = FAILURES.iter().find(|(name, _, _)| *name == text) {
            return Ok(*failure);
        }
        StatusPattern::parse(text).map(Self::Status).map_err(|_| {
            let help = "possible are `connect`, `timeout`, `connection_lost`, `bad_reply`, `circuit_open`, \
                        a status such as `503`, or a class such as `5xx`";
            LeafError::new("neither a kind of failure nor a status", help)
        })
    }
}

impl fmt::Display for TriggerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, FAILURES.iter().find(|(_, name, _)| name == self)) {
            (Self::Status(pattern), _) => pattern.fmt(f),
            (_, Some((text, ..))) => f.write_str(text),
            (_, None) => Ok(()),
        }
    }
}

/// A share: `20%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u8);

impl Percent {
    /// From 0 to 1.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl Leaf for Percent {
    const NAME: &'static str = "percent";
    const DESCRIPTION: &'static str = "A share from `0%` to `100%`.";
    const PATTERN: &'static str = "^(100|[0-9]{1,2})%$|\\$\\{";
    const EXAMPLES: &'static [&'static str] = &["20%"];

    fn parse(text: &str) -> Result<Self, LeafError> {
        let share = text
            .strip_suffix('%')
            .and_then(|share| share.parse().ok())
            .filter(|share| *share <= 100);
        let help = "write a whole number from 0 to 100 and `%`, such as `20%`";
        share.map(Self).ok_or_else(|| LeafError::new("not a share", help))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

crate::configuration_leaf!(Percent);

/// How many recipients have to succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// Each of them.
    #[default]
    All,
    /// At least one.
    Any,
    /// At least so many.
    AtLeast(u32),
}

impl Leaf for Require {
    const NAME: &'static str = "require";
    const DESCRIPTION: &'static str = "`all`, `any`, or how many.";
    const PATTERN: &'static str = "^(all|any|[1-9][0-9]*)$|\\$\\{";
    const EXAMPLES: &'static [&'static str] = &["all", "any", "2"];

    fn parse(text: &str) -> Result<Self, LeafError> {
        let number = || text.parse().ok().filter(|number| *number > 0).map(Self::AtLeast);
        match text {
            "all" => Ok(Self::All),
            "any" => Ok(Self::Any),
            _ => number().ok_or_else(|| {
                LeafError::new("not a number of recipients", "write `all`, `any` or a number")
            }),
        }
    }
}

impl fmt::Display for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Any => f.write_str("any"),
            Self::AtLeast(number) => number.fmt(f),
        }
    }
}

/// As `configuration_leaf!`, for leaves that YAML may take for a number.
macro_rules! leaf_or_number {
    ($($type:ty),*) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                <$type as Leaf>::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                <$type as Leaf>::NAME.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let mut schema = leaf_schema::<$type>(generator);
                schema.insert("type".to_owned(), json!(["string", "integer"]));
                schema
            }
        }
    )*};
}

leaf_or_number!(StatusPattern, TriggerName, Require);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_read_back_what_they_write() {
        fn check<T: Leaf + fmt::Display>(good: &[&str], bad: &[&str]) {
            for text in good {
                assert_eq!(
                    T::parse(text).map(|value| value.to_string()).as_deref(),
                    Ok(*text)
                );
            }
            for text in bad {
                assert!(T::parse(text).is_err(), "{text}");
            }
        }
        check::<StatusPattern>(
            &["100", "404", "5xx"],
            &["", "99", "600", "6xx", "xx", "+40", "04", "5XX", "0xx"],
        );
        check::<TriggerName>(
            &["connect", "circuit_open", "503", "4xx"],
            &["", "Connect", "refused", "9xx"],
        );
        check::<Percent>(&["0%", "20%", "100%"], &["", "20", "101%", "-1%", "%", "2.5%"]);
        check::<Require>(&["all", "any", "3"], &["", "0", "-1", "some", "99999999999"]);
    }
}
