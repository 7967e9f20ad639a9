//! Diagnostics as people read them: file, line and column, the source line with a caret, and a help line.

use super::{Diagnostic, Diagnostics, Severity, SourceId, Sources, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Whether to colour the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For pipes, files and tests.
    Plain,
    /// For terminals: ANSI colours.
    Colour,
}

/// One diagnostic, without a newline at the end.
pub fn render(diagnostic: &Diagnostic, sources: &Sources, style: Style) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&*diagnostic.message).id(diagnostic.code));
    for (source, marks) in marks_by_source(diagnostic, sources) {
        group = group.element(snippet(source, marks, sources));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(&**help));
    }
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    renderer.render(&[group])
}

/// All of them, ordered by file and position, a blank line after each, and a count at the end.
pub fn render_all(diagnostics: &Diagnostics, sources: &Sources, style: Style) -> String {
    let mut sorted = diagnostics.clone();
    sorted.sort();
    let mut text = String::new();
    for diagnostic in &sorted {
        text.push_str(&render(diagnostic, sources, style));
        text.push_str("\n\n");
    }
    if diagnostics.left_out() > 0 {
        text.push_str(&format!("and {} more\n", diagnostics.left_out()));
    }
    text.push_str(&match diagnostics.errors() {
        0 => String::new(),
        1 => "1 error\n".to_owned(),
        errors => format!("{errors} errors\n"),
    });
    text
}

struct Mark<'a> {
    span: Span,
    kind: AnnotationKind,
    label: Option<&'a str>,
}

/// The marks of each source, the primary's source first: one snippet per source.
fn marks_by_source<'a>(diagnostic: &'a Diagnostic, sources: &Sources) -> Vec<(SourceId, Vec<Mark<'a>>)> {
    let primary = Mark {
        span: sources.first_line(diagnostic.primary),
        kind: AnnotationKind::Primary,
        label: diagnostic.label.as_deref(),
    };
    let mut groups = vec![(diagnostic.primary.source, vec![primary])];
    for (span, label) in &diagnostic.secondary {
        let mark = Mark {
            span: sources.first_line(*span),
            kind: AnnotationKind::Context,
            label: Some(&**label),
        };
        match groups.iter_mut().find(|(source, _)| *source == span.source) {
            Some((_, marks)) => marks.push(mark),
            None => groups.push((span.source, vec![mark])),
        }
    }
    groups
}

/// Only the lines from the first mark to the last are handed over: a report about a large file stays cheap.
fn snippet<'a>(
    source: SourceId,
    marks: Vec<Mark<'a>>,
    sources: &'a Sources,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = sources.text(source);
    let ranges = marks.iter().map(|mark| sources.range(mark.span));
    let first = ranges.clone().map(|range| range.start).min().unwrap_or(0);
    let last = ranges.map(|range| range.end).max().unwrap_or(0);
    let start = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[last..]
        .find('\n')
        .map_or(text.len(), |newline| last + newline);
    let annotations = marks.into_iter().map(|mark| {
        let range = sources.range(mark.span);
        mark.kind
            .span(range.start - start..range.end - start)
            .label(mark.label)
    });
    let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
    Snippet::source(&text[start..end])
        .line_start(line)
        .path(sources.name(source))
        .annotations(annotations)
}
