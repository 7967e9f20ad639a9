//! The texts a project was read from, and positions in them. A [`Span`] is three small numbers, so that
//! every node, key and compiled expression can afford one; lines and columns are worked out only when
//! somebody has to read them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One text of a project: a file, an embedded sample, or a `--set` argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SourceId(u32);

/// A range of bytes in one source. `start` and `end` lie on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The text the range lies in.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end` of `source`, in bytes.
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        Self {
            source,
            start: offset(start),
            end: offset(end.max(start)),
        }
    }

    /// The smallest range that holds both; `self` where they lie in different sources.
    pub fn to(self, other: Span) -> Self {
        if self.source != other.source {
            return self;
        }
        Self {
            source: self.source,
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// Sources are limited to a few MiB (see `parse::FILE_BYTES_MAX`), so saturation never happens in practice.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A position as people count: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Line of the end.
    pub end_line: usize,
    /// Column one past the last character.
    pub end_column: usize,
}

#[derive(Debug, Clone)]
struct Source {
    name: String,
    folder: PathBuf,
    text: Arc<str>,
}

/// The names and texts of everything that was read. Grows only.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    list: Vec<Source>,
}

impl Sources {
    /// Adds a text under the name that diagnostics show.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        self.add_in(name, text, Path::new(""))
    }

    /// Adds a text whose relative file references are resolved against `folder`.
    pub fn add_in(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>, folder: &Path) -> SourceId {
        let id = SourceId(offset(self.list.len()));
        self.list.push(Source {
            name: name.into(),
            folder: folder.to_owned(),
            text: text.into(),
        });
        id
    }

    /// The name diagnostics show.
    pub fn name(&self, id: SourceId) -> &str {
        self.get(id).map_or("<unknown>", |source| &source.name)
    }

    /// The whole text.
    pub fn text(&self, id: SourceId) -> &str {
        self.get(id).map_or("", |source| &source.text)
    }

    /// The folder against which file references written in this source are resolved.
    pub fn folder(&self, id: SourceId) -> &Path {
        self.get(id).map_or(Path::new(""), |source| &source.folder)
    }

    /// The text under a span.
    pub fn slice(&self, span: Span) -> &str {
        let range = self.range(span);
        &self.text(span.source)[range]
    }

    /// Line and column of a span.
    pub fn position(&self, span: Span) -> Position {
        let text = self.text(span.source);
        let range = self.range(span);
        let (line, column) = line_column(text, range.start);
        let (end_line, end_column) = line_column(text, range.end);
        Position {
            line,
            column,
            end_line,
            end_column,
        }
    }

    /// `file:line:column`, for logs and fault details.
    pub fn locate(&self, span: Span) -> String {
        let Position { line, column, .. } = self.position(span);
        format!("{}:{line}:{column}", self.name(span.source))
    }

    /// The part of a span on its first line, which is what a diagnostic points at.
    pub(super) fn first_line(&self, span: Span) -> Span {
        let range = self.range(span);
        let text = &self.text(span.source)[range.clone()];
        let length = text
            .find('\n')
            .map_or(text.len(), |end| text[..end].trim_end().len());
        Span::new(span.source, range.start, range.start + length)
    }

    /// The span as a range that is safe to slice with, whatever the span says.
    pub(super) fn range(&self, span: Span) -> std::ops::Range<usize> {
        let text = self.text(span.source);
        let start = text.floor_char_boundary(span.start as usize);
        let end = text.floor_char_boundary(span.end as usize);
        start..end.max(start)
    }

    pub(super) fn shared(&self, id: SourceId) -> Arc<str> {
        self.get(id)
            .map_or_else(|| Arc::from(""), |source| Arc::clone(&source.text))
    }

    fn get(&self, id: SourceId) -> Option<&Source> {
        self.list.get(id.0 as usize)
    }
}

/// A byte order mark at the start of a file takes no column.
fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before[line_start..]
        .trim_start_matches('\u{feff}')
        .chars()
        .count()
        + 1;
    (line, column)
}
