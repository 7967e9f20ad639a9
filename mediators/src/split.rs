//! `split`: one message per part, each on its own way through the steps.

use crate::parts::{self, Ended, part, part_model};
use engine::build::Build;
use engine::config::{Steps, Text};
use engine::exchange::Exchange;
use engine::expression::Expression;
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::message::Message;
use engine::model::Model;
use engine::registry::StepConfig;
use engine::sequence::Sequence;
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;

/// Splits the message: items of a list, rows, or elements become messages of their own, with the headers of the whole. Without `steps`
/// the rest of the list runs for each part.
///
/// `vars.split` tells the part's `index`, the `size`, and whether it is the `last`. Afterwards the whole message goes on unchanged,
/// unless a part came to `respond`: then the exchange ends with the first such part, once all have run. With `aggregate` among the
/// steps that is the part that completes its group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// The parts, an expression: `payload.rows`, `xpath("//item")`.
    pub over: Text,
    /// The steps for each part; default the rest of the list.
    pub steps: Option<Steps>,
    /// How many parts at once, at most 1000; default 1, in order.
    pub parallel: Option<NonZeroUsize>,
    /// Whether the first fault stops the parts that have not begun. Otherwise all parts run, and then the first fault is raised with
    /// the list of all failed parts in `fault.details`.
    #[serde(default = "default_stop")]
    pub stop_on_fault: bool,
}

fn default_stop() -> bool {
    true
}

impl StepConfig for SplitConfig {
    const NAME: &'static str = "split";
    const EXAMPLE: &'static str = r#"- split: { over: payload.rows, parallel: 4 }
- filter: payload.amount | float > 0
- convert: application/json
- log: "row ${vars.split.index} of ${vars.split.size}""#;
    const SHORTHAND: Option<&'static str> = Some("over");
    const REST: Option<&'static str> = Some("steps");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let over = cx.expression(&self.over);
        let Some(steps) = &self.steps else {
            let help = Some("put steps behind it, or give it `steps:`".to_owned());
            cx.error(
                "config.missing_key",
                cx.step_span(),
                "`split` has no steps for its parts",
                help,
            );
            return None;
        };
        let steps = cx.steps(steps, "steps");
        Some(asynchronous(Split {
            over: over?,
            steps,
            parallel: parts::parallel(self.parallel),
            stop_on_fault: self.stop_on_fault,
        }))
    }
}

struct Split {
    over: Expression,
    steps: Sequence,
    parallel: usize,
    stop_on_fault: bool,
}

impl AsyncMediator for Split {
    fn needs(&self) -> Needs {
        self.over.needs()
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let items = parts::items(self.over.evaluate_optional(exchange)?)?;
            let size = items.len();
            let whole: &Exchange = exchange;
            let forks: Vec<Exchange> = items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    let mut forked = part(whole, part_model(item));
                    let facts = json!({ "index": index, "size": size, "last": index + 1 == size });
                    forked.vars.insert("split".into(), Arc::new(Model::Json(facts)));
                    forked
                })
                .collect();
            match self.run(exchange, forks).await? {
                Some(message) => {
                    exchange.message = message;
                    Ok(Flow::Respond)
                }
                None => Ok(Flow::Next),
            }
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        vec![("steps".to_owned(), &self.steps)]
    }
}

impl Split {
    /// Runs all parts; the message of the first that responded.
    async fn run(&self, exchange: &mut Exchange, forks: Vec<Exchange>) -> Result<Option<Message>, Fault> {
        let mut ended = pin!(parts::run(&self.steps, forks, self.parallel));
        let mut response = None;
        let mut failed: Option<(Fault, Vec<Json>)> = None;
        while let Some(Ended {
            index,
            exchange: forked,
            outcome,
        }) = ended.next().await
        {
            exchange.backend_time += forked.backend_time;
            match outcome {
                Ok(Flow::Respond) if response.is_none() => response = Some(forked.message),
                Ok(_) => {}
                Err(fault) if self.stop_on_fault => return Err(fault),
                Err(fault) => {
                    let entry = json!({ "index": index, "code": fault.name(), "message": fault.message() });
                    failed.get_or_insert_with(|| (fault, Vec::new())).1.push(entry);
                }
            }
        }
        match failed {
            Some((fault, entries)) => Err(fault.with_details(Json::Array(entries))),
            None => Ok(response),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{captured, diagnostics, fault, json, text_of, xml};

    #[test]
    fn the_rest_of_the_list_runs_for_each_part() {
        let steps = "- split: payload.items\n- filter: payload.n > 1\n- log: 'n ${payload.n} ${vars.split.index}/${vars.split.size} ${vars.split.last}'";
        let lines = captured(steps, || json(r#"{"items": [{"n": 1}, {"n": 2}, {"n": 3}]}"#));
        assert!(!lines.contains("n 1 "), "{lines}");
        assert!(
            lines.contains("n 2 1/3 false") && lines.contains("n 3 2/3 true"),
            "{lines}"
        );
    }

    #[tokio::test]
    async fn with_steps_the_whole_goes_on() {
        let steps = "- split: { over: payload.items, parallel: 2, steps: [ { set: { payload: x } } ] }\n- set: { payload.after: 1 }";
        assert_eq!(
            text_of(steps, json(r#"{"items":[1,2]}"#)).await,
            r#"{"items":[1,2],"after":1}"#
        );
    }

    #[tokio::test]
    async fn parts_collected_again_are_the_reply() {
        let steps = r#"
- split: { over: payload.o.i }
- payload: { json: { id: "${payload.i['@id']}", index: "${vars.split.index}" } }
- aggregate: { by: message.id, count: vars.split.size }
- respond"#;
        let text = text_of(steps, xml("<o><i id='a'/><x/><i id='b'/></o>")).await;
        assert_eq!(text, r#"[{"id":"a","index":0},{"id":"b","index":1}]"#);
    }

    #[test]
    fn rows_become_messages() {
        let steps = r#"
- split: { over: payload.rows }
- filter: { when: payload.amount | float > 0, else: [drop] }
- convert: { to: application/json }
- call: test://echo
- log: "sent ${payload.body}""#;
        let lines = captured(steps, || {
            engine::testing::post("text/csv", "id,amount\na,1.5\nb,0\nc,3\n")
        });
        assert!(lines.contains(r#"sent {"id":"a","amount":"1.5"}"#), "{lines}");
        assert!(
            lines.contains(r#"sent {"id":"c","amount":"3"}"#) && !lines.contains(r#""id":"b""#),
            "{lines}"
        );
    }

    #[tokio::test]
    async fn faults_stop_or_are_collected() {
        let steps = |stop: bool| {
            format!(
                "- split: {{ over: payload, stop_on_fault: {stop}, steps: [ {{ filter: {{ when: payload != 2, then: [ {{ throw: 'bad ${{payload}}' }} ] }} }} ] }}"
            )
        };
        let first = fault(&steps(true), json("[1,2,3]")).await;
        assert_eq!((first.message(), first.details()), ("bad 1", None));
        let all = fault(&steps(false), json("[1,2,3]")).await;
        assert_eq!(
            all.details().unwrap().to_string(),
            r#"[{"index":0,"code":"gateway.thrown","message":"bad 1"},{"index":2,"code":"gateway.thrown","message":"bad 3"}]"#
        );
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- split: { over: payload.rows }");
        assert!(
            text.contains("has no steps for its parts") && text.contains("test.yaml:3:7"),
            "{text}"
        );
        let text = diagnostics("- split: payload.rows\n- drp");
        assert!(
            text.contains("there is no step `drp`") && text.contains("test.yaml:4:7"),
            "{text}"
        );
    }
}
