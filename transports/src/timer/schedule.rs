//! When a timer is due. Pure: instants go in and come out.

use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt;
use std::time::Duration;

/// An interval, or times of the wall clock.
pub(super) enum Schedule {
    /// From start to start; never zero.
    Every(Duration),
    /// Times of the wall clock.
    Cron {
        cron: Box<Cron>,
        text: String,
        zone: TimeZone,
    },
}

impl Schedule {
    pub(super) fn cron(cron: Cron, text: &str, zone: TimeZone) -> Self {
        let (cron, text) = (Box::new(cron), text.to_owned());
        Self::Cron { cron, text, zone }
    }

    /// The first time after this one that is due; none where there is none any more.
    pub(super) fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(interval) => time.checked_add(*interval).ok(),
            Self::Cron { cron, zone, .. } => {
                let time = time.to_zoned(zone.clone());
                let next = cron.find_next_occurrence(&time, false).ok()?;
                Some(next.timestamp())
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(interval) => write!(f, "every={interval:?}"),
            Self::Cron { text, zone, .. } => {
                write!(f, "cron={text:?} zone={}", zone.iana_name().unwrap_or("UTC"))
            }
        }
    }
}
