//! HTML forms: `application/x-www-form-urlencoded` as a flat JSON object.

use crate::{charset, fields};
use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use engine::fault::{Fault, FaultCode};
use engine::format::{Builder, FormatLimits, FormatSpec, Formatted, Formatter};
use engine::model::Model;
use engine::model::json::Malformed;
use mime::Mime;
use percent_encoding::percent_decode;
use serde_json::{Map, Value as Json, map::Entry};

pub(crate) const SPEC: FormatSpec = FormatSpec {
    name: "form",
    docs: "HTML forms as a flat JSON object (WHATWG URL, section 5).\n\n\
        Every value is a string; a key that is repeated holds an array. On the way out numbers and booleans are their text, null \
        is empty, an array repeats its key; an object inside an object is a fault.",
    media_types: &["application/x-www-form-urlencoded"],
    builder: &FormFormat,
    formatter: &FormFormat,
    faults: None,
};

struct FormFormat;

impl Builder for FormFormat {
    fn build(&self, bytes: &Bytes, media: &Mime, _limits: &FormatLimits) -> Result<Model, Fault> {
        let encoding = encoding(media)?;
        let mut entries = Map::new();
        let mut offset = 0;
        for pair in bytes.split(|byte| *byte == b'&') {
            let (key, value) = match memchr::memchr(b'=', pair) {
                Some(found) => (&pair[..found], &pair[found + 1..]),
                None => (pair, &pair[pair.len()..]),
            };
            if !pair.is_empty() {
                let malformed = || {
                    Malformed::at(
                        bytes,
                        offset,
                        format!("the field is not {} text", encoding.name()),
                    )
                };
                let text = |raw| decode(raw, encoding).ok_or_else(|| malformed().into_fault("form data"));
                add(&mut entries, text(key)?, text(value)?);
            }
            offset += pair.len() + 1;
        }
        Ok(Model::Json(Json::Object(entries)))
    }
}

fn encoding(media: &Mime) -> Result<&'static Encoding, Fault> {
    let Some(label) = media.get_param(mime::CHARSET) else {
        return Ok(UTF_8);
    };
    Encoding::for_label_no_replacement(label.as_str().as_bytes()).ok_or_else(|| {
        Fault::new(
            FaultCode::UnsupportedMediaType,
            "The charset of the media type is not supported.",
        )
    })
}

fn decode(raw: &[u8], encoding: &'static Encoding) -> Option<String> {
    let spaced: Vec<u8> = raw
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    if encoding == UTF_8 {
        return String::from_utf8(bytes).ok();
    }
    encoding
        .decode_without_bom_handling_and_without_replacement(&bytes)
        .map(std::borrow::Cow::into_owned)
}

fn add(entries: &mut Map<String, Json>, key: String, value: String) {
    let value = Json::String(value);
    match entries.entry(key) {
        Entry::Vacant(entry) => drop(entry.insert(value)),
        Entry::Occupied(mut entry) => match entry.get_mut() {
            Json::Array(items) => items.push(value),
            first => *first = Json::Array(vec![first.take(), value]),
        },
    }
}

impl Formatter for FormFormat {
    fn format(&self, model: &Model, media: &Mime) -> Result<Formatted, Fault> {
        let mut serializer = form_urlencoded::Serializer::new(String::new());
        for (key, value) in fields::of(model, "form data")?.iter() {
            for value in fields::values(value) {
                let text = fields::scalar(value).ok_or_else(|| {
                    fields::fault(format!(
                        "The field `{key}` is nested deeper than form data can hold."
                    ))
                })?;
                serializer.append_pair(key, &text);
            }
        }
        Ok(Formatted {
            bytes: serializer.finish().into(),
            media_type: charset::as_utf8(media),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, format, refused};
    use proptest::prelude::*;
    use serde_json::json;

    const TYPE: &str = "application/x-www-form-urlencoded";

    fn read(body: &str) -> Json {
        build(&SPEC, TYPE, body.as_bytes())
            .unwrap()
            .to_json()
            .into_owned()
    }

    #[test]
    fn forms_are_flat_objects() {
        for (body, value) in [
            (
                "a=1&b=x+y&a=2&c=%C3%A9%26&a=3",
                json!({ "a": ["1", "2", "3"], "b": "x y", "c": "é&" }),
            ),
            ("", json!({})),
            ("a", json!({ "a": "" })),
            ("&&a=b=c&", json!({ "a": "b=c" })),
            ("=x", json!({ "": "x" })),
            ("a=100%", json!({ "a": "100%" })),
        ] {
            assert_eq!(read(body), value, "{body}");
        }
        let latin1 = build(
            &SPEC,
            "application/x-www-form-urlencoded; charset=iso-8859-1",
            b"a=%E9",
        )
        .unwrap();
        assert_eq!(*latin1.to_json(), json!({ "a": "é" }));
    }

    #[test]
    fn objects_are_forms() {
        let value = json!({ "a": ["1", 2], "b c": true, "n": null, "none": [], "u": "é&=+" });
        let expected = "a=1&a=2&b+c=true&n=&u=%C3%A9%26%3D%2B";
        assert_eq!(
            format(&SPEC, TYPE, &Model::Json(value)).unwrap(),
            (expected.to_owned(), None)
        );
        let xml = ::xml::Document::parse_str("<form><a>1</a><a>2</a></form>").unwrap();
        assert_eq!(format(&SPEC, TYPE, &Model::Xml(xml)).unwrap().0, "a=1&a=2");
        for value in [json!({ "a": { "b": 1 } }), json!([1]), json!("a")] {
            assert_eq!(
                format(&SPEC, TYPE, &Model::Json(value)).unwrap_err().code(),
                FaultCode::Transformation
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(
            refused(&SPEC, TYPE, b"a=1&b=%FF"),
            "client.malformed_body: The body is not valid form data: line 1, column 5: the field is not UTF-8 text."
        );
    }

    proptest! {
        #[test]
        fn any_flat_object_survives(value in prop::collection::hash_map(any::<String>(), any::<String>(), 0..5)) {
            let value = json!(value);
            let (body, _) = format(&SPEC, TYPE, &Model::Json(value.clone())).unwrap();
            prop_assert_eq!(read(&body), value);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = build(&SPEC, TYPE, &bytes);
        }
    }
}
