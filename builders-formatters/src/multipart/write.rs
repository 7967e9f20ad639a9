//! From parts to bytes.

use super::disposition;
use crate::fields;
use engine::fault::Fault;
use engine::format::Formatted;
use engine::model::{Model, Part, json};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use memchr::memmem;
use mime::Mime;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

/// Writes a model as a multipart body of this media type, with a boundary of its own.
pub(super) fn parts(model: &Model, media: &Mime) -> Result<Formatted, Fault> {
    let parts = match model {
        Model::Parts(parts) => Cow::Borrowed(parts.as_slice()),
        _ => Cow::Owned(fields_as_parts(model)?),
    };
    let boundary = boundary(&parts);
    let is_form = media.subtype() == mime::FORM_DATA;
    let size: usize = parts.iter().map(|part| part.content.len() + 256).sum();
    let mut out = Vec::with_capacity(size + 64);
    for part in parts.iter() {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        write_headers(part, is_form, &mut out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&part.content);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(Formatted {
        bytes: out.into(),
        media_type: Some(media_type(media, &boundary)),
    })
}

fn write_headers(part: &Part, is_form: bool, out: &mut Vec<u8>) {
    let (name, file_name) = (part.name.as_deref(), part.file_name.as_deref());
    let is_told = is_form || !part.headers.contains_key(CONTENT_DISPOSITION);
    let own = if is_told && (name.is_some() || file_name.is_some()) {
        disposition::write(name, file_name)
    } else {
        None
    };
    let mut line = |name: &str, value: &HeaderValue| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    if let Some(value) = &own {
        line("content-disposition", value);
    }
    for (name, value) in &part.headers {
        if own.is_none() || name != CONTENT_DISPOSITION {
            line(name.as_str(), value);
        }
    }
}

/// A boundary that no content holds: random, so that no sender can guess it, and looked for nevertheless.
fn boundary(parts: &[Part]) -> String {
    loop {
        let boundary = format!("mediary-{:016x}", RandomState::new().hash_one(parts.len()));
        let finder = memmem::Finder::new(boundary.as_bytes());
        if parts.iter().all(|part| finder.find(&part.content).is_none()) {
            return boundary;
        }
    }
}

fn media_type(media: &Mime, boundary: &str) -> String {
    let mut written = media.essence_str().to_owned();
    for (name, value) in media.params().filter(|(name, _)| *name != mime::BOUNDARY) {
        written.push_str(&format!(
            "; {name}=\"{}\"",
            value.as_str().replace(['"', '\\'], "")
        ));
    }
    written.push_str(&format!("; boundary={boundary}"));
    written
}

/// One part for each value under each key.
fn fields_as_parts(model: &Model) -> Result<Vec<Part>, Fault> {
    let members = fields::of(model, "multipart data")?;
    let pairs = members
        .iter()
        .flat_map(|(key, value)| fields::values(value).iter().map(move |value| (key, value)));
    Ok(pairs.map(|(key, value)| field(key, value)).collect())
}

fn field(key: &str, value: &Json) -> Part {
    let mut part = Part {
        name: Some(key.to_owned()),
        ..Part::default()
    };
    match fields::scalar(value) {
        Some(text) => part.content = text.into_owned().into(),
        None => {
            part.content = json::write(value).into();
            part.headers
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
    }
    part
}
