//! `scatter_gather`: named branches at the same time, whose results are put together.

use engine::build::Build;
use engine::config::{Duration, Named, RawNode, Steps, Text};
use engine::exchange::Exchange;
use engine::expression::Structure;
use engine::fault::{Fault, FaultCode};
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::model::Model;
use engine::registry::StepConfig;
use engine::sequence::Sequence;
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use tokio::time::Instant;

/// Runs every branch on a copy of the message, at the same time, waits for all of them, and makes one payload of their results. The
/// result of a branch is its payload at the end; it is `vars.NAME` afterwards. A branch that failed leaves no variable.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScatterGatherConfig {
    /// Steps by the name of the branch, at most 100.
    pub branches: Named<Steps>,
    /// How many branches must succeed: `all`, `any`, `none` or a number. Where fewer do, the first fault is raised.
    pub require: Option<Text>,
    /// How long each branch may take; longer is `backend.timeout`.
    pub timeout: Option<Duration>,
    /// The new payload, a structure that reads `vars.NAME` of the branches (with `default()` where one may be missing). Without it the
    /// payload is an object with the result of each branch.
    pub merge: Option<RawNode>,
}

const BRANCHES_MAX: usize = 100;

impl StepConfig for ScatterGatherConfig {
    const NAME: &'static str = "scatter_gather";
    const EXAMPLE: &'static str = r#"- scatter_gather:
    branches:
      price: [ { payload: { json: 12 } } ]
      stock: [ { payload: { json: 3 } } ]
    require: any
    timeout: 2s
    merge:
      price: ${vars.price | default(none)}
      stock: ${vars.stock | default(0)}"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let count = self.branches.len();
        if count == 0 || count > BRANCHES_MAX {
            let message = format!("`scatter_gather` has 1 to {BRANCHES_MAX} branches");
            cx.error("config.bad_value", cx.step_span(), message, None);
            return None;
        }
        let require = required(self.require.as_ref(), count, cx);
        let branches = self
            .branches
            .iter()
            .map(|(name, _, steps)| (name.into(), cx.steps(steps, &format!("branches.{name}"))))
            .collect();
        let merge = crate::text::optional_structure(self.merge.as_ref(), cx);
        Some(asynchronous(ScatterGather {
            branches,
            require: require?,
            timeout: self.timeout.map(Duration::get),
            merge: merge?,
        }))
    }
}

fn required(setting: Option<&Text>, count: usize, cx: &mut Build<'_>) -> Option<usize> {
    let Some(text) = setting else { return Some(count) };
    let number = match text.as_str() {
        "all" => Some(count),
        "any" => Some(1),
        "none" => Some(0),
        number => number.parse().ok().filter(|number| (1..=count).contains(number)),
    };
    if number.is_none() {
        let help = Some(format!(
            "write `all`, `any`, `none` or a number from 1 to {count}"
        ));
        cx.error("config.bad_value", text.span(), "not a number of branches", help);
    }
    number
}

struct ScatterGather {
    branches: Vec<(Box<str>, Sequence)>,
    require: usize,
    timeout: Option<std::time::Duration>,
    merge: Option<Structure>,
}

impl AsyncMediator for ScatterGather {
    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let mut runs = Vec::with_capacity(self.branches.len());
            for (_, steps) in &self.branches {
                let message = exchange.copy_message().await?;
                runs.push(self.branch(steps, exchange.fork(message)));
            }
            let started = Instant::now();
            let results = join_all(runs).await;
            exchange.backend_time += started.elapsed();
            self.gather(exchange, results)?;
            if self
                .merge
                .as_ref()
                .is_some_and(|merge| merge.needs() == Needs::Model)
            {
                exchange.lift(Needs::Model).await?;
            }
            let merged = match &self.merge {
                Some(merge) => merge.evaluate(exchange)?,
                None => self.results(exchange),
            };
            crate::place::set_model(&mut exchange.message, Arc::new(Model::Json(merged)), None);
            Ok(Flow::Next)
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        self.branches
            .iter()
            .map(|(name, steps)| (format!("branches.{name}"), steps))
            .collect()
    }
}

impl ScatterGather {
    /// The payload of a branch at its end; none where it was dropped or has no body.
    async fn branch(&self, steps: &Sequence, mut exchange: Exchange) -> Result<Option<Arc<Model>>, Fault> {
        if let Some(timeout) = self.timeout {
            exchange.deadline = exchange.deadline.min(Instant::now() + timeout);
        }
        let deadline = exchange.deadline;
        let run = async {
            if steps.run(&mut exchange).await? == Flow::Drop {
                return Ok(None);
            }
            exchange.lift(Needs::Model).await?;
            Ok(exchange.model().cloned())
        };
        match tokio::time::timeout_at(deadline, run).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::new(FaultCode::Timeout, "A branch did not end in time.")),
        }
    }

    /// Makes the results variables, where enough branches succeeded.
    fn gather(
        &self,
        exchange: &mut Exchange,
        results: Vec<Result<Option<Arc<Model>>, Fault>>,
    ) -> Result<(), Fault> {
        let succeeded = results.iter().filter(|result| result.is_ok()).count();
        let mut first = None;
        for ((name, _), result) in self.branches.iter().zip(results) {
            exchange.vars.shift_remove(name);
            match result {
                Ok(model) => {
                    let model = model.unwrap_or_else(|| Arc::new(Model::Json(Json::Null)));
                    exchange.vars.insert(name.clone(), model);
                }
                Err(fault) => {
                    tracing::debug!(branch = %name, id = %exchange.entry.id, fault = %fault, "a branch failed");
                    first.get_or_insert(fault);
                }
            }
        }
        first.filter(|_| succeeded < self.require).map_or(Ok(()), Err)
    }

    fn results(&self, exchange: &Exchange) -> Json {
        let mut members = Map::new();
        for (name, _) in &self.branches {
            if let Some(model) = exchange.vars.get(name) {
                let value = engine::expression::Value::Model(Arc::clone(model)).to_json();
                members.insert(name.to_string(), value);
            }
        }
        Json::Object(members)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, run, text_of, xml};
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test]
    async fn results_are_put_together() {
        let steps = r#"
- scatter_gather:
    branches:
      a: [ { payload: { json: { n: "${payload.o.n}" } } } ]
      b: [ { payload: { xml: "<r><v>2</v></r>" } } ]
      c: [ drop ]"#;
        let mut outcome = run(steps, xml("<o><n>1</n></o>")).await;
        assert_eq!(outcome.text(), r#"{"a":{"n":"1"},"b":{"r":{"v":"2"}},"c":null}"#);
        assert_eq!(outcome.exchange.message.content_type(), Some("application/json"));
        let merged = format!("{steps}\n    merge: {{ x: '${{vars.b.r.v | int}}', was: '${{payload.o.n}}' }}");
        assert_eq!(
            text_of(&merged, xml("<o><n>1</n></o>")).await,
            r#"{"x":2,"was":"1"}"#
        );
    }

    #[tokio::test]
    async fn enough_branches_must_succeed() {
        let steps = |require: &str| {
            format!(
                "- scatter_gather: {{ require: {require}, branches: {{ a: [ {{ throw: bad }} ], b: [ {{ payload: {{ json: 1 }} }} ] }}, merge: {{ a: '${{vars.a | default(0)}}', b: '${{vars.b}}' }} }}"
            )
        };
        assert_eq!(text_of(&steps("any"), json("{}")).await, r#"{"a":0,"b":1}"#);
        let none = "- scatter_gather: { require: none, branches: { a: [ { throw: bad } ] }, merge: { a: '${vars.a | default(0)}' } }";
        assert_eq!(text_of(none, json("{}")).await, r#"{"a":0}"#);
        assert_eq!(fault(&steps("all"), json("{}")).await.message(), "bad");
        assert_eq!(fault(&steps("2"), json("{}")).await.message(), "bad");
    }

    #[tokio::test(start_paused = true)]
    async fn branches_run_at_once_and_in_time() {
        let steps = "- scatter_gather: { require: any, timeout: 1s, branches: { a: [ { delay: 300ms } ], b: [ { delay: 300ms } ], c: [ { delay: 900ms }, { delay: 900ms } ] }, merge: { c: '${vars.c is defined}' } }";
        let started = Instant::now();
        assert_eq!(text_of(steps, json("{}")).await, r#"{"c":false}"#);
        assert_eq!(
            started.elapsed(),
            Duration::from_millis(900),
            "the second wait would end too late"
        );
    }

    #[test]
    fn mistakes_are_placed() {
        assert!(
            diagnostics("- scatter_gather: { require: 3, branches: { a: [drop] } }")
                .contains("a number from 1 to 1")
        );
        assert!(diagnostics("- scatter_gather: { branches: {} }").contains("1 to 100 branches"));
    }
}
