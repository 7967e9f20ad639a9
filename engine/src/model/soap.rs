//! SOAP 1.1 (W3C Note, section 4) and 1.2 (part 1, section 5) envelopes as XML documents.
//!
//! An envelope is an ordinary [`xml::Document`]; these functions only know where its parts are. A version is
//! told by the namespace of the root element, never by the media type.

mod convert;
mod fault;
#[cfg(test)]
mod tests;

pub use convert::convert;
pub use fault::{FaultParts, SoapFault, Subcode, fault, fault_envelope};
use xml::{Document, EditError, NodeId};

/// The version of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// SOAP 1.1.
    Soap11,
    /// SOAP 1.2.
    Soap12,
}

impl Version {
    /// Both versions.
    pub const ALL: [Self; 2] = [Self::Soap11, Self::Soap12];

    /// The media type of its messages. The action is the header `SOAPAction` in 1.1 and the media type's
    /// parameter `action` in 1.2.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Soap11 => "text/xml; charset=utf-8",
            Self::Soap12 => "application/soap+xml; charset=utf-8",
        }
    }

    /// The namespace of its envelope.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Soap11 => "http://schemas.xmlsoap.org/soap/envelope/",
            Self::Soap12 => "http://www.w3.org/2003/05/soap-envelope",
        }
    }
}

/// The version of the envelope, where the document is one.
#[must_use]
pub fn version(document: &Document) -> Option<Version> {
    let name = document.name(document.root_element()?)?;
    Version::ALL
        .into_iter()
        .find(|version| name.is(version.namespace(), "Envelope"))
}

/// The Header element.
#[must_use]
pub fn header(document: &Document) -> Option<NodeId> {
    part(document, "Header")
}

/// The Body element.
#[must_use]
pub fn body(document: &Document) -> Option<NodeId> {
    part(document, "Body")
}

/// The first element in the Body: the message itself.
#[must_use]
pub fn body_content(document: &Document) -> Option<NodeId> {
    document.child_elements(body(document)?).next()
}

fn part(document: &Document, local: &str) -> Option<NodeId> {
    let namespace = version(document)?.namespace();
    document.child_element(document.root_element()?, namespace, local)
}

/// An envelope around `content` (nothing for an empty Body), with these header blocks. Documents without a
/// root element count as nothing.
#[must_use]
pub fn wrap(content: Option<&Document>, headers: &[&Document], version: Version) -> Document {
    let mut envelope = Document::new();
    let wrapped = (|| {
        let root = envelope.append_element(NodeId::DOCUMENT, "soap", "Envelope", version.namespace())?;
        if !headers.is_empty() {
            let header = envelope.append_element(root, "soap", "Header", version.namespace())?;
            headers
                .iter()
                .try_for_each(|block| append_root(&mut envelope, header, block))?;
        }
        let body = envelope.append_element(root, "soap", "Body", version.namespace())?;
        content.map_or(Ok(()), |content| append_root(&mut envelope, body, content))
    })();
    wrapped.expect("elements of a new envelope have valid names and places");
    envelope
}

fn append_root(envelope: &mut Document, parent: NodeId, content: &Document) -> Result<(), EditError> {
    let Some(root) = content.root_element() else {
        return Ok(());
    };
    let copy = envelope.import(content, root)?;
    envelope.append(parent, copy)
}

/// The first element in the Body as a document of its own, with the namespaces that were in scope.
#[must_use]
pub fn unwrap(document: &Document) -> Option<Document> {
    body_content(document).map(|content| document.extract(content))
}

/// Checks the structure of an incoming envelope: a known version, at most one Header and that before the one
/// Body, nothing else beside them (in 1.1 other namespaces' elements may follow the Body), header blocks in
/// a namespace, and `mustUnderstand` with a value it can have.
///
/// # Errors
/// The first rule that is broken, in one sentence for the client.
pub fn validate(document: &Document) -> Result<(), String> {
    let root = document
        .root_element()
        .ok_or("The document has no root element.")?;
    let Some(version) = version(document) else {
        let is_envelope = document.name(root).is_some_and(|name| name.local == "Envelope");
        return Err(match is_envelope {
            true => "The envelope is of an unknown SOAP version.".to_owned(),
            false => "The document is not a SOAP envelope.".to_owned(),
        });
    };
    let is_text = |&node: &NodeId| !document.text(node).is_none_or(xml::is_blank) && document.is_text(node);
    if document.children(root).any(|node| is_text(&node)) {
        return Err("There is text between the parts of the SOAP envelope.".to_owned());
    }
    validate_parts(document, root, version)?;
    header(document).map_or(Ok(()), |header| validate_header(document, header, version))
}

fn validate_parts(document: &Document, root: NodeId, version: Version) -> Result<(), String> {
    let mut has_header = false;
    let mut has_body = false;
    for name in document
        .child_elements(root)
        .filter_map(|child| document.name(child))
    {
        let is_part = name.namespace == version.namespace();
        match name.local {
            "Header" if is_part && has_body => return Err("The SOAP Header comes after the Body.".to_owned()),
            "Header" if is_part && has_header => return Err("The SOAP envelope has two Headers.".to_owned()),
            "Header" if is_part => has_header = true,
            "Body" if is_part && has_body => return Err("The SOAP envelope has two Bodies.".to_owned()),
            "Body" if is_part => has_body = true,
            _ if has_body && version == Version::Soap11 && !name.namespace.is_empty() && !is_part => {}
            local => {
                return Err(format!(
                    "The SOAP envelope cannot hold the element `{local}` there."
                ));
            }
        }
    }
    if has_body {
        Ok(())
    } else {
        Err("The SOAP envelope has no Body.".to_owned())
    }
}

fn validate_header(document: &Document, header: NodeId, version: Version) -> Result<(), String> {
    for block in document.child_elements(header) {
        if document.name(block).is_some_and(|name| name.namespace.is_empty()) {
            return Err("A SOAP header block has no namespace.".to_owned());
        }
        let flag = document
            .attribute(block, version.namespace(), "mustUnderstand")
            .map(str::trim);
        let is_flag = match version {
            Version::Soap11 => matches!(flag, None | Some("0" | "1")),
            Version::Soap12 => matches!(flag, None | Some("0" | "1" | "true" | "false")),
        };
        if !is_flag {
            return Err("A SOAP header block has an unknown value of `mustUnderstand`.".to_owned());
        }
    }
    Ok(())
}
