//! Dates, times and durations (XML Schema 1.0 part 2 sections 3.2.6 to 3.2.14): lexical forms and their
//! partial orders.

use super::decimal::Decimal;
use super::value::Primitive;
use std::cmp::Ordering;

/// A point in time, or a recurring one placed at a fixed point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moment {
    /// Seconds since an arbitrary epoch; in UTC if zoned.
    seconds: i64,
    /// The digits after the decimal point of the seconds, without trailing zeros.
    fraction: String,
    zoned: bool,
}

const FOURTEEN_HOURS: i64 = 14 * 3600;

impl Moment {
    pub(super) fn parse(kind: Primitive, text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let (mut year, mut month, mut day) = (2000, 1, 1);
        let mut clock = (0, String::new());
        match kind {
            Primitive::DateTime => {
                (year, month, day) = reader.date()?;
                reader.literal("T")?;
                clock = reader.clock()?;
            }
            Primitive::Date => (year, month, day) = reader.date()?,
            Primitive::Time => clock = reader.clock()?,
            Primitive::GYear => year = reader.year()?,
            Primitive::GYearMonth => {
                year = reader.year()?;
                reader.literal("-")?;
                month = reader.number(2, 1, 12)?;
            }
            Primitive::GMonthDay => {
                reader.literal("--")?;
                month = reader.number(2, 1, 12)?;
                reader.literal("-")?;
                day = reader.number(2, 1, days_in_month(2000, month))?;
            }
            Primitive::GMonth => {
                reader.literal("--")?;
                month = reader.number(2, 1, 12)?;
            }
            Primitive::GDay => {
                reader.literal("---")?;
                day = reader.number(2, 1, 31)?;
            }
            _ => return None,
        }
        let zone = reader.zone()?;
        let seconds = days_from_epoch(year, month, day) * 86_400 + clock.0;
        let seconds = seconds - zone.unwrap_or(0) * 60;
        Some(Self {
            seconds,
            fraction: clock.1,
            zoned: zone.is_some(),
        })
    }

    /// The partial order of section 3.2.7.4: without a zone a moment may be any of 28 hours.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        let exact = |left: i64, right: i64| left.cmp(&right).then_with(|| self.fraction.cmp(&other.fraction));
        if self.zoned == other.zoned {
            return Some(exact(self.seconds, other.seconds));
        }
        let (left, right) = (self.seconds, other.seconds);
        if exact(left + FOURTEEN_HOURS, right) == Ordering::Less {
            Some(Ordering::Less)
        } else if exact(left - FOURTEEN_HOURS, right) == Ordering::Greater {
            Some(Ordering::Greater)
        } else {
            None
        }
    }

    pub(super) fn canonical(&self) -> String {
        format!(
            "{}.{}{}",
            self.seconds,
            self.fraction,
            if self.zoned { "Z" } else { "" }
        )
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn literal(&mut self, expected: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    fn digits(&mut self) -> &'a str {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        digits
    }

    /// Exactly `width` digits for a number from `least` to `most`.
    fn number(&mut self, width: usize, least: i64, most: i64) -> Option<i64> {
        let digits = self
            .rest
            .get(..width)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        self.rest = &self.rest[width..];
        digits
            .parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
    }

    /// At least four digits, no superfluous zeros, not the year zero; at most twelve digits here.
    fn year(&mut self) -> Option<i64> {
        let negative = self.literal("-").is_some();
        let digits = self.digits();
        if !(4..=12).contains(&digits.len()) || digits.len() > 4 && digits.starts_with('0') {
            return None;
        }
        let year: i64 = digits.parse().ok().filter(|&year| year != 0)?;
        // The year before 1 is -1: there is no year 0 to count.
        Some(if negative { 1 - year } else { year })
    }

    fn date(&mut self) -> Option<(i64, i64, i64)> {
        let year = self.year()?;
        self.literal("-")?;
        let month = self.number(2, 1, 12)?;
        self.literal("-")?;
        let day = self.number(2, 1, days_in_month(year, month))?;
        Some((year, month, day))
    }

    /// Seconds of the day and the digits after the decimal point.
    fn clock(&mut self) -> Option<(i64, String)> {
        let hour = self.number(2, 0, 24)?;
        self.literal(":")?;
        let minute = self.number(2, 0, 59)?;
        self.literal(":")?;
        let second = self.number(2, 0, 59)?;
        let mut fraction = "";
        if self.literal(".").is_some() {
            fraction = self.digits();
            if fraction.is_empty() {
                return None;
            }
        }
        let fraction = fraction.trim_end_matches('0').to_owned();
        if hour == 24 && (minute, second, fraction.as_str()) != (0, 0, "") {
            return None;
        }
        Some((hour * 3600 + minute * 60 + second, fraction))
    }

    /// Minutes east of UTC; `None` inside for no zone. Nothing may follow.
    fn zone(&mut self) -> Option<Option<i64>> {
        let sign = match self.rest.as_bytes().first() {
            None => return Some(None),
            Some(b'Z') if self.rest.len() == 1 => return Some(Some(0)),
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let hour = self.number(2, 0, 14)?;
        self.literal(":")?;
        let minute = self.number(2, 0, if hour == 14 { 0 } else { 59 })?;
        self.rest.is_empty().then_some(Some(sign * (hour * 60 + minute)))
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1 January 2000 of the proleptic Gregorian calendar.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    let months: i64 = (1..month).map(|month| days_in_month(year, month)).sum();
    before * 365 + leap_days + months + day - 730_120
}

/// Months and seconds; the two do not convert into each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Duration {
    months: i64,
    seconds: i64,
    fraction: String,
    negative: bool,
}

impl Duration {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let rest = rest.strip_prefix('P')?;
        let (date, time) = match rest.split_once('T') {
            Some((_, "")) => return None,
            Some((date, time)) => (date, time),
            None => (rest, ""),
        };
        if rest.is_empty() {
            return None;
        }
        let mut duration = Self {
            months: 0,
            seconds: 0,
            fraction: String::new(),
            negative,
        };
        duration.fields(date, &[('Y', 12, 0), ('M', 1, 0), ('D', 0, 86_400)])?;
        duration.fields(time, &[('H', 0, 3600), ('M', 0, 60), ('S', 0, 1)])?;
        if duration.is_zero() {
            duration.negative = false;
        }
        Some(duration)
    }

    /// Numbers with their units, in this order; each is worth so many months and seconds.
    fn fields(&mut self, text: &str, units: &[(char, i64, i64)]) -> Option<()> {
        let mut rest = text;
        for &(unit, months, seconds) in units {
            let length = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, after) = rest.split_at(length);
            let mut after = after;
            let mut fraction = "";
            if let (Some(tail), 'S') = (after.strip_prefix('.'), unit) {
                let length = tail.bytes().take_while(u8::is_ascii_digit).count();
                (fraction, after) = tail.split_at(length);
                if fraction.is_empty() {
                    return None;
                }
            }
            let Some(after) = after.strip_prefix(unit) else {
                continue;
            };
            if digits.is_empty() || digits.len() > 12 {
                return None;
            }
            let number: i64 = digits.parse().ok()?;
            self.months = self.months.checked_add(number.checked_mul(months)?)?;
            self.seconds = self.seconds.checked_add(number.checked_mul(seconds)?)?;
            fraction.trim_end_matches('0').clone_into(&mut self.fraction);
            rest = after;
        }
        rest.is_empty().then_some(())
    }

    fn is_zero(&self) -> bool {
        self.months == 0 && self.seconds == 0 && self.fraction.is_empty()
    }

    /// The partial order of section 3.2.6.2: it holds where it holds from four reference dates.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        let mut orders = [(1696, 9), (1697, 2), (1903, 3), (1903, 7)]
            .into_iter()
            .map(|(year, month)| self.added_to(year, month).cmp(&other.added_to(year, month)));
        let first = orders.next()?;
        orders.all(|order| order == first).then_some(first)
    }

    fn added_to(&self, year: i64, month: i64) -> Decimal {
        let sign = if self.negative { -1 } else { 1 };
        let months = year * 12 + month - 1 + sign * self.months;
        let days = days_from_epoch(months.div_euclid(12), months.rem_euclid(12) + 1, 1);
        let whole = i128::from(days) * 86_400 + i128::from(sign * self.seconds);
        // The fraction is subtracted from, or added to, whole seconds: exact in decimal digits.
        let fraction: String = self.fraction.chars().take(18).collect();
        let scale = 10_i128.pow(u32::try_from(fraction.len()).unwrap_or(18));
        let parts = whole * scale + i128::from(sign) * fraction.parse::<i128>().unwrap_or(0);
        let text = format!("{:0>width$}", parts.unsigned_abs(), width = fraction.len() + 1);
        let (before, after) = text.split_at(text.len() - fraction.len());
        let sign = if parts < 0 { "-" } else { "" };
        Decimal::parse(&format!("{sign}{before}.{after}")).unwrap_or_default()
    }

    pub(super) fn canonical(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}M{}.{}S", self.months, self.seconds, self.fraction)
    }
}
