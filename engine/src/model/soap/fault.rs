//! SOAP faults, read and written.

use super::{Version, body};
use crate::model::canonical::{Mapping, element_content};
use serde_json::Value as Json;
use std::borrow::Cow;
use xml::{Document, EditError, NodeId};

/// The codes that mean the same in both versions: of 1.1 and of 1.2.
const CODES: [(&str, &str); 4] = [
    ("Client", "Sender"),
    ("Server", "Receiver"),
    ("MustUnderstand", "MustUnderstand"),
    ("VersionMismatch", "VersionMismatch"),
];

/// A SOAP fault, read.
#[derive(Clone, Debug)]
pub struct SoapFault {
    /// The version of its envelope.
    pub version: Version,
    /// Its code without a prefix: `Client`, `Server` and so on in 1.1, `Sender`, `Receiver` in 1.2, or the
    /// sender's own.
    pub code: String,
    /// Subcodes without prefixes, outermost first; in 1.1 what follows the dot of `Client.Authentication`.
    pub subcodes: Vec<String>,
    /// Its reason; in 1.2 the English one where there are several.
    pub reason: String,
    /// Who raised it: `faultactor` in 1.1; `Role`, else `Node` in 1.2.
    pub actor: Option<String>,
    /// The element that holds the details.
    pub detail: Option<NodeId>,
    /// The content of the details as JSON, without prefixes.
    pub detail_json: Option<Json>,
}

/// The fault in the body, where there is one.
#[must_use]
pub fn fault(document: &Document) -> Option<SoapFault> {
    let version = super::version(document)?;
    let fault = document.child_element(body(document)?, version.namespace(), "Fault")?;
    let reader = Reader { document, version };
    let (code, subcodes) = reader.codes(fault);
    let (reason, actor, detail) = match version {
        Version::Soap11 => {
            let reason = reader.text(fault, "faultstring").unwrap_or_default();
            (
                reason,
                reader.text(fault, "faultactor"),
                reader.child(fault, "detail"),
            )
        }
        Version::Soap12 => {
            let actor = reader.text(fault, "Role").or_else(|| reader.text(fault, "Node"));
            (reader.reason(fault), actor, reader.child(fault, "Detail"))
        }
    };
    let mapping = Mapping {
        prefixes: false,
        ..Mapping::default()
    };
    let detail_json = detail.map(|detail| element_content(document, detail, &mapping));
    Some(SoapFault {
        version,
        code,
        subcodes,
        reason,
        actor,
        detail,
        detail_json,
    })
}

pub(super) struct Reader<'a> {
    pub(super) document: &'a Document,
    pub(super) version: Version,
}

impl Reader<'_> {
    /// The child of this name; in 1.1 without a namespace, or in that of the envelope as some write it.
    pub(super) fn child(&self, parent: NodeId, local: &str) -> Option<NodeId> {
        let plain = || self.document.child_element(parent, "", local);
        let qualified = || {
            self.document
                .child_element(parent, self.version.namespace(), local)
        };
        match self.version {
            Version::Soap11 => plain().or_else(qualified),
            Version::Soap12 => qualified(),
        }
    }

    pub(super) fn text(&self, parent: NodeId, local: &str) -> Option<String> {
        let child = self.child(parent, local)?;
        Some(self.document.string_value(child).trim().to_owned())
    }

    /// The text of the code, as it was sent.
    pub(super) fn raw_code(&self, fault: NodeId) -> String {
        let code = match self.version {
            Version::Soap11 => self.text(fault, "faultcode"),
            Version::Soap12 => self
                .child(fault, "Code")
                .and_then(|code| self.text(code, "Value")),
        };
        code.unwrap_or_default()
    }

    fn codes(&self, fault: NodeId) -> (String, Vec<String>) {
        let code = local(&self.raw_code(fault)).to_owned();
        if self.version == Version::Soap11 {
            return match code.split_once('.') {
                Some((first, rest)) if CODES.iter().any(|(known, _)| *known == first) => {
                    (first.to_owned(), rest.split('.').map(str::to_owned).collect())
                }
                _ => (code, Vec::new()),
            };
        }
        let first = self
            .child(fault, "Code")
            .and_then(|code| self.child(code, "Subcode"));
        let chain = std::iter::successors(first, |subcode| self.child(*subcode, "Subcode"));
        let subcodes = chain.filter_map(|subcode| self.text(subcode, "Value"));
        (code, subcodes.map(|value| local(&value).to_owned()).collect())
    }

    fn reason(&self, fault: NodeId) -> String {
        let Some(reason) = self.child(fault, "Reason") else {
            return String::new();
        };
        let is_english = |text: &NodeId| {
            let language = self.document.attribute(*text, xml::XML_NAMESPACE, "lang");
            language.is_some_and(|language| language.to_ascii_lowercase().starts_with("en"))
        };
        let text = self
            .document
            .child_elements(reason)
            .find(is_english)
            .or_else(|| self.child(reason, "Text"));
        text.map(|text| self.document.string_value(text).trim().to_owned())
            .unwrap_or_default()
    }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// A subcode of SOAP 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subcode<'a> {
    /// The prefix that its text is written with.
    pub prefix: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its local part; an XML name, or anything that the receiver takes for one.
    pub local: &'a str,
}

/// What a fault says.
#[derive(Clone, Debug, Default)]
pub struct FaultParts<'a> {
    /// The code in the words of either version; an unknown one is `Server` / `Receiver`.
    pub code: &'a str,
    /// The subcode; only 1.2 has a place for it.
    pub subcode: Option<Subcode<'a>>,
    /// The reason, in English.
    pub reason: &'a str,
    /// Who raised it, a URI.
    pub actor: Option<&'a str>,
    /// The details: the root element goes into the detail element.
    pub detail: Option<&'a Document>,
}

/// An envelope with a fault. Characters of the texts that XML cannot carry become U+FFFD.
#[must_use]
pub fn fault_envelope(version: Version, parts: &FaultParts<'_>) -> Document {
    let mut document = super::wrap(None, &[], version);
    let built = (|| {
        let body = body(&document).ok_or(EditError::Place("an envelope has a body"))?;
        let fault = document.append_element(body, "soap", "Fault", version.namespace())?;
        let mut writer = Writer {
            document: &mut document,
            version,
            prefix: "soap",
            fault,
        };
        writer.write(parts, None)?;
        let Some(detail) = parts.detail else { return Ok(()) };
        let parent = writer.detail()?;
        super::append_root(&mut document, parent, detail)
    })();
    built.expect("elements of a new fault have valid names and places");
    document
}

/// Writes the children of a Fault element.
pub(super) struct Writer<'a> {
    pub(super) document: &'a mut Document,
    pub(super) version: Version,
    /// The prefix of the envelope's namespace, in scope at the fault; may be empty.
    pub(super) prefix: &'a str,
    pub(super) fault: NodeId,
}

impl Writer<'_> {
    /// Everything but the detail. A `raw_subcode` is a prefixed name whose prefix is in scope.
    pub(super) fn write(
        &mut self,
        parts: &FaultParts<'_>,
        raw_subcode: Option<&str>,
    ) -> Result<(), EditError> {
        match self.version {
            Version::Soap11 => self.write11(parts),
            Version::Soap12 => self.write12(parts, raw_subcode),
        }
    }

    fn write11(&mut self, parts: &FaultParts<'_>) -> Result<(), EditError> {
        let code = self.qualified(translate(parts.code, Version::Soap11).unwrap_or("Server"));
        self.plain("faultcode", &code)?;
        self.plain("faultstring", parts.reason)?;
        parts
            .actor
            .map_or(Ok(()), |actor| self.plain("faultactor", actor))
    }

    fn write12(&mut self, parts: &FaultParts<'_>, raw_subcode: Option<&str>) -> Result<(), EditError> {
        let value = self.qualified(translate(parts.code, Version::Soap12).unwrap_or("Receiver"));
        let code = self.child(self.fault, "Code")?;
        self.text_child(code, "Value", &value)?;
        let given = parts
            .subcode
            .map(|subcode| format!("{}:{}", subcode.prefix, subcode.local));
        if let Some(subcode) = given.as_deref().or(raw_subcode) {
            let element = self.child(code, "Subcode")?;
            let value = self.text_child(element, "Value", subcode)?;
            if let Some(subcode) = parts.subcode {
                self.document
                    .declare_namespace(value, subcode.prefix, subcode.namespace)?;
            }
        }
        let reason = self.child(self.fault, "Reason")?;
        let text = self.text_child(reason, "Text", parts.reason)?;
        self.document
            .set_attribute(text, "xml", "lang", xml::XML_NAMESPACE, "en")?;
        match parts.actor {
            Some(actor) => self.text_child(self.fault, "Role", actor).map(drop),
            None => Ok(()),
        }
    }

    /// The element for the details, new.
    pub(super) fn detail(&mut self) -> Result<NodeId, EditError> {
        match self.version {
            Version::Soap11 => self.document.append_element(self.fault, "", "detail", ""),
            Version::Soap12 => self.child(self.fault, "Detail"),
        }
    }

    fn qualified(&self, local: &str) -> String {
        if self.prefix.is_empty() {
            local.to_owned()
        } else {
            format!("{}:{local}", self.prefix)
        }
    }

    fn plain(&mut self, local: &str, text: &str) -> Result<(), EditError> {
        let element = self.document.append_element(self.fault, "", local, "")?;
        self.document.append_text(element, &legal(text))
    }

    fn child(&mut self, parent: NodeId, local: &str) -> Result<NodeId, EditError> {
        self.document
            .append_element(parent, self.prefix, local, self.version.namespace())
    }

    fn text_child(&mut self, parent: NodeId, local: &str, text: &str) -> Result<NodeId, EditError> {
        let element = self.child(parent, local)?;
        self.document.append_text(element, &legal(text))?;
        Ok(element)
    }
}

/// The code in the words of `version`, where both have it.
pub(super) fn translate(code: &str, version: Version) -> Option<&'static str> {
    let (old, new) = CODES.iter().find(|(old, new)| *old == code || *new == code)?;
    Some(if version == Version::Soap11 { old } else { new })
}

/// `text` with U+FFFD for what XML cannot carry.
pub(super) fn legal(text: &str) -> Cow<'_, str> {
    match xml::first_illegal(text) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let replaced = |character| {
                if xml::is_char(character) {
                    character
                } else {
                    '\u{FFFD}'
                }
            };
            Cow::Owned(text.chars().map(replaced).collect())
        }
    }
}
