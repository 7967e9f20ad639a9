//! The settings of `local`, checked at load.

use super::SCHEME;
use super::channel::Channel;
use super::listener::{Local, Settings};
use super::sender::LocalSender;
use engine::build::Build;
use engine::config::{Node, Span, Spanned, suggestion};
use engine::registry::EntryPoint;
use engine::transport::Sender;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;
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
    /// Whether `send` waits until the message has been served, or is a dead letter, and fails where it failed. With `false` it goes on as
    /// soon as the message is in the queue: a crash loses it then, and so does a fault where the artifact has no `dead_letter`.
    #[serde(default = "wait")]
    pub wait: bool,
}

/// The names that artifacts of a project receive from.
#[derive(Default)]
struct Received(BTreeSet<Arc<str>>);

fn wait() -> bool {
    true
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
    cx.notes::<Received>().0.insert(Arc::clone(&name));
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
    let (sent_to, span) = (Arc::clone(&name), config.name.span);
    cx.at_end(move |cx| check_received(&sent_to, span, cx));
    Some(Arc::new(LocalSender::new(channel(&name, cx), config.wait)))
}

/// Somebody has to receive what is sent.
fn check_received(name: &Arc<str>, span: Span, cx: &mut Build<'_>) {
    let received = &cx.notes::<Received>().0;
    if !received.contains(name) {
        let help = suggestion(name, received.iter().map(|name| &**name));
        let help = help.or_else(|| Some(format!("give a proxy `from: {{ local: {name} }}`")));
        let problem = format!("nothing receives from `local://{name}`");
        cx.error("config.unknown_reference", span, problem, help);
    }
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
