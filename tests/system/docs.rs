//! The documentation is true: every YAML block in it is a project that `mediary check` accepts, every test in it
//! passes, the reference is what the binary would write, every link leads somewhere.
//!
//! How a page says what a block is, with an HTML comment on the line before it:
//! - nothing: a project of its own, steps of the sequence `main`, or tests of the last project above them;
//! - `<!-- wrong -->`: the same, and it has to fail;
//! - `<!-- file: NAME -->`: a file beside all projects of the page.

mod blocks;
mod links;
mod reference;
mod schema;

use mediary_tests::workspace_folder;
use std::path::{Path, PathBuf};

/// `README.md` and every page below `docs/`.
fn pages() -> Vec<PathBuf> {
    let root = workspace_folder();
    let mut pages = vec![root.join("README.md")];
    pages.extend(files_below(&root.join("docs"), "md"));
    assert!(pages.len() > 10, "pages are missing: {pages:?}");
    pages
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A page as its reader names it.
fn shown(path: &Path) -> String {
    let root = workspace_folder();
    path.strip_prefix(&root).unwrap_or(path).display().to_string()
}
