//! Helper: places that steps write to: `payload.order.id`, `vars.total.sum`, `headers.x-id`, `status`. The same words as in expressions, the
//! other way round.

mod json;
mod path;
mod xml_tree;

pub(crate) use path::Segment;

use engine::config::{Span, suggestion};
use engine::exchange::Exchange;
use engine::expression::Value;
use engine::fault::{Fault, FaultCode};
use engine::mediator::Needs;
use engine::message::Message;
use engine::model::Model;
use engine::payload::Payload;
use http::header::{HeaderName, HeaderValue};
use serde_json::Value as Json;
use std::sync::Arc;

/// A place in the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The body, or a part of it.
    Payload(Vec<Segment>),
    /// A variable, or a part of it.
    Variable(Box<str>, Vec<Segment>),
    /// A header field.
    Header(HeaderName),
    /// The status of the reply.
    Status,
}

/// How a value is put into a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Instead of what is there.
    Replace,
    /// Into what is there, as the last item, member or child element.
    Child,
    /// Beside what is there, before it.
    Before,
    /// Beside what is there, after it.
    After,
}

/// Why a text names no place: one sentence, and help.
pub(crate) type PlaceError = (String, Option<String>);

const ROOTS: [&str; 4] = ["payload", "vars", "headers", "status"];

/// Header fields that describe the transfer and are therefore set by transports alone.
const TRANSFER_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Place {
    /// Reads a place.
    ///
    /// # Errors
    /// What is wrong with the text, with the nearest valid place as help.
    pub(crate) fn parse(text: &str) -> Result<Self, PlaceError> {
        let root_end = text.find(['.', '[']).unwrap_or(text.len());
        let (root, rest) = text.split_at(root_end);
        match root {
            "payload" => Ok(Self::Payload(path::parse(rest)?)),
            "headers" => header_name(rest.strip_prefix('.').unwrap_or_default()).map(Self::Header),
            "status" if rest.is_empty() => Ok(Self::Status),
            "vars" => variable(path::parse(rest)?),
            _ => {
                let near = engine::config::nearest(root, ROOTS);
                let help = near.map(|near| format!("did you mean `{near}{rest}`?"));
                let possible = || {
                    "possible are `payload`, `payload.PATH`, `vars.NAME`, `headers.NAME` and `status`"
                        .to_owned()
                };
                Err((
                    format!("`{text}` is no place to write to"),
                    Some(help.unwrap_or_else(possible)),
                ))
            }
        }
    }

    /// How much of the payload writing reads.
    pub(crate) fn needs(&self) -> Needs {
        match self {
            Self::Payload(path) if !path.is_empty() => Needs::Model,
            _ => Needs::Headers,
        }
    }

    /// Puts a value there.
    ///
    /// # Errors
    /// `gateway.transformation` where the value does not fit the place.
    pub(crate) fn put(&self, exchange: &mut Exchange, value: Value, mode: Mode) -> Result<(), Fault> {
        match self {
            Self::Payload(path) if path.is_empty() && mode == Mode::Replace => {
                set_payload(&mut exchange.message, value);
                Ok(())
            }
            Self::Payload(path) => put_in_payload(&mut exchange.message, path, &value, mode),
            Self::Variable(name, path) if path.is_empty() && mode == Mode::Replace => {
                exchange.vars.insert(name.clone(), value.into_model());
                Ok(())
            }
            Self::Variable(name, path) => {
                let variable = exchange
                    .vars
                    .entry(name.clone())
                    .or_insert_with(|| Arc::new(Model::Json(Json::Null)));
                put_in_model(Arc::make_mut(variable), path, &value, mode)
            }
            Self::Header(name) => {
                exchange.written_headers.push(name.clone());
                put_header(&mut exchange.message, name, value, mode)
            }
            Self::Status => put_status(exchange, value),
        }
    }

    /// The item with this number in the list that is there.
    pub(crate) fn item(&self, index: usize) -> Self {
        let segment = Segment::Index(i64::try_from(index).unwrap_or(i64::MAX));
        let mut place = self.clone();
        if let Self::Payload(path) | Self::Variable(_, path) = &mut place {
            path.push(segment);
        }
        place
    }

    /// Takes away what is there. Nothing there is fine.
    pub(crate) fn remove(&self, exchange: &mut Exchange) {
        match self {
            Self::Payload(path) if path.is_empty() => {
                exchange.message.payload = Payload::default();
                exchange.message.headers.remove(http::header::CONTENT_TYPE);
                exchange.message.headers.remove(http::header::CONTENT_ENCODING);
            }
            Self::Payload(path) => {
                let is_there = exchange.model().is_some_and(|model| exists(model, path));
                if let Some(model) = exchange.message.payload.model_mut().filter(|_| is_there) {
                    remove_in_model(model, path);
                }
            }
            Self::Variable(name, path) if path.is_empty() => drop(exchange.vars.shift_remove(name)),
            Self::Variable(name, path) => {
                if let Some(variable) = exchange.vars.get_mut(name) {
                    remove_in_model(Arc::make_mut(variable), path);
                }
            }
            Self::Header(name) => drop(exchange.message.headers.remove(name)),
            Self::Status => {}
        }
    }
}

/// Reads a place from the configuration and reports what is wrong with it.
pub(crate) fn place(text: &str, span: Span, cx: &mut engine::build::Build<'_>) -> Option<Place> {
    match Place::parse(text) {
        Ok(place) => Some(place),
        Err((message, help)) => {
            cx.error("config.bad_place", span, message, help);
            None
        }
    }
}

fn variable(mut path: Vec<Segment>) -> Result<Place, PlaceError> {
    let help = || Some("write `vars.NAME`".to_owned());
    if path.is_empty() {
        return Err(("a variable needs a name".to_owned(), help()));
    }
    match path.remove(0) {
        Segment::Key(name) => Ok(Place::Variable(name, path)),
        Segment::Index(_) => Err(("a variable has a name, not a number".to_owned(), help())),
    }
}

/// A header field that steps may set.
///
/// # Errors
/// Names that are none, and those that only transports may set.
pub(crate) fn header_name(text: &str) -> Result<HeaderName, PlaceError> {
    let Ok(name) = HeaderName::try_from(text) else {
        let help = "write `headers.NAME` with letters, digits and `-`".to_owned();
        return Err((format!("`{text}` is no header name"), Some(help)));
    };
    if TRANSFER_HEADERS.contains(&name.as_str()) {
        let help = suggestion(text, ["content-type", "content-language", "cache-control"])
            .filter(|help| help.starts_with("did"));
        return Err((format!("`{name}` is set by the transport"), help));
    }
    Ok(name)
}

fn put_in_payload(message: &mut Message, path: &[Segment], value: &Value, mode: Mode) -> Result<(), Fault> {
    if message.payload.is_empty() {
        message.payload = Payload::model(Model::Json(Json::Null));
        message.set_content_type("application/json");
    }
    match message.payload.model_mut() {
        Some(model) => put_in_model(model, path, value, mode),
        None => Err(misplaced("the payload has not been read")),
    }
}

fn put_in_model(model: &mut Model, path: &[Segment], value: &Value, mode: Mode) -> Result<(), Fault> {
    match model {
        Model::Json(json) => json::put(json, path, value.to_json(), mode),
        Model::Xml(document) => xml_tree::put(document, path, value, mode),
        Model::Rows(_) => {
            let mut json = model.to_json().into_owned();
            json::put(&mut json, path, value.to_json(), mode)?;
            *model = Model::Json(json);
            Ok(())
        }
        other => Err(misplaced(format!(
            "a body of {} has no parts that could be set",
            other.kind()
        ))),
    }
}

fn remove_in_model(model: &mut Model, path: &[Segment]) {
    match model {
        Model::Json(json) => json::remove(json, path),
        Model::Xml(document) => xml_tree::remove(document, path),
        Model::Rows(_) => {
            let mut json = model.to_json().into_owned();
            json::remove(&mut json, path);
            *model = Model::Json(json);
        }
        _ => {}
    }
}

fn exists(model: &Model, path: &[Segment]) -> bool {
    match model {
        Model::Json(json) => json::exists(json, path),
        Model::Xml(document) => xml_tree::exists(document, path),
        Model::Rows(_) => true,
        _ => false,
    }
}

/// Makes a value the body: text becomes text, null nothing, anything else keeps its model. The media type follows where it no
/// longer fits.
pub(crate) fn set_payload(message: &mut Message, value: Value) {
    let model = match value {
        Value::Json(Json::String(text)) if text.is_empty() => return set_payload(message, Value::Undefined),
        Value::Undefined | Value::Json(Json::Null) => {
            message.payload = Payload::default();
            message.headers.remove(http::header::CONTENT_TYPE);
            message.headers.remove(http::header::CONTENT_ENCODING);
            return;
        }
        Value::Json(Json::String(text)) => Arc::new(Model::Text(text)),
        other => other.into_model(),
    };
    set_model(message, model, None);
}

/// Makes a model the body, with this media type or the one it has where that fits.
pub(crate) fn set_model(message: &mut Message, model: Arc<Model>, media_type: Option<&str>) {
    match media_type {
        Some(media_type) => message.set_content_type(media_type),
        None if fits(&model, message.content_type()) => {}
        None => message.set_content_type(model.default_media_type()),
    }
    message.payload = Payload::model(model);
}

/// Whether a model is what this media type calls for.
fn fits(model: &Model, content_type: Option<&str>) -> bool {
    let media = engine::format::media_type(content_type);
    let essence = media.essence_str();
    if essence.starts_with("application/problem+") {
        // A fault that was rendered; a body of the project's own is something else.
        return false;
    }
    match model {
        Model::Json(_) => essence.ends_with("/json") || essence.ends_with("+json"),
        Model::Xml(document) => match engine::model::soap::version(document) {
            Some(version) => essence == engine::format::media_type(Some(version.media_type())).essence_str(),
            None => {
                essence.ends_with("/xml") || (essence.ends_with("+xml") && essence != "application/soap+xml")
            }
        },
        Model::Text(_) => essence.starts_with("text/") && !matches!(essence, "text/xml" | "text/csv"),
        Model::Rows(_) => essence == "text/csv",
        Model::Parts(_) => essence.starts_with("multipart/"),
        Model::Binary(_) => content_type.is_some(),
    }
}

fn put_header(message: &mut Message, name: &HeaderName, value: Value, mode: Mode) -> Result<(), Fault> {
    if mode == Mode::Replace {
        message.headers.remove(name);
    }
    let values = match value {
        Value::Json(Json::Array(items)) => items.into_iter().map(Value::Json).collect(),
        one => vec![one],
    };
    for value in values {
        if matches!(value, Value::Undefined | Value::Json(Json::Null)) {
            continue;
        }
        message
            .headers
            .append(name, header_value(name, &value.into_text()?)?);
    }
    Ok(())
}

/// A header value. What would end the line or is no text in Latin-1 or UTF-8 is refused, never passed on.
///
/// # Errors
/// `gateway.transformation`.
pub(crate) fn header_value(name: &HeaderName, text: &str) -> Result<HeaderValue, Fault> {
    HeaderValue::from_bytes(text.trim().as_bytes()).map_err(|_| {
        misplaced(format!(
            "the value for the header `{name}` holds characters that no header can hold"
        ))
    })
}

fn put_status(exchange: &mut Exchange, value: Value) -> Result<(), Fault> {
    exchange.become_reply(status(&value.into_text()?)?);
    Ok(())
}

/// A status that a reply can end with.
///
/// # Errors
/// `gateway.transformation` for anything else than a number from 200 to 599.
pub(crate) fn status(text: &str) -> Result<http::StatusCode, Fault> {
    let number: Option<u16> = text
        .trim()
        .parse()
        .ok()
        .filter(|number| (200..600).contains(number));
    number
        .and_then(|number| http::StatusCode::from_u16(number).ok())
        .ok_or_else(|| misplaced(format!("`{text}` is no status of a reply; those are 200 to 599")))
}

/// A value that does not go where it should.
pub(crate) fn misplaced(detail: impl Into<String>) -> Fault {
    Fault::new(
        FaultCode::Transformation,
        "The message could not be changed as configured.",
    )
    .with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_mistakes_explained() {
        let key = |name: &str| Segment::Key(name.into());
        for (text, expected) in [
            ("payload", Place::Payload(vec![])),
            (
                "payload.a['@id'][-1]",
                Place::Payload(vec![key("a"), key("@id"), Segment::Index(-1)]),
            ),
            ("vars.total", Place::Variable("total".into(), vec![])),
            ("vars['a b'].c", Place::Variable("a b".into(), vec![key("c")])),
            ("headers.x-id", Place::Header(HeaderName::from_static("x-id"))),
            ("status", Place::Status),
        ] {
            assert_eq!(Place::parse(text), Ok(expected), "{text}");
        }
        let help = |text: &str| Place::parse(text).unwrap_err().1.unwrap_or_default();
        assert_eq!(help("header.x"), "did you mean `headers.x`?");
        assert_eq!(help("var.total"), "did you mean `vars.total`?");
        assert!(help("foo").starts_with("possible are"));
        for bad in [
            "vars",
            "vars.",
            "payload.",
            "payload[",
            "payload['a",
            "headers.",
            "headers.a b",
            "status.x",
            "headers.content-length",
            "payload..a",
            "payload[x]",
            "vars[0]",
        ] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
