//! The files of a project as one tree. The kinds at the top level are maps from name to definition and are put
//! together; `settings` is put together at every depth. What is defined twice is an error with both places.

use super::{Diagnostic, Diagnostics, Key, Node, NodeValue};

/// One tree of all files, in their order. Files that are empty do not count; one that is no mapping is reported.
pub fn merge(files: Vec<Node>, diagnostics: &mut Diagnostics) -> Node {
    let mut merged: Option<Node> = None;
    for file in files.into_iter().filter(|file| !file.failed()) {
        if !matches!(file.value, NodeValue::Mapping(_) | NodeValue::Null) {
            let message = format!("expected a mapping, found {}", file.describe());
            let help = "a file begins with keys such as `endpoints:`, `apis:` or `proxies:`";
            diagnostics.push(Diagnostic::error("config.wrong_type", file.span, message).help(help));
            continue;
        }
        merged = Some(match merged {
            Some(so_far) if so_far.is_null() => file,
            Some(so_far) => merge_mappings(&so_far, &file, Level::Kinds, diagnostics),
            None => file,
        });
    }
    merged.unwrap_or_else(|| Node::null(super::Span::default()))
}

/// How deep in the tree, which decides what may be put together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Top-level keys.
    Kinds,
    /// Names of one kind.
    Names,
    /// Within `settings`.
    Settings,
}

fn merge_mappings(first: &Node, second: &Node, level: Level, diagnostics: &mut Diagnostics) -> Node {
    let mut entries = first.entries().to_vec();
    for (key, value) in second.entries() {
        match entries
            .iter()
            .position(|(candidate, _)| candidate.text == key.text)
        {
            None => entries.push((key.clone(), value.clone())),
            Some(index) => {
                let (first_key, first_value) = &entries[index];
                let merged = merge_values((first_key, first_value), (key, value), level, diagnostics);
                entries[index].1 = merged;
            }
        }
    }
    Node::mapping(first.span, entries)
}

fn merge_values(
    (first_key, first): (&Key, &Node),
    (key, second): (&Key, &Node),
    level: Level,
    diagnostics: &mut Diagnostics,
) -> Node {
    let both_mappings = [first, second]
        .iter()
        .all(|it| matches!(it.value, NodeValue::Mapping(_)));
    match level {
        Level::Kinds | Level::Settings if first.is_null() => second.clone(),
        Level::Kinds | Level::Settings if second.is_null() => first.clone(),
        Level::Kinds if both_mappings && &*key.text == "settings" => {
            merge_mappings(first, second, Level::Settings, diagnostics)
        }
        Level::Kinds if both_mappings => merge_mappings(first, second, Level::Names, diagnostics),
        Level::Settings if both_mappings => merge_mappings(first, second, Level::Settings, diagnostics),
        _ => {
            let message = format!("`{}` is defined twice", key.text);
            diagnostics.push(
                Diagnostic::error("config.duplicate_name", key.span, message)
                    .label("defined again here")
                    .secondary(first_key.span, "first defined here")
                    .help("rename or remove one of the two"),
            );
            first.clone()
        }
    }
}
