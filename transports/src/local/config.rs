//! The settings of `local`, checked at load.

use super::SCHEME;
use super::channel::Channel;
use super::listener::{Local, Settings};
use super::sender::LocalSender;
use engine::build::Build;
use engine::config::{Node, Spanned};
use engine::registry::EntryPoint;
use engine::transport::Sender;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// A name to receive from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalEntryConfig {
    /// The name: letters, digits, `.`, `_` and `-`.
    pub name: Spanned<String>,
    /// Most messages that wait. More are refused.
    #[serde(default = "capacity")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub capacity: usize,
    /// Most messages that are served at once.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrency: usize,
}

/// A name to send to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalSenderConfig {
    /// The name that an artifact receives from, as it is or as `local://NAME`.
    pub name: Spanned<String>,
}

fn capacity() -> usize {
    1000
}

fn concurrency() -> usize {
    64
}

/// Builds the receiving side.
pub(super) fn entry(artifact: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<EntryPoint> {
    let config: LocalEntryConfig = cx.read_with_shorthand(node, "name")?;
    let name = checked(&config.name.value, &config.name, cx)?;
    let settings = Settings {
        capacity: config.capacity,
        concurrency: config.concurrency,
    };
    let channel = channel(&name, cx);
    let local = Local::new(Arc::clone(artifact), channel, settings);
    Some(EntryPoint::Listener(Arc::new(local)))
}

/// Builds the sending side.
pub(super) fn sender(node: &Node, cx: &mut Build<'_>) -> Option<Arc<dyn Sender>> {
    let config: LocalSenderConfig = cx.read_with_shorthand(node, "name")?;
    let text = &config.name.value;
    let name = text
        .split_once("://")
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .map_or(text.as_str(), |(_, name)| name);
    let name = checked(name, &config.name, cx)?;
    Some(Arc::new(LocalSender::new(channel(&name, cx))))
}

/// The queue of this name, that of the running deployment where there is one.
fn channel(name: &Arc<str>, cx: &Build<'_>) -> Arc<Channel> {
    let make = || Channel::new(Arc::clone(name));
    cx.state.get_or_insert(format!("local {name}"), make)
}

fn checked(name: &str, given: &Spanned<String>, cx: &mut Build<'_>) -> Option<Arc<str>> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name.is_empty() && name.len() <= 200 && name.bytes().all(good) {
        return Some(name.into());
    }
    let help = Some("give it letters, digits, `.`, `_` and `-`, such as `orders`".to_owned());
    cx.error("config.bad_value", given.span, "this is no local name", help);
    None
}
