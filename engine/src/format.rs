//! Builders and formatters: from bytes to the model and back, chosen by media type.
//!
//! The order of choice is: the exact type, the structured suffix (`+json`), `type/*`, then binary.

use crate::fault::Fault;
use crate::model::Model;
use bytes::Bytes;
use http::StatusCode;
use mime::Mime;
use std::collections::HashMap;

/// Limits that every builder keeps.
#[derive(Clone, Copy, Debug)]
pub struct FormatLimits {
    /// Deepest nesting of JSON or XML.
    pub depth: usize,
    /// Most attributes on one XML element.
    pub attributes: usize,
    /// Most parts of a multipart body, rows of a table aside.
    pub parts: usize,
    /// Size after decompression.
    pub decompressed_bytes: u64,
    /// Whether a repeated key of a JSON object is refused (the default) or the last one wins.
    pub refuse_duplicate_keys: bool,
}

impl Default for FormatLimits {
    fn default() -> Self {
        Self {
            depth: 128,
            attributes: 256,
            parts: 256,
            decompressed_bytes: 10 << 20,
            refuse_duplicate_keys: true,
        }
    }
}

/// Bytes to model.
pub trait Builder: Send + Sync {
    /// Parses `bytes`, whose full media type is `media`.
    ///
    /// # Errors
    /// `client.malformed_body` with the position (line and column) of the first mistake.
    fn build(&self, bytes: &Bytes, media: &Mime, limits: &FormatLimits) -> Result<Model, Fault>;
}

/// Model to bytes.
pub trait Formatter: Send + Sync {
    /// Writes `model` as `media`. A model of another kind goes through the canonical mapping first.
    ///
    /// # Errors
    /// `gateway.transformation` where the model has no such form.
    fn format(&self, model: &Model, media: &Mime) -> Result<Formatted, Fault>;
}

/// What a formatter wrote.
pub struct Formatted {
    /// The bytes.
    pub bytes: Bytes,
    /// The media type where it differs from the one asked for (a multipart boundary, a charset).
    pub media_type: Option<String>,
}

impl From<Vec<u8>> for Formatted {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes: bytes.into(),
            media_type: None,
        }
    }
}

/// How a client wants to read a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FaultStyle {
    /// RFC 9457 problem document.
    #[default]
    Problem,
    /// SOAP 1.1 Fault in an envelope.
    Soap11,
    /// SOAP 1.2 Fault in an envelope.
    Soap12,
    /// A problem document as XML (RFC 7807 appendix A).
    Xml,
    /// One line of text.
    Text,
}

/// A fault as a reply.
pub struct RenderedFault {
    /// The body.
    pub bytes: Bytes,
    /// Its media type.
    pub media_type: &'static str,
    /// The status of the reply; SOAP 1.1 prescribes 500.
    pub status: StatusCode,
}

/// Writes a fault in the style of its format.
pub type RenderFault = fn(fault: &Fault, instance: &str, style: FaultStyle) -> RenderedFault;

/// A format as it is registered: what it is called, which media types it serves, how it works.
pub struct FormatSpec {
    /// Its name: file, docs page and `mediary help NAME`.
    pub name: &'static str,
    /// What it does, in Markdown; the first line is the summary.
    pub docs: &'static str,
    /// Media types: `application/json`, `+json`, `text/*`.
    pub media_types: &'static [&'static str],
    /// The parsing half.
    pub builder: &'static dyn Builder,
    /// The writing half.
    pub formatter: &'static dyn Formatter,
    /// The styles of faults it renders, and how.
    pub faults: Option<(&'static [FaultStyle], RenderFault)>,
}

/// All formats of a deployment, by media type.
pub struct Formats {
    by_type: HashMap<&'static str, &'static FormatSpec>,
    by_style: HashMap<FaultStyle, RenderFault>,
}

impl Formats {
    /// Indexes the registered formats. A later one takes a media type over from an earlier one.
    #[must_use]
    pub fn new(specs: &'static [FormatSpec]) -> Self {
        let mut formats = Self {
            by_type: HashMap::new(),
            by_style: HashMap::new(),
        };
        for spec in specs {
            formats
                .by_type
                .extend(spec.media_types.iter().map(|media_type| (*media_type, spec)));
            if let Some((styles, render)) = spec.faults {
                formats
                    .by_style
                    .extend(styles.iter().map(|style| (*style, render)));
            }
        }
        formats
    }

    /// The format for a media type: exact, then `+suffix`, then `type/*`, then `*/*`.
    #[must_use]
    pub fn find(&self, media: &Mime) -> Option<&'static FormatSpec> {
        let suffix = || {
            media
                .suffix()
                .and_then(|suffix| self.by_type.get(format!("+{}", suffix.as_str()).as_str()))
        };
        let family = || self.by_type.get(format!("{}/*", media.type_()).as_str());
        let exact = self.by_type.get(media.essence_str());
        exact
            .or_else(suffix)
            .or_else(family)
            .or_else(|| self.by_type.get("*/*"))
            .copied()
    }

    /// Renders a fault in the style asked for; plain text where no format serves that style.
    #[must_use]
    pub fn render_fault(&self, fault: &Fault, instance: &str, style: FaultStyle) -> RenderedFault {
        match self.by_style.get(&style) {
            Some(render) => render(fault, instance, style),
            None => RenderedFault {
                bytes: Bytes::from(format!("{}: {}\n", fault.name(), fault.message())),
                media_type: "text/plain; charset=utf-8",
                status: fault.status(),
            },
        }
    }
}

/// The media type of a message without a usable `content-type`.
pub const UNKNOWN: Mime = mime::APPLICATION_OCTET_STREAM;

/// Parses a `content-type` value; an unreadable one is treated as binary data.
#[must_use]
pub fn media_type(content_type: Option<&str>) -> Mime {
    content_type
        .and_then(|value| value.parse().ok())
        .unwrap_or(UNKNOWN)
}
