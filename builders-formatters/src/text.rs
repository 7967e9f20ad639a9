//! Text: `text/plain` and every other `text/*`, in any charset.

use crate::charset;
use bytes::Bytes;
use engine::fault::Fault;
use engine::format::{Builder, FaultStyle, FormatLimits, FormatSpec, Formatted, Formatter, RenderedFault};
use engine::model::Model;
use mime::Mime;

pub(crate) const SPEC: FormatSpec = FormatSpec {
    name: "text",
    docs: "Text in the charset that the media type names, else UTF-8.\n\n\
        Output is in the charset asked for; a character it does not have is a fault, never a question mark. JSON and XML are \
        written out. A fault is one line: its code and its message.",
    media_types: &["text/plain", "text/*"],
    builder: &TextFormat,
    formatter: &TextFormat,
    faults: Some((&[FaultStyle::Text], render)),
};

struct TextFormat;

impl Builder for TextFormat {
    fn build(&self, bytes: &Bytes, media: &Mime, _limits: &FormatLimits) -> Result<Model, Fault> {
        charset::decode(bytes, media, "text").map(|text| Model::Text(text.into_owned()))
    }
}

impl Formatter for TextFormat {
    fn format(&self, model: &Model, media: &Mime) -> Result<Formatted, Fault> {
        let text = model.to_text()?.into_owned();
        // Without a charset a client would guess at anything beyond ASCII.
        let names_charset = media.get_param(mime::CHARSET).is_some() || text.is_ascii();
        let media_type = (!names_charset).then(|| format!("{media}; charset=utf-8"));
        Ok(Formatted {
            bytes: charset::encode(text, media)?.into(),
            media_type,
        })
    }
}

fn render(fault: &Fault, _instance: &str, _style: FaultStyle) -> RenderedFault {
    let message = fault.message().replace(char::is_control, " ");
    RenderedFault {
        bytes: format!("{}: {message}\n", fault.name()).into(),
        media_type: "text/plain; charset=utf-8",
        status: fault.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, format, refused, text};
    use engine::fault::FaultCode;
    use serde_json::json;

    fn read(media: &str, bytes: &[u8]) -> String {
        match build(&SPEC, media, bytes).unwrap() {
            Model::Text(text) => text,
            other => panic!("{}", other.kind()),
        }
    }

    fn write(media: &str, text: &str) -> Result<Bytes, Fault> {
        SPEC.formatter
            .format(&Model::Text(text.into()), &media.parse().unwrap())
            .map(|formatted| formatted.bytes)
    }

    #[test]
    fn text_survives_in_every_charset() {
        for (charset, bytes) in [
            ("utf-8", &b"\xC3\xA9"[..]),
            ("iso-8859-1", b"\xE9"),
            ("windows-1252", b"\xE9"),
            ("utf-16be", b"\0\xE9"),
            ("utf-16le", b"\xE9\0"),
            ("utf-16", b"\xFF\xFE\xE9\0"),
            ("gb18030", b"\xA8\xA6"),
        ] {
            let media = format!("text/plain; charset={charset}");
            assert_eq!(read(&media, bytes), "é", "{charset}");
            assert_eq!(write(&media, "é").unwrap(), bytes, "{charset}");
        }
        assert_eq!(
            read("text/plain; charset=iso-8859-1", b"\xEF\xBB\xBF\xC3\xA9"),
            "é",
            "the mark wins"
        );
        assert_eq!(read("text/plain", b""), "");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(
            refused(&SPEC, "text/plain", b"a\nb\xFF"),
            "client.malformed_body: The body is not valid text: line 2, column 2: the text is not UTF-8."
        );
        assert_eq!(
            refused(&SPEC, "text/plain; charset=shift_jis", b"\x81"),
            "client.malformed_body: The body is not valid text: the bytes are not Shift_JIS text."
        );
        assert!(
            refused(&SPEC, "text/plain; charset=klingon", b"x")
                .starts_with("client.unsupported_media_type: ")
        );
    }

    #[test]
    fn a_character_that_a_charset_lacks_is_a_fault() {
        assert_eq!(
            write("text/plain; charset=iso-8859-2", "日").unwrap_err().code(),
            FaultCode::Transformation
        );
        assert_eq!(
            write("text/plain; charset=klingon", "a").unwrap_err().code(),
            FaultCode::Transformation
        );
    }

    #[test]
    fn other_models_are_written_out() {
        let media = Some("text/plain; charset=utf-8".to_owned());
        assert_eq!(
            format(&SPEC, "text/plain", &Model::Json(json!({ "a": "é" }))).unwrap(),
            ("{\"a\":\"é\"}".to_owned(), media)
        );
        assert_eq!(
            format(&SPEC, "text/plain", &Model::Json(json!("a"))).unwrap(),
            ("a".to_owned(), None)
        );
        assert!(format(&SPEC, "text/plain", &Model::Parts(Vec::new())).is_err());
    }

    #[test]
    fn a_fault_is_one_line() {
        let fault = Fault::new(FaultCode::NotFound, "No\r\nsuch thing.");
        assert_eq!(
            text(&render(&fault, "id", FaultStyle::Text)),
            "404 text/plain; charset=utf-8 client.not_found: No  such thing.\n"
        );
    }
}
