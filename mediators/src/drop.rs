//! `drop`: ends the exchange without a reply.

use engine::build::Build;
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{Flow, Mediator, StepKind, sync};
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;

/// Ends the exchange without a reply body; over HTTP that is 202. Inside `foreach` it leaves the item out, inside `split` it ends the
/// part.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropConfig {}

impl StepConfig for DropConfig {
    const NAME: &'static str = "drop";
    const EXAMPLE: &'static str = "- filter: { when: payload.test is defined, then: [drop] }";
    const TERMINAL: bool = true;

    fn build(self, _: &mut Build<'_>) -> Option<StepKind> {
        Some(sync(Drop))
    }
}

struct Drop;

impl Mediator for Drop {
    fn mediate(&self, _: &mut Exchange) -> Result<Flow, Fault> {
        Ok(Flow::Drop)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, json, run};
    use engine::mediator::Flow;

    #[tokio::test]
    async fn ends_the_exchange() {
        assert_eq!(run("- drop", json("{}")).await.flow.unwrap(), Flow::Drop);
        assert!(diagnostics("- drop\n- respond").contains("never reached"));
    }
}
