//! Slots: the references of an expression to the message, read from the exchange.

use super::path::Path;
use super::value::Value;
use crate::exchange::Exchange;
use crate::mediator::Needs;
use crate::model::Model;
use smallvec::SmallVec;
use std::sync::Arc;

/// One reference to the message.
pub(super) struct Slot {
    /// As the author wrote it.
    pub text: Box<str>,
    /// Whether `default()` or `is defined` handles its absence.
    pub optional: bool,
    /// Whether a `for` block runs over it: a single value counts as a list of one, an absent one as an empty list.
    pub looped: bool,
    pub source: SlotSource,
}

/// How a slot is read.
pub(super) enum SlotSource {
    Path(Path),
    XPath {
        xpath: xml::xpath::XPath,
        on: Path,
    },
    JsonPath {
        jsonpath: Box<serde_json_path::JsonPath>,
        on: Path,
    },
}

impl Slot {
    pub(super) fn needs(&self) -> Needs {
        self.path().needs()
    }

    pub(super) fn needs_original(&self) -> Option<Needs> {
        self.path().needs_original()
    }

    fn path(&self) -> &Path {
        match &self.source {
            SlotSource::Path(path)
            | SlotSource::XPath { on: path, .. }
            | SlotSource::JsonPath { on: path, .. } => path,
        }
    }

    pub(super) fn read(&self, exchange: &Exchange) -> Result<Value, String> {
        match &self.source {
            SlotSource::Path(path) => Ok(path.read(exchange)),
            SlotSource::XPath { xpath, on } => read_xpath(xpath, on, exchange),
            SlotSource::JsonPath { jsonpath, on } => Ok(read_jsonpath(jsonpath, &on.read(exchange))),
        }
    }
}

fn read_xpath(xpath: &xml::xpath::XPath, on: &Path, exchange: &Exchange) -> Result<Value, String> {
    let (model, context) = match on.read(exchange) {
        Value::Undefined => return Ok(Value::Undefined),
        Value::Nodes(model, nodes) => (model, nodes.first().copied()),
        other => (other.into_model(), None),
    };
    let model = match &*model {
        Model::Xml(_) => model,
        other => Arc::new(Model::Xml(
            other.to_xml().map_err(|fault| fault.to_string())?.into_owned(),
        )),
    };
    let Model::Xml(document) = &*model else {
        return Ok(Value::Undefined);
    };
    let context = context.unwrap_or_else(|| document.document_node());
    let mut variables = std::collections::HashMap::new();
    for name in xpath.variables() {
        let value = exchange
            .vars
            .get(name)
            .ok_or_else(|| format!("`vars.{name}` is undefined"))?;
        let text = value.to_text().map_err(|fault| fault.to_string())?.into_owned();
        variables.insert(name.to_owned(), xml::xpath::Value::String(text));
    }
    let result = xpath
        .evaluate(document, context, &variables)
        .map_err(|error| error.to_string())?;
    Ok(from_xpath(&model, document, result))
}

fn from_xpath(model: &Arc<Model>, document: &xml::Document, value: xml::xpath::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        xml::xpath::Value::Boolean(value) => Value::Json(Json::Bool(value)),
        xml::xpath::Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "checked to be a whole number within 15 digits"
            )]
            let integer = number as i64;
            Value::Json(Json::from(integer))
        }
        xml::xpath::Value::Number(number) => Value::Json(Json::from(number)),
        xml::xpath::Value::String(text) => Value::text(text),
        xml::xpath::Value::Nodes(nodes) => {
            let elements: Option<SmallVec<[xml::NodeId; 4]>> =
                nodes.iter().map(|node| element(*node, document)).collect();
            match (elements, &nodes[..]) {
                (_, []) => Value::Undefined,
                (Some(elements), _) => Value::Nodes(Arc::clone(model), elements),
                (None, [node]) => Value::text(node.string_value(document)),
                (None, many) => Value::Json(
                    many.iter()
                        .map(|node| node.string_value(document).into_owned())
                        .collect(),
                ),
            }
        }
    }
}

/// The node as an element; attributes, texts and the document itself are taken as text.
fn element(node: xml::xpath::Node, document: &xml::Document) -> Option<xml::NodeId> {
    node.tree_node().filter(|node| document.is_element(*node))
}

fn read_jsonpath(jsonpath: &serde_json_path::JsonPath, on: &Value) -> Value {
    let read = |json: &serde_json::Value| match &jsonpath.query(json).all()[..] {
        [] => Value::Undefined,
        [one] => Value::Json((*one).clone()),
        many => Value::Json(many.iter().map(|value| (*value).clone()).collect()),
    };
    match on {
        Value::Undefined => Value::Undefined,
        Value::Json(value) => read(value),
        Value::Model(model) if matches!(**model, Model::Json(_)) => read(&model.to_json()),
        other => read(&other.to_json()),
    }
}
