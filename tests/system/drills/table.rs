//! `docs/drills.md`: the counts of the long form.

use super::{DRILLS, Drill, Outcome, is_long};
use mediary_tests::workspace_folder;
use parking_lot::Mutex;
use std::fmt::Write;
use std::path::PathBuf;

/// Drills that run side by side write one page.
static PAGE: Mutex<()> = Mutex::new(());

const HEAD: &str = "\
<!-- Made by `tests/run --drills`; run that to count again. -->

# Fault drills

Something is killed, restarted, filled up or reloaded at a random point in the middle of many messages; then what arrived is counted.
`tests/run` runs each drill once with few messages; these counts are from the long form. A drill with 0
rounds was not run in the long form yet.

- *accepted*: messages that lay in the source, or that were answered with 2xx.
- *lost*: accepted messages that neither arrived nor were kept as dead letters. Messages that arrived with bytes missing or wrong count
  as lost.
- *again*: how often messages arrived beyond the first time, per round: the smallest count, the median, the largest.
- *refused*: messages that were answered with a fault, or not at all, because of the fault; the median. The client knows, and sends again.

| drill | rounds | accepted per round | lost | again | refused |
| --- | ---: | ---: | ---: | ---: | ---: |
";

/// What stands where a drill was not run in the long form.
const NOT_RUN: &str = "0 | - | - | - | - |";

fn path() -> PathBuf {
    workspace_folder().join("docs/drills.md")
}

/// Writes the counts of a drill into the page; the others keep theirs.
pub(super) fn enter(drill: &Drill, outcomes: &[Outcome]) {
    let _guard = PAGE.lock();
    let old = std::fs::read_to_string(path()).unwrap_or_default();
    let counts = counts(outcomes);
    let counts_of = |other: &Drill| match other.name == drill.name {
        true => counts.clone(),
        false => counts_in(&old, other).unwrap_or(NOT_RUN).to_owned(),
    };
    std::fs::write(path(), page(counts_of)).unwrap();
}

fn page(counts_of: impl Fn(&Drill) -> String) -> String {
    let mut page = HEAD.to_owned();
    for drill in DRILLS {
        writeln!(page, "| {} | {}", drill.name, counts_of(drill)).unwrap();
    }
    page += "\n## Why messages arrive again\n\n";
    for drill in DRILLS {
        writeln!(page, "- **{}.** {}", drill.name, drill.duplicates).unwrap();
    }
    page
}

/// The columns after the name.
fn counts(outcomes: &[Outcome]) -> String {
    let sorted = |count: fn(&Outcome) -> usize| {
        let mut counts: Vec<_> = outcomes.iter().map(count).collect();
        counts.sort_unstable();
        counts
    };
    let (again, refused) = (sorted(|it| it.duplicates), sorted(|it| it.refused));
    let lost: usize = outcomes.iter().map(|it| it.lost + it.damaged).sum();
    let middle = outcomes.len() / 2;
    format!(
        "{} | {} | {lost} | {} / {} / {} | {} |",
        outcomes.len(),
        outcomes[0].accepted,
        again[0],
        again[middle],
        again[outcomes.len() - 1],
        refused[middle]
    )
}

/// The columns of a drill in a page.
fn counts_in<'a>(page: &'a str, drill: &Drill) -> Option<&'a str> {
    let start = format!("| {} | ", drill.name);
    page.lines().find_map(|line| line.strip_prefix(start.as_str()))
}

#[test]
fn the_page_has_every_drill_and_none_lost_a_message() {
    if is_long() {
        // It is being written.
        return;
    }
    let page_now = std::fs::read_to_string(path()).expect("docs/drills.md; tests/run --drills writes it");
    let counts_of = |drill: &Drill| counts_in(&page_now, drill).unwrap_or(NOT_RUN).to_owned();
    assert_eq!(page(counts_of), page_now, "tests/run --drills writes it again");
    for drill in DRILLS {
        let counts = counts_of(drill);
        let columns: Vec<_> = counts.split(" | ").collect();
        let rounds: usize = columns[0].parse().expect("a number of rounds");
        assert!(rounds == 0 || columns[2] == "0", "lost messages: {}", drill.name);
    }
}

#[test]
fn counts_are_written_and_read_again() {
    let outcome = |duplicates, lost| Outcome {
        accepted: 1_000,
        lost,
        duplicates,
        damaged: 0,
        dead: 0,
        left: 0,
        refused: duplicates * 2,
        duplicates_max: 10,
    };
    let counts = counts(&[outcome(7, 0), outcome(0, 1), outcome(3, 1)]);
    assert_eq!(counts, "3 | 1000 | 2 | 0 / 3 / 7 | 6 |");
    let page = page(|_| counts.clone());
    assert_eq!(counts_in(&page, DRILLS[2]), Some(counts.as_str()));
}
