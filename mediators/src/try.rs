//! `try`: steps whose faults are caught.

use crate::text::check_fault_code;
use engine::build::Build;
use engine::config::{OneOrMany, Spanned, Steps};
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, StepKind, asynchronous};
use engine::registry::StepConfig;
use engine::sequence::Sequence;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Runs steps and catches their faults. After a `catch` the exchange goes on behind the `try`. A fault that no `catch` names, and one
/// raised inside a `catch`, goes on to whoever catches it outside.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TryConfig {
    /// The steps that may fail.
    pub steps: Steps,
    /// What to do with which faults; the first that matches runs.
    #[serde(default)]
    pub catch: Vec<CatchConfig>,
    /// Steps that run in any case, at the end, also behind `respond` and `drop`.
    pub finally: Option<Steps>,
}

/// Faults and what to do with them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatchConfig {
    /// Codes such as `backend.timeout`, or `backend.*`; default all.
    #[serde(default)]
    pub on: OneOrMany<Spanned<String>>,
    /// The steps. `fault.code`, `fault.message`, `fault.status` and `fault.details` tell what happened; the message is as the failed
    /// step left it, or the backend's reply where that is the fault.
    pub steps: Steps,
}

impl StepConfig for TryConfig {
    const NAME: &'static str = "try";
    const EXAMPLE: &'static str = r#"- try:
    steps:
      - call: http://localhost:9000/prices
    catch:
      - on: [backend.timeout, backend.connect]
        steps:
          - payload: { json: { price: null, reason: "${fault.code}" } }
      - on: client.*
        steps: [ throw ]
    finally:
      - log: asked for the price"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let steps = cx.steps(&self.steps, "steps");
        if self.catch.is_empty() && self.finally.is_none() {
            let help = Some("give it `catch` or `finally`".to_owned());
            cx.error(
                "config.bad_combination",
                cx.step_span(),
                "this `try` catches nothing",
                help,
            );
        }
        let mut good = true;
        let mut catches = Vec::with_capacity(self.catch.len());
        for (index, catch) in self.catch.iter().enumerate() {
            good &= catch.on.iter().all(|code| check_pattern(code, cx));
            let steps = cx.steps(&catch.steps, &format!("catch[{index}]"));
            let on = catch.on.iter().map(|code| code.value.as_str().into()).collect();
            catches.push(Catch { on, steps });
        }
        let finally = cx
            .optional_steps(self.finally.as_ref(), "finally")
            .unwrap_or_default();
        good.then(|| {
            asynchronous(Try {
                steps,
                catches,
                finally,
            })
        })
    }
}

fn check_pattern(code: &Spanned<String>, cx: &mut Build<'_>) -> bool {
    match code.value.strip_suffix(".*") {
        Some("client" | "backend" | "gateway") => true,
        Some(family) => check_fault_code(family, code.span, cx),
        None => check_fault_code(code, code.span, cx),
    }
}

struct Try {
    steps: Sequence,
    catches: Vec<Catch>,
    finally: Sequence,
}

struct Catch {
    on: Vec<Box<str>>,
    steps: Sequence,
}

impl Catch {
    fn matches(&self, fault: &Fault) -> bool {
        let name = fault.name();
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        };
        self.on.is_empty() || self.on.iter().any(|pattern| matches(pattern))
    }
}

/// Runs the steps that handle a fault, with `fault` set and, where the fault stands for a backend's reply, with that as the message.
pub(crate) async fn handle(
    exchange: &mut Exchange,
    mut fault: Fault,
    steps: &Sequence,
) -> Result<Flow, Fault> {
    tracing::debug!(id = %exchange.entry.id, fault = %fault, "fault caught");
    if let Some(reply) = fault.take_reply() {
        exchange.message = reply;
    }
    let outer = exchange.fault.replace(Arc::new(fault));
    let outcome = steps.run(exchange).await;
    exchange.fault = outer;
    outcome
}

impl AsyncMediator for Try {
    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let outcome = match self.steps.run(exchange).await {
                Err(fault) => match self.catches.iter().find(|catch| catch.matches(&fault)) {
                    Some(catch) => handle(exchange, fault, &catch.steps).await,
                    None => Err(fault),
                },
                outcome => outcome,
            };
            if self.finally.is_empty() {
                return outcome;
            }
            let outer = exchange.fault.clone();
            if let Err(fault) = &outcome {
                exchange.fault = Some(Arc::new(fault.again()));
            }
            let last = self.finally.run(exchange).await;
            exchange.fault = outer;
            match last? {
                Flow::Next => outcome,
                flow => outcome.map(|_| flow),
            }
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        let mut children = vec![("steps".to_owned(), &self.steps)];
        children.extend(
            self.catches
                .iter()
                .enumerate()
                .map(|(index, catch)| (format!("catch[{index}]"), &catch.steps)),
        );
        children.push(("finally".to_owned(), &self.finally));
        children
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, run, text_of};
    use engine::mediator::Flow;

    fn steps(code: &str) -> String {
        format!(
            r#"
- try:
    steps: [ {{ set: {{ payload.tried: 1 }} }}, {{ throw: {{ code: {code}, message: no }} }} ]
    catch:
      - on: [orders.gone, backend.timeout]
        steps: [ {{ set: {{ payload.caught: "${{fault.code}}: ${{fault.message}}" }} }} ]
      - on: backend.*
        steps: [ {{ set: {{ payload.family: "${{fault.status}}" }} }} ]
    finally: [ {{ set: {{ payload.finally: "${{fault is defined}}" }} }} ]
- set: {{ payload.after: "${{fault is defined}}" }}"#
        )
    }

    #[tokio::test]
    async fn the_first_catch_that_matches_runs_and_the_exchange_goes_on() {
        let text = text_of(&steps("orders.gone"), json("{}")).await;
        assert_eq!(
            text,
            r#"{"tried":1,"caught":"orders.gone: no","finally":false,"after":false}"#
        );
        let text = text_of(&steps("backend.connect"), json("{}")).await;
        assert_eq!(text, r#"{"tried":1,"family":502,"finally":false,"after":false}"#);
    }

    #[tokio::test]
    async fn what_nobody_catches_goes_on_after_finally() {
        let outcome = run(&steps("gateway.internal"), json("{}")).await;
        assert_eq!(outcome.fault().name(), "gateway.internal");
        assert_eq!(
            outcome.exchange.model().unwrap().to_json().to_string(),
            r#"{"tried":1,"finally":true}"#
        );
        assert!(outcome.exchange.fault.is_none());
        let again = "- try: { steps: [ { throw: first } ], catch: [ { steps: [ { throw: 'second after ${fault.message}' } ] } ] }";
        assert_eq!(fault(again, json("{}")).await.message(), "second after first");
        let rethrown =
            "- try: { steps: [ { throw: { code: a.b, message: first } } ], catch: [ { steps: [ throw ] } ] }";
        assert_eq!(fault(rethrown, json("{}")).await.name(), "a.b");
    }

    #[tokio::test]
    async fn respond_inside_ends_the_exchange_after_finally() {
        let steps =
            "- try: { steps: [respond], finally: [ { set: { vars.f: 1 } } ] }\n- set: { payload: no }";
        let outcome = run(steps, json("{}")).await;
        assert_eq!(*outcome.flow.as_ref().unwrap(), Flow::Respond);
        assert_eq!(outcome.exchange.vars.len(), 1);
    }

    #[test]
    fn mistakes_are_placed() {
        let text =
            diagnostics("- try: { steps: [respond], catch: [ { on: backend.timout, steps: [drop] } ] }");
        assert!(
            text.contains("did you mean `backend.timeout`?") && text.contains("test.yaml:3:"),
            "{text}"
        );
        assert!(diagnostics("- try: { steps: [respond] }").contains("catches nothing"));
        assert!(
            diagnostics("- try: { steps: [respond], catch: [ { on: 'Bad Code', steps: [drop] } ] }")
                .contains("no fault code")
        );
    }
}
