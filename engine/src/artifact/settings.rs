//! `settings`: what holds for the whole gateway.

use crate::build::Build;
use crate::config::{Duration, Named, Node, RawNode, SecretSettings, Size, Span, Spanned};
use crate::format::FormatLimits;
use crate::gateway::MANAGEMENT;
use crate::settings::{Limits, Settings};
use crate::transport::Listener;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Server-wide settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsConfig {
    /// Network listeners by name. Without any, `http` listens on port 8290.
    pub listeners: Named<RawNode>,
    /// The management port: health, readiness and metrics; on loopback unless told otherwise. Default port 9164.
    pub management: Option<RawNode>,
    /// Limits of messages and exchanges.
    pub limits: LimitsConfig,
    /// Number of data-plane threads; 0 stands for one per core.
    pub workers: usize,
    /// Prefixes for XPath, with their namespace names.
    pub namespaces: BTreeMap<String, Spanned<String>>,
    /// Where `${secret.NAME}` is looked up.
    pub secrets: SecretSettings,
    /// How long a shutdown waits for exchanges in flight.
    pub shutdown_grace: Duration,
    /// Whether every exchange writes a line to the log.
    pub access_log: bool,
    /// What happens to a repeated key in a JSON object.
    pub json_duplicate_keys: DuplicateKeys,
}

/// What happens to a repeated key in a JSON object.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateKeys {
    /// The body is malformed.
    #[default]
    Refuse,
    /// The last one counts.
    LastWins,
}

/// Limits of messages and exchanges.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Most bytes of one body, streamed or buffered.
    pub body: Size,
    /// Most bytes of a body once decompressed.
    pub decompressed: Size,
    /// Most exchanges at once; more are refused with 503.
    pub in_flight: usize,
    /// Most time for one exchange, from its entry to its reply.
    pub exchange: Duration,
    /// Deepest nesting of JSON and XML.
    pub depth: usize,
    /// Most attributes of one XML element.
    pub attributes: usize,
    /// Most parts of a multipart body.
    pub parts: usize,
}

impl Default for SettingsConfig {
    fn default() -> Self {
        Self {
            listeners: Named::default(),
            management: None,
            limits: LimitsConfig::default(),
            workers: 0,
            namespaces: BTreeMap::new(),
            secrets: SecretSettings::default(),
            shutdown_grace: Duration::from_secs(30),
            access_log: false,
            json_duplicate_keys: DuplicateKeys::Refuse,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let (limits, formats) = (Limits::default(), FormatLimits::default());
        Self {
            body: Size::from_bytes(limits.body_bytes),
            decompressed: Size::from_bytes(formats.decompressed_bytes),
            in_flight: limits.in_flight,
            exchange: Duration::from_secs(limits.exchange_timeout.as_secs()),
            depth: formats.depth,
            attributes: formats.attributes,
            parts: formats.parts,
        }
    }
}

/// Builds the settings and the network listeners.
pub(super) fn build(
    config: &SettingsConfig,
    cx: &mut Build<'_>,
    listeners: &mut Vec<Arc<dyn Listener>>,
) -> Settings {
    namespaces(config, cx);
    let root = Node::null(cx.project.root.span);
    // Without network listeners to choose from, as in tests of extensions, nobody asked for the default ones.
    let has_network = cx
        .registry
        .transports
        .iter()
        .any(|transport| transport.listener.is_some());
    if config.listeners.is_empty() && has_network {
        listener("http", &root, root.span, cx, listeners);
    }
    for (name, span, node) in config.listeners.iter() {
        if name == MANAGEMENT {
            let help = Some("it is configured under `settings.management`".to_owned());
            cx.error(
                "config.reserved_name",
                span,
                "`management` is no name for a listener",
                help,
            );
            continue;
        }
        listener(name, node, span, cx, listeners);
    }
    cx.listener_names = listeners
        .iter()
        .map(|listener| Arc::clone(listener.name()))
        .collect();
    let management = config.management.as_ref().map_or(&root, |node| &node.0);
    if has_network || !management.is_null() {
        listener(MANAGEMENT, management, management.span, cx, listeners);
    }
    let limits = &config.limits;
    Settings {
        limits: Limits {
            body_bytes: limits.body.bytes(),
            in_flight: limits.in_flight,
            exchange_timeout: limits.exchange.into(),
        },
        format_limits: FormatLimits {
            depth: limits.depth,
            attributes: limits.attributes,
            parts: limits.parts,
            decompressed_bytes: limits.decompressed.bytes(),
            refuse_duplicate_keys: config.json_duplicate_keys == DuplicateKeys::Refuse,
        },
        workers: config.workers,
        shutdown_grace: config.shutdown_grace.into(),
        access_log: config.access_log,
    }
}

fn namespaces(config: &SettingsConfig, cx: &mut Build<'_>) {
    let mut namespaces = xml::xpath::Namespaces::new();
    for (prefix, uri) in &config.namespaces {
        namespaces.bind(prefix, &uri.value);
    }
    cx.scope.namespaces = Arc::new(namespaces);
}

fn listener(name: &str, node: &Node, span: Span, cx: &mut Build<'_>, listeners: &mut Vec<Arc<dyn Listener>>) {
    let mut specs = cx
        .registry
        .transports
        .iter()
        .filter_map(|transport| transport.listener.as_ref());
    let Some(spec) = specs.next() else {
        // Without a transport that listens, the listeners that nobody asked for are not missed.
        if !node.is_null() {
            cx.error(
                "config.no_transport",
                span,
                "no transport has network listeners",
                None,
            );
        }
        return;
    };
    let built = cx.within(&format!("settings.listeners.{name}"), |cx| {
        (spec.build)(&name.into(), node, cx)
    });
    listeners.extend(built);
}
