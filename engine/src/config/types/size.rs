//! `64KiB`, `10MiB`. As with durations the unit is part of the value; `KiB` counts by 1024 (IEC 80000-13),
//! `KB` by 1000 (SI).

use crate::config::{Leaf, LeafError};
use std::fmt;

/// An amount of data in bytes: `512B`, `64KiB`, `10MiB`, `1GiB`, or by thousands `10MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(u64);

impl Size {
    /// A number of bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A number of KiB.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// A number of MiB.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; on a 32-bit machine no more than fits.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Largest first, exact multiples of 1024 before those of 1000.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

impl Leaf for Size {
    const NAME: &'static str = "size";
    const DESCRIPTION: &'static str = "An amount of data with its unit: `B`, `KiB`, `MiB`, `GiB`, `TiB` (by 1024) or `KB`, `MB`, `GB`, `TB` (by 1000).";
    const PATTERN: &'static str = "^[0-9]+(B|[KMGT]i?B)$|\\$\\{";
    const EXAMPLES: &'static [&'static str] = &["512B", "64KiB", "10MiB", "1GiB"];

    fn parse(text: &str) -> Result<Self, LeafError> {
        let digits = text.len() - text.trim_start_matches(|byte: char| byte.is_ascii_digit()).len();
        let (count, unit) = text.split_at(digits);
        let count: u64 = count.parse().map_err(|_| malformed())?;
        count
            .checked_mul(unit_length(unit, count)?)
            .map(Size)
            .ok_or_else(malformed)
    }
}

crate::configuration_leaf!(Size);

fn unit_length(unit: &str, count: u64) -> Result<u64, LeafError> {
    if unit.is_empty() {
        return Err(LeafError::new(
            "a size needs a unit",
            format!("write `{count}B`, `{count}KiB` or `{count}MiB`"),
        ));
    }
    let unit = if unit == "kB" { "KB" } else { unit };
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    known.map(|(_, length)| *length).ok_or_else(|| {
        LeafError::new(
            "a size has no such unit",
            "the units are `B`, `KiB`, `MiB`, `GiB`, `TiB`, and `KB` and so on by 1000",
        )
    })
}

fn malformed() -> LeafError {
    LeafError::new(
        "not a size",
        "write a whole number and a unit, such as `64KiB` or `10MiB`",
    )
}

/// The largest unit that is exact.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, length): &&(&str, u64)| self.0 >= *length && self.0.is_multiple_of(*length);
        let (unit, length) = UNITS.iter().find(exact).copied().unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, bytes) in [
            ("0B", 0),
            ("64KiB", 65_536),
            ("10MiB", 10 << 20),
            ("10MB", 10_000_000),
            ("1537B", 1537),
        ] {
            assert_eq!(Size::parse(text).unwrap(), Size::from_bytes(bytes));
            assert_eq!(Size::from_bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn refuses_with_help() {
        assert_eq!(Size::parse("1024").unwrap_err().message, "a size needs a unit");
        for text in [
            "",
            "KiB",
            "1.5MiB",
            "-1B",
            "10 MiB",
            "10mib",
            "99999999999TiB",
            "é",
        ] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }
}
