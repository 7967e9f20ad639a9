//! Helper: What the tests of all formats do: parse, write, and expect a fault.

use bytes::Bytes;
use engine::fault::Fault;
use engine::format::{FormatLimits, FormatSpec, RenderedFault};
use engine::model::Model;

pub(crate) fn build_with(
    spec: &FormatSpec,
    media: &str,
    bytes: &[u8],
    limits: &FormatLimits,
) -> Result<Model, Fault> {
    spec.builder
        .build(&Bytes::copy_from_slice(bytes), &media.parse().unwrap(), limits)
}

pub(crate) fn build(spec: &FormatSpec, media: &str, bytes: &[u8]) -> Result<Model, Fault> {
    build_with(spec, media, bytes, &FormatLimits::default())
}

/// The bytes as text, and the media type where it changed.
pub(crate) fn format(
    spec: &FormatSpec,
    media: &str,
    model: &Model,
) -> Result<(String, Option<String>), Fault> {
    let formatted = spec.formatter.format(model, &media.parse().unwrap())?;
    Ok((
        String::from_utf8(formatted.bytes.to_vec()).unwrap(),
        formatted.media_type,
    ))
}

/// What the client reads of the fault.
pub(crate) fn refused(spec: &FormatSpec, media: &str, bytes: &[u8]) -> String {
    let fault = build(spec, media, bytes).expect_err("the body was accepted");
    format!("{}: {}", fault.name(), fault.message())
}

pub(crate) fn text(fault: &RenderedFault) -> String {
    format!(
        "{} {} {}",
        fault.status.as_u16(),
        fault.media_type,
        String::from_utf8_lossy(&fault.bytes)
    )
}
