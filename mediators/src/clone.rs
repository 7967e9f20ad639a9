//! `clone`: copies of the message run their own steps beside each other. With one copy it is a wire tap.

use engine::build::Build;
use engine::config::Steps;
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, StepKind, asynchronous};
use engine::registry::StepConfig;
use engine::sequence::Sequence;
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::Deserialize;

/// Copies the message, runs the steps of each copy at the same time, and goes on with the original once they have ended. What copies
/// do to their message and variables stays with them; `respond` and `drop` end a copy only.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloneConfig {
    /// The steps of each copy, at most 100.
    pub copies: Vec<Steps>,
    /// Whether faults of copies are only logged. Otherwise the first is raised once all copies have ended.
    #[serde(default)]
    pub ignore_faults: bool,
}

const COPIES_MAX: usize = 100;

impl StepConfig for CloneConfig {
    const NAME: &'static str = "clone";
    const EXAMPLE: &'static str = r#"- clone:
    copies:
      - [ { log: "first copy" } ]
      - [ { set: { payload.copy: true } }, { log: "second copy" } ]"#;
    const SHORTHAND: Option<&'static str> = Some("copies");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let copies: Vec<Sequence> = self
            .copies
            .iter()
            .enumerate()
            .map(|(index, steps)| cx.steps(steps, &format!("copies[{index}]")))
            .collect();
        if copies.is_empty() || copies.len() > COPIES_MAX {
            let message = format!("`clone` makes 1 to {COPIES_MAX} copies");
            cx.error("config.bad_value", cx.step_span(), message, None);
            return None;
        }
        Some(asynchronous(Clone {
            copies,
            ignore_faults: self.ignore_faults,
        }))
    }
}

struct Clone {
    copies: Vec<Sequence>,
    ignore_faults: bool,
}

impl AsyncMediator for Clone {
    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let mut runs = Vec::with_capacity(self.copies.len());
            for steps in &self.copies {
                let message = exchange.copy_message().await?;
                let mut copy = exchange.fork(message);
                runs.push(async move { steps.run(&mut copy).await });
            }
            let mut first = None;
            for fault in join_all(runs).await.into_iter().filter_map(Result::err) {
                if self.ignore_faults || first.is_some() {
                    tracing::warn!(id = %exchange.entry.id, fault = %fault, "a copy of the message failed");
                } else {
                    first = Some(fault);
                }
            }
            first.map_or(Ok(Flow::Next), Err)
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        self.copies
            .iter()
            .enumerate()
            .map(|(index, steps)| (format!("copies[{index}]"), steps))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{captured, diagnostics, fault, json, text_of};

    #[test]
    fn copies_run_and_the_original_stays() {
        let steps = r#"
- clone: [ [ { set: { payload.c: 1, vars.x: 1 } }, { log: "one ${payload.c}" }, respond ], [ { log: "two ${payload.c is defined}" }, drop ] ]
- log: "original ${payload.c is defined} ${vars.x is defined}""#;
        let lines = captured(steps, || json("{}"));
        assert!(
            lines.contains("one 1") && lines.contains("two false") && lines.contains("original false false"),
            "{lines}"
        );
    }

    #[tokio::test]
    async fn faults_are_raised_or_ignored() {
        let steps = "- clone: { copies: [ [ { throw: bad } ] ] }";
        assert_eq!(fault(steps, json("{}")).await.message(), "bad");
        let steps = "- clone: { ignore_faults: true, copies: [ [ { throw: bad } ] ] }";
        assert_eq!(text_of(steps, json("{}")).await, "{}");
    }

    #[test]
    fn mistakes_are_placed() {
        assert!(diagnostics("- clone: { copies: [] }").contains("1 to 100 copies"));
        let text = diagnostics("- clone: { copies: [ [ drp ] ] }");
        assert!(text.contains("`drp`") && text.contains("test.yaml:3:"), "{text}");
    }
}
