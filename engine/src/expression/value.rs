//! What an expression evaluates to, and its way into and out of MiniJinja.

use crate::fault::{Fault, FaultCode};
use crate::model::{Model, canonical};
use serde_json::{Map, Number, Value as Json};
use smallvec::SmallVec;
use std::sync::Arc;
use xml::NodeId;

/// The result of an expression. Parts of the message are shared, not copied, until a form is asked for.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing is there.
    Undefined,
    /// A JSON value, text included.
    Json(Json),
    /// A whole payload or variable.
    Model(Arc<Model>),
    /// Elements of an XML payload, in document order; at least one.
    Nodes(Arc<Model>, SmallVec<[NodeId; 4]>),
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Json(Json::String(text.into()))
    }

    /// The language's truth: empty, zero, false, none and undefined are false.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Self::Undefined => false,
            Self::Json(value) => json_truth(value),
            Self::Model(model) => json_truth(&model.to_json()),
            Self::Nodes(..) => json_truth(&self.to_json()),
        }
    }

    /// As JSON, by the canonical mapping without prefixes.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Undefined => Json::Null,
            Self::Json(value) => value.clone(),
            Self::Model(model) => match &**model {
                Model::Xml(document) => xml_json(document),
                other => other.to_json().into_owned(),
            },
            Self::Nodes(model, nodes) => {
                let Model::Xml(document) = &**model else {
                    return Json::Null;
                };
                match &nodes[..] {
                    [node] => element_json(document, *node),
                    many => many.iter().map(|node| element_json(document, *node)).collect(),
                }
            }
        }
    }

    /// As text: scalars as they stand, an XML element's text, other structures as JSON.
    ///
    /// # Errors
    /// `gateway.expression` for binary data and for several XML elements at once.
    pub fn into_text(self) -> Result<String, Fault> {
        match self {
            Self::Undefined => Ok(String::new()),
            Self::Json(Json::String(text)) => Ok(text),
            Self::Json(Json::Null) => Ok(String::new()),
            Self::Json(value) => Ok(value.to_string()),
            Self::Model(model) => Ok(model.to_text()?.into_owned()),
            Self::Nodes(model, nodes) => match (&*model, &nodes[..]) {
                (Model::Xml(document), [node]) => Ok(document.string_value(*node).into_owned()),
                _ => Err(Fault::new(FaultCode::Expression, "Several elements are no text.")
                    .with_detail(format!("{} elements where one value is wanted", nodes.len()))),
            },
        }
    }

    /// The markup of a document, or of elements that have child elements or are several; `None` for what is plain text.
    pub(super) fn to_xml_text(&self) -> Option<String> {
        match self {
            Self::Model(model) => match &**model {
                Model::Xml(document) => document
                    .root_element()
                    .map(|root| document.extract(root).to_string()),
                _ => None,
            },
            Self::Nodes(model, nodes) => {
                let Model::Xml(document) = &**model else {
                    return None;
                };
                let plain = matches!(nodes[..], [node] if document.child_elements(node).next().is_none());
                (!plain).then(|| {
                    nodes
                        .iter()
                        .map(|node| document.extract(*node).to_string())
                        .collect()
                })
            }
            _ => None,
        }
    }

    /// As a model of its own: an XML element becomes a document.
    #[must_use]
    pub fn into_model(self) -> Arc<Model> {
        match self {
            Self::Model(model) => model,
            Self::Nodes(model, nodes) => match (&*model, &nodes[..]) {
                (Model::Xml(document), [node]) if document.child_elements(*node).next().is_some() => {
                    Arc::new(Model::Xml(document.extract(*node)))
                }
                _ => Arc::new(Model::Json(Self::Nodes(Arc::clone(&model), nodes).to_json())),
            },
            other => Arc::new(Model::Json(other.to_json())),
        }
    }

    /// The items when it is taken for a list: a single value is a list of one.
    #[must_use]
    pub fn into_items(self) -> Vec<Self> {
        match self {
            Self::Undefined | Self::Json(Json::Null) => Vec::new(),
            Self::Json(Json::Array(items)) => items.into_iter().map(Self::Json).collect(),
            Self::Nodes(model, nodes) => nodes
                .into_iter()
                .map(|node| Self::Nodes(Arc::clone(&model), SmallVec::from_slice(&[node])))
                .collect(),
            Self::Model(model) => match &*model {
                Model::Json(Json::Array(items)) => items.iter().cloned().map(Self::Json).collect(),
                _ => vec![Self::Model(model)],
            },
            one => vec![one],
        }
    }

    pub(super) fn to_minijinja(&self) -> minijinja::Value {
        match self {
            Self::Undefined => minijinja::Value::UNDEFINED,
            Self::Json(value) => json_to_minijinja(value),
            other => match other.to_json() {
                // An element of text is its text, whatever attributes stand beside it; those are asked for by name.
                Json::Object(mut members) if is_text_with_attributes(&members) => {
                    json_to_minijinja(&members.shift_remove("#text").unwrap_or_default())
                }
                value => json_to_minijinja(&value),
            },
        }
    }

    /// What a `for` block runs over: the items of a list, the elements of that name, the keys of an object, else the one value.
    pub(super) fn to_minijinja_list(&self) -> minijinja::Value {
        match self {
            Self::Json(Json::Object(_)) | Self::Model(_) => self.to_minijinja(),
            other => other
                .clone()
                .into_items()
                .iter()
                .map(Self::to_minijinja)
                .collect::<Vec<_>>()
                .into(),
        }
    }

    pub(super) fn from_minijinja(value: &minijinja::Value) -> Self {
        if value.is_undefined() {
            Self::Undefined
        } else {
            Self::Json(minijinja_to_json(value))
        }
    }
}

fn is_text_with_attributes(members: &Map<String, Json>) -> bool {
    members.contains_key("#text") && members.keys().all(|key| key == "#text" || key.starts_with('@'))
}

fn json_truth(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::Number(number) => number.as_f64().is_none_or(|number| number != 0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(members) => !members.is_empty(),
    }
}

/// The friendly JSON of a document: names without prefixes, for SOAP the content of the Body.
pub(super) fn xml_json(document: &xml::Document) -> Json {
    let start = crate::model::soap::body(document).unwrap_or_else(|| document.document_node());
    let mut members = Map::new();
    for child in document.child_elements(start) {
        let name = document
            .name(child)
            .map(|name| name.local.to_owned())
            .unwrap_or_default();
        members.insert(name, element_json(document, child));
    }
    Json::Object(members)
}

/// The friendly JSON of an element's content.
pub(super) fn element_json(document: &xml::Document, element: NodeId) -> Json {
    let mapping = canonical::Mapping {
        prefixes: false,
        ..canonical::Mapping::default()
    };
    match canonical::xml_to_json(document, element, &mapping) {
        Json::Object(members) if members.len() == 1 => {
            members.into_iter().next().map_or(Json::Null, |(_, value)| value)
        }
        other => other,
    }
}

/// JSON to MiniJinja. Numbers that neither 128-bit integers nor doubles hold exactly go as text, so that no digit is lost silently.
pub(super) fn json_to_minijinja(value: &Json) -> minijinja::Value {
    match value {
        Json::Null => minijinja::Value::from(()),
        Json::Bool(value) => minijinja::Value::from(*value),
        Json::String(text) => minijinja::Value::from(text.as_str()),
        Json::Number(number) => number_to_minijinja(number),
        Json::Array(items) => items.iter().map(json_to_minijinja).collect::<Vec<_>>().into(),
        Json::Object(members) => minijinja::Value::from_pairs(
            members
                .iter()
                .map(|(key, value)| (key.as_str(), json_to_minijinja(value))),
        ),
    }
}

fn number_to_minijinja(number: &Number) -> minijinja::Value {
    if let Some(integer) = number.as_i64() {
        return minijinja::Value::from(integer);
    }
    let text = number.as_str();
    if let Ok(integer) = text.parse::<i128>() {
        return minijinja::Value::from(integer);
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() && significant_digits(text) <= 15 => minijinja::Value::from(float),
        _ => minijinja::Value::from(text),
    }
}

fn significant_digits(text: &str) -> usize {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.len() - leading
}

/// MiniJinja to JSON. Lazy sequences are read; anything that is neither scalar, list nor map is its text.
pub(super) fn minijinja_to_json(value: &minijinja::Value) -> Json {
    use minijinja::value::ValueKind;
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => minijinja_number(value),
        ValueKind::Seq | ValueKind::Iterable => value
            .try_iter()
            .map(|items| items.map(|item| minijinja_to_json(&item)).collect())
            .unwrap_or(Json::Null),
        ValueKind::Map => {
            let Ok(keys) = value.try_iter() else {
                return Json::Null;
            };
            let member = |key: minijinja::Value| {
                let item = value.get_item(&key).unwrap_or_default();
                (key.to_string(), minijinja_to_json(&item))
            };
            Json::Object(keys.map(member).collect())
        }
        _ => Json::String(value.to_string()),
    }
}

fn minijinja_number(value: &minijinja::Value) -> Json {
    if let Some(integer) = value.as_i64().filter(|_| value.is_integer()) {
        return Json::Number(integer.into());
    }
    if value.is_integer() {
        return Json::Number(Number::from_string_unchecked(value.to_string()));
    }
    let float = f64::try_from(value.clone()).ok();
    float.and_then(Number::from_f64).map_or(Json::Null, Json::Number)
}
