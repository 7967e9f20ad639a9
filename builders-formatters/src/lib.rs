//! Builders and formatters: bytes to the canonical message and back, by media type.
//!
//! One file per format, each with its parsing half, its writing half, its [`FormatSpec`] and its tests. To add
//! a format, write its file and name its `SPEC` in [`ALL`].

mod binary;
mod charset;
mod csv;
mod fields;
mod form;
mod json;
mod multipart;
mod problem;
mod soap;
#[cfg(test)]
mod testing;
mod text;
mod xml;

use engine::format::FormatSpec;

/// Every format of this crate, in the order of the documentation.
pub static ALL: &[FormatSpec] = &[
    json::SPEC,
    xml::SPEC,
    soap::SPEC,
    text::SPEC,
    form::SPEC,
    multipart::SPEC,
    csv::SPEC,
    binary::SPEC,
];

#[cfg(test)]
mod tests {
    use super::*;
    use engine::format::{FaultStyle, Formats};

    #[test]
    fn each_media_type_has_the_format_that_users_expect() {
        let formats = Formats::new(ALL);
        for (media, name) in [
            ("application/json", "json"),
            ("application/vnd.api+json; charset=utf-8", "json"),
            ("text/json", "json"),
            ("application/xml", "xml"),
            ("text/xml; charset=utf-8", "xml"),
            ("application/atom+xml", "xml"),
            ("application/soap+xml; action=\"urn:a\"", "soap"),
            ("text/plain", "text"),
            ("text/html; charset=utf-8", "text"),
            ("application/x-www-form-urlencoded", "form"),
            ("multipart/form-data; boundary=x", "multipart"),
            ("multipart/mixed; boundary=x", "multipart"),
            ("text/csv; header=present", "csv"),
            ("application/octet-stream", "binary"),
            ("image/png", "binary"),
        ] {
            let found = formats.find(&media.parse().unwrap()).unwrap();
            assert_eq!(found.name, name, "{media}");
        }
    }

    #[test]
    fn each_style_of_fault_has_one_format() {
        for style in [
            FaultStyle::Problem,
            FaultStyle::Soap11,
            FaultStyle::Soap12,
            FaultStyle::Xml,
            FaultStyle::Text,
        ] {
            let count = ALL
                .iter()
                .filter(|spec| spec.faults.is_some_and(|(styles, _)| styles.contains(&style)))
                .count();
            assert_eq!(count, 1, "{style:?}");
        }
    }
}
