//! The valid name nearest to a misspelt one.

/// The candidate that was most probably meant, or none if nothing is close. Case, `-` and `_` count for
/// nothing; otherwise one mistake per three characters is forgiven.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = fold(name);
    let forgiven = (wanted.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= forgiven && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ``did you mean `timeout`?``, or the list of what is possible if nothing is close.
pub fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(near) = nearest(name, candidates.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    (!candidates.is_empty()).then(|| format!("possible here: {}", list(&candidates)))
}

/// At most this many names are listed in a help line.
const NAMES_SHOWN_MAX: usize = 30;

fn list(names: &[&str]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(NAMES_SHOWN_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    let rest = names.len().saturating_sub(NAMES_SHOWN_MAX);
    match rest {
        0 => shown.join(", "),
        _ => format!("{}, and {rest} more", shown.join(", ")),
    }
}

/// Long names cannot be near anything, so only their beginning is compared.
const CHARACTERS_COMPARED_MAX: usize = 64;

fn fold(name: &str) -> Vec<char> {
    let letters = name.chars().filter(|letter| !matches!(letter, '-' | '_'));
    letters
        .take(CHARACTERS_COMPARED_MAX)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Optimal string alignment: insertions, deletions, replacements and swapped neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_previous = vec![0; b.len() + 1];
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut current = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = previous[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            current[j] = replaced.min(previous[j] + 1).min(current[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                current[j] = current[j].min(before_previous[j - 2] + 1);
            }
        }
        before_previous = std::mem::replace(&mut previous, current);
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let keys = ["timeout", "retry", "on_fault", "http"];
        assert_eq!(nearest("tiemout", keys), Some("timeout"));
        assert_eq!(nearest("onFault", keys), Some("on_fault"));
        assert_eq!(nearest("on-fault", keys), Some("on_fault"));
        assert_eq!(nearest("htp", keys), Some("http"));
        assert_eq!(nearest("zzz", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn lists_the_names_if_nothing_is_close() {
        assert_eq!(
            suggestion("zzz", ["a1", "b1"]).as_deref(),
            Some("possible here: `a1`, `b1`")
        );
        assert_eq!(suggestion("zzz", []), None);
    }
}
