//! `sequence`: runs a named sequence; one with parameters is a template of steps.

use crate::text::structure_value;
use engine::build::Build;
use engine::config::{Named, RawNode, Spanned};
use engine::exchange::Exchange;
use engine::expression::Structure;
use engine::fault::{Fault, FaultCode};
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::model::Model;
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Runs a named sequence as if its steps stood here. Faults go to its `on_fault` first; where that ends normally, the exchange goes on
/// behind this step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SequenceConfig {
    /// The sequence's name.
    pub name: Spanned<String>,
    /// Values for its parameters, which its steps read as `params.NAME`. A single `${ ... }` keeps its type.
    #[serde(default)]
    pub with: Named<RawNode>,
}

/// Sequences inside each other.
const DEPTH_MAX: usize = 32;

impl StepConfig for SequenceConfig {
    const NAME: &'static str = "sequence";
    const EXAMPLE: &'static str =
        "- sequence: audit\n- sequence: { name: notify, with: { who: \"${payload.email}\" } }";
    const SHORTHAND: Option<&'static str> = Some("name");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let given: Vec<_> = self.with.iter().map(|(name, span, _)| (name, span)).collect();
        let known = cx.check_sequence(&self.name, self.name.span, &given);
        let arguments: Vec<_> = self
            .with
            .iter()
            .map(|(name, _, value)| Some((Arc::from(name), cx.structure(value)?)))
            .collect();
        let arguments = arguments.into_iter().collect::<Option<_>>()?;
        known.then(|| {
            asynchronous(CallSequence {
                name: self.name.value.into(),
                arguments,
            })
        })
    }
}

struct CallSequence {
    name: Box<str>,
    arguments: Vec<(Arc<str>, Structure)>,
}

impl AsyncMediator for CallSequence {
    fn needs(&self) -> Needs {
        self.arguments
            .iter()
            .map(|(_, value)| value.needs())
            .max()
            .unwrap_or_default()
    }

    fn named_sequence(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            if exchange.sequence_depth >= DEPTH_MAX {
                let message = format!("Sequences are nested more than {DEPTH_MAX} deep.");
                let detail = format!("the last one is `{}`", self.name);
                return Err(Fault::new(FaultCode::LimitExceeded, message).with_detail(detail));
            }
            let deployment = Arc::clone(&exchange.deployment);
            let Some(sequence) = deployment.sequences.get(&*self.name) else {
                return Err(Fault::internal(format!("there is no sequence `{}`", self.name)));
            };
            let outer = exchange.arguments.len();
            self.push_arguments(exchange, &sequence.parameters)?;
            exchange.sequence_depth += 1;
            let outcome = match (sequence.steps.run(exchange).await, &sequence.on_fault) {
                (Err(fault), Some(on_fault)) => crate::r#try::handle(exchange, fault, on_fault).await,
                (outcome, _) => outcome,
            };
            exchange.sequence_depth -= 1;
            exchange.arguments.truncate(outer);
            outcome
        })
    }
}

type Parameters = indexmap::IndexMap<Arc<str>, Option<serde_json::Value>>;

impl CallSequence {
    /// The given values, evaluated outside the sequence, and the defaults of the other parameters.
    fn push_arguments(&self, exchange: &mut Exchange, parameters: &Parameters) -> Result<(), Fault> {
        let mut pushed = Vec::with_capacity(parameters.len());
        for (name, value) in &self.arguments {
            pushed.push((Arc::clone(name), structure_value(value, exchange)?.into_model()));
        }
        for (name, default) in parameters {
            let given = self.arguments.iter().any(|(argument, _)| argument == name);
            if let Some(default) = default.as_ref().filter(|_| !given) {
                pushed.push((Arc::clone(name), Arc::new(Model::Json(default.clone()))));
            }
        }
        exchange.arguments.append(&mut pushed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{deployment, diagnostics, json};
    use engine::testing::{Outcome, run_in};
    use std::sync::Arc;

    async fn run(yaml: &str, body: &str) -> Outcome {
        let deployment = deployment(yaml).unwrap_or_else(|text| panic!("{text}"));
        run_in(Arc::new(deployment), json(body)).await
    }

    #[tokio::test]
    async fn parameters_shadow_the_query_and_end_with_the_sequence() {
        let yaml = r#"
sequences:
  main:
    - sequence: { name: greet, with: { q: "${payload.n}" } }
    - set: { payload.after: "${params.q}" }
  greet:
    params: { q: null, word: [hello] }
    steps:
      - set: { payload.q: "${params.q}", payload.word: "${params.word[0]}" }"#;
        assert_eq!(
            run(yaml, r#"{"n":5}"#).await.text(),
            r#"{"n":5,"q":5,"word":"hello","after":"1"}"#
        );
    }

    #[tokio::test]
    async fn its_on_fault_handles_its_faults() {
        let yaml = r#"
sequences:
  main:
    - sequence: risky
    - set: { payload.after: "${fault.code | default('none')}" }
  risky:
    steps: [ { throw: { code: a.b, message: no } } ]
    on_fault: [ { set: { payload.code: "${fault.code}" } } ]"#;
        assert_eq!(run(yaml, "{}").await.text(), r#"{"code":"a.b","after":"none"}"#);
    }

    #[tokio::test]
    async fn endless_recursion_is_a_fault() {
        let outcome = run("sequences: { main: [ { sequence: main } ] }", "{}").await;
        assert_eq!(outcome.fault().name(), "gateway.limit");
        assert_eq!(outcome.exchange.sequence_depth, 0);
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- sequence: mian");
        assert!(
            text.contains("did you mean `main`?") && text.contains("test.yaml:3:"),
            "{text}"
        );
        let text = diagnostics("- sequence: { name: main, with: { x: 1 } }");
        assert!(text.contains("no parameter `x`"), "{text}");
    }
}
