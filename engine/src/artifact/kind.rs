//! Maps with one entry, whose key chooses a kind and whose value holds its settings: `from: { file: ... }`, `{ durable: ... }`.

use crate::build::Build;
use crate::config::{Node, suggestion};

/// What can be chosen from, and how the diagnostics call it.
pub(super) struct Kinds<'s, T> {
    /// The kinds by their keys.
    pub(super) known: Vec<(&'static str, &'s T)>,
    /// What is wrong with a value that is no such map.
    pub(super) shape: &'static str,
    /// The code for a key that is none of them.
    pub(super) unknown: &'static str,
    /// What is wrong with such a key.
    pub(super) problem: fn(&str) -> String,
}

impl<'s, T> Kinds<'s, T> {
    /// The kind that `node` chooses with its settings, or a diagnostic.
    pub(super) fn choose<'n>(self, node: &'n Node, cx: &mut Build<'_>) -> Option<(&'s T, &'n Node)> {
        let names = self.known.iter().map(|(name, _)| *name);
        let Some((key, settings)) = node.only_entry() else {
            let names: Vec<&str> = names.collect();
            let help = format!("such as `{}: ...`", names.join("`, `"));
            cx.error("config.bad_value", node.span, self.shape, Some(help));
            return None;
        };
        let Some((_, kind)) = self.known.iter().find(|(name, _)| **name == *key.text) else {
            let help = suggestion(&key.text, names);
            cx.error(self.unknown, key.span, (self.problem)(&key.text), help);
            return None;
        };
        Some((kind, settings))
    }
}
