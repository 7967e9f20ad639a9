//! `connections`: connections that several artifacts share, by name. They open when they are first used.

use crate::build::Build;
use crate::config::{Named, RawNode, suggestion};
use std::sync::Arc;

/// Builds all of them, before anything can refer to one.
pub(super) fn build(config: Named<RawNode>, cx: &mut Build<'_>) {
    for (name, node) in config {
        let transports = cx.registry.transports;
        let known = || {
            transports
                .iter()
                .filter(|spec| spec.connection.is_some())
                .map(|spec| spec.name)
        };
        let Some((key, settings)) = node.only_entry() else {
            let help = Some(format!(
                "such as `{}: ...`",
                known().collect::<Vec<_>>().join("`, `")
            ));
            let problem = "a connection names one transport with its settings";
            cx.error("config.bad_value", node.span, problem, help);
            continue;
        };
        let spec = cx
            .registry
            .transport(&key.text)
            .and_then(|spec| spec.connection.as_ref());
        let Some(spec) = spec else {
            let help = suggestion(&key.text, known());
            let problem = format!("`{}` has no connections to share", key.text);
            cx.error("config.unknown_transport", key.span, problem, help);
            continue;
        };
        let name: Arc<str> = name.value.into();
        let built = cx.within(&format!("connections.{name}"), |cx| {
            (spec.build)(&name, settings, cx)
        });
        if let Some(connection) = built {
            cx.connections.insert(name, connection);
        }
    }
}
