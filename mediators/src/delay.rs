//! `delay`: waits before the exchange goes on.

use engine::build::Build;
use engine::config::{Duration, Leaf, Text};
use engine::exchange::Exchange;
use engine::expression::{Escape, Template};
use engine::fault::{Fault, FaultCode};
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time;

/// Waits. Nothing waits longer than the exchange may take: a wait that would is `gateway.deadline` at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelayConfig {
    /// How long: `250ms`, `3s`; `${ ... }` is evaluated.
    pub duration: Text,
}

impl StepConfig for DelayConfig {
    const NAME: &'static str = "delay";
    const EXAMPLE: &'static str = "- delay: 250ms\n- delay: \"${headers.x_wait | default('1s')}\"";
    const SHORTHAND: Option<&'static str> = Some("duration");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let template = cx.template(&self.duration, Escape::None)?;
        let Some(literal) = template.as_literal() else {
            return Some(asynchronous(Delay::Evaluated(template)));
        };
        match Duration::parse(&literal) {
            Ok(duration) => Some(asynchronous(Delay::Fixed(duration.get()))),
            Err(error) => {
                cx.error(
                    "config.bad_value",
                    self.duration.span(),
                    error.message,
                    error.help,
                );
                None
            }
        }
    }
}

enum Delay {
    Fixed(time::Duration),
    Evaluated(Template),
}

impl Delay {
    fn duration(&self, exchange: &Exchange) -> Result<time::Duration, Fault> {
        match self {
            Self::Fixed(duration) => Ok(*duration),
            Self::Evaluated(template) => {
                let text = template.render(exchange)?;
                Duration::parse(&text).map(Duration::get).map_err(|error| {
                    Fault::new(
                        FaultCode::Expression,
                        "An expression could not be evaluated for this message.",
                    )
                    .with_detail(format!("`{text}` is no duration: {error}"))
                })
            }
        }
    }
}

impl AsyncMediator for Delay {
    fn needs(&self) -> Needs {
        match self {
            Self::Fixed(_) => Needs::Headers,
            Self::Evaluated(template) => template.needs(),
        }
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let duration = self.duration(exchange)?;
            if duration > exchange.time_left() {
                return Err(Fault::new(
                    FaultCode::Deadline,
                    "The exchange would take longer than its deadline.",
                ));
            }
            tokio::time::sleep(duration).await;
            Ok(Flow::Next)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, run};
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn waits_as_long_as_it_says_and_no_longer_than_the_exchange() {
        let started = Instant::now();
        assert!(
            run("- delay: 1s\n- delay: '${payload.ms}ms'", json(r#"{"ms": 500}"#))
                .await
                .flow
                .is_ok()
        );
        assert_eq!(started.elapsed(), Duration::from_millis(1500));
        assert_eq!(fault("- delay: 10m", json("{}")).await.name(), "gateway.deadline");
        assert_eq!(
            fault("- delay: '${payload.x}'", json(r#"{"x": "soon"}"#))
                .await
                .name(),
            "gateway.expression"
        );
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- delay: 30");
        assert!(
            text.contains("needs a unit") && text.contains("test.yaml:3:14"),
            "{text}"
        );
    }
}
