//! `--set settings.listeners.http.port=0`: a dotted path of keys and a YAML value, laid over the tree. Each is a
//! source of its own, so that an error in it is shown like one in a file.

use super::{Diagnostic, Diagnostics, Key, Node, NodeValue, SourceId, Sources, Span, parse};
use std::sync::Arc;

/// The name under which overrides appear in diagnostics.
pub const SET_SOURCE: &str = "--set";

/// Lays one override over the tree. A key with a dot in it is written in double quotes; a number selects an item
/// of a list. Missing mappings are made.
pub fn apply_override(
    root: &Node,
    sources: &mut Sources,
    argument: &str,
    diagnostics: &mut Diagnostics,
) -> Node {
    let source = sources.add(SET_SOURCE, argument);
    let Some((path, base)) = path(source, argument) else {
        let whole = Span::new(source, 0, argument.len());
        let help = "write `--set settings.listeners.http.port=8290`";
        diagnostics.push(
            Diagnostic::error("config.set", whole, "expected a dotted path, `=` and a value").help(help),
        );
        return root.clone();
    };
    let (value, problems) = parse::parse_source(sources, source, base);
    diagnostics.extend(problems);
    let Some(value) = value else { return root.clone() };
    let value = if value.is_null() {
        Node::null(Span::new(source, 0, argument.len()))
    } else {
        value
    };
    set(root, &path, value).unwrap_or_else(|problem| {
        diagnostics.push(*problem);
        root.clone()
    })
}

/// The keys before the `=`, and where the value begins.
fn path(source: SourceId, argument: &str) -> Option<(Vec<Key>, usize)> {
    let mut keys = Vec::new();
    let mut at = 0;
    loop {
        let rest = &argument[at..];
        let (start, length, after) = match rest.strip_prefix('"') {
            Some(quoted) => (at + 1, quoted.find('"')?, at + quoted.find('"')? + 2),
            None => (at, rest.find(['.', '='])?, at + rest.find(['.', '='])?),
        };
        let text = Arc::from(
            argument
                .get(start..start + length)
                .filter(|key| !key.is_empty())?,
        );
        if keys.len() == parse::DEPTH_MAX {
            return None;
        }
        keys.push(Key {
            text,
            span: Span::new(source, start, start + length),
        });
        match argument.as_bytes().get(after)? {
            b'.' => at = after + 1,
            b'=' => return Some((keys, after + 1)),
            _ => return None,
        }
    }
}

fn set(node: &Node, path: &[Key], value: Node) -> Result<Node, Box<Diagnostic>> {
    let Some((key, rest)) = path.split_first() else {
        return Ok(value);
    };
    match &node.value {
        NodeValue::Null => {
            let value = set(&Node::null(key.span), rest, value)?;
            Ok(Node::mapping(key.span, vec![(key.clone(), value)]))
        }
        NodeValue::Mapping(entries) => {
            let mut entries = entries.to_vec();
            match entries
                .iter_mut()
                .find(|(candidate, _)| candidate.text == key.text)
            {
                Some((_, old)) => *old = set(old, rest, value)?,
                None => entries.push((key.clone(), set(&Node::null(key.span), rest, value)?)),
            }
            Ok(Node::mapping(node.span, entries))
        }
        NodeValue::Sequence(items) => {
            let mut items = items.to_vec();
            let index = key
                .text
                .parse::<usize>()
                .ok()
                .filter(|index| *index < items.len());
            let Some(index) = index else {
                return Err(no_item(node, key, items.len()));
            };
            items[index] = set(&items[index], rest, value)?;
            Ok(Node::sequence(node.span, items))
        }
        NodeValue::Scalar(_) => Err(not_a_mapping(node, key)),
    }
}

fn no_item(node: &Node, key: &Key, length: usize) -> Box<Diagnostic> {
    let message = format!("the list has no item `{}`", key.text);
    let help = format!("it has {length} items; the first is `0`");
    Box::new(
        Diagnostic::error("config.set", key.span, message)
            .secondary(node.span, "this list")
            .help(help),
    )
}

fn not_a_mapping(node: &Node, key: &Key) -> Box<Diagnostic> {
    let message = format!("`{}` cannot be set in something that is no mapping", key.text);
    Box::new(Diagnostic::error("config.set", key.span, message).secondary(node.span, "this is what is there"))
}
