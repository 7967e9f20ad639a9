//! Expressions and templates: MiniJinja's language over the message.
//!
//! At load an expression is parsed, its names are checked, and every reference to the message (`payload.order.id`,
//! `xpath("//id")`) becomes a slot. At run time the slots are read straight from the exchange, so a plain reference costs no
//! interpreter, keeps the digits of its numbers, and what is absent is known by name. MiniJinja sees only the slots' values.

mod analyze;
mod environment;
mod navigate;
mod path;
mod slot;
mod structure;
mod template;
mod value;

#[cfg(test)]
mod tests;

pub use environment::{FILTERS, FUNCTIONS, TESTS};
pub use navigate::{Original, soap_action};
pub use path::ROOTS;
pub use structure::Structure;
pub use template::{Escape, Template};
pub use value::Value;

use crate::exchange::Exchange;
use crate::fault::{Fault, FaultCode};
use crate::mediator::Needs;
use minijinja::value::Object;
use slot::Slot;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What expressions are compiled against.
#[derive(Clone, Default)]
pub struct Scope {
    /// Prefixes for `xpath()`, from `settings.namespaces`.
    pub namespaces: Arc<xml::xpath::Namespaces>,
}

/// A mistake in an expression, with its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// Byte range in the text that was compiled.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// A compiled expression.
pub struct Expression {
    source: Arc<str>,
    place: Option<Arc<str>>,
    slots: Box<[Slot]>,
    program: Program,
}

enum Program {
    Constant(serde_json::Value),
    Slot,
    MiniJinja(Box<minijinja::Expression<'static, 'static>>),
}

impl Expression {
    /// Compiles a bare expression (`payload.amount | float > 100`).
    ///
    /// # Errors
    /// Every mistake found: syntax, unknown names, bad XPath; at least one.
    pub fn compile(source: &str, scope: &Scope) -> Result<Self, Vec<CompileError>> {
        let analysis = analyze::expression(source, scope)?;
        let program = match analysis.shape {
            analyze::Shape::Constant(value) => Program::Constant(value),
            analyze::Shape::Slot => Program::Slot,
            analyze::Shape::Mixed => Program::MiniJinja(Box::new(environment::compile(analysis.rewritten)?)),
        };
        Ok(Self {
            source: source.into(),
            place: None,
            slots: analysis.slots.into(),
            program,
        })
    }

    /// Says where the expression stands, for its faults: `mediary.yaml:12:9`.
    #[must_use]
    pub fn at(mut self, place: impl Into<Arc<str>>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How much of the payload it reads.
    #[must_use]
    pub fn needs(&self) -> Needs {
        needs(&self.slots)
    }

    /// How much of the original message it reads, where it refers to `original`.
    #[must_use]
    pub fn needs_original(&self) -> Option<Needs> {
        needs_original(&self.slots)
    }

    /// The value where the expression reads no message at all.
    #[must_use]
    pub fn constant(&self) -> Option<&serde_json::Value> {
        match &self.program {
            Program::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Evaluates to a value of whatever type it has. An undefined result is a fault.
    ///
    /// # Errors
    /// `gateway.expression`, naming the expression and its place in the internal detail.
    pub fn evaluate(&self, exchange: &Exchange) -> Result<Value, Fault> {
        match self.evaluate_optional(exchange)? {
            Value::Undefined => Err(self.fault(format!("`{}` is undefined", self.source))),
            value => Ok(value),
        }
    }

    /// Evaluates; what a plain reference does not find is `Value::Undefined`.
    ///
    /// # Errors
    /// `gateway.expression`, except for an undefined plain reference.
    pub fn evaluate_optional(&self, exchange: &Exchange) -> Result<Value, Fault> {
        match &self.program {
            Program::Constant(value) => Ok(Value::Json(value.clone())),
            Program::Slot => self.slots[0].read(exchange).map_err(|error| self.fault(error)),
            Program::MiniJinja(expression) => {
                let view = View::new(&self.slots, exchange).map_err(|error| self.fault(error))?;
                let outcome = expression.eval(minijinja::Value::from_dyn_object(Arc::clone(&view)));
                if let Some(slot) = view.missing() {
                    return Err(self.fault(format!(
                        "`{}` is undefined in `{}`",
                        self.slots[slot].text, self.source
                    )));
                }
                outcome
                    .map(|value| Value::from_minijinja(&value))
                    .map_err(|error| self.fault(error.to_string()))
            }
        }
    }

    /// Evaluates a condition. Anything else than a boolean is judged by the language's truth: empty, zero and none are false.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn test(&self, exchange: &Exchange) -> Result<bool, Fault> {
        Ok(self.evaluate(exchange)?.is_true())
    }

    /// Evaluates to text.
    ///
    /// # Errors
    /// As [`Expression::evaluate`], and where the value has no text form.
    pub fn text(&self, exchange: &Exchange) -> Result<String, Fault> {
        self.evaluate(exchange)?.into_text()
    }

    fn fault(&self, problem: impl std::fmt::Display) -> Fault {
        let place = self.place.as_deref().unwrap_or("?");
        Fault::new(
            FaultCode::Expression,
            "An expression could not be evaluated for this message.",
        )
        .with_detail(format!("{place}: {problem}"))
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({})", self.source)
    }
}

fn needs(slots: &[Slot]) -> Needs {
    slots.iter().map(Slot::needs).max().unwrap_or_default()
}

fn needs_original(slots: &[Slot]) -> Option<Needs> {
    slots.iter().filter_map(Slot::needs_original).max()
}

/// The values of an expression's slots, as MiniJinja's context. Remembers the first required slot that was asked for and absent.
#[derive(Debug)]
struct View {
    values: Vec<Option<minijinja::Value>>,
    optional: Vec<bool>,
    missing: AtomicUsize,
}

const NONE: usize = usize::MAX;

impl View {
    fn new(slots: &[Slot], exchange: &Exchange) -> Result<Arc<Self>, String> {
        let mut values = Vec::with_capacity(slots.len());
        for slot in slots {
            values.push(match slot.read(exchange)? {
                value if slot.looped => Some(value.to_minijinja_list()),
                Value::Undefined => None,
                value => Some(value.to_minijinja()),
            });
        }
        let optional = slots.iter().map(|slot| slot.optional).collect();
        Ok(Arc::new(Self {
            values,
            optional,
            missing: AtomicUsize::new(NONE),
        }))
    }

    fn missing(&self) -> Option<usize> {
        let slot = self.missing.load(Ordering::Relaxed);
        (slot != NONE).then_some(slot)
    }
}

impl Object for View {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<minijinja::Value> {
        let slot: usize = key.strip_prefix(analyze::SLOT_PREFIX)?.parse().ok()?;
        let value = self.values.get(slot)?.clone();
        if value.is_none() && !self.optional[slot] {
            let _ = self
                .missing
                .compare_exchange(NONE, slot, Ordering::Relaxed, Ordering::Relaxed);
        }
        value
    }
}
