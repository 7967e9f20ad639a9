//! The one mapping between the JSON and XML models, and the forms of the other models in both.
//!
//! | # | XML | JSON |
//! | --- | --- | --- |
//! | 1 | the root element `<order>..</order>` | `{"order": ..}`: an object with one key |
//! | 2 | an element with neither attributes nor elements: `<id>7</id>`, `<id/>` | a string: `"7"`, `""` |
//! | 3 | an attribute: `<a id="7"/>` | a key with `@`: `{"@id": "7"}` |
//! | 4 | text beside attributes: `<a id="7">x</a>` | `#text`: `{"@id": "7", "#text": "x"}` |
//! | 5 | repeated elements: `<i>1</i><i>2</i>` | an array: `{"i": ["1", "2"]}`, at the place of the first |
//! | 6 | text between elements: `<p>see <b>x</b>!</p>` | `{"#content": ["see ", {"b": "x"}, "!"]}` |
//! | 7 | `<a xsi:nil="true"/>` | `null` |
//! | 8 | prefixes and namespace declarations: `<m:a xmlns:m="u"/>` | kept in keys: `{"m:a": {"@xmlns:m": "u"}}` |
//! | 9 | a name with escapes: `<first_x0020_name/>` | a key that is no XML name: `"first name"` |
//! | 10 | `<root><item>..</item></root>` around what has no root | an array, a scalar, an object with no or several keys or with an array under its only key |
//! | 11 | text | numbers, booleans: their text |
//!
//! From JSON to XML an array repeats its element, an empty array leaves nothing, an array in an array has
//! elements called `item`. An unprefixed key takes the default namespace that is in scope; a prefix nobody
//! declared is part of the name and escaped (`xsi` is always known).
//!
//! Lost on the way from XML to JSON and back: comments, processing instructions, the XML declaration, blank
//! text between elements, the difference between text and CDATA, the order of siblings with different names
//! and of attributes against namespace declarations, `xmlns:xsi` (declared again where needed), other
//! attributes of elements that are `xsi:nil`. An element nested deeper than [`super::json::MAX_DEPTH`]
//! levels of JSON becomes a string that holds its XML.
//!
//! Lost on the way from JSON to XML and back: types other than string and null, the difference between one
//! value and an array of one, empty arrays and objects, the wrapping root. [`Mapping::hints`] keeps these
//! by attributes in the namespace [`HINTS`] (prefix `j`), which reading always understands and removes:
//! `type` (`number`, `boolean`, `string`, `object`, `array`), `array="true"` on an element that is an array
//! of one, `wrapper="true"` on the wrapping root, and `escaped="true"` where the text is a JSON string
//! literal because XML cannot carry one of its characters. With hints any JSON comes back as it was but
//! for the order of keys that become attributes.
//!
//! Rows are `{"rows": [{"column": "cell"}]}` and `<rows><row><column>cell</column></row></rows>`; text is a
//! string, binary data a string of base64 (with no XML form); the parts of a multipart body are `{"parts":
//! [{"name", "file_name", "content_type", "content"}]}`, where content that is not UTF-8 is base64 and has
//! `"encoding": "base64"` beside it.

mod from_json;
mod from_xml;
mod names;
mod others;
#[cfg(test)]
mod tests;

use super::Model;
use crate::fault::{Fault, FaultCode};
pub use from_json::json_to_xml;
pub use from_xml::{element_content, xml_to_json};
use serde_json::Value as Json;
use std::borrow::Cow;

/// The namespace of the attributes that keep what XML alone cannot say.
pub const HINTS: &str = "urn:mediary:json";

/// The namespace of `xsi:nil` (XML Schema part 1 section 2.6).
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// The options of the mapping. The default is what formatters and navigation use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// JSON to XML: the name of the root around what has none; default `root`.
    pub root: String,
    /// JSON to XML: whether attributes keep what would be lost; default no.
    pub hints: bool,
    /// XML to JSON: whether text that is exactly a JSON number, `true` or `false` becomes one; default no.
    pub types: bool,
    /// XML to JSON: whether keys keep prefixes and objects the namespace declarations; default yes. Without
    /// them the JSON is friendlier and loses its namespaces.
    pub prefixes: bool,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            root: "root".to_owned(),
            hints: false,
            types: false,
            prefixes: true,
        }
    }
}

/// The JSON form of a model, by the default mapping.
#[must_use]
pub fn to_json(model: &Model) -> Cow<'_, Json> {
    match model {
        Model::Json(value) => Cow::Borrowed(value),
        Model::Xml(document) => Cow::Owned(xml_to_json(
            document,
            document.document_node(),
            &Mapping::default(),
        )),
        Model::Text(text) => Cow::Owned(Json::from(text.as_str())),
        Model::Binary(bytes) => Cow::Owned(others::base64(bytes)),
        Model::Parts(parts) => Cow::Owned(others::parts_to_json(parts)),
        Model::Rows(rows) => Cow::Owned(others::rows_to_json(rows)),
    }
}

/// The XML form of a model, by the default mapping.
///
/// # Errors
/// `gateway.transformation` for binary data and for text that holds characters XML cannot carry.
pub fn to_xml(model: &Model) -> Result<Cow<'_, xml::Document>, Fault> {
    match model {
        Model::Xml(document) => Ok(Cow::Borrowed(document)),
        Model::Binary(_) => Err(Fault::new(
            FaultCode::Transformation,
            "Binary data has no XML form.",
        )),
        Model::Rows(rows) => others::rows_to_xml(rows).map(Cow::Owned),
        _ => json_to_xml(&to_json(model), &Mapping::default()).map(Cow::Owned),
    }
}

/// The fault of a value that XML cannot carry.
fn refused(error: xml::EditError) -> Fault {
    Fault::new(
        FaultCode::Transformation,
        format!("The value has no XML form: {error}."),
    )
    .with_source(error)
}
