//! Redirecting addresses in the tree of a project, before it is built: endpoints to their mocks, and what points at
//! a listener of the project itself to the port which that listener has in the test.

use engine::config::{Key, Node, NodeValue, ScalarStyle};
use std::net::SocketAddr;

/// The project with the addresses of one endpoint replaced. The paths stay.
#[must_use]
pub(super) fn endpoint(root: &Node, name: &str, to: SocketAddr) -> Node {
    at(root, "endpoints", |endpoints| {
        at(endpoints, name, |endpoint| {
            over_http(&leaves(endpoint, &|text| redirect(text, to)), to)
        })
    })
}

/// An endpoint of another transport than HTTP becomes one: a queue, a folder. Its policies stay.
fn over_http(endpoint: &Node, to: SocketAddr) -> Node {
    let mock = |span| Node::scalar(span, format!("http://{to}/"), ScalarStyle::DoubleQuoted);
    let other = |name: &str| name != "http" && crate::registry().transport(name).is_some();
    let scheme = endpoint.as_str().and_then(|text| text.split_once("://"));
    if let Some((scheme, _)) = scheme {
        return match scheme {
            "http" | "https" => endpoint.clone(),
            _ => mock(endpoint.span),
        };
    }
    let change = |(key, value): &(Key, Node)| match other(&key.text) {
        true => {
            let http = Key {
                text: "http".into(),
                ..key.clone()
            };
            (http, mock(value.span))
        }
        false => (key.clone(), value.clone()),
    };
    match endpoint.entries() {
        [] => endpoint.clone(),
        entries => Node::mapping(endpoint.span, entries.iter().map(change).collect::<Vec<_>>()),
    }
}

/// The project with every loopback address whose port is one of `ports` moved to the port that stands for it.
#[must_use]
pub(super) fn own_ports(root: &Node, ports: &[(u16, u16)]) -> Node {
    leaves(root, &|text| {
        let (prefix, port, rest) = loopback(text)?;
        let (_, actual) = ports.iter().find(|(configured, _)| *configured == port)?;
        Some(format!("{prefix}{actual}{rest}"))
    })
}

/// The tree with the value under one key changed.
fn at(node: &Node, name: &str, change: impl Fn(&Node) -> Node) -> Node {
    let change_entry = |(key, value): &(Key, Node)| match &*key.text == name {
        true => (key.clone(), change(value)),
        false => (key.clone(), value.clone()),
    };
    let entries: Vec<(Key, Node)> = node.entries().iter().map(change_entry).collect();
    Node::mapping(node.span, entries)
}

/// The tree with every text changed for which there is something else.
fn leaves(node: &Node, change: &dyn Fn(&str) -> Option<String>) -> Node {
    match &node.value {
        NodeValue::Null => node.clone(),
        NodeValue::Scalar(scalar) => match change(scalar.text()) {
            Some(text) => Node::scalar(node.span, text, ScalarStyle::DoubleQuoted),
            None => node.clone(),
        },
        NodeValue::Sequence(items) => {
            let items: Vec<Node> = items.iter().map(|item| leaves(item, change)).collect();
            Node::sequence(node.span, items)
        }
        NodeValue::Mapping(entries) => {
            let entry = |(key, value): &(Key, Node)| (key.clone(), leaves(value, change));
            Node::mapping(node.span, entries.iter().map(entry).collect::<Vec<_>>())
        }
    }
}

/// An HTTP address with its scheme, host and port replaced.
fn redirect(text: &str, to: SocketAddr) -> Option<String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))?;
    Some(format!("http://{to}{}", &rest[authority_length(rest)..]))
}

/// The authority ends at the path, unless an expression in it has a slash.
fn authority_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    for (index, byte) in rest.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'/' | b'?' | b'#' if depth == 0 => return index,
            _ => {}
        }
    }
    rest.len()
}

/// A loopback address: what is before its port, the port, what is behind it.
fn loopback(text: &str) -> Option<(&str, u16, &str)> {
    const HOSTS: [&str; 3] = ["http://localhost:", "http://127.0.0.1:", "http://[::1]:"];
    let prefix = HOSTS.into_iter().find(|prefix| text.starts_with(prefix))?;
    let rest = &text[prefix.len()..];
    let digits = rest.len() - rest.trim_start_matches(|it: char| it.is_ascii_digit()).len();
    let ends = rest[digits..].is_empty() || rest[digits..].starts_with(['/', '?', '#']);
    let port = rest[..digits].parse().ok().filter(|_| ends)?;
    Some((prefix, port, &rest[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::config::{Sources, parse};

    fn tree(text: &str) -> Node {
        parse(&mut Sources::default(), "test", text).0.unwrap()
    }

    #[test]
    fn a_mock_takes_the_place_of_an_address_and_the_path_stays() {
        let root = tree(
            "endpoints: { a: 'https://x.example:8443/p/${vars.a/2}?q', b: { http: 'http://${env.H}/b' } }",
        );
        let to = SocketAddr::from(([127, 0, 0, 1], 7));
        let root = endpoint(&endpoint(&root, "a", to), "b", to);
        let json = root.to_json();
        assert_eq!(json["endpoints"]["a"], "http://127.0.0.1:7/p/${vars.a/2}?q");
        assert_eq!(json["endpoints"]["b"]["http"], "http://127.0.0.1:7/b");
    }

    #[test]
    fn a_mock_takes_the_place_of_a_queue_or_a_folder_and_the_policies_stay() {
        let root = tree(
            "endpoints: { a: { amqp: { connection: c, routing_key: k }, timeout: 5s }, b: 'local://b', c: { timeout: 1s, http: 'http://c' } }",
        );
        let to = SocketAddr::from(([127, 0, 0, 1], 7));
        let root = ["a", "b", "c"]
            .iter()
            .fold(root, |root, name| endpoint(&root, name, to));
        let expected = serde_json::json!({
            "a": { "http": "http://127.0.0.1:7/", "timeout": "5s" },
            "b": "http://127.0.0.1:7/",
            "c": { "timeout": "1s", "http": "http://127.0.0.1:7" },
        });
        assert_eq!(root.to_json()["endpoints"], expected);
    }

    #[test]
    fn the_project_s_own_ports_are_followed() {
        let root = tree(
            "[http://localhost:9000/a, http://127.0.0.1:9000, http://other:9000/, http://localhost:90001/, http://localhost:1/]",
        );
        let json = own_ports(&root, &[(9000, 7)]).to_json();
        let expected = [
            "http://localhost:7/a",
            "http://127.0.0.1:7",
            "http://other:9000/",
            "http://localhost:90001/",
            "http://localhost:1/",
        ];
        assert_eq!(json, serde_json::json!(expected));
    }
}
