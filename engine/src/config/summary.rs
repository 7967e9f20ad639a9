//! Documentation in short: its first sentence, as diagnostics and reference pages quote it.

/// The first sentence of a documentation, as one line, and the rest.
#[must_use]
pub fn summary_and_text(docs: &str) -> (String, String) {
    let (first, rest) = docs.trim().split_once("\n\n").unwrap_or((docs.trim(), ""));
    let first = first.replace('\n', " ");
    let (summary, more) = match first.split_once(". ") {
        Some((sentence, more)) => (format!("{sentence}."), more),
        None => (first.clone(), ""),
    };
    (summary, format!("{more}\n\n{rest}").trim().to_owned())
}
