//! `validate`: JSON Schema, XML Schema and rules of one's own. Everything that is wrong is told at once, up to a limit.

mod schema;

use crate::text::needs_of;
use engine::build::Build;
use engine::config::Text;
use engine::exchange::Exchange;
use engine::expression::{Escape, Expression, Template};
use engine::fault::{Fault, FaultCode};
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::message::StartLine;
use engine::registry::StepConfig;
use schema::{JsonSchemaCheck, XmlSchemaCheck};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// Checks the message and raises `client.validation` where it is not valid; for a backend's reply `backend.bad_reply`. The
/// violations, at most 20, are in `fault.details`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateConfig {
    /// A resource or file with a JSON Schema, draft 4 to 2020-12 (without `$schema` that is 2020-12). References lead to files beside
    /// it, never to the network. XML is checked in its JSON form, without prefixes.
    pub json_schema: Option<Text>,
    /// A resource or file with an XML Schema 1.0; imports lead to files beside it. Of a SOAP message the content of the Body is
    /// checked.
    pub xsd: Option<Text>,
    /// Conditions that a valid message meets.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
}

/// A condition that a valid message meets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// The condition, an expression. Where it cannot be evaluated, because something is absent, the message is not valid.
    pub when: Text,
    /// What the client reads where the condition does not hold; `${ ... }` is evaluated.
    pub message: Text,
}

/// Violations that are told.
const VIOLATIONS_MAX: usize = 20;

impl StepConfig for ValidateConfig {
    const NAME: &'static str = "validate";
    const EXAMPLE: &'static str = r#"- validate:
    rules:
      - when: payload.amount | float > 0
        message: the amount must be positive
      - when: payload.currency in ["EUR", "CHF"]
        message: unknown currency ${payload.currency | default('')}"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let json_schema = self
            .json_schema
            .as_ref()
            .map(|name| JsonSchemaCheck::load(name, cx));
        let xsd = self.xsd.as_ref().map(|name| XmlSchemaCheck::load(name, cx));
        let rules: Vec<_> = self
            .rules
            .iter()
            .map(|rule| {
                let when = cx.expression(&rule.when);
                let message = cx.template(&rule.message, Escape::None)?;
                Some(Rule { when: when?, message })
            })
            .collect();
        let rules: Vec<Rule> = rules.into_iter().collect::<Option<_>>()?;
        if json_schema.is_none() && xsd.is_none() && rules.is_empty() {
            let help = Some("give `json_schema`, `xsd` or `rules`".to_owned());
            let span = cx.step_span();
            cx.error(
                "config.bad_combination",
                span,
                "`validate` has nothing to check",
                help,
            );
            return None;
        }
        Some(sync(Validate {
            json_schema: invert(json_schema)?,
            xsd: invert(xsd)?,
            rules,
        }))
    }
}

#[expect(
    clippy::option_option,
    reason = "the outer level says whether there were errors"
)]
fn invert<T>(loaded: Option<Option<T>>) -> Option<Option<T>> {
    match loaded {
        None => Some(None),
        Some(loaded) => loaded.map(Some),
    }
}

struct Rule {
    when: Expression,
    message: Template,
}

impl Rule {
    fn needs(&self) -> Needs {
        self.when.needs().max(self.message.needs())
    }

    fn check(&self, exchange: &Exchange) -> Result<Option<Json>, Fault> {
        let holds = match self.when.test(exchange) {
            Err(fault) if fault.code() == FaultCode::Expression => false,
            outcome => outcome?,
        };
        if holds {
            return Ok(None);
        }
        Ok(Some(json!({ "message": self.message.render(exchange)? })))
    }
}

struct Validate {
    json_schema: Option<JsonSchemaCheck>,
    xsd: Option<XmlSchemaCheck>,
    rules: Vec<Rule>,
}

impl Mediator for Validate {
    fn needs(&self) -> Needs {
        let schema = needs_of(self.json_schema.as_ref(), |_| Needs::Model)
            .max(needs_of(self.xsd.as_ref(), |_| Needs::Model));
        self.rules
            .iter()
            .map(Rule::needs)
            .max()
            .unwrap_or_default()
            .max(schema)
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let mut violations = Vec::new();
        let model = exchange.model().map(std::convert::AsRef::as_ref);
        if let Some(schema) = &self.json_schema {
            violations.extend(schema.check(model, VIOLATIONS_MAX));
        }
        if let Some(schema) = &self.xsd {
            violations.extend(schema.check(model, VIOLATIONS_MAX));
        }
        for rule in &self.rules {
            violations.extend(rule.check(exchange)?);
        }
        violations.truncate(VIOLATIONS_MAX);
        if violations.is_empty() {
            Ok(Flow::Next)
        } else {
            Err(invalid(violations, exchange))
        }
    }
}

/// The client's fault for a request, the backend's for a reply.
fn invalid(violations: Vec<Json>, exchange: &Exchange) -> Fault {
    let details = Json::Array(violations);
    match exchange.message.start {
        StartLine::Response { .. } => Fault::new(FaultCode::BadReply, "The backend's reply is not valid.")
            .with_detail(details.to_string()),
        _ => {
            let first = details[0]["message"].as_str().unwrap_or_default();
            Fault::new(
                FaultCode::Validation,
                format!("The message is not valid: {first}."),
            )
        }
    }
    .with_details(details)
}

#[cfg(test)]
mod tests;
