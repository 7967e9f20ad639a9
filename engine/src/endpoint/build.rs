//! Endpoints from their configuration. A mapping holds exactly one key that says where to send; that entry is taken out and read
//! by its kind, the rest is the policy.

mod kind;
mod policy;

use super::{Endpoint, EndpointRef, PolicyConfig};
use crate::build::Build;
use crate::config::{Key, Node, NodeValue, Text, suggestion};
use crate::expression::{Escape, Template};
use policy::Health;
use std::sync::Arc;

/// The keys of kinds that are no transports.
const GROUPS: [&str; 3] = ["load_balance", "failover", "recipient_list"];

/// Builds every named endpoint of `cx.endpoint_nodes` into `cx.endpoints`, those that others refer to first.
pub(crate) fn build_all(cx: &mut Build<'_>) {
    let names = cx.names.endpoints.clone();
    for name in &names {
        let Some(span) = cx.endpoint_nodes.get(name).map(|node| node.span) else {
            continue;
        };
        named(name, span, cx);
    }
}

/// Reads a reference: a name, a URL, `${ expression }` or a definition in place.
pub(crate) fn reference(node: &Node, cx: &mut Build<'_>) -> Option<EndpointRef> {
    if let Some(template) = dynamic(node, cx)? {
        return Some(EndpointRef::Dynamic(template));
    }
    fixed(node, cx).map(EndpointRef::Fixed)
}

/// The template of a reference that is evaluated per message. The outer level says whether there were errors.
#[expect(
    clippy::option_option,
    reason = "the outer level says whether there were errors"
)]
fn dynamic(node: &Node, cx: &mut Build<'_>) -> Option<Option<Template>> {
    let text = Text::from_node(node).filter(|text| scheme(text.as_str()).is_none());
    let Some(text) = text else { return Some(None) };
    let template = cx.template(&text, Escape::None)?;
    Some(template.as_literal().is_none().then_some(template))
}

/// A reference that is the same for every message.
fn fixed(node: &Node, cx: &mut Build<'_>) -> Option<Arc<Endpoint>> {
    match name_of(node) {
        Some(name) => named(name, node.span, cx),
        None => define(None, node, None, cx),
    }
}

/// The name where a reference is one, and neither a URL nor a definition.
fn name_of(node: &Node) -> Option<&str> {
    node.as_str().filter(|text| scheme(text).is_none())
}

/// The scheme of a URL (RFC 3986 section 3.1); of anything else none.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let first = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    let rest = scheme
        .chars()
        .all(|other| other.is_ascii_alphanumeric() || "+-.".contains(other));
    (first && rest).then_some(scheme)
}

/// A named endpoint, built now if it has not been. An endpoint with errors is reported once.
fn named(name: &str, span: crate::config::Span, cx: &mut Build<'_>) -> Option<Arc<Endpoint>> {
    if let Some(built) = cx.endpoints.get(name) {
        return Some(Arc::clone(built));
    }
    if let Some(at) = cx.endpoints_open.iter().position(|open| &**open == name) {
        let cycle: Vec<&str> = cx.endpoints_open[at..]
            .iter()
            .map(|name| &**name)
            .chain([name])
            .collect();
        let message = format!("endpoint `{name}` leads back to itself: {}", cycle.join(" -> "));
        cx.error(
            "config.endpoint_cycle",
            span,
            message,
            Some("an endpoint cannot be a member of itself".into()),
        );
        return None;
    }
    let Some((name, node)) = cx.endpoint_nodes.shift_remove_entry(name) else {
        if !cx.names.endpoints.iter().any(|known| &**known == name) {
            let help = suggestion(name, cx.names.endpoints.iter().map(|known| &**known));
            cx.error(
                "config.unknown_reference",
                span,
                format!("there is no endpoint `{name}`"),
                help,
            );
        }
        return None;
    };
    cx.endpoints_open.push(Arc::clone(&name));
    let path = std::mem::replace(&mut cx.path, format!("endpoints.{name}"));
    let built = define(Some(&name), &node, None, cx);
    cx.path = path;
    cx.endpoints_open.pop();
    let built = built?;
    cx.endpoints.insert(name, Arc::clone(&built));
    Some(built)
}

/// Builds a definition: a URL, or a mapping. `health` is the circuit breaker of an address that has none.
fn define(
    name: Option<&Arc<str>>,
    node: &Node,
    health: Option<&Health>,
    cx: &mut Build<'_>,
) -> Option<Arc<Endpoint>> {
    let (key, settings, rest) = split(node, cx)?;
    let policy = cx.read::<PolicyConfig>(&rest);
    let kind = cx.within(&format!(".{}", key.text), |cx| kind::build(&key, &settings, cx))?;
    let name = name.map_or_else(|| Arc::clone(&kind.label), Arc::clone);
    policy::build(&policy?, name, kind, health, node, cx).map(Arc::new)
}

/// The entry that says where to send, and a mapping of all others.
fn split(node: &Node, cx: &mut Build<'_>) -> Option<(Key, Node, Node)> {
    if let NodeValue::Scalar(scalar) = &node.value {
        let key = Key {
            text: transport_of(scalar.text(), node, cx)?.into(),
            span: node.span,
        };
        return Some((key, node.clone(), Node::mapping(node.span, Vec::new())));
    }
    let senders = cx
        .registry
        .transports
        .iter()
        .filter(|spec| spec.sender.is_some())
        .map(|spec| spec.name);
    let kinds: Vec<&str> = senders.chain(GROUPS).collect();
    let (found, rest): (Vec<_>, Vec<_>) = node
        .entries()
        .iter()
        .cloned()
        .partition(|(key, _)| kinds.contains(&&*key.text));
    match &found[..] {
        [(key, settings)] => Some((key.clone(), settings.clone(), Node::mapping(node.span, rest))),
        [] => {
            report_no_kind(node, &kinds, cx);
            None
        }
        [(first, _), (second, _), ..] => {
            let message = format!(
                "an endpoint cannot have both `{}` and `{}`",
                first.text, second.text
            );
            let help =
                Some("say once where to send; `load_balance` and `failover` choose between several".into());
            cx.error("config.endpoint_kind", second.span, message, help);
            None
        }
    }
}

/// The name of the transport that sends to URLs of this scheme.
fn transport_of(url: &str, node: &Node, cx: &mut Build<'_>) -> Option<&'static str> {
    let Some(scheme) = scheme(url) else {
        let help = "give it a URL such as `http://localhost:9000/app`, or a mapping";
        cx.error(
            "config.bad_endpoint",
            node.span,
            "this is neither a URL nor a definition",
            Some(help.into()),
        );
        return None;
    };
    let found = cx.registry.transport_for_scheme(&scheme.to_ascii_lowercase());
    if found.is_none() {
        let senders = cx
            .registry
            .transports
            .iter()
            .filter_map(|spec| spec.sender.as_ref());
        let help = suggestion(scheme, senders.flat_map(|sender| sender.schemes.iter().copied()));
        cx.error(
            "config.unknown_scheme",
            node.span,
            format!("no transport sends to `{scheme}://`"),
            help,
        );
    }
    found.map(|spec| spec.name)
}

/// There is no key that says where to send: perhaps one is misspelt.
fn report_no_kind(node: &Node, kinds: &[&str], cx: &mut Build<'_>) {
    let misspelt = node.entries().iter().find_map(|(key, _)| {
        let near = crate::config::nearest(&key.text, kinds.iter().copied())?;
        Some((key.clone(), near.to_owned()))
    });
    match misspelt {
        Some((key, near)) => {
            let message = format!("unknown key `{}`", key.text);
            cx.error(
                "config.unknown_key",
                key.span,
                message,
                Some(format!("did you mean `{near}`?")),
            );
        }
        None => {
            let known: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
            let help = format!("give it one of {}", known.join(", "));
            let span = node.entries().first().map_or(node.span, |(key, _)| key.span);
            cx.error(
                "config.endpoint_kind",
                span,
                "this endpoint does not say where to send",
                Some(help),
            );
        }
    }
}
