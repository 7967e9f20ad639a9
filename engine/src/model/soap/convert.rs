//! From one SOAP version to the other, in place: only what differs is renamed, everything else stays.
//!
//! `actor` and `role`, `mustUnderstand`, `encodingStyle` and the fault are translated. SOAP 1.1 has no place
//! for `relay`, for subcodes and for reasons in further languages: these are lost.

use super::fault::{FaultParts, Reader, Writer, translate};
use super::{Version, body, fault, header};
use xml::{Document, EditError, NodeId};

/// Values that have another name in the other version: attribute, 1.1, 1.2.
const VALUES: [(&str, &str, &str); 3] = [
    (
        "role",
        "http://schemas.xmlsoap.org/soap/actor/next",
        "http://www.w3.org/2003/05/soap-envelope/role/next",
    ),
    (
        "encodingStyle",
        "http://schemas.xmlsoap.org/soap/encoding/",
        "http://www.w3.org/2003/05/soap-encoding",
    ),
    (
        "encodingStyle",
        "",
        "http://www.w3.org/2003/05/soap-envelope/encoding/none",
    ),
];

const ULTIMATE_RECEIVER: &str = "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver";

/// The envelope in another version. A document that is no envelope, or one of that version, stays as it is.
#[must_use]
pub fn convert(document: &Document, version: Version) -> Document {
    let mut converted = document.clone();
    match super::version(document) {
        Some(old) if old != version => {
            let done = Converter {
                document: &mut converted,
                old,
                new: version,
            }
            .run();
            if done.is_err() {
                return document.clone();
            }
        }
        _ => {}
    }
    converted
}

struct Converter<'a> {
    document: &'a mut Document,
    old: Version,
    new: Version,
}

impl Converter<'_> {
    fn run(&mut self) -> Result<(), EditError> {
        let read = fault(self.document);
        let parts = [
            self.document.root_element(),
            header(self.document),
            body(self.document),
        ];
        let fault =
            parts[2].and_then(|body| self.document.child_element(body, self.old.namespace(), "Fault"));
        let blocks: Vec<NodeId> = parts[1]
            .map(|header| self.document.child_elements(header).collect())
            .unwrap_or_default();
        let raw_code = fault.map(|fault| {
            Reader {
                document: self.document,
                version: self.old,
            }
            .raw_code(fault)
        });
        let prefix = parts[0]
            .and_then(|root| self.document.name(root))
            .map(|name| name.prefix.to_owned());
        let prefix = prefix.unwrap_or_default();
        for part in parts.into_iter().flatten() {
            self.encoding_style(part)?;
            self.rename(part, &prefix)?;
        }
        for block in blocks {
            self.block(block)?;
        }
        let inside: Vec<NodeId> = parts
            .iter()
            .flatten()
            .skip(1)
            .flat_map(|part| self.document.descendants(*part))
            .collect();
        for element in inside {
            self.encoding_style(element)?;
        }
        match (fault, read) {
            (Some(element), Some(read)) => {
                self.fault(element, &prefix, &read, raw_code.as_deref().unwrap_or_default())
            }
            _ => Ok(()),
        }
    }

    fn rename(&mut self, element: NodeId, prefix: &str) -> Result<(), EditError> {
        let Some(local) = self.document.name(element).map(|name| name.local.to_owned()) else {
            return Ok(());
        };
        self.document
            .rename(element, prefix, &local, self.new.namespace())
    }

    fn block(&mut self, block: NodeId) -> Result<(), EditError> {
        let (old_role, new_role) = match self.new {
            Version::Soap11 => ("role", "actor"),
            Version::Soap12 => ("actor", "role"),
        };
        let flag = self.take(block, "mustUnderstand");
        let role = self
            .take(block, old_role)
            .filter(|role| role != ULTIMATE_RECEIVER && !role.is_empty());
        self.take(block, "relay");
        if let Some(flag) = flag {
            let is_set = matches!(flag.trim(), "1" | "true");
            let value = match self.new {
                Version::Soap11 => ["0", "1"],
                Version::Soap12 => ["false", "true"],
            };
            self.set(block, "mustUnderstand", value[usize::from(is_set)])?;
        }
        match role {
            Some(role) => self.set(block, new_role, &self.value("role", &role)),
            None => Ok(()),
        }
    }

    /// Translates `encodingStyle`; 1.2 forbids it on the envelope's own elements.
    fn encoding_style(&mut self, element: NodeId) -> Result<(), EditError> {
        let Some(style) = self.take(element, "encodingStyle") else {
            return Ok(());
        };
        let name = self.document.name(element).map(|name| name.namespace.to_owned());
        let is_own =
            name.is_some_and(|namespace| Version::ALL.iter().any(|each| each.namespace() == namespace));
        if is_own && self.new == Version::Soap12 {
            return Ok(());
        }
        let style = self.value("encodingStyle", &style);
        self.set(element, "encodingStyle", &style)
    }

    fn value(&self, attribute: &str, value: &str) -> String {
        let rows = VALUES.iter().filter(|(name, ..)| *name == attribute);
        let mut pairs = rows.map(|(_, old, new)| match self.new {
            Version::Soap11 => (*new, *old),
            Version::Soap12 => (*old, *new),
        });
        pairs
            .find(|(from, _)| *from == value)
            .map_or(value, |(_, to)| to)
            .to_owned()
    }

    fn take(&mut self, element: NodeId, local: &str) -> Option<String> {
        let value = self
            .document
            .attribute(element, self.old.namespace(), local)?
            .to_owned();
        self.document
            .remove_attribute(element, self.old.namespace(), local);
        Some(value)
    }

    fn set(&mut self, element: NodeId, local: &str, value: &str) -> Result<(), EditError> {
        let prefix = self
            .document
            .root_element()
            .and_then(|root| self.document.name(root))
            .map(|name| name.prefix);
        let prefix = prefix
            .filter(|prefix| !prefix.is_empty())
            .unwrap_or("soap")
            .to_owned();
        self.document
            .set_attribute(element, &prefix, local, self.new.namespace(), value)
    }

    fn fault(
        &mut self,
        element: NodeId,
        prefix: &str,
        read: &super::SoapFault,
        raw_code: &str,
    ) -> Result<(), EditError> {
        self.rename(element, prefix)?;
        let details: Vec<NodeId> = read
            .detail
            .map(|detail| self.document.children(detail).collect())
            .unwrap_or_default();
        let children: Vec<NodeId> = self.document.children(element).collect();
        children.into_iter().for_each(|child| self.document.detach(child));
        let parts = FaultParts {
            code: &read.code,
            reason: &read.reason,
            actor: read.actor.as_deref(),
            ..FaultParts::default()
        };
        let is_own_code = translate(&read.code, self.new).is_none() && !raw_code.is_empty();
        let mut writer = Writer {
            document: self.document,
            version: self.new,
            prefix,
            fault: element,
        };
        writer.write(&parts, is_own_code.then_some(raw_code))?;
        if read.detail.is_some() {
            let parent = writer.detail()?;
            for detail in details {
                self.document.detach(detail);
                self.document.append(parent, detail)?;
            }
        }
        Ok(())
    }
}
