//! Numbers, booleans, words, texts and leaves.

use super::Checker;
use super::kinds::Kinds;
use crate::config::nearest::suggestion;
use crate::config::plain::{self, Plain};
use crate::config::{Diagnostic, Node, Scalar, Segment, leaf, placeholders};
use serde_json::Value;

impl Checker<'_> {
    /// A text with a syntax of its own.
    pub(super) fn leaf(&mut self, node: &Node, name: &str, schema: &Value) -> Option<Node> {
        let Some(scalar) = node.as_scalar() else {
            return self.wrong_type(node, &format!("a {name}{}", example(schema)), schema);
        };
        let Err(error) = leaf::check(name, scalar.text()) else {
            return Some(node.clone());
        };
        let message = format!("{}: {}", node.describe(), error.message);
        let help = template_help(scalar).or(error.help);
        self.diagnostics
            .push(Diagnostic::error("config.bad_value", node.span, message).maybe_help(help));
        None
    }

    /// One of a list of words.
    pub(super) fn word(&mut self, node: &Node, words: &[&str]) -> Option<Node> {
        let Some(scalar) = node.as_scalar() else {
            let expected = format!("one of {}", quoted_list(words));
            return self.wrong_type(node, &expected, &Value::Null);
        };
        if words.contains(&scalar.text()) {
            return Some(node.clone());
        }
        self.not_allowed(node, words);
        None
    }

    pub(super) fn not_allowed(&mut self, node: &Node, words: &[&str]) {
        let message = format!("{} is not possible here", node.describe());
        let text = node
            .as_scalar()
            .filter(|scalar| !scalar.secret())
            .map_or("", Scalar::text);
        let help = suggestion(text, words.iter().copied());
        self.diagnostics
            .push(Diagnostic::error("config.not_allowed", node.span, message).maybe_help(help));
    }

    pub(super) fn scalar(
        &mut self,
        node: &Node,
        scalar: &Scalar,
        kinds: Kinds,
        schema: &Value,
    ) -> Option<Node> {
        if kinds.text {
            if !kinds.number {
                self.warn_of_expressions(node, scalar);
            }
            return self.text(node, scalar, schema);
        }
        match plain::classify(scalar.text()) {
            Plain::Bool(_) if kinds.boolean && scalar.may_be_plain() => Some(node.clone()),
            Plain::Number(text) if (kinds.integer || kinds.number) && scalar.may_be_plain() => {
                self.number(node, text, kinds, schema)
            }
            _ => self.wrong_scalar(node, scalar, kinds),
        }
    }

    /// A text that is no template (whose schema would allow numbers too) is used as it is.
    fn warn_of_expressions(&mut self, node: &Node, scalar: &Scalar) {
        for segment in scalar.segments() {
            let Segment::Template { text, start } = segment else {
                continue;
            };
            for placeholder in placeholders(&text) {
                let span = node.span_within(start + placeholder.range.start..start + placeholder.range.end);
                let message = "this is not evaluated: the text is read at load and used as it is";
                let help =
                    "only `${env.NAME}` and `${secret.NAME}`, with or without `default(...)`, can stand here";
                self.diagnostics
                    .push(Diagnostic::warning("config.not_evaluated", span, message).help(help));
            }
        }
    }

    fn text(&mut self, node: &Node, scalar: &Scalar, schema: &Value) -> Option<Node> {
        let shortest = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
        if (scalar.text().chars().count() as u64) < shortest {
            self.diagnostics.push(Diagnostic::error(
                "config.bad_value",
                node.span,
                "the text is too short",
            ));
            return None;
        }
        let pattern = schema.get("pattern").and_then(Value::as_str);
        let matches = pattern
            .and_then(|pattern| regex::Regex::new(pattern).ok())
            .is_none_or(|pattern| pattern.is_match(scalar.text()));
        if !matches {
            let message = format!("{} does not have the right form", node.describe());
            let help = example(schema);
            let diagnostic = Diagnostic::error("config.bad_value", node.span, message);
            let help = (!help.is_empty()).then(|| format!("write it{help}"));
            self.diagnostics.push(diagnostic.maybe_help(help));
        }
        matches.then(|| node.clone())
    }

    fn number(&mut self, node: &Node, text: &str, kinds: Kinds, schema: &Value) -> Option<Node> {
        let Some(value) = plain::float(text) else {
            return self.wrong_type(node, "a number", schema);
        };
        let whole = plain::integer(text);
        if !kinds.number && whole.is_none() {
            return self.wrong_type(node, "a whole number", schema);
        }
        let range = Range::of(schema);
        let fits = match whole {
            Some(whole) => range.holds_integer(whole),
            None => range.holds_float(value),
        };
        if !fits {
            let message = format!("{} is out of range", node.describe());
            let diagnostic = Diagnostic::error("config.out_of_range", node.span, message);
            self.diagnostics.push(diagnostic.help(range.describe()));
        }
        fits.then(|| node.clone())
    }

    fn wrong_scalar(&mut self, node: &Node, scalar: &Scalar, kinds: Kinds) -> Option<Node> {
        let message = format!("expected {}, found {}", kinds.describe(), node.describe());
        let help = template_help(scalar).or_else(|| scalar_help(scalar, kinds));
        self.diagnostics
            .push(Diagnostic::error("config.wrong_type", node.span, message).maybe_help(help));
        None
    }
}

fn scalar_help(scalar: &Scalar, kinds: Kinds) -> Option<String> {
    let text = scalar.text();
    if scalar.secret() {
        return None;
    }
    let meant = match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" => Some("true"),
        "no" | "off" | "n" => Some("false"),
        _ => None,
    };
    if let Some(word) = meant.filter(|_| kinds.boolean) {
        return Some(format!("write `{word}`"));
    }
    let fits = Kinds { text: false, ..kinds }.fit(&Node::scalar(Default::default(), text, scalar.style()));
    if scalar.quoted() && fits {
        return Some("remove the quotes".to_owned());
    }
    let digits = text.trim_start_matches('0');
    let leading_zero = digits.len() < text.len() && plain::integer(digits).is_some();
    (leading_zero && (kinds.integer || kinds.number))
        .then(|| format!("write `{digits}`, without the leading zero"))
}

/// A value that is read at load cannot depend on a message.
fn template_help(scalar: &Scalar) -> Option<String> {
    let help = "this is read at load, where `${...}` may refer to `env.NAME` and `secret.NAME` only";
    scalar
        .text()
        .contains("${")
        .then(|| help.to_owned())
        .filter(|_| !scalar.secret())
}

/// `` such as `3s` ``, or nothing.
fn example(schema: &Value) -> String {
    let first = schema.get("examples").and_then(|examples| examples.get(0));
    first
        .and_then(Value::as_str)
        .map(|example| format!(" such as `{example}`"))
        .unwrap_or_default()
}

pub(super) fn quoted_list(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The numbers a schema allows.
struct Range {
    smallest: Option<f64>,
    largest: Option<f64>,
    integers: Option<(i128, i128)>,
}

impl Range {
    fn of(schema: &Value) -> Self {
        let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
        let integers = match schema.get("format").and_then(Value::as_str) {
            Some("uint8") => Some((0, i128::from(u8::MAX))),
            Some("uint16") => Some((0, i128::from(u16::MAX))),
            Some("uint32") => Some((0, i128::from(u32::MAX))),
            Some("uint64" | "uint") => Some((0, i128::from(u64::MAX))),
            Some("int8") => Some((i128::from(i8::MIN), i128::from(i8::MAX))),
            Some("int16") => Some((i128::from(i16::MIN), i128::from(i16::MAX))),
            Some("int32") => Some((i128::from(i32::MIN), i128::from(i32::MAX))),
            Some("int64" | "int") => Some((i128::from(i64::MIN), i128::from(i64::MAX))),
            _ => None,
        };
        Self {
            smallest: limit("minimum"),
            largest: limit("maximum"),
            integers,
        }
    }

    fn holds_integer(&self, value: i128) -> bool {
        let (smallest, largest) = self.integers.unwrap_or((i128::MIN, i128::MAX));
        #[expect(clippy::cast_precision_loss, reason = "schema limits are doubles")]
        let float = value as f64;
        (smallest..=largest).contains(&value) && self.holds_float(float)
    }

    fn holds_float(&self, value: f64) -> bool {
        self.smallest.is_none_or(|smallest| value >= smallest)
            && self.largest.is_none_or(|largest| value <= largest)
    }

    fn describe(&self) -> String {
        let smallest = self
            .smallest
            .or(self.integers.map(|(smallest, _)| to_float(smallest)));
        let largest = self
            .largest
            .or(self.integers.map(|(_, largest)| to_float(largest)));
        match (smallest, largest) {
            (Some(smallest), Some(largest)) => format!("possible here: {smallest} to {largest}"),
            (Some(smallest), None) => format!("must be at least {smallest}"),
            (None, Some(largest)) => format!("must be at most {largest}"),
            (None, None) => "use a smaller number".to_owned(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for display only")]
fn to_float(value: i128) -> f64 {
    value as f64
}
