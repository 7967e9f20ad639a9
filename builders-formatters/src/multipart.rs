//! Multipart bodies (RFC 2046 section 5.1, RFC 7578): parts whose contents are slices of the body, not copies.
//!
//! The parser works on complete bytes, because a model is only ever built from those; libraries for this are
//! written for streams and copy each part.

mod disposition;
mod read;
#[cfg(test)]
mod tests;
mod write;

use engine::fault::Fault;
use engine::format::{Builder, FormatLimits, FormatSpec, Formatted, Formatter};
use engine::model::Model;
use mime::Mime;

pub(crate) const SPEC: FormatSpec = FormatSpec {
    name: "multipart",
    docs: "Multipart bodies: forms with files and every other `multipart/*`.\n\n\
        Each part has a name, a file name, headers and content. On the way out the boundary is new and does not occur in the \
        content. An object is written as one field per key, an object inside it as a part of JSON.",
    media_types: &["multipart/form-data", "multipart/*"],
    builder: &MultipartFormat,
    formatter: &MultipartFormat,
    faults: None,
};

struct MultipartFormat;

impl Builder for MultipartFormat {
    fn build(&self, bytes: &bytes::Bytes, media: &Mime, limits: &FormatLimits) -> Result<Model, Fault> {
        read::parts(bytes, media, limits).map(Model::Parts)
    }
}

impl Formatter for MultipartFormat {
    fn format(&self, model: &Model, media: &Mime) -> Result<Formatted, Fault> {
        write::parts(model, media)
    }
}
