//! YAML syntax errors in words that say what to do. The parser's own messages speak of tokens; the usual
//! mistakes (a tab, an unquoted `: `, `{`, `@` or backtick, a quote left open, lines that do not line up) are
//! recognised by the kind of error and by the line it is in.

use super::{Diagnostic, SourceId, Span};
use granit_parser::{ErrorKind, ScanError};

pub(super) fn explain(error: &ScanError, source: SourceId, file: &str, at: usize) -> Diagnostic {
    let at = file.floor_char_boundary(at.min(file.len()));
    if let Some(tab) = indenting_tab(file, at) {
        return Diagnostic::error(
            "config.yaml",
            character(source, file, tab),
            "a tab cannot indent YAML",
        )
        .help("use spaces");
    }
    let (message, help) = words(error.kind(), line_at(file, at));
    Diagnostic::error("config.yaml", character(source, file, at), message).maybe_help(help.map(str::to_owned))
}

const QUOTE_IT: &str = "put a text that contains `: `, ` #`, or begins with a special character, in quotes";
const QUOTE_EXPRESSION: &str = "inside `{ }` and `[ ]`, a text with `${...}` needs quotes";
const LINE_UP: &str = "the keys of a mapping and the `-` of a list must begin in the same column";

fn words(kind: &ErrorKind, line: &str) -> (String, Option<&'static str>) {
    use ErrorKind as Kind;
    let unquoted_expression = line.contains("${");
    let (message, help) = match kind {
        Kind::MappingValueNotAllowed | Kind::InvalidMappingValueWhitespace => {
            ("a `:` is not expected here".to_owned(), QUOTE_IT)
        }
        Kind::UnexpectedCharacter { character } => (
            format!("a text cannot begin with `{}`", character.escape_debug()),
            QUOTE_IT,
        ),
        Kind::ExpectedFlowMappingSeparator | Kind::UnexpectedEofFlowMapping if unquoted_expression => {
            ("expected `,` or `}`".to_owned(), QUOTE_EXPRESSION)
        }
        Kind::ExpectedFlowSequenceSeparator | Kind::UnexpectedEofFlowSequence if unquoted_expression => {
            ("expected `,` or `]`".to_owned(), QUOTE_EXPRESSION)
        }
        Kind::ExpectedFlowMappingSeparator | Kind::UnexpectedEofFlowMapping => (
            "expected `,` or `}`".to_owned(),
            "close the `{` with a `}`; in braces, text with brackets or commas needs quotes",
        ),
        Kind::ExpectedFlowSequenceSeparator
        | Kind::UnexpectedEofFlowSequence
        | Kind::InvalidColonPlacement => (
            "expected `,` or `]`".to_owned(),
            "close the `[` with a `]`; in brackets, text with brackets or commas needs quotes",
        ),
        Kind::UnclosedFlowCollection { open } => (
            format!("the `{open}` is not closed"),
            "close it with the matching bracket",
        ),
        Kind::MismatchedFlowCollectionEnd { open, close } => (
            format!("the `{open}` is closed by a `{close}`"),
            "brackets must match",
        ),
        Kind::MisplacedFlowCollectionEnd => ("this bracket closes nothing".to_owned(), QUOTE_IT),
        Kind::UnclosedQuotedScalar | Kind::InvalidQuotedScalarIndent => (
            "a quoted text is not closed before this".to_owned(),
            "close it with the same quote it begins with",
        ),
        Kind::InvalidTrailingDoubleQuotedScalar | Kind::InvalidTrailingSingleQuotedScalar => (
            "something follows the closing quote".to_owned(),
            "quote the whole text; inside single quotes, write '' for a quote",
        ),
        Kind::UnknownQuotedScalarEscape => (
            "unknown escape in a double-quoted text".to_owned(),
            "write `\\\\` for a backslash, or use single quotes, which know no escapes",
        ),
        Kind::ExpectedBlockMappingKey
        | Kind::ExpectedBlockSequenceEntry
        | Kind::InvalidIndentation
        | Kind::BlockSequenceEntryNotAllowed
        | Kind::MappingKeyNotAllowed => ("this does not line up with what is above it".to_owned(), LINE_UP),
        Kind::SimpleKeyExpected => ("a `:` is missing after the key".to_owned(), "write `key: value`"),
        Kind::RecursionLimitExceeded => return ("nested too deeply".to_owned(), None),
        other => return (other.to_string(), None),
    };
    (message, Some(help))
}

/// The first tab in the indentation of the line of the error or of the one after.
fn indenting_tab(file: &str, at: usize) -> Option<usize> {
    let start = file[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let mut line_start = start;
    for line in file[start..].split_inclusive('\n').take(2) {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..indent].find('\t') {
            return Some(line_start + tab);
        }
        line_start += line.len();
    }
    None
}

fn line_at(file: &str, at: usize) -> &str {
    let start = file[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = file[at..].find('\n').map_or(file.len(), |newline| at + newline);
    &file[start..end]
}

/// The character at an offset, or the place itself at the end of a line.
fn character(source: SourceId, file: &str, at: usize) -> Span {
    let length = file[at..]
        .chars()
        .next()
        .filter(|next| !matches!(next, '\n' | '\r'))
        .map_or(0, char::len_utf8);
    Span::new(source, at, at + length)
}
