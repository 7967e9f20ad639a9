//! How a source file looks: short, introduced by a comment, and without leftovers.

use super::{report, rust_files};

const LINES_MAX: usize = 500;

/// Written in two parts, so that this file does not hold what it looks for.
const LEFTOVERS: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("#[", "ignore"),
];

/// Attributes that suppress a lint; each has to say why.
const SUPPRESSIONS: &[&str] = &[
    concat!("#[", "allow("),
    concat!("#![", "allow("),
    concat!("#[", "expect("),
    concat!("#![", "expect("),
];

#[test]
fn files_are_short() {
    let files = rust_files();
    let long = files.iter().filter(|(_, text)| text.lines().count() > LINES_MAX);
    let violations: Vec<_> = long
        .map(|(path, text)| format!("{path}: {} lines", text.lines().count()))
        .collect();
    report("at most 500 lines, then a folder", &violations);
}

#[test]
fn files_say_what_they_are() {
    let files = rust_files();
    let silent = files.iter().filter(|(_, text)| !text.starts_with("//! "));
    let violations: Vec<_> = silent.map(|(path, _)| path.clone()).collect();
    report("a file opens with `//!`", &violations);
}

/// A file that nobody declares is not compiled, and its tests do not run.
#[test]
fn every_file_is_a_module() {
    let files = rust_files();
    let declared = |folder: &str, name: &str| {
        let inside = format!("{folder}/");
        let parents = files.iter().filter(|(path, _)| {
            let beside = path.strip_prefix(&inside).is_some_and(|name| !name.contains('/'));
            beside || *path == format!("{folder}.rs")
        });
        let declares = |line: &str| {
            let module = line
                .trim()
                .strip_suffix(';')
                .and_then(|line| line.rsplit_once("mod "));
            module.is_some_and(|(_, module)| module.trim_start_matches("r#") == name)
        };
        parents.into_iter().any(|(_, text)| text.lines().any(declares))
    };
    let orphan = |path: &String| {
        let (folder, file) = path.rsplit_once('/')?;
        match file.strip_suffix(".rs")? {
            "lib" | "main" | "build" => None,
            "mod" => {
                let (above, name) = folder.rsplit_once('/')?;
                (!declared(above, name)).then(|| path.clone())
            }
            name => (!declared(folder, name)).then(|| path.clone()),
        }
    };
    let violations: Vec<String> = files.iter().filter_map(|(path, _)| orphan(path)).collect();
    report("a file is declared by `mod`", &violations);
}

#[test]
fn nothing_is_left_over() {
    let violations = matching_lines(|line| LEFTOVERS.iter().any(|leftover| line.contains(leftover)));
    report("no unfinished code, no ignored tests", &violations);
}

#[test]
fn suppressed_lints_have_reasons() {
    let mut violations = Vec::new();
    for (path, text) in rust_files() {
        for opening in SUPPRESSIONS {
            for (start, _) in text.match_indices(opening) {
                let attribute = attribute_at(&text[start..]);
                if !attribute.contains("reason = ") {
                    let line = text[..start].lines().count() + 1;
                    violations.push(format!("{path}:{line}: {attribute}"));
                }
            }
        }
    }
    report("a suppressed lint gives its reason", &violations);
}

/// The attribute at the start of a text, over several lines if need be.
fn attribute_at(text: &str) -> &str {
    let end = text.find(")]").map_or(text.len(), |end| end + 2);
    &text[..end]
}

fn matching_lines(wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in rust_files() {
        let lines = text.lines().enumerate().filter(|(_, line)| wanted(line));
        found.extend(lines.map(|(index, line)| format!("{path}:{}: {}", index + 1, line.trim())));
    }
    found
}
