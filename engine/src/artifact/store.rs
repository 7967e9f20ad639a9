//! `stores`: named message stores. Their kinds are those of the engine and those that transports bring.

use super::kind::Kinds;
use crate::build::Build;
use crate::config::{Named, RawNode};
use crate::store::BUILT_IN;
use std::sync::Arc;

/// Builds all of them, before anything can refer to one. A store with errors is known, so that it is reported once.
pub(super) fn build(config: Named<RawNode>, cx: &mut Build<'_>) {
    for (name, node) in config {
        let of_transports = cx.registry.transports.iter();
        let of_transports = of_transports.filter_map(|spec| Some((spec.name, spec.store.as_ref()?)));
        let built_in = BUILT_IN.iter().map(|(name, spec)| (*name, spec));
        let kinds = Kinds {
            known: built_in.chain(of_transports).collect(),
            shape: "a store names one kind with its settings",
            unknown: "config.unknown_store",
            problem: |key| format!("there is no kind of store `{key}`"),
        };
        let name: Arc<str> = name.value.into();
        cx.stores.insert(Arc::clone(&name), None);
        let Some((spec, settings)) = kinds.choose(&node, cx) else {
            continue;
        };
        let store = cx.within(&format!("stores.{name}"), |cx| (spec.build)(&name, settings, cx));
        cx.stores.insert(name, store);
    }
}
