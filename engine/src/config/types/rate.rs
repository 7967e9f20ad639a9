//! `100/s`, `5/10s`: how many per how long.

use super::Duration;
use crate::config::{Leaf, LeafError};
use std::fmt;
use std::num::NonZeroU32;

/// A number of events per span of time: `100/s`, `1000/m`, `5/10s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many, at least one.
    pub count: NonZeroU32,
    /// Per how long; never zero.
    pub per: Duration,
}

impl Leaf for Rate {
    const NAME: &'static str = "rate";
    const DESCRIPTION: &'static str =
        "How many per how long: a number, `/`, and a duration; `s` is short for `1s`.";
    const PATTERN: &'static str = "^[0-9]+/[0-9]*(ms|s|m|h|d)$|\\$\\{";
    const EXAMPLES: &'static [&'static str] = &["100/s", "1000/m", "5/10s"];

    fn parse(text: &str) -> Result<Self, LeafError> {
        let (count, per) = text.split_once('/').ok_or_else(malformed)?;
        let digits = !count.starts_with('+');
        let count = digits
            .then(|| count.parse().ok())
            .flatten()
            .ok_or_else(malformed)?;
        let per = per_duration(per).ok_or_else(malformed)?;
        Ok(Self { count, per })
    }
}

crate::configuration_leaf!(Rate);

/// `10s`, or `s` for `1s`; never zero.
fn per_duration(text: &str) -> Option<Duration> {
    let bare = !text.starts_with(|first: char| first.is_ascii_digit());
    let per = if bare {
        Duration::parse(&format!("1{text}"))
    } else {
        Duration::parse(text)
    };
    per.ok().filter(|per| *per > Duration::default())
}

fn malformed() -> LeafError {
    LeafError::new(
        "not a rate",
        "write how many per how long, such as `100/s`, `1000/m` or `5/10s`",
    )
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = self.per.to_string();
        let short = ["1s", "1m", "1h", "1d", "1ms"].contains(&per.as_str());
        write!(f, "{}/{}", self.count, if short { &per[1..] } else { &per })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for text in ["100/s", "1000/m", "5/10s", "1/h", "2/250ms"] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Rate::parse("5/10s").unwrap().per, Duration::from_secs(10));
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "100",
            "/s",
            "0/s",
            "5/0s",
            "-1/s",
            "+1/s",
            "5/x",
            "5/",
            "1.5/s",
            "99999999999/s",
        ] {
            assert_eq!(Rate::parse(text).unwrap_err().message, "not a rate", "{text}");
        }
    }
}
