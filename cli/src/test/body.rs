//! Bodies that tests send, reply with and expect: in place or from a file beside the test.

use super::definition::Content;
use bytes::Bytes;
use engine::config::{Diagnostic, Sources, Span, Text};
use std::path::{Path, PathBuf};

/// A body and its media type.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// The bytes; `None` for no body at all.
    pub bytes: Option<Bytes>,
    /// The media type, where it is known.
    pub content_type: Option<String>,
}

/// The body of a request or reply.
///
/// # Errors
/// A file that cannot be read.
pub fn load(content: Content<'_>, sources: &Sources) -> Result<Body, Box<Diagnostic>> {
    let (bytes, content_type) = if let Some(json) = content.json {
        let from_file = json
            .as_str()
            .filter(|text| text.starts_with(FILE))
            .and_then(|_| Text::from_node(json));
        match from_file {
            Some(text) => typed(&text, sources, "application/json")?,
            None => (
                json.to_json().to_string().into(),
                Some("application/json".to_owned()),
            ),
        }
    } else if let Some(text) = content.xml {
        typed(text, sources, "application/xml")?
    } else if let Some(text) = content.text {
        typed(text, sources, "text/plain; charset=utf-8")?
    } else if let Some(form) = content.form {
        let mut fields = form_urlencoded::Serializer::new(String::new());
        fields.extend_pairs(form.iter().map(|(name, _, value)| (name, value.as_str())));
        let content_type = "application/x-www-form-urlencoded".to_owned();
        (fields.finish().into(), Some(content_type))
    } else if let Some(file) = content.file {
        read(file.as_str(), file.span(), sources)?
    } else if let Some(text) = content.body {
        text_or_file(text, sources)?
    } else {
        return Ok(Body {
            bytes: None,
            content_type: content.content_type.map(|text| text.as_str().to_owned()),
        });
    };
    let content_type = content
        .content_type
        .map(|text| text.as_str().to_owned())
        .or(content_type);
    Ok(Body {
        bytes: Some(bytes),
        content_type,
    })
}

/// A text of a media type, or a file that may have another one.
fn typed(
    text: &Text,
    sources: &Sources,
    media_type: &str,
) -> Result<(Bytes, Option<String>), Box<Diagnostic>> {
    let (bytes, from_file) = text_or_file(text, sources)?;
    Ok((bytes, from_file.or_else(|| Some(media_type.to_owned()))))
}

const FILE: &str = "file:";

/// A text, or the content of the file it names, with the media type of the file's name.
///
/// # Errors
/// A file that cannot be read.
pub fn text_or_file(text: &Text, sources: &Sources) -> Result<(Bytes, Option<String>), Box<Diagnostic>> {
    match text.as_str().strip_prefix(FILE) {
        Some(name) => read(name.trim(), text.span(), sources),
        None => Ok((Bytes::from(text.as_str().to_owned()), None)),
    }
}

fn read(name: &str, span: Span, sources: &Sources) -> Result<(Bytes, Option<String>), Box<Diagnostic>> {
    let path = folder(span, sources).join(name);
    let bytes = std::fs::read(&path).map_err(|error| {
        let help = "paths are relative to the file of the test";
        Diagnostic::error(
            "config.bad_file",
            span,
            format!("`{name}` cannot be read: {error}"),
        )
        .help(help)
    })?;
    Ok((bytes.into(), media_type(&path)))
}

/// The folder of the test file; a source is named by its path.
fn folder(span: Span, sources: &Sources) -> PathBuf {
    let file = Path::new(sources.name(span.source));
    file.parent().unwrap_or(Path::new("")).to_owned()
}

fn media_type(path: &Path) -> Option<String> {
    let media_type = match path.extension()?.to_str()? {
        "json" => "application/json",
        "xml" => "application/xml",
        "csv" => "text/csv; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    };
    Some(media_type.to_owned())
}
