//! The request target and the authority (RFC 9112 section 3.2, RFC 9110 section 7.2).

use super::bad_request;
use super::path::{EncodedSlashes, normalize};
use bytes::{BufMut, BytesMut};
use engine::fault::Fault;
use http::Uri;
use http::uri::PathAndQuery;
use std::borrow::Cow;

/// A request target, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// The authority of an absolute form.
    pub(crate) authority: Option<&'a str>,
    /// The path as it came.
    pub(crate) path: &'a str,
    /// The query without `?`.
    pub(crate) query: Option<&'a str>,
}

/// Takes a target in origin or absolute form apart. `*` is a path here.
pub(crate) fn split(target: &str) -> Result<Target<'_>, Fault> {
    let (authority, rest) = match target.as_bytes().first() {
        Some(b'/') => (None, target),
        Some(b'*') if target.len() == 1 => {
            return Ok(Target {
                authority: None,
                path: target,
                query: None,
            });
        }
        _ => absolute(target)?,
    };
    if rest.contains('#') {
        return Err(bad_request("The request target has a fragment."));
    }
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    Ok(Target {
        authority,
        path: if path.is_empty() { "/" } else { path },
        query,
    })
}

fn absolute(target: &str) -> Result<(Option<&str>, &str), Fault> {
    let scheme_end = target
        .find("://")
        .ok_or_else(|| bad_request("The request target is malformed."))?;
    let scheme = &target[..scheme_end];
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(bad_request("The request target has an unknown scheme."));
    }
    let rest = &target[scheme_end + 3..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Ok((Some(&rest[..end]), &rest[end..]))
}

/// The URI of a target; `*` stays what it is.
pub(crate) fn uri_or_asterisk(target: &Target<'_>, slashes: EncodedSlashes) -> Result<Uri, Fault> {
    if target.path == "*" {
        Ok(Uri::from_static("*"))
    } else {
        uri(target, slashes)
    }
}

/// Normalised path and query as the URI that is routed and forwarded.
pub(crate) fn uri(target: &Target<'_>, slashes: EncodedSlashes) -> Result<Uri, Fault> {
    let path = normalize(target.path, slashes)?;
    let query = target.query.map(escape_query).transpose()?;
    let mut text = BytesMut::with_capacity(path.len() + 1 + query.as_ref().map_or(0, |query| query.len()));
    text.put_slice(path.as_bytes());
    if let Some(query) = query {
        text.put_u8(b'?');
        text.put_slice(query.as_bytes());
    }
    let path_and_query = PathAndQuery::from_maybe_shared(text.freeze());
    path_and_query
        .map(Uri::from)
        .map_err(|_| bad_request("The request target is malformed."))
}

/// A query goes on as it came; what the grammar does not allow but is unambiguous is escaped, the rest is refused.
fn escape_query(query: &str) -> Result<Cow<'_, str>, Fault> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(byte);
    if query.as_bytes().iter().all(&plain) {
        return Ok(Cow::Borrowed(query));
    }
    let mut out = String::with_capacity(query.len() + 16);
    for byte in query.bytes() {
        match byte {
            byte if plain(&byte) => out.push(char::from(byte)),
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                out.push_str(&format!("%{byte:02X}"));
            }
            _ => {
                return Err(bad_request(
                    "The query has a character that is not allowed there.",
                ));
            }
        }
    }
    Ok(Cow::Owned(out))
}

/// Checks an authority: a host and optionally a port, without user information.
pub(crate) fn check_authority(authority: &str) -> Result<(), Fault> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest
                .split_once(']')
                .ok_or_else(|| bad_request("The host is malformed."))?;
            address
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| bad_request("The host is malformed."))?;
            ("v6", after)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let host_fits = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let port_fits = match port.strip_prefix(':') {
        Some(digits) => {
            !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse::<u16>().is_ok()
        }
        None => port.is_empty(),
    };
    if host_fits && port_fits {
        Ok(())
    } else {
        Err(bad_request("The host is malformed."))
    }
}

/// Whether two authorities name the same host and port, with the default port of the scheme.
pub(crate) fn same_authority(one: &str, other: &str, scheme: &str) -> bool {
    let default = if scheme == "https" { ":443" } else { ":80" };
    let bare = |authority: &'_ str| authority.strip_suffix(default).unwrap_or(authority).to_owned();
    one == other || bare(one).eq_ignore_ascii_case(&bare(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart() {
        let target = split("http://a.example:80?x=/y").unwrap();
        assert_eq!(
            target,
            Target {
                authority: Some("a.example:80"),
                path: "/",
                query: Some("x=/y")
            }
        );
        assert_eq!(
            uri(&split("/a/../b?q={1}").unwrap(), EncodedSlashes::Refuse).unwrap(),
            "/b?q=%7B1%7D"
        );
        assert_eq!(
            uri(&split("/a?").unwrap(), EncodedSlashes::Refuse)
                .unwrap()
                .to_string(),
            "/a?"
        );
        for bad in ["a/b", "ftp://h/x", "/a#b", "host:80", "**", ""] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn authorities_are_hosts_with_ports() {
        for good in ["a", "a.example:8080", "127.0.0.1:1", "[::1]", "[::1]:443", "a_b"] {
            assert!(check_authority(good).is_ok(), "{good}");
        }
        for bad in [
            "", ":80", "a:", "a:x", "a:99999", "u@h", "a b", "[::1", "[zz]", "a/b", "a,b", "[::1]x", "a:+1",
        ] {
            assert!(check_authority(bad).is_err(), "{bad}");
        }
        assert!(same_authority("A.example", "a.example:80", "http"));
        assert!(!same_authority("a.example", "a.example:80", "https"));
    }
}
