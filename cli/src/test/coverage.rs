//! Which steps the tests reached.

use engine::deployment::Deployment;
use engine::sequence::StepPosition;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Steps by their path, over all tests.
#[derive(Default)]
pub struct Coverage {
    steps: BTreeMap<String, Reached>,
}

/// A step and whether a test ran it.
struct Reached {
    mediator: &'static str,
    position: StepPosition,
    reached: bool,
}

impl Coverage {
    /// Adds what ran in a deployment.
    pub fn add(&mut self, deployment: &Deployment) {
        deployment.visit_steps(&mut |step| {
            let reached = step.runs.load(Ordering::Relaxed) > 0;
            let entry = self.steps.entry(step.id.to_string()).or_insert_with(|| Reached {
                mediator: step.mediator,
                position: step.position.clone(),
                reached: false,
            });
            entry.reached |= reached;
        });
    }

    /// How many steps there are, and how many ran.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let reached = self.steps.values().filter(|step| step.reached).count();
        (self.steps.len(), reached)
    }

    /// The steps that did not run, in the order of the files: place, mediator, path.
    #[must_use]
    pub fn missed(&self) -> Vec<(String, &'static str, &str)> {
        let mut missed: Vec<(&String, &Reached)> =
            self.steps.iter().filter(|(_, step)| !step.reached).collect();
        missed.sort_by_key(|(_, step)| {
            (
                step.position.file.to_string(),
                step.position.line,
                step.position.column,
            )
        });
        missed
            .into_iter()
            .map(|(id, step)| (step.position.to_string(), step.mediator, id.as_str()))
            .collect()
    }
}
