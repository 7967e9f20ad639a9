//! `stores`: named message stores. Their kinds are those of the engine and those that transports bring.

use super::kind::Kinds;
use crate::build::Build;
use crate::config::{Diagnostic, Named, RawNode, Span};
use crate::store::BUILT_IN;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Builds all of them, before anything can refer to one. A store with errors is known, so that it is reported once.
pub(super) fn build(config: Named<RawNode>, cx: &mut Build<'_>) {
    let mut places: HashMap<String, (Arc<str>, Span)> = HashMap::new();
    for (name, node) in config {
        let span = name.span;
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
        if let Some(store) = &store {
            match places.entry(store.identity()) {
                Entry::Vacant(place) => drop(place.insert((Arc::clone(&name), span))),
                Entry::Occupied(place) => one_place(&name, span, place.get(), &store.identity(), cx),
            }
        }
        cx.stores.insert(name, store);
    }
}

/// Two stores that keep their messages in one place would be one store with two names.
fn one_place(
    name: &str,
    span: Span,
    (other, other_span): &(Arc<str>, Span),
    place: &str,
    cx: &mut Build<'_>,
) {
    let problem = format!("the stores `{other}` and `{name}` keep their messages in the same place: {place}");
    let diagnostic = Diagnostic::error("config.duplicate_store", span, problem)
        .secondary(*other_span, format!("`{other}` is here"))
        .help("give one of them another place, or use one store under one name".to_owned());
    cx.diagnostics.push(diagnostic);
}
