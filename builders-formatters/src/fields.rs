//! Helper: A model as named fields, for the formats that know nothing deeper.

use engine::fault::{Fault, FaultCode};
use engine::model::Model;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;

/// The members of the object that the model is. Of XML, those of the root element.
///
/// # Errors
/// `gateway.transformation` where the model is no object.
pub(crate) fn of<'a>(model: &'a Model, format: &str) -> Result<Cow<'a, Map<String, Json>>, Fault> {
    let members = match model.to_json() {
        Cow::Borrowed(Json::Object(members)) => Some(Cow::Borrowed(members)),
        Cow::Owned(Json::Object(members)) => Some(Cow::Owned(members)),
        Cow::Borrowed(_) | Cow::Owned(_) => None,
    };
    let members = match (model, members) {
        (Model::Xml(_), Some(root)) => match root.into_owned().into_iter().next() {
            Some((_, Json::Object(inside))) => Some(Cow::Owned(inside)),
            _ => None,
        },
        (_, members) => members,
    };
    members.ok_or_else(|| fault(format!("Only an object can be written as {format}.")))
}

/// The text of a scalar; null is empty. Nothing for arrays and objects.
pub(crate) fn scalar(value: &Json) -> Option<Cow<'_, str>> {
    match value {
        Json::Null => Some(Cow::Borrowed("")),
        Json::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Json::Number(number) => Some(Cow::Borrowed(number.as_str())),
        Json::String(text) => Some(Cow::Borrowed(text)),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// The values under one name: the items of an array, else the value itself.
pub(crate) fn values(value: &Json) -> &[Json] {
    match value {
        Json::Array(items) => items,
        _ => std::slice::from_ref(value),
    }
}

pub(crate) fn fault(message: impl Into<String>) -> Fault {
    Fault::new(FaultCode::Transformation, message)
}
