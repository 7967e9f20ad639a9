//! The canonical model: what bytes of any media type parse to. Media types are open, models are closed.

pub mod canonical;
pub mod json;
pub mod soap;

use crate::fault::{Fault, FaultCode};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value as Json;
use std::borrow::Cow;

/// A parsed body.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "models are held behind an `Arc`; a box more would only add a hop"
)]
pub enum Model {
    /// A JSON value; numbers keep their digits and objects their order.
    Json(Json),
    /// An XML document, SOAP envelopes included.
    Xml(xml::Document),
    /// Text in any charset, decoded.
    Text(String),
    /// Bytes nobody understands.
    Binary(Bytes),
    /// The parts of a multipart body.
    Parts(Vec<Part>),
    /// Tabular data.
    Rows(Rows),
}

/// One part of a multipart body.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// The field name of `multipart/form-data`.
    pub name: Option<String>,
    /// The file name the sender gave; never a path to trust.
    pub file_name: Option<String>,
    /// The part's headers, `content-type` among them.
    pub headers: HeaderMap,
    /// The part's bytes.
    pub content: Bytes,
}

/// Tabular data: a header and rows of the same width, all text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Column names, in order.
    pub columns: Vec<String>,
    /// The cells of each row, as many as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Model {
    /// The kind in one word, for diagnostics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Json(_) => "json",
            Self::Xml(_) => "xml",
            Self::Text(_) => "text",
            Self::Binary(_) => "binary",
            Self::Parts(_) => "parts",
            Self::Rows(_) => "rows",
        }
    }

    /// The media type this model is written as when nothing else is said.
    #[must_use]
    pub fn default_media_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Xml(document) => {
                soap::version(document).map_or("application/xml", soap::Version::media_type)
            }
            Self::Text(_) => "text/plain; charset=utf-8",
            Self::Binary(_) => "application/octet-stream",
            Self::Parts(_) => "multipart/form-data",
            Self::Rows(_) => "text/csv",
        }
    }

    /// The model as JSON, by the canonical mapping.
    #[must_use]
    pub fn to_json(&self) -> Cow<'_, Json> {
        canonical::to_json(self)
    }

    /// The model as an XML document, by the canonical mapping.
    ///
    /// # Errors
    /// `gateway.transformation` where the model has no XML form (binary data).
    pub fn to_xml(&self) -> Result<Cow<'_, xml::Document>, Fault> {
        canonical::to_xml(self)
    }

    /// The model as text: JSON and XML are written out.
    ///
    /// # Errors
    /// `gateway.transformation` for binary data that is not UTF-8 and for multipart bodies.
    pub fn to_text(&self) -> Result<Cow<'_, str>, Fault> {
        let not_text =
            |what: &str| Fault::new(FaultCode::Transformation, format!("{what} has no text form."));
        match self {
            Self::Json(Json::String(text)) | Self::Text(text) => Ok(Cow::Borrowed(text)),
            Self::Json(value) => Ok(Cow::Owned(value.to_string())),
            Self::Xml(document) => Ok(Cow::Owned(document.to_string())),
            Self::Binary(bytes) => std::str::from_utf8(bytes)
                .map(Cow::Borrowed)
                .map_err(|_| not_text("Binary data")),
            Self::Parts(_) => Err(not_text("A multipart body")),
            Self::Rows(_) => Ok(Cow::Owned(self.to_json().to_string())),
        }
    }
}

impl From<Json> for Model {
    fn from(value: Json) -> Self {
        Self::Json(value)
    }
}

impl From<xml::Document> for Model {
    fn from(document: xml::Document) -> Self {
        Self::Xml(document)
    }
}
