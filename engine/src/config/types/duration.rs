//! `250ms`, `3s`, `1h30m`. The unit is part of the value, so that nobody has to remember whether a number
//! counts seconds or milliseconds.

use crate::config::{Leaf, LeafError};
use std::fmt;
use std::time;

/// A span of time with its unit: `250ms`, `3s`, `5m`, `1h`, `2d`, or several of them as in `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(time::Duration);

impl Duration {
    /// A number of milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(time::Duration::from_millis(milliseconds))
    }

    /// A number of seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(time::Duration::from_secs(seconds))
    }

    /// The standard library's duration.
    pub const fn get(self) -> time::Duration {
        self.0
    }
}

impl From<Duration> for time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

/// Units, largest first, and their length in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Longer than any wait that makes sense: 100 years.
const MILLISECONDS_MAX: u64 = 100 * 365 * 86_400_000;

impl Leaf for Duration {
    const NAME: &'static str = "duration";
    const DESCRIPTION: &'static str = "A duration with its unit: `ms`, `s`, `m`, `h` or `d`; several add up.";
    const PATTERN: &'static str = "^([0-9]+(ms|s|m|h|d))+$|\\$\\{";
    const EXAMPLES: &'static [&'static str] = &["250ms", "3s", "5m", "1h30m", "2d"];

    fn parse(text: &str) -> Result<Self, LeafError> {
        milliseconds(text).map(Duration::from_millis)
    }
}

crate::configuration_leaf!(Duration);

fn milliseconds(text: &str) -> Result<u64, LeafError> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|byte: char| byte.is_ascii_digit()).len();
        let letters = rest[digits..].len()
            - rest[digits..]
                .trim_start_matches(|byte: char| byte.is_ascii_alphabetic())
                .len();
        let unit = &rest[digits..digits + letters];
        let count = rest[..digits].parse::<u64>().map_err(|_| malformed())?;
        let length = unit_length(unit, count)?;
        total = total.saturating_add(count.saturating_mul(length));
        rest = &rest[digits + letters..];
    }
    if total > MILLISECONDS_MAX {
        return Err(LeafError::new(
            "the duration is longer than 100 years",
            "use a shorter one",
        ));
    }
    Ok(total)
}

fn unit_length(unit: &str, count: u64) -> Result<u64, LeafError> {
    if unit.is_empty() {
        let help = format!("write `{count}s` for seconds or `{count}ms` for milliseconds");
        return Err(LeafError::new("a duration needs a unit", help));
    }
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    known.map(|(_, length)| *length).ok_or_else(|| {
        LeafError::new(
            "a duration has no such unit",
            "the units are `ms`, `s`, `m`, `h` and `d`",
        )
    })
}

fn malformed() -> LeafError {
    LeafError::new(
        "not a duration",
        "write a whole number and a unit, such as `250ms`, `3s` or `1h30m`",
    )
}

/// The shortest exact spelling.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("3s", 3000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
        ] {
            let duration = Duration::parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds));
            assert_eq!(duration.to_string(), text);
        }
        assert_eq!(Duration::parse("0s").unwrap().to_string(), "0s");
    }

    #[test]
    fn refuses_with_help() {
        let error = Duration::parse("30").unwrap_err();
        assert_eq!(error.message, "a duration needs a unit");
        assert_eq!(
            error.help.as_deref(),
            Some("write `30s` for seconds or `30ms` for milliseconds")
        );
        for text in [
            "",
            "s",
            "1.5s",
            "-1s",
            "1 s",
            "1sec",
            "99999999999999999999s",
            "9999999999d",
            "é",
            "1é",
            "1s ",
        ] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }
}
