//! Reading a path from an exchange. Plain navigation works the same on every model: keys and indices, no parsing, no copying on the way.

use super::path::{Path, Root, Segment};
use super::value::Value;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::message::{Message, StartLine};
use crate::model::{Model, soap};
use http::HeaderMap;
use serde_json::{Map, Value as Json, json};
use smallvec::SmallVec;
use std::sync::Arc;
use xml::{Document, NodeId};

/// The message as it arrived, kept only where a step refers to `original`.
#[derive(Debug)]
pub struct Original {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its model, where a step reads the payload and there is one.
    pub model: Option<Arc<Model>>,
}

impl Path {
    /// The value this path leads to, `Undefined` where nothing is there.
    pub(super) fn read(&self, exchange: &Exchange) -> Value {
        let segments = &self.segments[..];
        match self.root {
            Root::Payload => model_value(exchange.model(), segments),
            Root::Headers => header_value(&exchange.message.headers, segments),
            Root::Vars => variable(exchange, segments),
            Root::Params => parameter(exchange, segments),
            Root::Query => query(exchange, segments),
            Root::Principal => exchange
                .principal
                .as_ref()
                .map_or(Value::Undefined, |value| json_value(value, segments)),
            Root::Original => original(exchange, segments),
            Root::Soap => soap_value(exchange, segments),
            Root::Source => exchange
                .entry
                .source
                .get()
                .map_or(Value::Undefined, |source| json_value(source, segments)),
            Root::Fault => exchange
                .fault
                .as_ref()
                .map_or(Value::Undefined, |fault| computed(fault_json(fault), segments)),
            Root::Request => computed(request_json(exchange), segments),
            Root::Response => computed(response_json(&exchange.message), segments),
            Root::Message => computed(message_json(exchange), segments),
        }
    }
}

fn computed(value: Json, segments: &[Segment]) -> Value {
    if segments.is_empty() {
        Value::Json(value)
    } else {
        json_value(&value, segments)
    }
}

fn model_value(model: Option<&Arc<Model>>, segments: &[Segment]) -> Value {
    let Some(model) = model else {
        return Value::Undefined;
    };
    if segments.is_empty() {
        return Value::Model(Arc::clone(model));
    }
    match &**model {
        Model::Json(value) => json_value(value, segments),
        Model::Xml(document) => {
            let start = soap::body(document).unwrap_or_else(|| document.document_node());
            xml_value(model, document, start, segments)
        }
        Model::Rows(_) | Model::Parts(_) => json_value(&model.to_json(), segments),
        Model::Text(_) | Model::Binary(_) => Value::Undefined,
    }
}

fn json_value(mut value: &Json, segments: &[Segment]) -> Value {
    for segment in segments {
        let below = match (segment, value) {
            (Segment::Key(key), Json::Object(members)) => members.get(&**key),
            (Segment::Index(index), Json::Array(items)) => {
                position(*index, items.len()).and_then(|at| items.get(at))
            }
            _ => None,
        };
        let Some(below) = below else {
            return Value::Undefined;
        };
        value = below;
    }
    Value::Json(value.clone())
}

fn position(index: i64, length: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok()
    } else {
        length.checked_sub(usize::try_from(-index).ok()?)
    }
}

fn xml_value(model: &Arc<Model>, document: &Document, start: NodeId, segments: &[Segment]) -> Value {
    let mut nodes: SmallVec<[NodeId; 4]> = SmallVec::from_slice(&[start]);
    for (depth, segment) in segments.iter().enumerate() {
        match segment {
            Segment::Index(index) => {
                let Some(node) = position(*index, nodes.len()).and_then(|at| nodes.get(at).copied()) else {
                    return Value::Undefined;
                };
                nodes = SmallVec::from_slice(&[node]);
            }
            Segment::Key(key) => {
                let [node] = nodes[..] else {
                    return Value::Undefined;
                };
                if key.starts_with(['@', '#']) {
                    let last = depth + 1 == segments.len();
                    return if last {
                        special(document, node, key)
                    } else {
                        Value::Undefined
                    };
                }
                nodes = document
                    .child_elements(node)
                    .filter(|child| named(document, *child, key))
                    .collect();
            }
        }
        if nodes.is_empty() {
            return Value::Undefined;
        }
    }
    Value::Nodes(Arc::clone(model), nodes)
}

fn named(document: &Document, element: NodeId, key: &str) -> bool {
    document
        .name(element)
        .is_some_and(|name| match key.split_once(':') {
            Some((prefix, local)) => name.prefix == prefix && name.local == local,
            None => name.local == key,
        })
}

fn special(document: &Document, element: NodeId, key: &str) -> Value {
    let text = if key == "#text" {
        Some(document.string_value(element).into_owned())
    } else {
        key.strip_prefix('@')
            .and_then(|wanted| attribute(document, element, wanted))
    };
    text.map_or(Value::Undefined, Value::text)
}

fn attribute(document: &Document, element: NodeId, wanted: &str) -> Option<String> {
    let matches = |name: xml::Name<'_>| match wanted.split_once(':') {
        Some((prefix, local)) => name.prefix == prefix && name.local == local,
        None => name.local == wanted,
    };
    document
        .attributes(element)
        .find(|attribute| matches(attribute.name))
        .map(|attribute| attribute.value.to_owned())
}

fn header_value(headers: &HeaderMap, segments: &[Segment]) -> Value {
    match segments {
        [] => Value::Json(headers_json(headers)),
        [Segment::Key(name)] => {
            let found = headers
                .get(&**name)
                .or_else(|| headers.get(name.replace('_', "-")));
            found.map_or(Value::Undefined, |value| {
                Value::text(String::from_utf8_lossy(value.as_bytes()))
            })
        }
        _ => Value::Undefined,
    }
}

fn headers_json(headers: &HeaderMap) -> Json {
    let mut members = Map::new();
    for (name, value) in headers {
        let text = Json::String(String::from_utf8_lossy(value.as_bytes()).into_owned());
        members.entry(name.as_str()).or_insert(text);
    }
    Json::Object(members)
}

fn variable(exchange: &Exchange, segments: &[Segment]) -> Value {
    match segments.split_first() {
        None => Value::Json(
            exchange
                .vars
                .iter()
                .map(|(name, model)| (name.to_string(), friendly(model)))
                .collect(),
        ),
        Some((Segment::Key(name), rest)) => model_value(exchange.vars.get(&**name), rest),
        Some(_) => Value::Undefined,
    }
}

fn friendly(model: &Arc<Model>) -> Json {
    Value::Model(Arc::clone(model)).to_json()
}

fn parameter(exchange: &Exchange, segments: &[Segment]) -> Value {
    let Some((Segment::Key(name), rest)) = segments.split_first() else {
        return if segments.is_empty() {
            Value::Json(parameters_json(exchange))
        } else {
            Value::Undefined
        };
    };
    if let Some((_, argument)) = exchange
        .arguments
        .iter()
        .rev()
        .find(|(argument, _)| **argument == **name)
    {
        return model_value(Some(argument), rest);
    }
    let entry = &exchange.entry;
    let text = entry.path_parameter(name).or_else(|| entry.query_parameter(name));
    text.filter(|_| rest.is_empty())
        .map_or(Value::Undefined, Value::text)
}

fn parameters_json(exchange: &Exchange) -> Json {
    let mut members = query_json(exchange);
    let path = &exchange.entry.path_parameters;
    members.extend(
        path.iter()
            .map(|(name, value)| (name.to_string(), Json::String(value.clone()))),
    );
    members.extend(
        exchange
            .arguments
            .iter()
            .map(|(name, model)| (name.to_string(), friendly(model))),
    );
    Json::Object(members)
}

fn query_json(exchange: &Exchange) -> Map<String, Json> {
    let mut members = Map::new();
    for (name, value) in exchange.entry.query_pairs() {
        members
            .entry(name.as_str())
            .or_insert_with(|| Json::String(value.clone()));
    }
    members
}

fn query(exchange: &Exchange, segments: &[Segment]) -> Value {
    match segments {
        [] => Value::Json(Json::Object(query_json(exchange))),
        [Segment::Key(name)] => exchange
            .entry
            .query_parameter(name)
            .map_or(Value::Undefined, Value::text),
        _ => Value::Undefined,
    }
}

fn original(exchange: &Exchange, segments: &[Segment]) -> Value {
    let (Some(original), Some((Segment::Key(part), rest))) = (&exchange.original, segments.split_first())
    else {
        return Value::Undefined;
    };
    match &**part {
        "payload" => model_value(original.model.as_ref(), rest),
        "headers" => header_value(&original.headers, rest),
        _ => Value::Undefined,
    }
}

fn soap_value(exchange: &Exchange, segments: &[Segment]) -> Value {
    let Some((Segment::Key(part), rest)) = segments.split_first() else {
        return Value::Undefined;
    };
    if &**part == "action" {
        return soap_action(&exchange.message).map_or(Value::Undefined, Value::text);
    }
    let Some(model) = exchange.model() else {
        return Value::Undefined;
    };
    let Model::Xml(document) = &**model else {
        return Value::Undefined;
    };
    let Some(version) = soap::version(document) else {
        return Value::Undefined;
    };
    match &**part {
        "version" => Value::text(match version {
            soap::Version::Soap11 => "1.1",
            soap::Version::Soap12 => "1.2",
        }),
        "headers" => soap::header(document).map_or(Value::Undefined, |node| xml_value(model, document, node, rest)),
        "envelope" => document.root_element().map_or(Value::Undefined, |node| xml_value(model, document, node, rest)),
        "fault" => soap::fault(document).map_or(Value::Undefined, |fault| {
            let value = json!({ "code": fault.code, "reason": fault.reason, "actor": fault.actor, "detail": fault.detail_json });
            computed(value, rest)
        }),
        _ => Value::Undefined,
    }
}

/// The SOAP action of a message: the `SOAPAction` header, or the `action` parameter of SOAP 1.2's media type.
#[must_use]
pub fn soap_action(message: &Message) -> Option<String> {
    let header = message
        .headers
        .get("soapaction")
        .and_then(|value| value.to_str().ok());
    let from_header = header.map(|value| value.trim().trim_matches('"').to_owned());
    from_header.or_else(|| {
        let media = crate::format::media_type(message.content_type());
        media.get_param("action").map(|action| action.as_str().to_owned())
    })
}

fn fault_json(fault: &Fault) -> Json {
    json!({
        "code": fault.name(),
        "message": fault.message(),
        "status": fault.status().as_u16(),
        "details": fault.details(),
        "step": fault.step(),
        "retryable": fault.retryable(),
    })
}

fn request_json(exchange: &Exchange) -> Json {
    let entry = &exchange.entry;
    let query = entry
        .query
        .as_ref()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    json!({
        "method": entry.method.as_str(),
        "path": entry.path,
        "query": entry.query,
        "url": format!("{}://{}{}{query}", entry.scheme, entry.host, entry.path),
        "host": entry.host,
        "scheme": entry.scheme,
        "route": &*entry.route,
        "remote_address": entry.client_address.map(|address| address.to_string()),
        "path_rest": entry.path_rest,
    })
}

fn response_json(message: &Message) -> Json {
    match message.start {
        StartLine::Response { status } => json!({ "status": status.as_u16() }),
        _ => json!({}),
    }
}

fn message_json(exchange: &Exchange) -> Json {
    json!({
        "id": exchange.entry.id,
        "correlation_id": exchange.entry.id,
        "media_type": exchange.message.content_type(),
        "size": exchange.message.payload.as_bytes().map(bytes::Bytes::len),
    })
}
