//! The configuration of HTTP: listeners, the entries of proxies, and where endpoints send to.

mod entry;
mod listener;
mod sender;

#[cfg(test)]
mod tests;

use engine::build::{Build, Resource};
use engine::config::Spanned;
use engine::registry::{EntrySpec, ListenerSpec, SenderSpec, TransportSpec};
use schemars::SchemaGenerator;

/// The registration of HTTP.
pub(crate) const SPEC: TransportSpec = TransportSpec {
    name: "http",
    docs: "HTTP/1.1 and HTTP/2 over TCP and TLS.\n\n\
           Listeners stand under `settings.listeners`; a proxy receives from a path (`from: { http: /path }`); \
           an endpoint sends to a URL (`http: http://localhost:9000/app`).",
    listener: Some(ListenerSpec {
        schema: SchemaGenerator::subschema_for::<listener::HttpListenerConfig>,
        build: listener::build,
    }),
    entry: Some(EntrySpec {
        schema: SchemaGenerator::subschema_for::<entry::HttpEntryConfig>,
        build: entry::build,
    }),
    sender: Some(SenderSpec {
        schemes: &["http", "https"],
        schema: SchemaGenerator::subschema_for::<sender::HttpSenderConfig>,
        build: sender::build,
    }),
    connection: None,
    store: None,
};

/// Reads a file that the configuration names.
fn file(path: &Spanned<String>, cx: &mut Build<'_>) -> Option<Resource> {
    cx.file_at(&path.value, path.span)
}
