//! `switch`: one of several branches, by a value or by conditions.

use engine::build::Build;
use engine::config::{Node, NodeValue, RawNode, Span, Steps, Text};
use engine::exchange::Exchange;
use engine::expression::Expression;
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::registry::StepConfig;
use engine::sequence::Sequence;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

/// Runs the steps of the first case that matches, else `default`, and goes on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchConfig {
    /// The value that decides, an expression. What is absent matches no case.
    pub on: Option<Text>,
    /// With `on` a map from value, or `/regular expression/`, to steps; without it a list of `{ when, steps }`.
    pub cases: RawNode,
    /// Steps where no case matches.
    pub default: Option<Steps>,
}

/// A case with a condition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConditionConfig {
    /// The condition, an expression.
    when: Text,
    /// The steps.
    steps: Steps,
}

impl StepConfig for SwitchConfig {
    const NAME: &'static str = "switch";
    const EXAMPLE: &'static str = r#"- switch:
    on: payload.country
    cases:
      DE: [ { set: { vars.tax: 19 } } ]
      /^(AT|CH)$/: [ { set: { vars.tax: 20 } } ]
    default:
      - throw: { code: orders.unknown_country, status: 422 }
- switch:
    cases:
      - when: payload.amount > 1000
        steps: [ { log: big } ]"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let default = cx
            .optional_steps(self.default.as_ref(), "default")
            .unwrap_or_default();
        let choice = match (&self.on, &self.cases.value) {
            (Some(on), NodeValue::Mapping(_)) => {
                let on = cx.expression(on);
                let cases = values(&self.cases, cx);
                Choice::Value {
                    on: on?,
                    cases: cases?,
                }
            }
            (None, NodeValue::Sequence(_)) => Choice::Conditions(conditions(&self.cases, cx)?),
            (on, _) => {
                let help = "with `on` the cases are a map from value to steps, without it a list of `{ when, steps }`";
                let message = match on {
                    Some(_) => "the cases of a `switch` on a value are a map",
                    None => "the cases of a `switch` without `on` are a list of conditions",
                };
                cx.error(
                    "config.bad_combination",
                    self.cases.span,
                    message,
                    Some(help.to_owned()),
                );
                return None;
            }
        };
        Some(asynchronous(Switch { choice, default }))
    }
}

fn values(cases: &Node, cx: &mut Build<'_>) -> Option<Vec<(Label, Sequence)>> {
    let built: Vec<_> = cases
        .entries()
        .iter()
        .map(|(key, node)| {
            let label = Label::read(&key.text, key.span, cx);
            let steps: Steps = cx.read(node)?;
            let sequence = cx.steps(&steps, &format!("cases.{}", key.text));
            Some((label?, sequence))
        })
        .collect();
    built.into_iter().collect()
}

fn conditions(cases: &Node, cx: &mut Build<'_>) -> Option<Vec<(Expression, Sequence)>> {
    let built: Vec<_> = cases
        .items()
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let case: ConditionConfig = cx.read(node)?;
            let when = cx.expression(&case.when);
            let sequence = cx.steps(&case.steps, &format!("cases[{index}]"));
            Some((when?, sequence))
        })
        .collect();
    built.into_iter().collect()
}

enum Label {
    Text(Box<str>),
    Regex(Box<str>, Regex),
}

impl Label {
    fn read(text: &str, span: Span, cx: &mut Build<'_>) -> Option<Self> {
        let pattern = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'))
            .filter(|_| text.len() > 1);
        let Some(pattern) = pattern else {
            return Some(Self::Text(text.into()));
        };
        match Regex::new(pattern) {
            Ok(regex) => Some(Self::Regex(text.into(), regex)),
            Err(error) => {
                let problem = error.to_string();
                let last = problem
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ");
                cx.error(
                    "config.bad_expression",
                    span,
                    format!("bad regular expression: {last}"),
                    None,
                );
                None
            }
        }
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Text(text) => **text == *value,
            Self::Regex(_, regex) => regex.is_match(value),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Regex(text, _) => text,
        }
    }
}

enum Choice {
    Value {
        on: Expression,
        cases: Vec<(Label, Sequence)>,
    },
    Conditions(Vec<(Expression, Sequence)>),
}

struct Switch {
    choice: Choice,
    default: Sequence,
}

impl Switch {
    fn branch(&self, exchange: &Exchange) -> Result<&Sequence, Fault> {
        match &self.choice {
            Choice::Value { on, cases } => {
                let value = on.evaluate_optional(exchange)?.into_text()?;
                let found = cases.iter().find(|(label, _)| label.matches(&value));
                Ok(found.map_or(&self.default, |(_, steps)| steps))
            }
            Choice::Conditions(cases) => {
                for (when, steps) in cases {
                    if when.test(exchange)? {
                        return Ok(steps);
                    }
                }
                Ok(&self.default)
            }
        }
    }
}

impl AsyncMediator for Switch {
    fn needs(&self) -> Needs {
        match &self.choice {
            Choice::Value { on, .. } => on.needs(),
            Choice::Conditions(cases) => cases
                .iter()
                .map(|(when, _)| when.needs())
                .max()
                .unwrap_or_default(),
        }
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move { self.branch(exchange)?.run(exchange).await })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        let mut children: Vec<(String, &Sequence)> = match &self.choice {
            Choice::Value { cases, .. } => cases
                .iter()
                .map(|(label, steps)| (format!("cases.{}", label.text()), steps))
                .collect(),
            Choice::Conditions(cases) => cases
                .iter()
                .enumerate()
                .map(|(index, (_, steps))| (format!("cases[{index}]"), steps))
                .collect(),
        };
        children.push(("default".to_owned(), &self.default));
        children
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, json, text_of};

    const BY_VALUE: &str = r#"
- switch:
    on: payload.v
    cases:
      a: [ { set: { payload: first } } ]
      5: [ { set: { payload: number } } ]
      /^b\d+$/: [ { set: { payload: pattern } } ]
    default: [ { set: { payload: other } } ]"#;

    #[tokio::test]
    async fn by_value() {
        for (value, expected) in [
            ("\"a\"", "first"),
            ("5", "number"),
            ("\"b12\"", "pattern"),
            ("\"bx\"", "other"),
            ("null", "other"),
        ] {
            assert_eq!(
                text_of(BY_VALUE, json(&format!("{{\"v\":{value}}}"))).await,
                expected
            );
        }
        assert_eq!(text_of(BY_VALUE, json("{}")).await, "other");
    }

    #[tokio::test]
    async fn by_condition() {
        let steps = r#"
- switch:
    cases:
      - { when: payload.n > 10, steps: [ { set: { payload: big } } ] }
      - { when: payload.n > 5, steps: [ { set: { payload: middle } } ] }"#;
        assert_eq!(text_of(steps, json(r#"{"n":11}"#)).await, "big");
        assert_eq!(text_of(steps, json(r#"{"n":6}"#)).await, "middle");
        assert_eq!(text_of(steps, json(r#"{"n":1}"#)).await, r#"{"n":1}"#);
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- switch: { cases: { a: [drop] } }");
        assert!(text.contains("without `on` are a list of conditions"), "{text}");
        let text = diagnostics("- switch: { on: payload.a, cases: { '/(/': [drop], b: [drp] } }");
        assert!(
            text.contains("bad regular expression") && text.contains("`drp`"),
            "{text}"
        );
        let text = diagnostics("- switch: { cases: [ { wen: a, steps: [drop] } ] }");
        assert!(text.contains("did you mean `when`?"), "{text}");
    }
}
