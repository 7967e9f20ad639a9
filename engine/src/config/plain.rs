//! What an unquoted scalar means, by the core schema of YAML 1.2 (section 10.3.2): `null`, `true` and numbers
//! are special, everything else is text. YAML 1.1's `yes`, `on` and `0777` are text, and so is `012`: a leading
//! zero is almost always an identifier whose zero must not be lost.

use serde_json::{Number, Value};

/// The meaning of an unquoted scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plain<'a> {
    Null,
    Bool(bool),
    /// The text of a number, in YAML's spelling.
    Number(&'a str),
    Text,
}

pub(super) fn classify(text: &str) -> Plain<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        _ if is_number(text) => Plain::Number(text),
        _ => Plain::Text,
    }
}

fn is_number(text: &str) -> bool {
    radix(text).is_some() || is_decimal(text.strip_prefix(['-', '+']).unwrap_or(text))
}

/// `0x1F` and `0o17`.
fn radix(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x', ..] => (&text[2..], 16),
        [b'0', b'o', ..] => (&text[2..], 8),
        _ => return None,
    };
    let plain = digits.bytes().all(|digit| digit.is_ascii_alphanumeric());
    plain.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

/// Digits with an optional fraction and exponent, at least one digit, no leading zero.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|it| {
        let digits = it.strip_prefix(['-', '+']).unwrap_or(it);
        !digits.is_empty() && all_digits(digits)
    });
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    let some_digit = !whole.is_empty() || !fraction.is_empty();
    some_digit && !leading_zero && all_digits(whole) && all_digits(fraction) && exponent_fits
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number for JSON: the digits as written where JSON allows the spelling.
pub(super) fn json_number(text: &str) -> Value {
    if let Some(value) = radix(text) {
        return Value::from(value);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let zero = if digits.starts_with('.') { "0" } else { "" };
    let spelling = format!("{sign}{zero}{digits}")
        .replace(".e", ".0e")
        .replace(".E", ".0E");
    let point = if spelling.ends_with('.') { "0" } else { "" };
    // Parsing would do for the digits, but it rewrites the exponent of `1E400`.
    Value::Number(Number::from_string_unchecked(spelling + point))
}

/// The value of an integer.
pub(super) fn integer(text: &str) -> Option<i128> {
    if let Some(value) = radix(text) {
        return Some(i128::from(value));
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    (is_decimal(digits) && all_digits(digits))
        .then(|| text.parse().ok())
        .flatten()
}

/// The value of any finite number.
pub(super) fn float(text: &str) -> Option<f64> {
    if let Some(value) = integer(text) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the nearest double is what a float field asks for"
        )]
        return Some(value as f64);
    }
    is_number(text)
        .then(|| text.parse().ok())
        .flatten()
        .filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_by_the_core_schema() {
        for text in [
            "1", "-1", "+1", "1.10", ".5", "5.", "1e3", "1.e3", "1E-3", "0x1F", "0o17", "0", "0.0",
        ] {
            assert_eq!(classify(text), Plain::Number(text), "{text}");
        }
        for text in [
            "yes", "on", "012", "1_000", "1:30", "0x", "0xZZ", "0x+1", "e3", ".", "-", "+", "1e", ".inf", "٣",
        ] {
            assert_eq!(classify(text), Plain::Text, "{text}");
        }
        assert_eq!(classify("~"), Plain::Null);
        assert_eq!(classify("True"), Plain::Bool(true));
    }

    #[test]
    fn json_keeps_the_digits() {
        let texts = ["1.10", "123456789012345678901234", "1E400", "-0.0"];
        for text in texts {
            assert_eq!(json_number(text).to_string(), text);
        }
        assert_eq!(json_number("0x1F").to_string(), "31");
        assert_eq!(json_number("+.5").to_string(), "0.5");
        assert_eq!(json_number("5.").to_string(), "5.0");
        assert_eq!(json_number("5.e3").to_string(), "5.0e3");
    }

    #[test]
    fn reads_integers_and_floats() {
        assert_eq!(integer("8290"), Some(8290));
        assert_eq!(integer("-0x1"), None);
        assert_eq!(integer("1.0"), None);
        assert_eq!(float("1e3"), Some(1000.0));
        assert_eq!(float("1e999"), None);
        assert_eq!(float("nan"), None);
    }
}
