//! Steps: each resolved through the registry, with its path and position.

use super::{Build, lint};
use crate::config::{Key, Node, Step as StepNode, Steps, expand_shorthand, suggestion};
use crate::mediator::{Needs, StepKind};
use crate::sequence::{Sequence, Step};
use std::sync::atomic::AtomicU64;

impl Build<'_> {
    /// Builds child steps. `key` names them below the current path (`then`, `cases.A`); it is empty for the steps of an artifact.
    /// Steps with problems are left out and reported.
    pub fn steps(&mut self, steps: &Steps, key: &str) -> Sequence {
        lint::unreachable_steps(steps, self);
        let mut built = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let suffix = if key.is_empty() {
                format!("[{index}]")
            } else {
                format!(".{key}[{index}]")
            };
            let with_rest = self.with_rest(step, &steps[index + 1..]);
            let step_built = self.within(&suffix, |cx| cx.step(with_rest.as_ref().unwrap_or(step)));
            built.extend(step_built);
            if with_rest.is_some() {
                break;
            }
        }
        Sequence::new(built)
    }

    /// The step with the rest of the list as its child steps, where it takes them and has none of its own.
    fn with_rest(&self, step: &StepNode, rest: &[StepNode]) -> Option<StepNode> {
        let spec = self.registry.mediator(&step.name)?;
        let key = spec.rest.filter(|key| step.settings.get(key).is_none())?;
        let last = rest.last()?;
        let settings = match spec.shorthand {
            Some(shorthand) => expand_shorthand(&step.settings, shorthand),
            None => step.settings.clone(),
        };
        let span = rest[0].span.to(last.span);
        let items: Vec<Node> = rest.iter().map(StepNode::to_node).collect();
        let mut entries = settings.entries().to_vec();
        entries.push((
            Key {
                text: key.into(),
                span: rest[0].name_span,
            },
            Node::sequence(span, items),
        ));
        Some(StepNode {
            settings: Node::mapping(settings.span, entries),
            ..step.clone()
        })
    }

    /// Builds optional child steps.
    pub fn optional_steps(&mut self, steps: Option<&Steps>, key: &str) -> Option<Sequence> {
        steps.map(|steps| self.steps(steps, key))
    }

    /// Runs `body` with the path extended.
    pub fn within<T>(&mut self, suffix: &str, body: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(suffix);
        let result = body(self);
        self.path.truncate(length);
        result
    }

    fn step(&mut self, step: &StepNode) -> Option<Step> {
        let Some(spec) = self.registry.mediator(&step.name) else {
            let help = suggestion(&step.name, self.registry.mediators.iter().map(|spec| spec.name));
            self.error(
                "config.unknown_step",
                step.name_span,
                format!("there is no step `{}`", step.name),
                help,
            );
            return None;
        };
        let outer = std::mem::replace(&mut self.step, step.name_span);
        let kind = (spec.build)(&step.settings, self);
        self.step = outer;
        let kind = kind?;
        Some(self.positioned(spec.name, step.name_span, kind))
    }

    /// A step that stands at `span`.
    pub(crate) fn positioned(
        &self,
        mediator: &'static str,
        span: crate::config::Span,
        kind: StepKind,
    ) -> Step {
        Step {
            id: self.path.as_str().into(),
            mediator,
            position: self.position(span),
            needs: kind.needs().max(Needs::Headers),
            kind,
            runs: AtomicU64::new(0),
        }
    }
}
