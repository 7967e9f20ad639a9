//! What compilation works out so that evaluation can stop early.

use super::expression::{Axis, Expression, Path, Predicate, Start, Step, Test};
use super::function::Core;

/// Paths with more steps are evaluated set by set: walking depth first takes a stack frame per step.
const STREAMED_STEPS_MAX: usize = 32;

/// The step that `//` stands for.
pub(super) fn any_descendant() -> Step {
    Step {
        axis: Axis::DescendantOrSelf,
        test: Test::Node,
        among_siblings: None,
        predicates: Vec::new(),
    }
}

pub(super) fn path(start: Start, steps: Vec<Step>, offset: usize) -> Path {
    let steps = merge_descendants(steps);
    let streams = !matches!(start, Start::Expression(_)) && streams(&steps);
    Path {
        start,
        steps,
        offset,
        streams,
    }
}

/// Joins `descendant-or-self::node()/child::x` to `descendant::x` where positions allow it.
fn merge_descendants(steps: Vec<Step>) -> Vec<Step> {
    let mut merged: Vec<Step> = Vec::with_capacity(steps.len());
    for mut step in steps {
        let after_any = merged.last().is_some_and(is_any_descendant);
        if after_any && step.axis == Axis::Child && make_descendant(&mut step) {
            merged.pop();
        }
        merged.push(step);
    }
    merged
}

fn is_any_descendant(step: &Step) -> bool {
    step.axis == Axis::DescendantOrSelf && step.test == Test::Node && step.predicates.is_empty()
}

/// Makes a child step after `//` a descendant step, unless its predicates count in a way that forbids it.
fn make_descendant(step: &mut Step) -> bool {
    let (first, others) = match step.predicates.split_first() {
        Some((first, others)) if first.position.is_some() => (first.position, others),
        _ => (None, step.predicates.as_slice()),
    };
    if others.iter().any(Predicate::is_positional) {
        return false;
    }
    if first.is_some() {
        step.predicates.remove(0);
    }
    step.among_siblings = first;
    step.axis = Axis::Descendant;
    true
}

/// Whether a walk depth first yields each node once and in document order: while all nodes so far are one
/// (`single`), or none of them is inside another (`flat`).
fn streams(steps: &[Step]) -> bool {
    let (mut single, mut flat) = (true, true);
    for step in steps {
        match step.axis {
            Axis::Itself => {}
            Axis::Parent if single => {}
            Axis::Child if flat => single = false,
            Axis::FollowingSibling if single => single = false,
            Axis::Attribute | Axis::Namespace => (single, flat) = (false, false),
            Axis::Descendant | Axis::DescendantOrSelf if flat => (single, flat) = (false, false),
            Axis::Following if single => (single, flat) = (false, false),
            _ => return false,
        }
    }
    steps.len() <= STREAMED_STEPS_MAX
}

pub(super) fn predicate(expression: Expression) -> Predicate {
    use super::expression::Type;
    let position = match expression {
        Expression::Number(number) if (1.0..=1e9).contains(&number) && number.fract() == 0.0 => {
            Some(number as usize)
        }
        _ => None,
    };
    Predicate {
        position,
        may_be_number: matches!(expression.value_type(), Type::Number | Type::Unknown),
        uses_position: calls(&expression, Core::Position),
        uses_last: calls(&expression, Core::Last),
        expression,
    }
}

/// Whether the expression calls `function` about its own context, not about that of an inner predicate.
fn calls(expression: &Expression, function: Core) -> bool {
    match expression {
        Expression::Number(_) | Expression::Literal(_) | Expression::Variable { .. } => false,
        Expression::Negate(inner) => calls(inner, function),
        Expression::Chain { first, rest, .. } => {
            calls(first, function) || rest.iter().any(|(_, operand)| calls(operand, function))
        }
        Expression::Call {
            function: called,
            arguments,
            ..
        } => *called == function || arguments.iter().any(|argument| calls(argument, function)),
        // A function of the application may ask for position and size.
        Expression::Custom { .. } => true,
        Expression::Filter { base, .. } => calls(base, function),
        Expression::Path(path) => match &path.start {
            Start::Expression(inner) => calls(inner, function),
            Start::Root | Start::Context => false,
        },
    }
}
