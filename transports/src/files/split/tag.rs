//! Start tags of XML: their names, attributes and namespaces, as bytes. The tag is known to be complete.

use super::elements::Name;

/// A start tag.
pub(super) struct Tag {
    bytes: Vec<u8>,
    name_end: usize,
}

impl Tag {
    /// A tag from `<` to `>`.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            name_end: name_end(bytes),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name as it is written, with its prefix.
    pub(super) fn name(&self) -> &[u8] {
        &self.bytes[1..self.name_end]
    }

    /// Whether it is the wanted element, in these elements.
    pub(super) fn is(&self, wanted: &Name, around: &[Self]) -> bool {
        let name = self.name();
        let (prefix, local) = match name.iter().position(|byte| *byte == b':') {
            Some(colon) => (&name[..colon], &name[colon + 1..]),
            None => (&b""[..], name),
        };
        if local != wanted.local.as_bytes() {
            return false;
        }
        let Some(namespace) = &wanted.namespace else {
            return true;
        };
        let innermost = std::iter::once(self).chain(around.iter().rev());
        let declared = innermost
            .flat_map(|tag| declarations(&tag.bytes))
            .find(|(declared, _)| declared == &prefix);
        declared.is_some_and(|(_, value)| value == namespace.as_bytes())
    }
}

/// Where the name of a start tag ends.
pub(super) fn name_end(tag: &[u8]) -> usize {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>');
    tag.iter().position(ends).unwrap_or(tag.len())
}

/// The length of the start tag that `bytes` begin with.
pub(super) fn length(bytes: &[u8]) -> usize {
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate() {
        quote = match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => Some(byte),
            (Some(open), byte) if open == byte => None,
            (quote, _) => quote,
        };
    }
    bytes.len()
}

/// Names and values of attributes, as they are written.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let name = rest[..equals].trim_ascii();
        let value = rest[equals + 1..].trim_ascii_start();
        let quote = value.first().filter(|byte| matches!(byte, b'"' | b'\''))?;
        let end = value[1..].iter().position(|byte| byte == quote)?;
        rest = &value[end + 2..];
        Some((name, &value[1..=end]))
    })
}

/// Prefixes, empty for the default, and the namespaces that a start tag declares for them.
fn declarations(tag: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    attributes(&tag[name_end(tag)..]).filter_map(|(name, value)| match name.strip_prefix(b"xmlns") {
        Some([]) => Some((&b""[..], value)),
        Some([b':', prefix @ ..]) => Some((prefix, value)),
        _ => None,
    })
}

/// Writes the declarations that a start tag gets from the elements around it.
pub(super) fn inherit(around: &[Tag], tag: &[u8], into: &mut Vec<u8>) {
    let mut known: Vec<&[u8]> = declarations(tag).map(|(prefix, _)| prefix).collect();
    for outer in around.iter().rev() {
        for (prefix, value) in declarations(&outer.bytes) {
            if known.contains(&prefix) {
                continue;
            }
            known.push(prefix);
            if prefix.is_empty() && value.is_empty() {
                continue;
            }
            into.extend_from_slice(b" xmlns");
            if !prefix.is_empty() {
                into.push(b':');
                into.extend_from_slice(prefix);
            }
            let quote = if value.contains(&b'"') { b'\'' } else { b'"' };
            into.extend([b'=', quote]);
            into.extend_from_slice(value);
            into.push(quote);
        }
    }
}

/// Whether markup in an encoding is found by its ASCII bytes.
pub(super) fn is_like_ascii(encoding: &[u8]) -> bool {
    let other: [&[u8]; 8] = [
        b"utf-16",
        b"utf-32",
        b"utf-7",
        b"iso-10646",
        b"iso-2022",
        b"hz",
        b"ucs",
        b"ibm",
    ];
    !other.iter().any(|other| encoding.starts_with(other))
}
