//! The committed reference is what the binary writes.

use super::files_below;
use mediary_tests::{Project, mediary, workspace_folder};
use std::collections::BTreeMap;
use std::path::Path;

const HELP: &str =
    "docs/reference is out of date. Write it again: rm -r docs/reference && cargo run -- docs docs/reference";

fn texts(folder: &Path) -> BTreeMap<String, String> {
    let files = files_below(folder, "md").into_iter();
    let named = files.map(|path| {
        let name = path.strip_prefix(folder).unwrap().display().to_string();
        (name, std::fs::read_to_string(path).unwrap())
    });
    named.collect()
}

#[test]
fn the_reference_is_fresh() {
    let project = Project::files(&[]);
    let folder = project.folder().join("reference");
    mediary(&["docs", folder.to_str().unwrap()]).expect_success();
    let committed = workspace_folder().join("docs/reference");
    assert!(committed.is_dir(), "{HELP}");
    let (written, committed) = (texts(&folder), texts(&committed));
    let names = |texts: &BTreeMap<String, String>| texts.keys().cloned().collect::<Vec<_>>();
    assert!(!written.is_empty());
    assert_eq!(names(&committed), names(&written), "{HELP}");
    for (name, text) in &written {
        assert_eq!(&committed[name], text, "{name}: {HELP}");
    }
}
