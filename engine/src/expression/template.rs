//! Strings with `${ ... }` in them. Without blocks a template is a list of literals and expressions; with `{% ... %}` it is a MiniJinja template.

use super::analyze;
use super::environment::{ENVIRONMENT, syntax_error};
use super::slot::Slot;
use super::{CompileError, Expression, Scope, Value, View};
use crate::exchange::Exchange;
use crate::fault::{Fault, FaultCode};
use crate::mediator::Needs;
use minijinja::syntax::SyntaxConfig;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// Everything but the unreserved characters of RFC 3986.
pub(crate) const URL_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How inserted values are made safe for the text around them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// Not at all: plain text.
    #[default]
    None,
    /// For XML text and attribute values.
    Xml,
    /// For the inside of a JSON string.
    Json,
    /// For one component of a URL.
    Url,
}

/// A compiled template.
pub struct Template {
    parts: Vec<Part>,
    escape: Escape,
}

enum Part {
    Literal(Box<str>),
    Expression(Expression),
    Blocks(Box<Blocks>),
}

struct Blocks {
    environment: minijinja::Environment<'static>,
    slots: Box<[Slot]>,
    place: Option<Arc<str>>,
}

static SYNTAX: LazyLock<SyntaxConfig> = LazyLock::new(|| {
    let mut builder = SyntaxConfig::builder();
    builder.variable_delimiters("${", "}");
    builder.build().expect("the delimiters are distinct")
});

impl Template {
    /// Compiles a text. `$${` is a literal `${`.
    ///
    /// # Errors
    /// Every mistake found, with its range in `text`.
    pub fn compile(text: &str, scope: &Scope, escape: Escape) -> Result<Self, Vec<CompileError>> {
        let parts = if text.contains("{%") {
            vec![blocks(text, scope, escape)?]
        } else {
            segments(text, scope)?
        };
        Ok(Self { parts, escape })
    }

    /// A template that is only this text, never evaluated.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self {
            parts: vec![Part::Literal(text.into())],
            escape: Escape::None,
        }
    }

    /// Appends another template; both keep their own parts, this one's escaping applies.
    pub fn append(&mut self, other: Self) {
        self.parts.extend(other.parts);
    }

    /// Says where the template stands, for its faults.
    #[must_use]
    pub fn at(mut self, place: &Arc<str>) -> Self {
        for part in &mut self.parts {
            match part {
                Part::Literal(_) => {}
                Part::Expression(expression) => expression.place = Some(Arc::clone(place)),
                Part::Blocks(blocks) => blocks.place = Some(Arc::clone(place)),
            }
        }
        self
    }

    /// How much of the payload it reads.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.slots().map(super::needs).max().unwrap_or_default()
    }

    /// How much of the original message it reads.
    #[must_use]
    pub fn needs_original(&self) -> Option<Needs> {
        self.slots().filter_map(super::needs_original).max()
    }

    fn slots(&self) -> impl Iterator<Item = &[Slot]> {
        self.parts.iter().map(|part| match part {
            Part::Literal(_) => &[][..],
            Part::Expression(expression) => &expression.slots,
            Part::Blocks(blocks) => &blocks.slots,
        })
    }

    /// The text, where nothing is evaluated per message.
    #[must_use]
    pub fn as_literal(&self) -> Option<String> {
        let literal = |part: &Part| match part {
            Part::Literal(text) => Some(text.to_string()),
            _ => None,
        };
        self.parts.iter().map(literal).collect()
    }

    /// The value: of its own type where the text is exactly one `${ ... }`, else text.
    ///
    /// # Errors
    /// `gateway.expression`.
    pub fn value(&self, exchange: &Exchange) -> Result<Value, Fault> {
        match &self.parts[..] {
            [Part::Expression(expression)] => expression.evaluate(exchange),
            _ => self.render(exchange).map(Value::text),
        }
    }

    /// The text, with inserted values escaped.
    ///
    /// # Errors
    /// `gateway.expression`.
    pub fn render(&self, exchange: &Exchange) -> Result<String, Fault> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Expression(expression) => {
                    self.escape
                        .push_value(&mut text, expression.evaluate(exchange)?)?;
                }
                Part::Blocks(blocks) => text.push_str(&blocks.render(exchange)?),
            }
        }
        Ok(text)
    }
}

impl Escape {
    /// Writes a value as the text around it needs it: into JSON what is no string goes as JSON, into XML elements with children go as XML.
    fn push_value(self, out: &mut String, value: Value) -> Result<(), Fault> {
        match (self, value) {
            (Self::Json, Value::Json(Json::String(text))) => self.push(out, &text),
            (Self::Json, value @ (Value::Json(_) | Value::Model(_))) => {
                out.push_str(&value.to_json().to_string());
            }
            (Self::Json, Value::Nodes(model, nodes)) => match Value::Nodes(model, nodes).to_json() {
                Json::String(text) => self.push(out, &text),
                other => out.push_str(&other.to_string()),
            },
            (Self::Xml, value) => match value.to_xml_text() {
                Some(markup) => out.push_str(&markup),
                None => self.push(out, &value.into_text()?),
            },
            (_, value) => self.push(out, &value.into_text()?),
        }
        Ok(())
    }

    fn push(self, out: &mut String, value: &str) {
        match self {
            Self::None => out.push_str(value),
            Self::Xml => push_xml(out, value),
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
            Self::Url => out.extend(utf8_percent_encode(value, URL_COMPONENT)),
        }
    }
}

/// Escapes for XML text and attributes; characters that XML 1.0 cannot hold become U+FFFD.
fn push_xml(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(character),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
}

fn segments(text: &str, scope: &Scope) -> Result<Vec<Part>, Vec<CompileError>> {
    let mut parts = Vec::new();
    let mut errors = Vec::new();
    let mut literal = String::new();
    let mut rest = 0;
    while let Some(at) = text[rest..].find("${").map(|at| rest + at) {
        if text[rest..at].ends_with('$') {
            literal.push_str(&text[rest..at - 1]);
            literal.push_str("${");
            rest = at + 2;
            continue;
        }
        literal.push_str(&text[rest..at]);
        let Some(range) = expression_range(text, at + 2) else {
            let help = "a literal `${` is written `$${`".to_owned();
            errors.push(CompileError {
                range: at..at + 2,
                message: "`${` is not closed".into(),
                help: Some(help),
            });
            return Err(errors);
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal).into()));
        }
        rest = range.end + 1;
        match Expression::compile(&text[range.clone()], scope) {
            Ok(expression) => parts.push(Part::Expression(expression)),
            Err(found) => errors.extend(found.into_iter().map(|error| error.shifted(range.start))),
        }
    }
    literal.push_str(&text[rest..]);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Literal(literal.into()));
    }
    if errors.is_empty() { Ok(parts) } else { Err(errors) }
}

/// The range of the expression that begins at `start`, up to its closing brace; braces in map literals and strings do not close it.
fn expression_range(text: &str, start: usize) -> Option<Range<usize>> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth == 0 => return Some(start..at),
            (None, b'}') => depth -= 1,
            _ => {}
        }
    }
    None
}

const TEMPLATE: &str = "template";

fn blocks(text: &str, scope: &Scope, escape: Escape) -> Result<Part, Vec<CompileError>> {
    let literal_kept = text.replace("$${", "${'${'}");
    let analysis = analyze::template(&literal_kept, SYNTAX.clone(), scope)?;
    let mut environment = ENVIRONMENT.clone();
    environment.set_syntax(SYNTAX.clone());
    environment.set_auto_escape_callback(move |_| match escape {
        Escape::None => minijinja::AutoEscape::None,
        Escape::Xml => minijinja::AutoEscape::Custom("xml".into()),
        Escape::Json => minijinja::AutoEscape::Custom("json".into()),
        Escape::Url => minijinja::AutoEscape::Custom("url".into()),
    });
    environment.set_formatter(move |out, state, value| {
        if value.is_undefined() {
            return Err(minijinja::Error::new(
                minijinja::ErrorKind::UndefinedError,
                "a value is undefined",
            ));
        }
        let text = if value.is_none() {
            String::new()
        } else {
            value.to_string()
        };
        let mut escaped = String::with_capacity(text.len());
        let plain = value.is_safe() || matches!(state.auto_escape(), minijinja::AutoEscape::None);
        if plain { Escape::None } else { escape }.push(&mut escaped, &text);
        out.write_str(&escaped).map_err(minijinja::Error::from)
    });
    let added = environment.add_template_owned(TEMPLATE, analysis.rewritten);
    added.map_err(|error| vec![syntax_error(&error)])?;
    Ok(Part::Blocks(Box::new(Blocks {
        environment,
        slots: analysis.slots.into(),
        place: None,
    })))
}

impl Blocks {
    fn render(&self, exchange: &Exchange) -> Result<String, Fault> {
        let view = View::new(&self.slots, exchange).map_err(|error| self.fault(error))?;
        let template = self
            .environment
            .get_template(TEMPLATE)
            .map_err(|error| self.fault(error))?;
        let outcome = template.render(minijinja::Value::from_dyn_object(Arc::clone(&view)));
        if let Some(slot) = view.missing() {
            return Err(self.fault(format!("`{}` is undefined", self.slots[slot].text)));
        }
        outcome.map_err(|error| self.fault(error))
    }

    fn fault(&self, problem: impl std::fmt::Display) -> Fault {
        let place = self.place.as_deref().unwrap_or("?");
        Fault::new(
            FaultCode::Expression,
            "A template could not be filled for this message.",
        )
        .with_detail(format!("{place}: {problem}"))
    }
}

impl CompileError {
    /// The same error with its range moved, for text that was part of a larger one.
    #[must_use]
    pub fn shifted(mut self, by: usize) -> Self {
        self.range = self.range.start + by..self.range.end + by;
        self
    }
}
