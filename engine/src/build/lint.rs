//! Mistakes that are valid by the letter.

use super::Build;
use crate::config::{Diagnostic, Steps};

/// Steps behind one that always ends the exchange never run.
pub(super) fn unreachable_steps(steps: &Steps, cx: &mut Build<'_>) {
    let registry = cx.registry;
    let ends = |name: &str| registry.mediator(name).is_some_and(|spec| spec.terminal);
    let Some(last) = steps.iter().position(|step| ends(&step.name)) else {
        return;
    };
    let Some(unreachable) = steps.get(last + 1) else {
        return;
    };
    let ending = &steps[last];
    let diagnostic = Diagnostic::error(
        "config.unreachable",
        unreachable.name_span,
        "this step is never reached",
    )
    .secondary(
        ending.name_span,
        format!("`{}` ends the exchange here", ending.name),
    )
    .help(format!("move it before `{}`, or remove it", ending.name));
    cx.diagnostics.push(diagnostic);
}
