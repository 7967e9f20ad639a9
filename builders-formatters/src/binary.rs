//! Bytes nobody understands: every media type that no other format serves.

use bytes::Bytes;
use engine::fault::Fault;
use engine::format::{Builder, FormatLimits, FormatSpec, Formatted, Formatter};
use engine::model::Model;
use mime::Mime;

pub(crate) const SPEC: FormatSpec = FormatSpec {
    name: "binary",
    docs: "Bytes as they are, for every media type that no other format serves.\n\n\
        Text, JSON and XML are written out in UTF-8 when the media type asked for is unknown.",
    media_types: &["*/*"],
    builder: &BinaryFormat,
    formatter: &BinaryFormat,
    faults: None,
};

struct BinaryFormat;

impl Builder for BinaryFormat {
    fn build(&self, bytes: &Bytes, _media: &Mime, _limits: &FormatLimits) -> Result<Model, Fault> {
        Ok(Model::Binary(bytes.clone()))
    }
}

impl Formatter for BinaryFormat {
    fn format(&self, model: &Model, _media: &Mime) -> Result<Formatted, Fault> {
        let bytes = match model {
            Model::Binary(bytes) => bytes.clone(),
            _ => model.to_text()?.into_owned().into(),
        };
        Ok(Formatted {
            bytes,
            media_type: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, format};
    use serde_json::json;

    #[test]
    fn bytes_are_shared_not_copied() {
        let bytes = Bytes::from_static(b"\0\xFF");
        let media = "image/png".parse().unwrap();
        let model = SPEC
            .builder
            .build(&bytes, &media, &FormatLimits::default())
            .unwrap();
        let written = SPEC.formatter.format(&model, &media).unwrap().bytes;
        assert_eq!((written.as_ptr(), written.len()), (bytes.as_ptr(), 2));
        assert!(matches!(build(&SPEC, "a/b", b"").unwrap(), Model::Binary(empty) if empty.is_empty()));
    }

    #[test]
    fn other_models_are_written_out() {
        assert_eq!(format(&SPEC, "a/b", &Model::Json(json!([1]))).unwrap().0, "[1]");
        assert!(format(&SPEC, "a/b", &Model::Parts(Vec::new())).is_err());
    }
}
