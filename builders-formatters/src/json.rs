//! JSON: `application/json` and everything ending in `+json`; faults as problem documents (RFC 9457).

use crate::{charset, problem};
use bytes::Bytes;
use engine::fault::Fault;
use engine::format::{Builder, FaultStyle, FormatLimits, FormatSpec, Formatted, Formatter, RenderedFault};
use engine::model::{Model, json};
use mime::Mime;

pub(crate) const SPEC: FormatSpec = FormatSpec {
    name: "json",
    docs: "JSON (RFC 8259), read strictly and written without white space.\n\n\
        Numbers keep their digits and objects their order. A repeated key, a trailing comma or a comment is refused. \
        Models of other kinds are written by the canonical mapping. Faults are `application/problem+json` (RFC 9457).",
    media_types: &["application/json", "text/json", "+json"],
    builder: &JsonFormat,
    formatter: &JsonFormat,
    faults: Some((&[FaultStyle::Problem], render)),
};

struct JsonFormat;

impl Builder for JsonFormat {
    fn build(&self, bytes: &Bytes, media: &Mime, limits: &FormatLimits) -> Result<Model, Fault> {
        // RFC 8259 knows only UTF-8, but a sender that names another charset means it.
        let is_named = media
            .get_param(mime::CHARSET)
            .is_some_and(|charset| charset != mime::UTF_8);
        let parsed = match is_named {
            true => json::parse(charset::decode(bytes, media, "JSON")?.as_bytes(), limits),
            false => json::parse(bytes, limits),
        };
        parsed
            .map(Model::Json)
            .map_err(|malformed| malformed.into_fault("JSON"))
    }
}

impl Formatter for JsonFormat {
    fn format(&self, model: &Model, media: &Mime) -> Result<Formatted, Fault> {
        Ok(Formatted {
            bytes: json::write(&model.to_json()).into(),
            media_type: charset::as_utf8(media),
        })
    }
}

fn render(fault: &Fault, instance: &str, _style: FaultStyle) -> RenderedFault {
    RenderedFault {
        bytes: json::write(&problem::document(fault, instance)).into(),
        media_type: "application/problem+json",
        status: fault.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, build_with, format, refused, text};
    use engine::fault::FaultCode;
    use serde_json::json;

    #[test]
    fn json_comes_out_as_it_went_in() {
        let body = r#"{"b":1.10,"a":[1E+2,-0,12345678901234567890123],"s":"é\n"}"#;
        let model = build(&SPEC, "application/json", body.as_bytes()).unwrap();
        assert_eq!(
            format(&SPEC, "application/json", &model).unwrap(),
            (body.to_owned(), None)
        );
        let latin1 = build(&SPEC, "application/json; charset=iso-8859-1", b"\"\xE9\"").unwrap();
        let media = Some("application/json; charset=utf-8".to_owned());
        assert_eq!(
            format(&SPEC, "application/json; charset=iso-8859-1", &latin1).unwrap(),
            ("\"é\"".to_owned(), media)
        );
    }

    #[test]
    fn malformed_json_is_refused_with_its_position() {
        for (body, expected) in [
            ("{\"a\":\n  x}", "line 2, column 3: expected a value, found `x`."),
            ("", "line 1, column 1: expected a value, found the end."),
            (
                "{\"a\":1,\"a\":2}",
                "line 1, column 13: the key `a` comes twice in this object.",
            ),
        ] {
            let expected = format!("client.malformed_body: The body is not valid JSON: {expected}");
            assert_eq!(refused(&SPEC, "application/json", body.as_bytes()), expected);
        }
        assert!(
            refused(&SPEC, "application/json; charset=klingon", b"1")
                .starts_with("client.unsupported_media_type")
        );
        let limits = FormatLimits {
            depth: 2,
            ..FormatLimits::default()
        };
        assert!(build_with(&SPEC, "application/json", b"[[1]]", &limits).is_ok());
        let fault = build_with(&SPEC, "application/json", b"[[[1]]]", &limits).unwrap_err();
        assert!(
            fault.message().contains("column 3: nested deeper than 2 levels"),
            "{fault}"
        );
    }

    #[test]
    fn xml_is_written_by_the_canonical_mapping() {
        let xml = ::xml::Document::parse_str("<order id='1'><item>a</item><item>b</item></order>").unwrap();
        let (body, _) = format(&SPEC, "application/json", &Model::Xml(xml)).unwrap();
        assert_eq!(body, r#"{"order":{"@id":"1","item":["a","b"]}}"#);
    }

    #[test]
    fn a_fault_is_a_problem_document() {
        let fault = Fault::new(FaultCode::Validation, "No \"a\".")
            .with_details(json!([{ "path": "/a" }]))
            .with_detail("secret");
        assert_eq!(
            text(&render(&fault, "id-1", FaultStyle::Problem)),
            concat!(
                r#"400 application/problem+json {"type":"urn:mediary:fault:client.validation","title":"The message is not valid","#,
                r#""status":400,"detail":"No \"a\".","code":"client.validation","instance":"id-1","details":[{"path":"/a"}]}"#
            )
        );
    }
}
