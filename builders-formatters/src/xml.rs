//! XML: `application/xml`, `text/xml` and everything ending in `+xml`. A SOAP 1.1 envelope is told by its root.

use crate::{charset, problem};
use bytes::Bytes;
use engine::fault::Fault;
use engine::format::{Builder, FaultStyle, FormatLimits, FormatSpec, Formatted, Formatter, RenderedFault};
use engine::model::Model;
use engine::model::json::Malformed;
use mime::Mime;
use xml::{Document, Limits, WriteOptions};

pub(crate) const SPEC: FormatSpec = FormatSpec {
    name: "xml",
    docs: "XML 1.0 with namespaces, SOAP 1.1 envelopes included.\n\n\
        What no step changed is written back byte for byte, always in UTF-8. A document type declaration is refused, whatever \
        it holds. Models of other kinds are written by the canonical mapping. Faults are problem documents as XML (RFC 7807 \
        appendix A).",
    media_types: &["application/xml", "text/xml", "+xml"],
    builder: &XmlFormat,
    formatter: &XmlFormat,
    faults: Some((&[FaultStyle::Xml], render)),
};

struct XmlFormat;

impl Builder for XmlFormat {
    fn build(&self, bytes: &Bytes, media: &Mime, limits: &FormatLimits) -> Result<Model, Fault> {
        parse(bytes, media, limits).map(Model::Xml)
    }
}

impl Formatter for XmlFormat {
    fn format(&self, model: &Model, media: &Mime) -> Result<Formatted, Fault> {
        Ok(write(&*model.to_xml()?, media))
    }
}

/// Parses XML of any media type.
pub(crate) fn parse(bytes: &Bytes, media: &Mime, limits: &FormatLimits) -> Result<Document, Fault> {
    let charset = media.get_param(mime::CHARSET);
    // The size was limited when the body was read.
    let limits = Limits {
        depth: limits.depth,
        attributes: limits.attributes,
        bytes: usize::MAX,
        ..Limits::default()
    };
    let parsed = Document::parse_as(bytes.clone(), charset.as_ref().map(mime::Name::as_str), &limits);
    parsed.map_err(|error| {
        Malformed {
            line: error.line,
            column: error.column,
            message: error.message,
        }
        .into_fault("XML")
    })
}

/// Writes XML of any media type.
pub(crate) fn write(document: &Document, media: &Mime) -> Formatted {
    let mut bytes = Vec::new();
    document.write(&mut bytes, &WriteOptions::default());
    Formatted {
        bytes: bytes.into(),
        media_type: charset::as_utf8(media),
    }
}

fn render(fault: &Fault, instance: &str, _style: FaultStyle) -> RenderedFault {
    let document = problem::to_xml(
        "problem",
        "urn:ietf:rfc:7807",
        &problem::document(fault, instance),
    );
    RenderedFault {
        bytes: document.to_string().into(),
        media_type: "application/problem+xml",
        status: fault.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, build_with, format, refused, text};
    use engine::fault::FaultCode;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn xml_comes_out_as_it_went_in() {
        let body =
            "<?xml version='1.0' encoding='utf-8'?>\n<!-- c --><a  b='1'><![CDATA[x]]>&#65;<c></c></a>\n";
        let model = build(&SPEC, "text/xml", body.as_bytes()).unwrap();
        assert_eq!(
            format(&SPEC, "text/xml", &model).unwrap(),
            (body.to_owned(), None)
        );
        let latin1 = build(&SPEC, "text/xml; charset=iso-8859-1", b"<a>\xE9</a>").unwrap();
        let media = Some("text/xml; charset=utf-8".to_owned());
        assert_eq!(
            format(&SPEC, "text/xml; charset=iso-8859-1", &latin1).unwrap(),
            ("<a>é</a>".to_owned(), media)
        );
    }

    #[test]
    fn malformed_xml_is_refused_with_its_position() {
        for (body, place) in [
            ("", "line 1, column 1: "),
            ("<a>\n  <b></a>", "line 2, column "),
            ("<a>&x;</a>", "line 1, column "),
            (
                "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
                "line 1, column 1: ",
            ),
            ("{}", "line 1, column 1: "),
            ("<a/><b/>", "line 1, column 5: "),
        ] {
            let message = refused(&SPEC, "application/xml", body.as_bytes());
            let start = format!("client.malformed_body: The body is not valid XML: {place}");
            assert!(message.starts_with(&start), "{body}: {message}");
        }
        let limits = FormatLimits {
            depth: 2,
            attributes: 2,
            ..FormatLimits::default()
        };
        let build = |body: &str| build_with(&SPEC, "text/xml", body.as_bytes(), &limits);
        assert!(build("<a b='' c=''><d/></a>").is_ok());
        assert_eq!(
            build("<a><b><c/></b></a>").unwrap_err().code(),
            FaultCode::MalformedBody
        );
        assert_eq!(
            build("<a b='' c='' d=''/>").unwrap_err().code(),
            FaultCode::MalformedBody
        );
    }

    #[test]
    fn json_is_written_by_the_canonical_mapping() {
        let model = Model::Json(json!({ "order": { "@id": 1, "item": ["a", "b"] } }));
        let (body, media) = format(&SPEC, "text/xml", &model).unwrap();
        assert_eq!(
            (body.as_str(), media),
            (r#"<order id="1"><item>a</item><item>b</item></order>"#, None)
        );
        let binary = format(&SPEC, "text/xml", &Model::Binary(Bytes::from_static(b"x"))).unwrap_err();
        assert_eq!(binary.code(), FaultCode::Transformation);
    }

    #[test]
    fn a_fault_is_a_problem_document() {
        let fault = Fault::new(FaultCode::Timeout, "Too <slow>.\u{1}").with_details(json!({ "a": [1, 2] }));
        assert_eq!(
            text(&render(&fault, "id-1", FaultStyle::Xml)),
            concat!(
                r#"504 application/problem+xml <problem xmlns="urn:ietf:rfc:7807"><type>urn:mediary:fault:backend.timeout</type>"#,
                "<title>The backend did not answer in time</title><status>504</status><detail>Too &lt;slow&gt;.\u{FFFD}</detail>",
                "<code>backend.timeout</code><instance>id-1</instance><details><a>1</a><a>2</a></details></problem>"
            )
        );
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[<>/a-c&;='\" !\\[\\]?-]{0,40}") {
            let _ = build(&SPEC, "text/xml", &bytes);
            let _ = build(&SPEC, "text/xml", text.as_bytes());
        }
    }
}
