//! `filter`: a condition as a step of its own.

use engine::build::Build;
use engine::config::{Steps, Text};
use engine::exchange::Exchange;
use engine::expression::Expression;
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Mediator, Needs, StepKind, asynchronous, sync};
use engine::registry::StepConfig;
use engine::sequence::Sequence;
use schemars::JsonSchema;
use serde::Deserialize;

/// Runs `then` where the condition holds and `else` where it does not, and goes on. With neither of them the message goes on only
/// where the condition holds, and is dropped otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    /// The condition, an expression: `payload.amount > 100`, `headers.x is defined`, `xpath("count(//item) > 3")`,
    /// `payload.code is matching("^A")`.
    pub when: Text,
    /// Steps where it holds.
    pub then: Option<Steps>,
    /// Steps where it does not hold.
    pub r#else: Option<Steps>,
}

impl StepConfig for FilterConfig {
    const NAME: &'static str = "filter";
    const EXAMPLE: &'static str = r#"- filter: payload.amount | float > 0
- filter:
    when: payload.country == "DE"
    then:
      - set: { vars.tax: 19 }
    else:
      - set: { vars.tax: 0 }"#;
    const SHORTHAND: Option<&'static str> = Some("when");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let when = cx.expression(&self.when);
        let then = cx.optional_steps(self.then.as_ref(), "then");
        let otherwise = cx.optional_steps(self.r#else.as_ref(), "else");
        let when = when?;
        Some(match (then, otherwise) {
            (None, None) => sync(Gate { when }),
            (then, otherwise) => asynchronous(Filter {
                when,
                then: then.unwrap_or_default(),
                otherwise: otherwise.unwrap_or_default(),
            }),
        })
    }
}

/// Without branches: holds or drops.
struct Gate {
    when: Expression,
}

impl Mediator for Gate {
    fn needs(&self) -> Needs {
        self.when.needs()
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        Ok(if self.when.test(exchange)? {
            Flow::Next
        } else {
            Flow::Drop
        })
    }
}

struct Filter {
    when: Expression,
    then: Sequence,
    otherwise: Sequence,
}

impl AsyncMediator for Filter {
    fn needs(&self) -> Needs {
        self.when.needs()
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let branch = if self.when.test(exchange)? {
                &self.then
            } else {
                &self.otherwise
            };
            branch.run(exchange).await
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        vec![
            ("then".to_owned(), &self.then),
            ("else".to_owned(), &self.otherwise),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, run, text_of, xml};
    use engine::mediator::Flow;

    #[tokio::test]
    async fn branches_and_goes_on() {
        let steps = r#"
- filter:
    when: payload.n > 5 and payload.code is matching("^A\\d")
    then: [ { set: { payload.size: big } } ]
    else: [ { set: { payload.size: small } } ]
- set: { payload.after: true }"#;
        assert_eq!(
            text_of(steps, json(r#"{"n":9,"code":"A1"}"#)).await,
            r#"{"n":9,"code":"A1","size":"big","after":true}"#
        );
        assert_eq!(
            text_of(steps, json(r#"{"n":9,"code":"B1"}"#)).await,
            r#"{"n":9,"code":"B1","size":"small","after":true}"#
        );
    }

    #[tokio::test]
    async fn one_branch_is_enough() {
        let steps = "- filter: { when: 'false', then: [respond] }\n- filter: { when: 'true', else: [drop] }\n- set: { payload: on }";
        assert_eq!(text_of(steps, json("{}")).await, "on");
    }

    #[tokio::test]
    async fn without_branches_it_drops() {
        let steps = "- filter: xpath('count(//i) > 1')\n- set: { payload: on }";
        assert_eq!(text_of(steps, xml("<o><i/><i/></o>")).await, "on");
        assert_eq!(run(steps, xml("<o><i/></o>")).await.flow.unwrap(), Flow::Drop);
    }

    #[tokio::test]
    async fn conditions_on_headers_leave_the_body_alone() {
        let outcome = run("- filter: headers.x is not defined", json("not json")).await;
        assert_eq!(
            outcome.exchange.message.payload.state(),
            engine::payload::PayloadState::Bytes
        );
        assert_eq!(
            fault("- filter: payload.none > 1", json("{}")).await.name(),
            "gateway.expression"
        );
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- filter: { when: payload.n >, then: [drop] }");
        assert!(text.contains("test.yaml:3:"), "{text}");
        let text = diagnostics("- filter: { when: 'true', then: [drp] }");
        assert!(
            text.contains("there is no step `drp`") && text.contains("did you mean `drop`?"),
            "{text}"
        );
        assert!(diagnostics("- filter: { then: [drop] }").contains("when"));
    }
}
