//! The servers that a project's `connections` lead to. Listeners wait for them as long as it takes; a test or a sample that cannot
//! work without them says so at once.

use engine::config::{Node, Project};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a server may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(3);

/// The connections whose servers accept no connection, one sentence each.
pub(crate) async fn missing(project: &Project) -> Vec<String> {
    let connections = project.root.get("connections").map(Node::entries);
    let mut missing = Vec::new();
    for (name, connection) in connections.unwrap_or_default() {
        let Some(address) = address(connection) else {
            continue;
        };
        if !accepts(&address).await {
            missing.push(format!(
                "nothing answers at {address}, where the connection `{}` leads to",
                name.text
            ));
        }
    }
    missing
}

async fn accepts(address: &str) -> bool {
    let connecting = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(address));
    matches!(connecting.await, Ok(Ok(_)))
}

/// Host and port of a connection: of its URL, or as keys of their own.
fn address(connection: &Node) -> Option<String> {
    let [(kind, settings)] = connection.entries() else {
        return None;
    };
    if let Some(url) = settings
        .as_str()
        .or_else(|| settings.get("url").and_then(Node::as_str))
    {
        return of_url(url);
    }
    let text = |key: &str| settings.get(key).and_then(Node::as_str);
    let implicit = text("tls") == Some("implicit");
    let port = text("port").map(str::to_owned);
    let port = port.or_else(|| default_port(&kind.text, implicit).map(|port| port.to_string()));
    Some(format!("{}:{}", text("host")?, port?))
}

fn of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    match has_port {
        true => Some(host.to_owned()),
        false => Some(format!("{host}:{}", default_port(scheme, false)?)),
    }
}

fn default_port(kind: &str, implicit_tls: bool) -> Option<u16> {
    match kind {
        "amqp" => Some(5672),
        "amqps" => Some(5671),
        "ftp" if implicit_tls => Some(990),
        "ftp" => Some(21),
        "sftp" => Some(22),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::config::{Sources, parse};

    fn addresses(text: &str) -> Vec<Option<String>> {
        let tree = parse(&mut Sources::default(), "test", text).0.unwrap();
        let connections = tree.entries().iter();
        connections.map(|(_, connection)| address(connection)).collect()
    }

    #[test]
    fn addresses_are_read_as_the_transports_read_them() {
        let text = "\
a: { amqp: 'amqp://guest:p@ss@rabbit:1/v' }
b: { amqp: { url: amqps://rabbit } }
c: { sftp: { host: files, user: u } }
d: { ftp: { host: files, tls: implicit } }
e: { ftp: { host: files, port: 2121 } }
f: { ftp: { port: 1 } }
";
        let expected = ["rabbit:1", "rabbit:5671", "files:22", "files:990", "files:2121"];
        let found = addresses(text);
        assert_eq!(found.iter().flatten().collect::<Vec<_>>(), expected);
        assert_eq!(found.last(), Some(&None));
    }
}
