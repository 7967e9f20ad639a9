//! The crate graph: `cli -> {mediators, transports, builders-formatters} -> engine -> xml`.

use super::{cargo, report};
use serde_json::Value;
use std::collections::BTreeMap;

/// What each of our crates may use of ours, outside its tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("mediary-xml", &[]),
    ("mediary-engine", &["mediary-xml"]),
    ("mediary-builders-formatters", &["mediary-engine", "mediary-xml"]),
    ("mediary-mediators", &["mediary-engine", "mediary-xml"]),
    ("mediary-transports", &["mediary-engine", "mediary-xml"]),
    (
        "mediary",
        &[
            "mediary-builders-formatters",
            "mediary-engine",
            "mediary-mediators",
            "mediary-transports",
            "mediary-xml",
        ],
    ),
    // Both drive the binary from outside, as a user does.
    ("mediary-tests", &[]),
    ("mediary-bench", &["mediary-engine", "mediary-mediators"]),
];

/// Tests may look sideways (a mediator's test needs a format), but never against the direction.
const NEVER_EVEN_IN_TESTS: &[(&str, &[&str])] = &[
    (
        "mediary-xml",
        &[
            "mediary-engine",
            "mediary-builders-formatters",
            "mediary-mediators",
            "mediary-transports",
        ],
    ),
    (
        "mediary-engine",
        &[
            "mediary-builders-formatters",
            "mediary-mediators",
            "mediary-transports",
            "mediary",
        ],
    ),
];

#[test]
fn crates_depend_in_one_direction() {
    let ours = our_dependencies();
    let names: Vec<_> = ours.keys().map(String::as_str).collect();
    let mut known: Vec<_> = ALLOWED.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(
        names, known,
        "crates of the workspace (left: found, right: known here)"
    );

    let mut violations = Vec::new();
    for (name, dependencies) in &ours {
        for dependency in dependencies {
            let in_tests = dependency.kind == "dev";
            let table = if in_tests { NEVER_EVEN_IN_TESTS } else { ALLOWED };
            let listed = table
                .iter()
                .any(|(from, to)| from == name && to.contains(&dependency.name.as_str()));
            if listed == in_tests {
                violations.push(format!("{name} must not use {}", dependency.name));
            }
        }
    }
    report("the crate graph points one way", &violations);
}

#[derive(Debug)]
struct Dependency {
    name: String,
    /// `normal`, `build` or `dev`.
    kind: String,
}

/// Our crates and what they use of ours.
fn our_dependencies() -> BTreeMap<String, Vec<Dependency>> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().map(|package| {
        let dependencies = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["path"].is_string());
        let dependencies = dependencies.map(|entry| Dependency {
            name: entry["name"].as_str().unwrap().to_owned(),
            kind: entry["kind"].as_str().unwrap_or("normal").to_owned(),
        });
        (
            package["name"].as_str().unwrap().to_owned(),
            dependencies.collect(),
        )
    });
    ours.collect()
}
