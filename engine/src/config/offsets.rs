//! Where a part of a scalar's text stands in the file. The text of a scalar differs from what is written:
//! indentation is taken off, lines are folded, escapes are decoded. Only an error has to know the way back, so
//! it is worked out then, by walking text and file side by side.

use super::Span;
use super::node::ScalarStyle;
use std::ops::Range;

/// A run of text and where it is written. Character for character if both lengths are equal.
#[derive(Debug, Clone, Copy)]
struct Piece {
    text: usize,
    text_length: usize,
    file: usize,
    file_length: usize,
}

pub(super) fn span_within(
    file: &str,
    span: Span,
    style: ScalarStyle,
    text: &str,
    range: Range<usize>,
) -> Span {
    let bounds = span.start as usize..span.end as usize;
    let Some(written) = file.get(bounds.clone()) else {
        return span;
    };
    let pieces = match style {
        ScalarStyle::Block => block(written, text),
        _ => Flow {
            written,
            text,
            style,
            pieces: Vec::new(),
        }
        .walk(),
    };
    if pieces.is_empty() {
        return span;
    }
    let start = text.floor_char_boundary(range.start);
    let end = text.ceil_char_boundary(range.end).max(start);
    let first = file_start(&pieces, start);
    let last = if end > start {
        file_end(&pieces, text.floor_char_boundary(end - 1), end)
    } else {
        first
    };
    Span::new(span.source, bounds.start + first, bounds.start + last.max(first))
}

fn file_start(pieces: &[Piece], at: usize) -> usize {
    let Some(piece) = pieces.iter().rev().find(|piece| piece.text <= at) else {
        return pieces[0].file;
    };
    match at - piece.text {
        inside if inside >= piece.text_length => piece.file + piece.file_length,
        inside if piece.text_length == piece.file_length => piece.file + inside,
        _ => piece.file,
    }
}

/// The end of the character at `at..end`.
fn file_end(pieces: &[Piece], at: usize, end: usize) -> usize {
    let Some(piece) = pieces.iter().rev().find(|piece| piece.text <= at) else {
        return pieces[0].file;
    };
    match end - piece.text {
        inside if inside < piece.text_length && piece.text_length == piece.file_length => piece.file + inside,
        _ => piece.file + piece.file_length,
    }
}

/// Block scalars: every written line, its indentation aside, occurs in the text in the same order.
fn block(written: &str, text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut line_start = 0;
    for line in written.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        let indent = content.len() - content.trim_start_matches([' ', '\t']).len();
        let content = &content[indent..];
        let skipped = text[at..].len() - text[at..].trim_start_matches([' ', '\t', '\n']).len();
        if !content.is_empty() {
            if !text[at + skipped..].starts_with(content) {
                break;
            }
            let kept = kept_indent(&text[at..at + skipped], indent);
            pieces.push(Piece {
                text: at + skipped - kept,
                text_length: content.len() + kept,
                file: line_start + indent - kept,
                file_length: content.len() + kept,
            });
            at += skipped + content.len();
        }
        line_start += line.len();
    }
    pieces
}

/// How much of a line's indentation belongs to the text.
fn kept_indent(before: &str, indent: usize) -> usize {
    let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
    blanks.min(indent)
}

/// Plain and quoted scalars, which may span lines too.
struct Flow<'a> {
    written: &'a str,
    text: &'a str,
    style: ScalarStyle,
    pieces: Vec<Piece>,
}

impl Flow<'_> {
    fn walk(mut self) -> Vec<Piece> {
        let quotes = usize::from(self.style != ScalarStyle::Plain);
        let (mut file, mut text) = (quotes, 0);
        let end = self.written.len().saturating_sub(quotes);
        while file < end && text < self.text.len() {
            let rest = self.written.get(file..end).zip(self.text.get(text..));
            let Some((file_length, text_length)) = rest.and_then(|(file, text)| self.step(file, text)) else {
                break;
            };
            self.add(Piece {
                text,
                text_length,
                file,
                file_length,
            });
            file += file_length;
            text += text_length;
        }
        self.pieces
    }

    /// How many bytes of both belong together; `None` if they cannot be matched.
    fn step(&self, written: &str, text: &str) -> Option<(usize, usize)> {
        let next = written.chars().next()?;
        let blanks = written.len() - written.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let breaks = written[..blanks].matches('\n').count();
        let first = text.chars().next()?.len_utf8();
        match (self.style, next) {
            _ if breaks == 1 => Some((blanks, first)),
            _ if breaks > 1 => Some((blanks, (breaks - 1).min(text.len()))),
            (ScalarStyle::SingleQuoted, '\'') => Some((2.min(written.len()), first)),
            (ScalarStyle::DoubleQuoted, '\\') => escape(written, first),
            _ => text.starts_with(next).then_some((first, first)),
        }
    }

    fn add(&mut self, piece: Piece) {
        if piece.text_length == 0 {
            return;
        }
        match self.pieces.last_mut() {
            Some(last) if joins(last, &piece) => {
                last.text_length += piece.text_length;
                last.file_length += piece.file_length;
            }
            _ => self.pieces.push(piece),
        }
    }
}

fn joins(last: &Piece, next: &Piece) -> bool {
    let literal = |piece: &Piece| piece.text_length == piece.file_length;
    literal(last) && literal(next) && last.file + last.file_length == next.file
}

/// A double-quoted escape (YAML 1.2 section 5.7); an escaped line break is nothing in the text.
fn escape(written: &str, first: usize) -> Option<(usize, usize)> {
    let length = match written.as_bytes().get(1)? {
        b'\r' | b'\n' => {
            let rest = written[1..].trim_start_matches([' ', '\t', '\r', '\n']);
            return Some((written.len() - rest.len(), 0));
        }
        b'x' => 4,
        b'u' if is_high_surrogate(written) => 12,
        b'u' => 6,
        b'U' => 10,
        _ => 2,
    };
    written.is_char_boundary(length).then_some((length, first))
}

fn is_high_surrogate(written: &str) -> bool {
    let code = written
        .get(2..6)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    code.is_some_and(|code| (0xD800..0xDC00).contains(&code))
}
