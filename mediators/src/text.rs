//! Helper: what several mediators do with settings: values of any kind, maps of templates, names of variables, checked fault codes.

use engine::build::Build;
use engine::config::{Named, Node, NodeValue, RawNode, Span, Spanned, Text, suggestion};
use engine::exchange::Exchange;
use engine::expression::{Escape, Expression, Structure, Template, Value};
use engine::fault::{Fault, FaultCode};
use engine::mediator::Needs;
use http::HeaderName;

/// A setting that says where a value comes from.
pub(crate) enum Source {
    /// A bare expression.
    Expression(Expression),
    /// A structure with `${ ... }` in it.
    Structure(Structure),
}

impl Source {
    /// A bare text is an expression, everything else a structure.
    pub(crate) fn compile(node: &Node, cx: &mut Build<'_>) -> Option<Self> {
        match Text::from_node(node).filter(|text| !text.as_str().contains("${")) {
            Some(text) if matches!(node.value, NodeValue::Scalar(_)) => {
                cx.expression(&text).map(Self::Expression)
            }
            _ => cx.structure(node).map(Self::Structure),
        }
    }

    pub(crate) fn needs(&self) -> Needs {
        match self {
            Self::Expression(expression) => expression.needs(),
            Self::Structure(structure) => structure.needs(),
        }
    }

    pub(crate) fn evaluate(&self, exchange: &Exchange) -> Result<Value, Fault> {
        match self {
            Self::Expression(expression) => expression.evaluate(exchange),
            Self::Structure(structure) => structure_value(structure, exchange),
        }
    }
}

/// The value of a structure; a whole `${ ... }` keeps its type, XML included.
pub(crate) fn structure_value(structure: &Structure, exchange: &Exchange) -> Result<Value, Fault> {
    match structure {
        Structure::Template(template) => template.value(exchange),
        other => other.evaluate(exchange).map(Value::Json),
    }
}

/// Header fields to set, as written in `headers:`.
pub(crate) struct Headers(Vec<(HeaderName, Template)>);

impl Headers {
    pub(crate) fn compile(headers: &Named<Text>, cx: &mut Build<'_>) -> Option<Self> {
        let mut compiled = Vec::new();
        let mut good = true;
        for (name, span, text) in headers.iter() {
            let template = cx.template(text, Escape::None);
            match crate::place::header_name(name) {
                Ok(name) => compiled.extend(template.map(|template| (name, template))),
                Err((message, help)) => {
                    cx.error("config.bad_place", span, message, help);
                    good = false;
                }
            }
        }
        (good && compiled.len() == headers.len()).then_some(Self(compiled))
    }

    pub(crate) fn needs(&self) -> Needs {
        self.0
            .iter()
            .map(|(_, template)| template.needs())
            .max()
            .unwrap_or_default()
    }

    /// The fields for this exchange.
    pub(crate) fn evaluate(&self, exchange: &Exchange) -> Result<http::HeaderMap, Fault> {
        let mut headers = http::HeaderMap::with_capacity(self.0.len());
        for (name, template) in &self.0 {
            let value = crate::place::header_value(name, &template.render(exchange)?)?;
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

/// Compiles an optional structure: absent is fine, wrong is not.
#[expect(
    clippy::option_option,
    reason = "the outer level says whether there were errors"
)]
pub(crate) fn optional_structure(node: Option<&RawNode>, cx: &mut Build<'_>) -> Option<Option<Structure>> {
    node.map_or(Some(None), |node| cx.structure(node).map(Some))
}

/// Compiles an optional template: absent is fine, wrong is not.
#[expect(
    clippy::option_option,
    reason = "the outer level says whether there were errors"
)]
pub(crate) fn optional_template(
    text: Option<&Text>,
    escape: Escape,
    cx: &mut Build<'_>,
) -> Option<Option<Template>> {
    text.map_or(Some(None), |text| cx.template(text, escape).map(Some))
}

/// The variable for a result, given by its name; `vars.` before it is fine.
pub(crate) fn variable(into: &Spanned<String>, cx: &mut Build<'_>) -> Option<Box<str>> {
    let name = into.value.strip_prefix("vars.").unwrap_or(&into.value);
    let valid = !name.is_empty()
        && name
            .chars()
            .all(|character| character.is_alphanumeric() || character == '_');
    if !valid {
        let help = Some("write a name, such as `customer` for `vars.customer`".to_owned());
        let message = format!("`{}` is no name for a variable", into.value);
        cx.error("config.bad_place", into.span, message, help);
    }
    valid.then(|| name.into())
}

/// The same where there need not be one: absent is fine, wrong is not.
#[expect(
    clippy::option_option,
    reason = "the outer level says whether there were errors"
)]
pub(crate) fn optional_variable(
    into: Option<&Spanned<String>>,
    cx: &mut Build<'_>,
) -> Option<Option<Box<str>>> {
    into.map_or(Some(None), |into| variable(into, cx).map(Some))
}

/// How much of the payload an optional part reads.
pub(crate) fn needs_of<T>(part: Option<&T>, needs: impl FnOnce(&T) -> Needs) -> Needs {
    part.map_or(Needs::Headers, needs)
}

/// Checks that a fault code is one of the table or the project's own.
pub(crate) fn check_fault_code(code: &str, span: Span, cx: &mut Build<'_>) -> bool {
    let reserved = ["client.", "backend.", "gateway."]
        .iter()
        .any(|family| code.starts_with(family));
    if FaultCode::by_name(code).is_some() || (!reserved && is_code(code)) {
        return true;
    }
    let (message, help) = if reserved {
        let names = FaultCode::ALL.iter().map(|row| row.name);
        (format!("there is no fault `{code}`"), suggestion(code, names))
    } else {
        let help = "write lower case letters, digits, `_` and dots, such as `orders.out_of_stock`";
        (format!("`{code}` is no fault code"), Some(help.to_owned()))
    };
    cx.error("config.unknown_fault", span, message, help);
    false
}

fn is_code(code: &str) -> bool {
    let allowed = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || "._-".contains(character)
    };
    code.starts_with(|first: char| first.is_ascii_lowercase()) && code.chars().all(allowed)
}
