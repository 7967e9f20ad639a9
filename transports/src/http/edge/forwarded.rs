//! Where a request came from: `Forwarded` (RFC 7239) and the `X-Forwarded-*` fields, believed only from trusted peers,
//! and written anew towards backends.

use super::trust::TrustList;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

static FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static OTHERS: [HeaderName; 4] = [
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
];

/// Most hops of a chain that are looked at.
const HOPS_MAX: usize = 32;

/// Where a request came from, as far as it can be believed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The client's address.
    pub(crate) address: IpAddr,
    /// The scheme the client used.
    pub(crate) scheme: &'static str,
    /// The host the client asked for.
    pub(crate) host: String,
}

/// Finds the origin and replaces the forwarding headers by what goes to backends.
pub(crate) fn settle(
    headers: &mut HeaderMap,
    peer: SocketAddr,
    scheme: &'static str,
    host: String,
    trusted: &TrustList,
) -> Origin {
    let direct = Origin {
        address: peer.ip().to_canonical(),
        scheme,
        host,
    };
    let (origin, chain) = if trusted.contains(direct.address) {
        believe(headers, direct, trusted)
    } else {
        for name in &OTHERS {
            headers.remove(name);
        }
        (direct, String::new())
    };
    write(headers, &origin, peer.ip().to_canonical(), &chain);
    origin
}

/// Reads the chain from right to left: the first address that is not a trusted proxy is the client.
fn believe(headers: &HeaderMap, direct: Origin, trusted: &TrustList) -> (Origin, String) {
    let elements = forwarded_elements(headers);
    let addresses: Vec<String> = match elements.is_empty() {
        true => list(headers, &FOR),
        false => elements
            .iter()
            .filter_map(|element| parameter(element, "for"))
            .collect(),
    };
    let mut address = direct.address;
    for hop in addresses.iter().rev().take(HOPS_MAX) {
        let Some(hop) = node_address(hop) else { break };
        address = hop;
        if !trusted.contains(hop) {
            break;
        }
    }
    let told = |forwarded: &str, name: &HeaderName| {
        let by_element = elements.iter().find_map(|element| parameter(element, forwarded));
        by_element.or_else(|| list(headers, name).into_iter().next())
    };
    let scheme = match told("proto", &PROTO).as_deref() {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        Some(proto) if proto.eq_ignore_ascii_case("http") => "http",
        _ => direct.scheme,
    };
    let host = told("host", &HOST).filter(|host| super::target::check_authority(host).is_ok());
    let chain = addresses
        .iter()
        .filter_map(|hop| node_address(hop))
        .fold(String::new(), |mut chain, hop| {
            // Writing to a string cannot fail.
            let _ = write!(chain, "{hop}, ");
            chain
        });
    (
        Origin {
            address,
            scheme,
            host: host.unwrap_or(direct.host),
        },
        chain,
    )
}

/// One allocation holds all four values.
fn write(headers: &mut HeaderMap, origin: &Origin, peer: IpAddr, chain: &str) {
    let mut text = BytesMut::with_capacity(chain.len() + 2 * origin.host.len() + 128);
    let mut cut = |fill: &mut dyn FnMut(&mut BytesMut)| {
        let start = text.len();
        fill(&mut text);
        start..text.len()
    };
    let chain_range = cut(&mut |text| {
        text.put_slice(chain.as_bytes());
        // Writing to a buffer that grows cannot fail.
        let _ = write!(text, "{peer}");
    });
    let host_range = cut(&mut |text| text.put_slice(origin.host.as_bytes()));
    let forwarded_range = cut(&mut |text| write_forwarded(text, origin, peer, chain));
    let text = text.freeze();
    let mut set = |name: &HeaderName, value: Bytes| match HeaderValue::from_maybe_shared(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    };
    set(&FOR, text.slice(chain_range));
    set(&HOST, text.slice(host_range));
    set(&PROTO, Bytes::from_static(origin.scheme.as_bytes()));
    set(&header::FORWARDED, text.slice(forwarded_range));
}

fn write_forwarded(text: &mut BytesMut, origin: &Origin, peer: IpAddr, chain: &str) {
    let node = |text: &mut BytesMut, address: &str| {
        let quoted = address.contains(':');
        let _ = if quoted {
            write!(text, "for=\"[{address}]\"")
        } else {
            write!(text, "for={address}")
        };
    };
    for hop in chain.split(", ").filter(|hop| !hop.is_empty()) {
        node(text, hop);
        text.put_slice(b", ");
    }
    node(text, &peer.to_string());
    let _ = write!(text, ";proto={};host=\"{}\"", origin.scheme, origin.host);
}

fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

fn forwarded_elements(headers: &HeaderMap) -> Vec<String> {
    list(headers, &header::FORWARDED)
}

fn parameter(element: &str, name: &str) -> Option<String> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    values
        .next()
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

/// An address, with or without port and brackets. Obfuscated and unknown nodes have none.
fn node_address(node: &str) -> Option<IpAddr> {
    let bare = node.trim_matches('"');
    let address = bare
        .parse()
        .ok()
        .or_else(|| bare.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    let bracketed = || {
        bare.strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .and_then(|text| text.parse().ok())
    };
    address
        .or_else(bracketed)
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(given: &[(&'static str, &'static str)], peer: &str) -> (Origin, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted = TrustList::parse(["10.0.0.0/8"].into_iter()).unwrap();
        let origin = settle(
            &mut headers,
            peer.parse().unwrap(),
            "http",
            "gate".to_owned(),
            &trusted,
        );
        (origin, headers)
    }

    #[test]
    fn strangers_are_not_believed() {
        let given = [
            ("x-forwarded-for", "1.1.1.1"),
            ("forwarded", "for=2.2.2.2;proto=https"),
            ("x-real-ip", "3.3.3.3"),
        ];
        let (origin, headers) = origin(&given, "9.9.9.9:1");
        assert_eq!(
            (origin.address.to_string(), origin.scheme),
            ("9.9.9.9".to_owned(), "http")
        );
        assert_eq!(headers["x-forwarded-for"], "9.9.9.9");
        assert_eq!(headers["x-forwarded-host"], "gate");
        assert_eq!(headers["forwarded"], "for=9.9.9.9;proto=http;host=\"gate\"");
        assert!(!headers.contains_key("x-real-ip"));
    }

    #[test]
    fn trusted_peers_tell_the_first_address_that_is_not_theirs() {
        let given = [
            ("x-forwarded-for", "6.6.6.6, 1.1.1.1, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop"),
        ];
        let (found, headers) = origin(&given, "10.0.0.1:1");
        assert_eq!(
            (found.address.to_string(), found.scheme, &*found.host),
            ("1.1.1.1".to_owned(), "https", "shop")
        );
        assert_eq!(headers["x-forwarded-for"], "6.6.6.6, 1.1.1.1, 10.0.0.2, 10.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        let given = [
            (
                "forwarded",
                "for=\"[2001:db8::1]:4711\";proto=https;host=a.example",
            ),
            ("x-forwarded-for", "8.8.8.8"),
        ];
        let (found, headers) = origin(&given, "10.0.0.1:1");
        assert_eq!(
            (found.address.to_string(), &*found.host),
            ("2001:db8::1".to_owned(), "a.example")
        );
        assert_eq!(
            headers["forwarded"],
            "for=\"[2001:db8::1]\", for=10.0.0.1;proto=https;host=\"a.example\""
        );
    }
}
