//! `foreach`: steps for every item of a list, with the results put back.

use crate::parts::{self, Ended, part, part_model};
use crate::place::{Mode, Place, place};
use engine::build::Build;
use engine::config::{Spanned, Steps, Text};
use engine::exchange::Exchange;
use engine::expression::{Expression, Value};
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::model::Model;
use engine::registry::StepConfig;
use engine::sequence::Sequence;
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;

/// Runs steps for every item of a list. In them `payload` is the item, as is `vars.item`, and `vars.item_index` counts from 0.
///
/// What the payload is after the steps replaces the item, where `in` is a plain path into the payload; with `into` the results become
/// a list there. An item whose steps `drop` it is left out. `respond` ends the exchange with that item. The first fault ends the loop.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeachConfig {
    /// The list, an expression. What is no list counts as a list of one, what is absent as an empty one.
    pub r#in: Text,
    /// The name of the variable that holds the item.
    #[serde(default = "default_as")]
    pub r#as: Spanned<String>,
    /// The steps.
    pub steps: Steps,
    /// How many items at once, at most 1000; default 1. Variables that steps set last from one item to the next, and beyond the loop,
    /// only where it is 1.
    pub parallel: Option<NonZeroUsize>,
    /// Where the list of results goes instead: `vars.NAME` or `payload.path`.
    pub into: Option<Spanned<String>>,
}

fn default_as() -> Spanned<String> {
    Spanned::new("item".to_owned(), engine::config::Span::default())
}

impl StepConfig for ForeachConfig {
    const NAME: &'static str = "foreach";
    const EXAMPLE: &'static str = r#"- foreach:
    in: payload.lines
    as: line
    parallel: 4
    steps:
      - set: { payload.total: "${payload.price * payload.count}" }
    into: vars.lines"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let items = cx.expression(&self.r#in);
        let steps = cx.steps(&self.steps, "steps");
        let target = match &self.into {
            Some(into) => Target::List(place(into, into.span, cx)?),
            None => match Place::parse(self.r#in.as_str()) {
                Ok(Place::Payload(path)) => Target::InPlace(Place::Payload(path)),
                Ok(variable @ Place::Variable(..)) => Target::InPlace(variable),
                _ => Target::Nowhere,
            },
        };
        Some(asynchronous(Foreach {
            items: items?,
            variable: self.r#as.value.as_str().into(),
            index_variable: format!("{}_index", self.r#as.value).into(),
            steps,
            parallel: parts::parallel(self.parallel),
            target,
        }))
    }
}

enum Target {
    /// Where the items come from.
    InPlace(Place),
    List(Place),
    Nowhere,
}

struct Foreach {
    items: Expression,
    variable: Box<str>,
    index_variable: Box<str>,
    steps: Sequence,
    parallel: usize,
    target: Target,
}

impl AsyncMediator for Foreach {
    fn needs(&self) -> Needs {
        let target = match &self.target {
            Target::InPlace(place) | Target::List(place) => place.needs(),
            Target::Nowhere => Needs::Headers,
        };
        self.items.needs().max(target)
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let items = parts::items(self.items.evaluate_optional(exchange)?)?;
            let before: Vec<Arc<Model>> = items.iter().cloned().map(part_model).collect();
            let after = if self.parallel == 1 {
                self.one_by_one(exchange, &before).await?
            } else {
                self.at_once(exchange, &before).await?
            };
            match after {
                Results::Responded(flow) => Ok(flow),
                Results::All(after) => {
                    self.put_back(exchange, &items, &before, after)?;
                    Ok(Flow::Next)
                }
            }
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        vec![("steps".to_owned(), &self.steps)]
    }
}

/// What the items became: `None` for one that was dropped or has no body any more.
enum Results {
    All(Vec<Option<Arc<Model>>>),
    Responded(Flow),
}

impl Foreach {
    async fn one_by_one(&self, exchange: &mut Exchange, items: &[Arc<Model>]) -> Result<Results, Fault> {
        let mut results = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let mut forked = self.fork(exchange, index, item);
            let flow = self.steps.run(&mut forked).await?;
            exchange.vars = std::mem::take(&mut forked.vars);
            exchange.backend_time += forked.backend_time;
            if flow == Flow::Respond {
                return Ok(responded(exchange, forked));
            }
            results.push(result(&mut forked, flow).await?);
        }
        exchange.vars.shift_remove(&self.variable);
        exchange.vars.shift_remove(&self.index_variable);
        Ok(Results::All(results))
    }

    async fn at_once(&self, exchange: &mut Exchange, items: &[Arc<Model>]) -> Result<Results, Fault> {
        let forks: Vec<Exchange> = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.fork(exchange, index, item))
            .collect();
        let mut ended = pin!(parts::run(&self.steps, forks, self.parallel));
        let mut results = Vec::with_capacity(items.len());
        while let Some(Ended {
            exchange: mut forked,
            outcome,
            ..
        }) = ended.next().await
        {
            let flow = outcome?;
            if flow == Flow::Respond {
                return Ok(responded(exchange, forked));
            }
            results.push(result(&mut forked, flow).await?);
        }
        Ok(Results::All(results))
    }

    fn fork(&self, exchange: &Exchange, index: usize, item: &Arc<Model>) -> Exchange {
        let mut forked = part(exchange, Arc::clone(item));
        forked.vars.insert(self.variable.clone(), Arc::clone(item));
        forked.vars.insert(
            self.index_variable.clone(),
            Arc::new(Model::Json(Json::from(index))),
        );
        forked
    }

    fn put_back(
        &self,
        exchange: &mut Exchange,
        items: &[Value],
        before: &[Arc<Model>],
        after: Vec<Option<Arc<Model>>>,
    ) -> Result<(), Fault> {
        match &self.target {
            Target::Nowhere => Ok(()),
            Target::List(place) => {
                let list = after
                    .into_iter()
                    .flatten()
                    .map(|model| Value::Model(model).to_json())
                    .collect();
                place.put(exchange, Value::Json(list), Mode::Replace)
            }
            Target::InPlace(place) => {
                let same = |(before, after): (&Arc<Model>, &Option<Arc<Model>>)| {
                    after.as_ref().is_some_and(|after| Arc::ptr_eq(before, after))
                };
                if before.iter().zip(&after).all(same) {
                    return Ok(());
                }
                match items.first() {
                    Some(Value::Nodes(..)) => put_elements(place, exchange, after),
                    _ => {
                        let list = after
                            .into_iter()
                            .flatten()
                            .map(|model| Value::Model(model).to_json())
                            .collect();
                        place.put(exchange, Value::Json(list), Mode::Replace)
                    }
                }
            }
        }
    }
}

/// Puts documents in the place of the elements they came from, and takes the elements of dropped items out.
fn put_elements(place: &Place, exchange: &mut Exchange, after: Vec<Option<Arc<Model>>>) -> Result<(), Fault> {
    for (index, model) in after.into_iter().enumerate().rev() {
        let element = place.item(index);
        if let Some(model) = model {
            element.put(exchange, Value::Model(model), Mode::After)?;
        }
        element.remove(exchange);
    }
    Ok(())
}

fn responded(exchange: &mut Exchange, forked: Exchange) -> Results {
    exchange.message = forked.message;
    Results::Responded(Flow::Respond)
}

async fn result(forked: &mut Exchange, flow: Flow) -> Result<Option<Arc<Model>>, Fault> {
    if flow == Flow::Drop {
        return Ok(None);
    }
    forked.lift(Needs::Model).await?;
    Ok(forked.model().cloned())
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, run, text_of, xml};
    use engine::payload::PayloadState;

    #[tokio::test]
    async fn items_are_put_back_in_place() {
        let steps = "- foreach: { in: payload.a, steps: [ { set: { payload.n: '${payload.n + vars.item_index}' } } ] }";
        assert_eq!(
            text_of(steps, json(r#"{"x":1,"a":[{"n":1},{"n":1}]}"#)).await,
            r#"{"x":1,"a":[{"n":1},{"n":2}]}"#
        );
        let steps = "- foreach: { in: payload.a, parallel: 3, steps: [ { filter: payload > 1 }, { set: { payload: '${payload * 2}' } } ] }";
        assert_eq!(
            text_of(steps, json(r#"{"a":[1,2,3,4]}"#)).await,
            r#"{"a":[4,6,8]}"#
        );
    }

    #[tokio::test]
    async fn elements_are_put_back_in_place() {
        let given = r#"<o xmlns="urn:o"><i>1</i><x/><i k="a">2</i><i>3</i></o>"#;
        let steps = r#"
- foreach:
    in: payload.o.i
    steps:
      - filter: payload.i != "1"
      - set: { "payload.i['@n']": "${vars.item_index}" }"#;
        assert_eq!(
            text_of(steps, xml(given)).await,
            r#"<o xmlns="urn:o"><x/><i k="a" n="1">2</i><i n="2">3</i></o>"#
        );
    }

    #[tokio::test]
    async fn results_go_into_a_variable_and_the_message_stays() {
        let steps = "- foreach: { in: payload.a, as: x, into: vars.r, steps: [ { payload: { json: { got: '${vars.x}' } } } ] }";
        let mut outcome = run(steps, json(r#"{"a": [1, "b"]}"#)).await;
        assert_eq!(
            outcome.exchange.vars["r"].to_json().to_string(),
            r#"[{"got":1},{"got":"b"}]"#
        );
        assert_eq!(outcome.text(), r#"{"a": [1, "b"]}"#);
    }

    #[tokio::test]
    async fn one_by_one_variables_add_up() {
        let steps = "- set: { vars.sum: 0 }\n- foreach: { in: payload, steps: [ { set: { vars.sum: '${vars.sum + payload}' } } ] }";
        let outcome = run(steps, json("[1,2,3]")).await;
        assert_eq!(outcome.exchange.vars["sum"].to_json().to_string(), "6");
        assert_eq!(
            outcome.exchange.vars.len(),
            1,
            "the loop's own variables are gone"
        );
        assert_eq!(
            outcome.exchange.message.payload.state(),
            PayloadState::Parsed,
            "nothing changed, the bytes stay"
        );
    }

    #[tokio::test]
    async fn respond_and_faults_end_the_loop() {
        let steps = "- foreach: { in: payload, steps: [ { filter: { when: payload == 2, then: [respond] } } ] }\n- set: { payload: no }";
        assert_eq!(text_of(steps, json("[1,2,3]")).await, "2");
        let steps = "- foreach: { in: payload, steps: [ { throw: 'at ${payload}' } ] }";
        assert_eq!(fault(steps, json("[7,8]")).await.message(), "at 7");
        assert_eq!(
            text_of("- foreach: { in: payload.none, steps: [drop] }", json("{}")).await,
            "{}"
        );
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- foreach: { in: payload.a, parallel: 0, steps: [drp] }");
        assert!(
            text.contains("parallel") || text.contains("test.yaml:3:39"),
            "{text}"
        );
        assert!(text.contains("`drp`"), "{text}");
        assert!(diagnostics("- foreach: { in: a, steps: [drop], into: foo }").contains("no place to write"));
    }
}
