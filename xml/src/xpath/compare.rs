//! Comparison (XPath 1.0 section 3.4): between node-sets it asks whether any pair compares so.

use super::evaluate::{Evaluated, Evaluator};
use super::expression::Operator;
use super::node::Node;
use super::number;
use super::value::Value;
use std::collections::HashSet;

impl Evaluator<'_> {
    pub(super) fn compare(&self, operator: Operator, left: &Value, right: &Value) -> Evaluated<bool> {
        match (left, right) {
            (Value::Nodes(left), Value::Nodes(right)) => self.compare_sets(operator, left, right),
            (Value::Nodes(nodes), Value::Boolean(_)) => {
                Ok(self.compare_plain(operator, &Value::Boolean(!nodes.is_empty()), right))
            }
            (Value::Boolean(_), Value::Nodes(nodes)) => {
                Ok(self.compare_plain(operator, left, &Value::Boolean(!nodes.is_empty())))
            }
            (Value::Nodes(nodes), _) => self.any_compares(nodes, operator, right),
            (_, Value::Nodes(nodes)) => self.any_compares(nodes, swapped(operator), left),
            _ => Ok(self.compare_plain(operator, left, right)),
        }
    }

    /// Whether the string value of any node compares so with a number or string.
    fn any_compares(&self, nodes: &[Node], operator: Operator, other: &Value) -> Evaluated<bool> {
        for &node in nodes {
            let text = self.string_value(node)?;
            let holds = match other {
                Value::String(other) if is_equality(operator) => {
                    (*text == **other) == (operator == Operator::Equal)
                }
                _ => compare_numbers(operator, number::parse(&text), other.number(self.document)),
            };
            if holds {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn compare_plain(&self, operator: Operator, left: &Value, right: &Value) -> bool {
        if !is_equality(operator) {
            return compare_numbers(operator, left.number(self.document), right.number(self.document));
        }
        let is_equal = match (left, right) {
            (Value::Boolean(_), _) | (_, Value::Boolean(_)) => left.boolean() == right.boolean(),
            (Value::Number(_), _) | (_, Value::Number(_)) => {
                return compare_numbers(operator, left.number(self.document), right.number(self.document));
            }
            _ => left.string(self.document) == right.string(self.document),
        };
        is_equal == (operator == Operator::Equal)
    }

    /// Compares two node-sets in time linear in their texts.
    fn compare_sets(&self, operator: Operator, left: &[Node], right: &[Node]) -> Evaluated<bool> {
        if left.is_empty() || right.is_empty() {
            return Ok(false);
        }
        match operator {
            Operator::Equal => {
                let mut texts = HashSet::with_capacity(left.len());
                for &node in left {
                    texts.insert(self.string_value(node)?);
                }
                for &node in right {
                    if texts.contains(&self.string_value(node)?) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Operator::NotEqual => {
                // All equal to one text, or some pair differs.
                let first = self.string_value(left[0])?;
                for &node in left.iter().chain(right) {
                    if self.string_value(node)? != first {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => {
                let (left, right) = (self.extremes(left)?, self.extremes(right)?);
                let (Some(left), Some(right)) = (left, right) else {
                    return Ok(false);
                };
                Ok(match operator {
                    Operator::Less | Operator::LessOrEqual => compare_numbers(operator, left.0, right.1),
                    _ => compare_numbers(operator, left.1, right.0),
                })
            }
        }
    }

    /// The smallest and largest of the numbers among the nodes.
    fn extremes(&self, nodes: &[Node]) -> Evaluated<Option<(f64, f64)>> {
        let mut extremes: Option<(f64, f64)> = None;
        for &node in nodes {
            let number = number::parse(&self.string_value(node)?);
            if !number.is_nan() {
                let (least, most) = extremes.unwrap_or((number, number));
                extremes = Some((least.min(number), most.max(number)));
            }
        }
        Ok(extremes)
    }
}

fn is_equality(operator: Operator) -> bool {
    matches!(operator, Operator::Equal | Operator::NotEqual)
}

fn compare_numbers(operator: Operator, left: f64, right: f64) -> bool {
    match operator {
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
        Operator::Less => left < right,
        Operator::LessOrEqual => left <= right,
        Operator::Greater => left > right,
        _ => left >= right,
    }
}

/// The operator for exchanged operands.
fn swapped(operator: Operator) -> Operator {
    match operator {
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
        other => other,
    }
}
