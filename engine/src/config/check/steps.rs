//! The shape of steps: a list, or one; each a mapping with one key, or a bare name. Which names there are and
//! what settings they take is checked by the build, which knows the registry.

use super::Checker;
use crate::config::{Diagnostic, Key, Node, NodeValue, Span};
use serde_json::Value;

const SHAPE: &str = "a step is a mediator's name, or a mapping with one key: `- log: \"text\"`";

impl Checker<'_> {
    pub(super) fn steps(&mut self, node: &Node, owner: Span) -> Option<Node> {
        match &node.value {
            NodeValue::Null => {
                let place = if node.span.start == node.span.end {
                    owner
                } else {
                    node.span
                };
                let message = "expected steps, found nothing";
                self.diagnostics.push(
                    Diagnostic::error("config.wrong_type", place, message)
                        .help("write a list of steps, or `[]` for none"),
                );
                None
            }
            NodeValue::Sequence(items) => {
                let kept: Vec<Node> = items.iter().filter_map(|item| self.step(item)).collect();
                Some(Node::sequence(node.span, kept))
            }
            _ => self.step(node),
        }
    }

    pub(super) fn step(&mut self, node: &Node) -> Option<Node> {
        match &node.value {
            NodeValue::Scalar(scalar) if !scalar.text().trim().is_empty() => Some(node.clone()),
            NodeValue::Mapping(entries) => self.step_mapping(node, entries),
            _ => {
                self.wrong_type(node, "a step", &Value::Null);
                None
            }
        }
    }

    fn step_mapping(&mut self, node: &Node, entries: &[(Key, Node)]) -> Option<Node> {
        let diagnostic = match entries {
            [_] => return Some(node.clone()),
            [(first, _), (second, _), ..] => {
                let message = format!(
                    "a step has one key, this one has `{}` and `{}`",
                    first.text, second.text
                );
                let help = format!(
                    "indent `{second}` below `{first}` if it is a setting of `{first}`; begin it with `- ` if it is the next step",
                    first = first.text,
                    second = second.text,
                );
                Diagnostic::error("config.step", second.span, message)
                    .secondary(first.span, "the step begins here")
                    .help(help)
            }
            [] => Diagnostic::error("config.step", node.span, "an empty step").help(SHAPE),
        };
        self.diagnostics.push(diagnostic);
        None
    }
}
