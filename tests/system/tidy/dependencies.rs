//! The part of `deny.toml` that needs no database: licences and banned crates, checked against what is
//! compiled on this machine. `cargo deny check` does the rest where it is installed.

use super::{cargo, read, report};
use mediary_tests::workspace_folder;
use serde_json::Value;

#[test]
fn no_banned_crate_comes_in() {
    let crates = crates_in_the_build();
    assert!(crates.len() > 100, "cargo tree lists the crates: {crates:?}");
    let bans = bans();
    assert!(
        bans.iter().any(|ban| ban.name == "ring"),
        "deny.toml lists the bans: {bans:?}"
    );
    let banned = crates
        .iter()
        .filter(|(name, version)| bans.iter().any(|ban| ban.covers(name, version)));
    let violations: Vec<_> = banned
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    report(
        "banned in deny.toml (find the way in with `cargo tree -i NAME`)",
        &violations,
    );
}

#[test]
fn every_licence_is_allowed() {
    let allowed = allowed_licences();
    assert!(
        allowed.iter().any(|licence| licence == "MIT"),
        "deny.toml lists the licences: {allowed:?}"
    );
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--filter-platform",
        &platform,
    ]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let mut violations = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let expression = package["license"].as_str().unwrap_or("none");
        if !is_allowed(expression, &allowed) {
            violations.push(format!(
                "{} {}: {expression}",
                package["name"], package["version"]
            ));
        }
    }
    report("licences that deny.toml does not allow", &violations);
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = [
        "MIT".to_owned(),
        "ISC".to_owned(),
        "Apache-2.0 WITH LLVM-exception".to_owned(),
    ];
    for yes in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MPL-2.0/MIT",
        "ISC AND (GPL-2.0 OR MIT)",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(yes, &allowed), "{yes}");
    }
    for no in [
        "none",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC) AND GPL-3.0",
        "ISC AND (GPL-2.0 OR MPL-2.0)",
    ] {
        assert!(!is_allowed(no, &allowed), "{no}");
    }
}

/// A banned crate, in all versions or below a minor version of 0.x.
#[derive(Debug)]
struct Ban {
    name: String,
    below_minor: Option<u32>,
}

impl Ban {
    fn covers(&self, name: &str, version: &str) -> bool {
        let minor = version
            .split('.')
            .nth(1)
            .and_then(|minor| minor.parse().ok())
            .unwrap_or(0);
        self.name == name && self.below_minor.is_none_or(|limit| minor < limit)
    }
}

/// Lines such as `{ crate = "quick-xml:<0.41", reason = "..." },`.
fn bans() -> Vec<Ban> {
    let names = deny_lines().into_iter().filter_map(|line| {
        let (_, rest) = line.split_once("{ crate = \"")?;
        Some(rest.split('"').next()?.to_owned())
    });
    let bans = names.map(|name| match name.split_once(":<0.") {
        Some((name, minor)) => Ban {
            name: name.to_owned(),
            below_minor: Some(minor.parse().unwrap()),
        },
        None => Ban {
            name,
            below_minor: None,
        },
    });
    bans.collect()
}

/// The lines of the list `allow` under `[licenses]`.
fn allowed_licences() -> Vec<String> {
    let lines = deny_lines()
        .into_iter()
        .skip_while(|line| line != "allow = [")
        .skip(1);
    let quoted = lines
        .take_while(|line| line != "]")
        .filter_map(|line| Some(line.split('"').nth(1)?.to_owned()));
    quoted.collect()
}

fn deny_lines() -> Vec<String> {
    let text = read(&workspace_folder().join("deny.toml"));
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// Names and versions of all crates that are compiled here. Not read from Cargo.lock, which also lists crates
/// behind features that nobody turned on.
fn crates_in_the_build() -> Vec<(String, String)> {
    let tree = cargo(&[
        "tree",
        "--workspace",
        "--edges",
        "all",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let crates = tree.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" v")?;
        Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
    });
    let mut crates: Vec<_> = crates.collect();
    crates.sort();
    crates.dedup();
    crates
}

/// Whether an SPDX expression can be met with these licences. `AND` binds tighter than `OR` (SPDX 2.3 annex D);
/// old crates write `/` for `OR`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ");
    let expression = expression.trim();
    split_outside_parentheses(expression, " OR ")
        .iter()
        .any(|choice| {
            split_outside_parentheses(choice, " AND ").iter().all(|part| {
                let part = part.trim();
                match part.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
                    Some(inner) => is_allowed(inner, allowed),
                    None => allowed.iter().any(|licence| licence == part),
                }
            })
        })
}

fn split_outside_parentheses<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && index >= start && text[index..].starts_with(separator) => {
                parts.push(&text[start..index]);
                start = index + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}
