//! The rules of the house that no compiler checks: which crate may see which, how a source file looks, that
//! every extension is registered. Each rule reports all its violations at once.

mod dependencies;
mod graph;
mod registered;
mod sources;

use mediary_tests::workspace_folder;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates of the workspace, by folder.
const CRATES: &[&str] = &[
    "xml",
    "engine",
    "builders-formatters",
    "mediators",
    "transports",
    "cli",
    "tests",
    "bench",
];

/// The folders of the workspace beside the crates.
const OTHER_FOLDERS: &[&str] = &[".ci", "docs", "samples"];

/// Folders that tools make; no rule looks into them.
const MADE_FOLDERS: &[&str] = &["target", "node_modules"];

#[test]
fn the_top_level_has_its_folders_and_no_others() {
    let mut found = folders(&workspace_folder());
    found.retain(|name| name == ".ci" || !(name.starts_with('.') || MADE_FOLDERS.contains(&name.as_str())));
    let mut wanted: Vec<_> = CRATES
        .iter()
        .chain(OTHER_FOLDERS)
        .map(ToString::to_string)
        .collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted, "top-level folders (left: found, right: wanted)");
}

#[test]
fn no_lock_file_names_a_registry_of_npm() {
    let path = workspace_folder().join("tests/package-lock.json");
    let text = read(&path);
    assert!(
        !text.contains("\"resolved\""),
        "{}: install with tests/.npmrc in force",
        path.display()
    );
}

/// Fails with one line per violation.
#[track_caller]
fn report(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}

/// Every Rust file of the workspace with its text, paths relative to the root.
fn rust_files() -> Vec<(String, String)> {
    let root = workspace_folder();
    let mut files = Vec::new();
    for folder in CRATES {
        collect_rust_files(&root.join(folder), &mut files);
    }
    files.sort();
    assert!(files.len() >= CRATES.len(), "every crate has a file: {files:?}");
    files
        .iter()
        .map(|path| (relative(path, &root), read(path)))
        .collect()
}

fn collect_rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for name in folders(folder) {
        if !name.starts_with('.') && !MADE_FOLDERS.contains(&name.as_str()) {
            collect_rust_files(&folder.join(name), files);
        }
    }
    files.extend(
        entries(folder)
            .into_iter()
            .filter(|path| path.extension().is_some_and(|ext| ext == "rs")),
    );
}

fn folders(folder: &Path) -> Vec<String> {
    let folders = entries(folder).into_iter().filter(|path| path.is_dir());
    folders.map(|path| relative(&path, folder)).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap().display().to_string()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a cargo command prints.
fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace_folder())
        .args(arguments)
        .args(["--offline", "--quiet"]);
    let output = command.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
