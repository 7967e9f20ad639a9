//! Helper: What a client learns of a fault, as data: the members of a problem document (RFC 9457 section 3).

use engine::fault::Fault;
use engine::model::canonical::{Mapping, json_to_xml};
use serde_json::{Map, Value as Json, json};
use xml::Document;

/// The problem document; `instance` is the id of the exchange.
pub(crate) fn document(fault: &Fault, instance: &str) -> Json {
    let mut members = Map::new();
    members.insert(
        "type".to_owned(),
        Json::from(format!("urn:mediary:fault:{}", fault.name())),
    );
    members.insert("title".to_owned(), Json::from(title(fault)));
    members.insert("status".to_owned(), Json::from(fault.status().as_u16()));
    members.insert("detail".to_owned(), Json::from(fault.message()));
    members.insert("code".to_owned(), Json::from(fault.name()));
    members.insert("instance".to_owned(), Json::from(instance));
    members.extend(
        fault
            .details()
            .map(|details| ("details".to_owned(), details.clone())),
    );
    Json::Object(members)
}

/// What the type means. Of a project's own type only the status is known.
fn title(fault: &Fault) -> &'static str {
    let row = fault.code().row();
    if fault.name() == row.name {
        row.title
    } else {
        fault.status().canonical_reason().unwrap_or(row.title)
    }
}

/// A document with these members in one namespace. Characters that XML cannot carry become U+FFFD.
pub(crate) fn to_xml(root: &str, namespace: &str, members: &Json) -> Document {
    let mut entries = Map::from_iter([("@xmlns".to_owned(), Json::from(namespace))]);
    entries.extend(members.as_object().cloned().unwrap_or_default());
    let document = json_to_xml(&legal(&json!({ root: entries })), &Mapping::default());
    document.unwrap_or_else(|_| Document::new())
}

/// The value with U+FFFD for what XML cannot carry. Details come from this process and nest only a little.
fn legal(value: &Json) -> Json {
    let replaced = |character| {
        if xml::is_char(character) {
            character
        } else {
            '\u{FFFD}'
        }
    };
    match value {
        Json::String(text) => text.chars().map(replaced).collect::<String>().into(),
        Json::Array(items) => items.iter().map(legal).collect(),
        Json::Object(entries) => Json::Object(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), legal(value)))
                .collect(),
        ),
        Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
    }
}
