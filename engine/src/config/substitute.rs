//! `${env.NAME}` and `${secret.NAME}` in string leaves become data. A leaf may mix them with expressions for run
//! time: it is then cut into segments, and only what was written is ever compiled, so that a value which happens
//! to hold `${` or quotes is inserted as it is. Keys are never substituted.

use super::node::{Scalar, Segment, Substituted};
use super::reference::{self, Placeholder, Reference, Root};
use super::{Diagnostic, Diagnostics, Environment, Node, NodeValue, Span, suggestion};
use std::sync::Arc;

/// The tree with every reference replaced. What cannot be found is reported, and its leaf is marked so that it
/// is not reported again when it is read.
pub fn substitute(node: &Node, environment: &Environment, diagnostics: &mut Diagnostics) -> Node {
    match &node.value {
        NodeValue::Null => node.clone(),
        NodeValue::Scalar(scalar) => leaf(node, scalar, environment, diagnostics),
        NodeValue::Sequence(items) => {
            let items = items
                .iter()
                .map(|item| substitute(item, environment, diagnostics));
            Node::sequence(node.span, items.collect::<Vec<_>>())
        }
        NodeValue::Mapping(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key.clone(), substitute(value, environment, diagnostics)));
            Node::mapping(node.span, entries.collect::<Vec<_>>())
        }
    }
}

fn leaf(node: &Node, scalar: &Scalar, environment: &Environment, diagnostics: &mut Diagnostics) -> Node {
    if scalar.substituted() || !scalar.text().contains("${") {
        return node.clone();
    }
    let mut cutter = Cutter {
        node,
        text: Arc::clone(&scalar.text),
        done: 0,
        segments: Vec::new(),
        failed: false,
    };
    for placeholder in reference::placeholders(scalar.text()) {
        if let Some(reference) = reference::reference(&scalar.text()[placeholder.inner.clone()]) {
            let span = node.span_within(placeholder.range.clone());
            let value = look_up(&reference, span, environment, diagnostics);
            cutter.data(&placeholder, span, value, reference.root == Root::Secret);
        }
    }
    cutter.finish(scalar)
}

/// A leaf being cut into segments.
struct Cutter<'a> {
    node: &'a Node,
    text: Arc<str>,
    done: usize,
    segments: Vec<Segment>,
    failed: bool,
}

impl Cutter<'_> {
    fn data(&mut self, placeholder: &Placeholder, span: Span, value: Option<String>, secret: bool) {
        self.template_until(placeholder.range.start);
        self.done = placeholder.range.end;
        self.failed |= value.is_none();
        self.segments.push(Segment::Data {
            text: value.unwrap_or_default().into(),
            span,
            secret,
        });
    }

    fn template_until(&mut self, end: usize) {
        if end > self.done {
            let text = Arc::from(&self.text[self.done..end]);
            self.segments.push(Segment::Template {
                text,
                start: self.done,
            });
        }
    }

    fn finish(mut self, scalar: &Scalar) -> Node {
        if self.segments.is_empty() {
            return self.node.clone();
        }
        self.template_until(self.text.len());
        let text: String = self.segments.iter().map(Segment::text).collect();
        let substituted = Substituted {
            written: self.text,
            secret: self
                .segments
                .iter()
                .any(|it| matches!(it, Segment::Data { secret: true, .. })),
            whole: self.segments.len() == 1,
            failed: self.failed,
            segments: self.segments,
        };
        let scalar = Scalar {
            text: text.into(),
            substituted: Some(Arc::new(substituted)),
            ..scalar.clone()
        };
        Node {
            span: self.node.span,
            value: NodeValue::Scalar(scalar),
        }
    }
}

fn look_up(
    reference: &Reference<'_>,
    span: Span,
    environment: &Environment,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let found = match reference.root {
        Root::Env => Ok(environment.variable(reference.name).map(str::to_owned)),
        Root::Secret => environment.secret(reference.name),
    };
    match found {
        Ok(value) => value.or(reference.default.map(str::to_owned)).or_else(|| {
            diagnostics.push(missing(reference, span, environment));
            None
        }),
        Err(reason) => {
            let message = format!("the secret `{}` cannot be read: {reason}", reference.name);
            diagnostics.push(Diagnostic::error("config.secrets", span, message));
            None
        }
    }
}

fn missing(reference: &Reference<'_>, span: Span, environment: &Environment) -> Diagnostic {
    let name = reference.name;
    match reference.root {
        Root::Env => {
            let near = super::nearest(name, environment.variable_names());
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("set it, or give a default: `${{env.{name} | default('...')}}`"),
            };
            let message = format!("the environment variable `{name}` is not set");
            Diagnostic::error("config.missing_variable", span, message).help(help)
        }
        Root::Secret => {
            let names = environment.secret_names();
            let help = suggestion(name, names.iter().map(String::as_str));
            let message = format!("there is no secret `{name}`");
            let places = "secrets come from the places named in `settings.secrets`";
            Diagnostic::error("config.missing_secret", span, message)
                .help(help.unwrap_or_else(|| places.to_owned()))
        }
    }
}
