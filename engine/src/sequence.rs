//! Sequences of steps, and the executor: the only loop over steps in the program.
//!
//! The executor lifts the payload to what the next step reads, runs the step, counts and times it, completes its faults with
//! the step's position and records the trace. Authors of mediators write none of that.

use crate::exchange::{Exchange, HISTORY_MAX};
use crate::fault::Fault;
use crate::mediator::{Flow, Needs, StepKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a step stands in the configuration.
#[derive(Clone, Debug)]
pub struct StepPosition {
    /// File name, relative to the project.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl std::fmt::Display for StepPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One step of a sequence.
pub struct Step {
    /// Its path in the configuration: `apis.quotes.GET /{symbol}[1].then[0]`.
    pub id: Arc<str>,
    /// The mediator's name.
    pub mediator: &'static str,
    /// Where it stands.
    pub position: StepPosition,
    /// How much of the payload it reads.
    pub needs: Needs,
    /// What it does.
    pub kind: StepKind,
    /// How often it ran in this deployment.
    pub runs: AtomicU64,
}

/// Steps in order. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sequence(Arc<[Step]>);

impl Sequence {
    /// A sequence of these steps.
    #[must_use]
    pub fn new(steps: Vec<Step>) -> Self {
        Self(steps.into())
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether there is no step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs the steps until one responds, drops or fails.
    ///
    /// # Errors
    /// The first fault, with the position of the step that raised it.
    pub async fn run(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let watch = exchange.completions.watch();
        let mut flow = Flow::Next;
        for step in &*self.0 {
            flow = step.run(exchange).await.map_err(|mut fault| {
                fault.at_step(&step.id);
                fault
            })?;
            if flow != Flow::Next {
                break;
            }
        }
        watch.went_well();
        Ok(flow)
    }
}

impl Step {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        if let Some(history) = exchange
            .history
            .as_mut()
            .filter(|steps| steps.len() < HISTORY_MAX)
        {
            history.push(Arc::clone(&self.id));
        }
        match exchange.trace.clone() {
            None => self.mediate(exchange).await,
            Some(trace) => {
                let before = trace.begin(self, exchange);
                let outcome = self.mediate(exchange).await;
                trace.end(&before, exchange, &outcome);
                outcome
            }
        }
    }

    async fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        exchange.lift(self.needs).await?;
        match &self.kind {
            StepKind::Sync(mediator) => mediator.mediate(exchange),
            StepKind::Async(mediator) => mediator.mediate(exchange).await,
        }
    }

    /// This step and all steps below it, depth first.
    pub fn visit<'a>(&'a self, visitor: &mut dyn FnMut(&'a Step)) {
        visitor(self);
        for (_, sequence) in self.kind.children() {
            for step in sequence.steps() {
                step.visit(visitor);
            }
        }
    }
}
