//! Operators: logic, comparison, arithmetic and union (XPath 1.0 sections 3.3 to 3.5).

use super::evaluate::{Context, Evaluated, Evaluator};
use super::expression::{Expression, Operator, Type};
use super::value::Value;

impl Evaluator<'_> {
    /// Operators of one precedence from the left.
    pub(super) fn chain(
        &self,
        first: &Expression,
        rest: &[(Operator, Expression)],
        context: &Context,
    ) -> Evaluated<Value> {
        match rest.first().map(|(operator, _)| operator) {
            Some(Operator::Or) => self.any(first, rest, context, true),
            Some(Operator::And) => self.any(first, rest, context, false),
            Some(Operator::Union) => self.union(first, rest, context),
            _ => {
                if let Some(found) = self.compare_with_simple(first, rest, context)? {
                    return Ok(Value::Boolean(found));
                }
                let mut value = self.operand(first, rest, context)?;
                for (operator, operand) in rest {
                    value = self.apply(*operator, &value, operand, context)?;
                }
                Ok(value)
            }
        }
    }

    /// `nodes = 'text'` and its like: the first node that compares so ends the walk.
    fn compare_with_simple(
        &self,
        first: &Expression,
        rest: &[(Operator, Expression)],
        context: &Context,
    ) -> Evaluated<Option<bool>> {
        let [(operator, operand)] = rest else {
            return Ok(None);
        };
        let is_simple = matches!(operand.value_type(), Type::Number | Type::String);
        if operator.precedence() >= 5 || !is_simple || first.value_type() != Type::Nodes {
            return Ok(None);
        }
        let right = self.value(operand, context)?;
        let mut compare = |node| self.compare(*operator, &Value::Nodes(vec![node]), &right);
        self.each(first, context, &mut compare).map(Some)
    }

    /// The first operand: for arithmetic it is only needed as a number.
    fn operand(
        &self,
        first: &Expression,
        rest: &[(Operator, Expression)],
        context: &Context,
    ) -> Evaluated<Value> {
        match rest.first() {
            Some((operator, _)) if operator.precedence() >= 5 => {
                self.number(first, context).map(Value::Number)
            }
            _ => self.value(first, context),
        }
    }

    /// Whether any operand is `wanted`; if none is, the value is the opposite.
    fn any(
        &self,
        first: &Expression,
        rest: &[(Operator, Expression)],
        context: &Context,
        wanted: bool,
    ) -> Evaluated<Value> {
        for operand in std::iter::once(first).chain(rest.iter().map(|(_, operand)| operand)) {
            if self.boolean(operand, context)? == wanted {
                return Ok(Value::Boolean(wanted));
            }
        }
        Ok(Value::Boolean(!wanted))
    }

    fn union(
        &self,
        first: &Expression,
        rest: &[(Operator, Expression)],
        context: &Context,
    ) -> Evaluated<Value> {
        let mut nodes = self.nodes(first, context)?;
        for (_, operand) in rest {
            nodes.extend(self.nodes(operand, context)?);
        }
        Ok(Value::Nodes(self.in_order(nodes)))
    }

    fn apply(
        &self,
        operator: Operator,
        left: &Value,
        operand: &Expression,
        context: &Context,
    ) -> Evaluated<Value> {
        if operator.precedence() < 5 {
            let is_simple =
                matches!(left, Value::Number(_) | Value::String(_)) && operand.value_type() == Type::Nodes;
            if is_simple {
                return self
                    .any_node_compares(operator, left, operand, context)
                    .map(Value::Boolean);
            }
            let right = self.value(operand, context)?;
            return self.compare(operator, left, &right).map(Value::Boolean);
        }
        let (left, right) = (left.number(self.document), self.number(operand, context)?);
        Ok(Value::Number(match operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide => left / right,
            _ => left % right,
        }))
    }

    /// Compares with nodes one by one, so that the first that compares so ends the walk.
    fn any_node_compares(
        &self,
        operator: Operator,
        left: &Value,
        operand: &Expression,
        context: &Context,
    ) -> Evaluated<bool> {
        self.each(operand, context, &mut |node| {
            self.compare(operator, left, &Value::Nodes(vec![node]))
        })
    }
}
