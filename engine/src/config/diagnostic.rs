//! A problem of a configuration, as data. Every stage (YAML, merging, substitution, typed reading, the build
//! of steps and expressions) adds to one [`Diagnostics`], so that a run shows every problem of a project.

use super::{Sources, Span};
use serde_json::{Value, json};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The project cannot be deployed.
    Error,
    /// It can, but something is probably not meant as written.
    Warning,
}

impl Severity {
    /// The word used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One problem and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name of the kind of problem, such as `config.unknown_key`.
    pub code: &'static str,
    /// Whether it prevents deployment.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// The exact key or value that is wrong.
    pub primary: Span,
    /// A few words next to the caret.
    pub label: Option<String>,
    /// Other places that matter, such as the first definition of a name.
    pub secondary: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A problem that prevents deployment.
    pub fn error(code: &'static str, primary: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary,
            label: None,
            secondary: Vec::new(),
            help: None,
        }
    }

    /// A problem that does not.
    pub fn warning(code: &'static str, primary: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, primary, message)
        }
    }

    /// Adds the words next to the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what to do about it, if anything is known.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn secondary(mut self, span: Span, label: impl Into<String>) -> Self {
        self.secondary.push((span, label.into()));
        self
    }

    /// The stable form for editors and pipelines (`--format json`).
    pub fn to_json(&self, sources: &Sources) -> Value {
        let mut object = place(sources, self.primary);
        object.insert("code".into(), self.code.into());
        object.insert("severity".into(), self.severity.as_str().into());
        object.insert("message".into(), self.message.as_str().into());
        object.insert("label".into(), json!(self.label));
        object.insert("help".into(), json!(self.help));
        let related = self.secondary.iter().map(|(span, label)| {
            let mut object = place(sources, *span);
            object.insert("message".into(), label.as_str().into());
            Value::Object(object)
        });
        object.insert("related".into(), related.collect());
        Value::Object(object)
    }
}

fn place(sources: &Sources, span: Span) -> serde_json::Map<String, Value> {
    let position = sources.position(sources.first_line(span));
    let mut object = serde_json::Map::new();
    object.insert("file".into(), sources.name(span.source).into());
    object.insert("line".into(), position.line.into());
    object.insert("column".into(), position.column.into());
    object.insert("end_line".into(), position.end_line.into());
    object.insert("end_column".into(), position.end_column.into());
    object
}

/// Every problem found so far. Keeps the first [`Diagnostics::MAX`] and counts the rest.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    left_out: usize,
    errors: usize,
}

impl Diagnostics {
    /// More than anybody reads; keeps a generated file full of errors from filling the memory.
    pub const MAX: usize = 500;

    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        if self.list.len() < Self::MAX {
            self.list.push(diagnostic);
        } else {
            self.left_out += 1;
        }
    }

    /// Whether anything prevents deployment.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors there are, those left out included.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many were left out because there were too many.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether there is nothing at all, not even a warning.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Orders by file and position, which is how people read them.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|diagnostic| diagnostic.primary);
    }

    /// The stable form for editors and pipelines: an array.
    pub fn to_json(&self, sources: &Sources) -> Value {
        self.list
            .iter()
            .map(|diagnostic| diagnostic.to_json(sources))
            .collect()
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        diagnostics
            .into_iter()
            .for_each(|diagnostic| self.push(diagnostic));
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
