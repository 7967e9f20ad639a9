//! `from: { http: /path }`.

use engine::build::Build;
use engine::config::{Node, OneOrMany, Spanned};
use engine::registry::{EntryPoint, EntryRoute};
use engine::route::Guard;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// A path on the listeners. A path alone serves every method and everything below it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpEntryConfig {
    /// The path: `/legacy`. Everything below it belongs to it.
    pub path: Spanned<String>,
    /// Serves only the path itself, nothing below it.
    #[serde(default)]
    pub exact: bool,
    /// Methods; without any, all.
    #[serde(default)]
    pub methods: OneOrMany<Spanned<String>>,
    /// Hosts that clients ask for, without port; without any, all.
    #[serde(default)]
    pub hosts: OneOrMany<String>,
    /// Names of listeners; without any, all.
    #[serde(default)]
    pub listeners: OneOrMany<Spanned<String>>,
}

/// Builds the entry.
pub(super) fn build(_: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<EntryPoint> {
    let config: HttpEntryConfig = cx.read_with_shorthand(node, "path")?;
    if !config.path.starts_with('/') {
        let help = Some("a path begins with a slash: `/legacy`".to_owned());
        cx.error("config.bad_path", config.path.span, "this is no path", help);
        return None;
    }
    let methods: Vec<Option<Method>> = config.methods.iter().map(|name| method(name, cx)).collect();
    let guard = |host: &String| Guard {
        host: Some(host.to_ascii_lowercase()),
        ..Guard::default()
    };
    Some(EntryPoint::Route(EntryRoute {
        path: config.path,
        prefix: !config.exact,
        methods: methods.into_iter().collect::<Option<_>>()?,
        guards: config.hosts.iter().map(guard).collect(),
        listeners: config.listeners.0,
    }))
}

fn method(name: &Spanned<String>, cx: &mut Build<'_>) -> Option<Method> {
    let method = Method::from_bytes(name.as_bytes())
        .ok()
        .filter(|_| !name.bytes().any(|byte| byte.is_ascii_lowercase()));
    if method.is_none() {
        let help = Some("methods are in upper case: `GET`, `POST`".to_owned());
        cx.error("config.bad_value", name.span, "this is no HTTP method", help);
    }
    method
}
