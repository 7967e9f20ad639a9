//! Every extension is registered: each module of an extension crate stands in that crate's `ALL` slice
//! exactly once. A module that is no extension says so in its first line: `//! Helper: ...`.

use super::{entries, read, relative, report};
use mediary_tests::workspace_folder;
use std::path::Path;

const EXTENSION_CRATES: &[&str] = &["mediators", "transports", "builders-formatters"];
const HELPER_MARK: &str = "//! Helper: ";

#[test]
fn every_extension_is_registered_once() {
    let mut violations = Vec::new();
    for folder in EXTENSION_CRATES {
        check(folder, &mut violations);
    }
    report(
        "a module is in `ALL` once, or its first line starts with `//! Helper: `",
        &violations,
    );
}

fn check(folder: &str, violations: &mut Vec<String>) {
    let source = workspace_folder().join(folder).join("src");
    let registered = registered_modules(&read(&source.join("lib.rs")));
    for (module, is_helper) in modules(&source) {
        let count = registered.iter().filter(|name| **name == module).count();
        match (is_helper, count) {
            (false, 1) | (true, 0) => {}
            (false, 0) => violations.push(format!("{folder}/{module} is not registered")),
            (false, _) => violations.push(format!("{folder}/{module} is registered {count} times")),
            (true, _) => violations.push(format!(
                "{folder}/{module} calls itself a helper and is registered"
            )),
        }
    }
}

/// The modules of a crate by their files, and whether each is a helper. `x.rs` and `x/mod.rs` are the module
/// `x`; what else lies in the folder `x` belongs to it.
fn modules(source: &Path) -> Vec<(String, bool)> {
    let files = entries(source)
        .into_iter()
        .map(|path| if path.is_dir() { path.join("mod.rs") } else { path });
    let mut modules = Vec::new();
    for file in files.filter(|file| file.is_file()) {
        let name = relative(&file, source)
            .trim_end_matches("/mod.rs")
            .trim_end_matches(".rs")
            .to_owned();
        if name != "lib" {
            modules.push((name, read(&file).starts_with(HELPER_MARK)));
        }
    }
    modules
}

/// The first path segment of each entry of `ALL`, whatever macro or call the entry is made with: the last
/// module-like segment before `::` that is no crate. Types start with a capital letter, modules do not.
fn registered_modules(lib: &str) -> Vec<String> {
    let Some((_, after)) = lib.split_once("ALL: ") else {
        return Vec::new();
    };
    let Some((_, after)) = after.split_once('=') else {
        return Vec::new();
    };
    let slice = after.split_once("];").map_or(after, |(slice, _)| slice);
    let code: String = slice
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect();
    let entries = code.split([',', '[']).filter_map(|entry| {
        let segments = entry.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        segments.filter_map(module_of).next_back()
    });
    let mut entries: Vec<_> = entries.collect();
    // One entry may name its module more than once: `Entry { name: log::NAME, build: log::build }`.
    entries.dedup();
    entries
}

/// `filter` for `filter::Filter`, `crate::filter::NAME` and `engine::Entry::of::<..>` none.
fn module_of(path: &str) -> Option<String> {
    let (module, _) = path.trim_start_matches("crate::").split_once("::")?;
    let is_module = module.starts_with(|c: char| c.is_lowercase()) && module != "engine";
    is_module.then(|| module.to_owned())
}

#[test]
fn the_slice_is_read_whatever_the_entries_look_like() {
    let lib = "mod log;\npub const ALL: &[Entry] = &[\n    entry::<log::Log>(), // once\n    \
               engine::Entry::of::<filter::Filter>(),\n    crate::switch::ENTRY,\n    &json::Json,\n];\n";
    assert_eq!(registered_modules(lib), ["log", "filter", "switch", "json"]);
    assert!(registered_modules("mod log;").is_empty());
}
