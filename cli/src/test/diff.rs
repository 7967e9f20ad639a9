//! What differs between two texts, line by line, short enough to read.

use crate::console::{BAD, FAINT, GOOD, paint};

/// Longer texts are not compared line by line but shown from their beginning.
const LINES_MAX: usize = 400;
/// Lines that are shown.
const SHOWN_MAX: usize = 40;
/// Characters of a line that are shown.
const WIDTH_MAX: usize = 160;

/// The difference: `-` is expected, `+` is what came.
#[must_use]
pub(super) fn lines(expected: &str, actual: &str) -> String {
    let old: Vec<&str> = expected.lines().take(LINES_MAX).collect();
    let new: Vec<&str> = actual.lines().take(LINES_MAX).collect();
    let common = common_lengths(&old, &new);
    let mut shown = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            shown.push(paint(FAINT, format!("  {}", shorten(old[i]))));
            (i, j) = (i + 1, j + 1);
        } else if j >= new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            shown.push(paint(BAD, format!("- {}", shorten(old[i]))));
            i += 1;
        } else {
            shown.push(paint(GOOD, format!("+ {}", shorten(new[j]))));
            j += 1;
        }
    }
    limited(shown)
}

/// A text from its beginning, as lines of at most some length.
#[must_use]
pub(super) fn excerpt(text: &str) -> String {
    limited(text.lines().take(LINES_MAX).map(shorten).collect())
}

fn limited(mut lines: Vec<String>) -> String {
    let left_out = lines.len().saturating_sub(SHOWN_MAX);
    lines.truncate(SHOWN_MAX);
    if left_out > 0 {
        lines.push(paint(FAINT, format!("... {left_out} more lines")));
    }
    lines.join("\n")
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(WIDTH_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// The length of the longest common subsequence of what is behind each pair of positions.
fn common_lengths(old: &[&str], new: &[&str]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            table[i][j] = match old[i] == new[j] {
                true => table[i + 1][j + 1] + 1,
                false => table[i + 1][j].max(table[i][j + 1]),
            };
        }
    }
    table
}

#[cfg(test)]
mod tests {
    #[test]
    fn shows_what_is_missing_and_what_is_new() {
        let text = super::lines("a\nb\nc\n", "a\nx\nc\nd\n");
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "  a\n- b\n+ x\n  c\n+ d"
        );
    }
}
