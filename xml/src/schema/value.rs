//! The primitive datatypes (XML Schema 1.0 part 2 section 3.2) and their values.

use super::decimal::Decimal;
use super::time::{Duration, Moment};
use crate::Document;
use crate::NodeId;
use crate::characters::is_ncname;
use std::cmp::Ordering;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Primitive {
    String,
    Boolean,
    Decimal,
    Float,
    Double,
    Duration,
    DateTime,
    Time,
    Date,
    GYearMonth,
    GYear,
    GMonthDay,
    GDay,
    GMonth,
    HexBinary,
    Base64Binary,
    AnyUri,
    QName,
    Notation,
}

/// A value in a value space.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Boolean(bool),
    Decimal(Decimal),
    Float(f64),
    Duration(Duration),
    Moment(Primitive, Moment),
    Binary(Vec<u8>),
    Name(String, String),
    List(Vec<Value>),
}

/// Where the prefixes of `xs:QName` values are looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) document: &'a Document,
    pub(super) node: NodeId,
}

impl Primitive {
    /// The value that `text`, with white space already normalized, stands for.
    pub(super) fn parse(self, text: &str, scope: Scope<'_>) -> Option<Value> {
        match self {
            Self::String | Self::AnyUri => Some(Value::Text(text.to_owned())),
            Self::Boolean => match text {
                "true" | "1" => Some(Value::Boolean(true)),
                "false" | "0" => Some(Value::Boolean(false)),
                _ => None,
            },
            Self::Decimal => Decimal::parse(text).map(Value::Decimal),
            Self::Float => float(text).map(|number| Value::Float(f64::from(number as f32))),
            Self::Double => float(text).map(Value::Float),
            Self::Duration => Duration::parse(text).map(Value::Duration),
            Self::HexBinary => hex(text).map(Value::Binary),
            Self::Base64Binary => base64(text).map(Value::Binary),
            Self::QName | Self::Notation => name(text, scope),
            _ => Moment::parse(self, text).map(|moment| Value::Moment(self, moment)),
        }
    }
}

/// A number as `xs:float` writes it: Rust's own syntax without its names for infinity.
fn float(text: &str) -> Option<f64> {
    match text {
        "INF" => Some(f64::INFINITY),
        "-INF" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ => {
            let is_number = text
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
            if is_number { text.parse().ok() } else { None }
        }
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// Base64 with white space between its characters (section 3.2.16).
fn base64(text: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> = text
        .bytes()
        .filter(|byte| !crate::characters::is_space(*byte))
        .collect();
    let padding = symbols.iter().rev().take_while(|&&symbol| symbol == b'=').count();
    if !symbols.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(symbols.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for symbol in &symbols[..symbols.len() - padding] {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

fn name(text: &str, scope: Scope<'_>) -> Option<Value> {
    let (prefix, local) = text.split_once(':').unwrap_or(("", text));
    if !is_ncname(local) || text.contains(':') && !is_ncname(prefix) {
        return None;
    }
    let namespace = scope.document.lookup_namespace(scope.node, prefix);
    let namespace = if prefix.is_empty() {
        Some(namespace.unwrap_or(""))
    } else {
        namespace
    };
    Some(Value::Name(namespace?.to_owned(), local.to_owned()))
}

impl Value {
    /// The order of the value space, where it has one.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Decimal(left), Self::Decimal(right)) => Some(left.cmp(right)),
            (Self::Float(left), Self::Float(right)) => match (left.is_nan(), right.is_nan()) {
                (true, true) => Some(Ordering::Equal),
                _ => left.partial_cmp(right),
            },
            (Self::Duration(left), Self::Duration(right)) => left.compare(right),
            (Self::Moment(kind, left), Self::Moment(other_kind, right)) if kind == other_kind => {
                left.compare(right)
            }
            _ => None,
        }
    }

    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::Boolean(left), Self::Boolean(right)) => left == right,
            (Self::Binary(left), Self::Binary(right)) => left == right,
            (Self::Name(namespace, local), Self::Name(other_namespace, other_local)) => {
                namespace == other_namespace && local == other_local
            }
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.equals(right))
            }
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    /// Characters, octets or items, for the length facets; names have none.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.chars().count()),
            Self::Binary(bytes) => Some(bytes.len()),
            Self::List(items) => Some(items.len()),
            _ => None,
        }
    }

    /// A text that equal values share and different ones do not, for keys.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Text(text) => format!("s{text}"),
            Self::Boolean(boolean) => format!("b{boolean}"),
            Self::Decimal(decimal) => format!("d{}", decimal.canonical()),
            Self::Float(number) => format!("f{}", if *number == 0.0 { 0.0 } else { *number }),
            Self::Duration(duration) => format!("p{}", duration.canonical()),
            Self::Moment(kind, moment) => format!("m{kind:?}{}", moment.canonical()),
            Self::Binary(bytes) => format!("x{bytes:?}"),
            Self::Name(namespace, local) => format!("q{{{namespace}}}{local}"),
            Self::List(items) => items.iter().map(|item| format!("l{}\0", item.key())).collect(),
        }
    }
}
