//! The documents of a contract as the gateway serves them: the service's address is the gateway's, imports lead back to it.

use roxmltree::{Document, Node};
use std::ops::Range;

/// One document: texts with holes for the gateway's address.
#[derive(Debug)]
pub struct ContractDocument {
    /// The query it is served for: `wsdl`, `wsdl=1`, `xsd=1`.
    pub query: String,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    /// The URL of the service.
    Address,
}

const WSDL: &str = "http://schemas.xmlsoap.org/wsdl/";
const XSD: &str = "http://www.w3.org/2001/XMLSchema";
pub(super) const SOAP11: &str = "http://schemas.xmlsoap.org/wsdl/soap/";
pub(super) const SOAP12: &str = "http://schemas.xmlsoap.org/wsdl/soap12/";

impl ContractDocument {
    /// Prepares a document. `query_of` gives the query under which an imported location is served.
    pub(super) fn new(
        query: String,
        source: &str,
        tree: &Document<'_>,
        query_of: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let mut holes: Vec<(Range<usize>, Option<String>)> = tree
            .descendants()
            .filter_map(|node| {
                let (attribute, import) = rewritten(&node)?;
                let attribute = node.attribute_node(attribute)?;
                let range = attribute.range_value();
                if import {
                    query_of(attribute.value()).map(|query| (range, Some(query)))
                } else {
                    Some((range, None))
                }
            })
            .collect();
        holes.sort_by_key(|(range, _)| range.start);
        let mut parts = Vec::new();
        let mut copied = 0;
        for (range, query) in holes {
            parts.push(Part::Text(source[copied..range.start].to_owned()));
            parts.push(Part::Address);
            parts.extend(query.map(|query| Part::Text(format!("?{query}"))));
            copied = range.end;
        }
        parts.push(Part::Text(source[copied..].to_owned()));
        Self { query, parts }
    }

    /// The document for a service at this URL.
    #[must_use]
    pub fn render(&self, address: &str) -> String {
        let escaped = address
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;")
            .replace('\'', "&apos;");
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Address => escaped.clone(),
        };
        self.parts.iter().map(text).collect()
    }
}

/// The attribute of an element that holds an address, and whether it is that of an import.
fn rewritten(node: &Node<'_, '_>) -> Option<(&'static str, bool)> {
    let name = node.tag_name();
    match (name.namespace()?, name.name()) {
        (SOAP11 | SOAP12, "address") => Some(("location", false)),
        (WSDL, "import") => Some(("location", true)),
        (XSD, "import" | "include" | "redefine") => Some(("schemaLocation", true)),
        _ => None,
    }
}

/// The locations that a document imports, as they are written, with whether each is a WSDL.
pub(super) fn imports(tree: &Document<'_>) -> Vec<(String, bool)> {
    let import = |node: Node<'_, '_>| {
        let (attribute, import) = rewritten(&node)?;
        let location = node.attribute(attribute).filter(|_| import)?;
        Some((location.to_owned(), node.tag_name().namespace() == Some(WSDL)))
    };
    tree.descendants().filter_map(import).collect()
}
