//! `connections`: connections that several artifacts share, by name. They open when they are first used.

use super::kind::Kinds;
use crate::build::Build;
use crate::config::{Named, RawNode};
use std::sync::Arc;

/// Builds all of them, before anything can refer to one.
pub(super) fn build(config: Named<RawNode>, cx: &mut Build<'_>) {
    for (name, node) in config {
        let known = cx.registry.transports.iter();
        let kinds = Kinds {
            known: known
                .filter_map(|spec| Some((spec.name, spec.connection.as_ref()?)))
                .collect(),
            shape: "a connection names one transport with its settings",
            unknown: "config.unknown_transport",
            problem: |key| format!("`{key}` has no connections to share"),
        };
        let name: Arc<str> = name.value.into();
        let built = cx.within(&format!("connections.{name}"), |cx| {
            let (spec, settings) = kinds.choose(&node, cx)?;
            (spec.build)(&name, settings, cx)
        });
        cx.connections.insert(name, built);
    }
}
