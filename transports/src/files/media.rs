//! Media types by the extension of a name, and back.

const TYPES: [(&str, &str); 24] = [
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("csv", "text/csv"),
    ("txt", "text/plain; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ndjson", "application/x-ndjson"),
    ("jsonl", "application/x-ndjson"),
    ("tsv", "text/tab-separated-values"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("svg", "image/svg+xml"),
    ("xsd", "application/xml"),
    ("xsl", "application/xml"),
    ("wsdl", "application/xml"),
    ("edi", "application/edifact"),
    ("htm", "text/html; charset=utf-8"),
    ("log", "text/plain; charset=utf-8"),
];

/// What nobody knows.
pub(super) const BINARY: &str = "application/octet-stream";

/// The media type of a file of this name.
pub(crate) fn of_name(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(extension));
    known.map_or(BINARY, |(_, media_type)| media_type)
}

/// The extension for a media type.
pub(crate) fn extension(media_type: Option<&str>) -> &'static str {
    let essence = |text: &str| {
        text.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    };
    let Some(wanted) = media_type.map(essence) else {
        return "bin";
    };
    let known = TYPES.iter().find(|(_, media_type)| essence(media_type) == wanted);
    match known {
        Some((extension, _)) => extension,
        None if wanted.ends_with("+json") => "json",
        None if wanted.ends_with("/xml") || wanted.ends_with("+xml") => "xml",
        None => "bin",
    }
}
