//! Links inside the repository.

use super::{pages, shown};
use std::path::Path;

/// The targets of `[text](target)` and `![text](target)` outside code.
fn targets(page: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut in_block = false;
    for line in page.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            let outside_code: String = line.split('`').step_by(2).collect();
            let parts = outside_code.split("](").skip(1);
            targets.extend(parts.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())));
        }
    }
    targets
}

/// The anchor that a heading gets, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
    kept.collect::<String>().replace(' ', "-")
}

fn has_anchor(path: &Path, wanted: &str) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut headings = text.lines().filter(|line| line.starts_with('#'));
    headings.any(|heading| anchor(heading) == wanted)
}

fn is_dead(page: &Path, target: &str) -> bool {
    let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => page.to_owned(),
        _ => page.parent().unwrap().join(file),
    };
    !path.exists() || (!fragment.is_empty() && !has_anchor(&path, fragment))
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let (mut count, mut dead) = (0, Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            if is_dead(&page, &target) {
                dead.push(format!("{}: {target}", shown(&page)));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
    assert!(count > 30, "only {count} links were found");
}

#[test]
fn links_are_found_outside_code_only() {
    let page = "# A b: `c`\n[a](x.md) `[b](y.md)` ![c](z.svg)\n```\n[d](w.md)\n```\n";
    assert_eq!(targets(page), ["x.md", "z.svg"]);
    assert_eq!(
        anchor("## As a listener: `settings.listeners.NAME`"),
        "as-a-listener-settingslistenersname"
    );
}
