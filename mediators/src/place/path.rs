//! The part of a place below its root: `.name`, `['any name']`, `[3]`.

use super::PlaceError;

/// One key or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// A member, a child element, with `@` an attribute.
    Key(Box<str>),
    /// An item; negative counts from the end.
    Index(i64),
}

/// Reads what follows the root.
pub(super) fn parse(text: &str) -> Result<Vec<Segment>, PlaceError> {
    let mut segments = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (segment, after) = match rest.strip_prefix('.') {
            Some(name) => key(name),
            None => bracketed(rest),
        }
        .ok_or_else(|| malformed(text))?;
        segments.push(segment);
        rest = after;
    }
    Ok(segments)
}

fn key(text: &str) -> Option<(Segment, &str)> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let valid = !name.is_empty() && !name.contains(char::is_whitespace);
    valid.then(|| (Segment::Key(name.into()), after))
}

fn bracketed(text: &str) -> Option<(Segment, &str)> {
    let inner = text.strip_prefix('[')?;
    if let Some(quote) = inner.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        let (name, after) = inner[1..].split_once(quote)?;
        return Some((Segment::Key(name.into()), after.strip_prefix(']')?));
    }
    let (number, after) = inner.split_once(']')?;
    Some((Segment::Index(number.trim().parse().ok()?), after))
}

fn malformed(text: &str) -> PlaceError {
    let help = "a path is written `.name`, `['any name']` or `[3]`".to_owned();
    (format!("`{text}` is no path"), Some(help))
}

/// The index in a list of this length.
pub(super) fn position(index: i64, length: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok()
    } else {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    }
}

/// The path as an author would write it, for messages.
pub(super) fn display(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
