//! Comma-separated values (RFC 4180) as rows of text.

use crate::charset;
use crate::fields::{self, fault};
use ::csv::{ErrorKind, QuoteStyle, ReaderBuilder, StringRecord, Terminator, WriterBuilder};
use bytes::Bytes;
use engine::fault::{Fault, FaultCode};
use engine::format::{Builder, FormatLimits, FormatSpec, Formatted, Formatter};
use engine::model::json::Malformed;
use engine::model::{Model, Rows};
use mime::Mime;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::HashSet;

pub(crate) const SPEC: FormatSpec = FormatSpec {
    name: "csv",
    docs: "Comma-separated values (RFC 4180): a header row, then rows of the same width.\n\n\
        Parameters of the media type: `delimiter` (one ASCII character, or `tab`), `charset`, and `header=absent` where there is \
        no header row: columns are then called `column_1` and so on. A row of another width is refused with its line. An array \
        of flat objects is written with one column per key.",
    media_types: &["text/csv"],
    builder: &CsvFormat,
    formatter: &CsvFormat,
    faults: None,
};

struct CsvFormat;

impl Builder for CsvFormat {
    fn build(&self, bytes: &Bytes, media: &Mime, _limits: &FormatLimits) -> Result<Model, Fault> {
        let text = charset::decode(bytes, media, "CSV")?;
        let delimiter = delimiter(media, FaultCode::UnsupportedMediaType)?;
        let (mut records, last) = records(&text, delimiter)?;
        if let Some(start) = last.filter(|start| !is_closed(&text[*start..], delimiter)) {
            return Err(malformed(&text, start, "a quoted cell of the row has no end"));
        }
        let columns = match records.first() {
            Some(first) if !has_header(media) => (1..=first.len())
                .map(|number| format!("column_{number}"))
                .collect(),
            Some(_) => columns(&text, records.remove(0))?,
            None => Vec::new(),
        };
        Ok(Model::Rows(Rows {
            columns,
            rows: records,
        }))
    }
}

/// All records, and where the last one begins.
fn records(text: &str, delimiter: u8) -> Result<(Vec<Vec<String>>, Option<usize>), Fault> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let (mut records, mut last) = (Vec::new(), None);
    while reader
        .read_record(&mut record)
        .map_err(|error| unreadable(&error))?
    {
        last = record
            .position()
            .and_then(|position| usize::try_from(position.byte()).ok());
        records.push(record.iter().map(str::to_owned).collect());
    }
    Ok((records, last))
}

/// Whether a row more would be a row of its own, that is, whether no quote is open at the end.
fn is_closed(last_row: &str, delimiter: u8) -> bool {
    let probe = [last_row, "\nx"].concat();
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(probe.as_bytes());
    reader.records().count() > 1
}

fn columns(text: &str, names: Vec<String>) -> Result<Vec<String>, Fault> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => {
            let shown: String = name.chars().take(40).collect();
            Err(malformed(text, 0, &format!("the column `{shown}` comes twice")))
        }
        None => Ok(names),
    }
}

fn malformed(text: &str, offset: usize, message: &str) -> Fault {
    // A row begins after the line break that its position may still count.
    let breaks = text[offset..]
        .bytes()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    Malformed::at(text.as_bytes(), offset + breaks, message).into_fault("CSV")
}

fn unreadable(error: &::csv::Error) -> Fault {
    let line = error.position().map_or(1, ::csv::Position::line);
    let message = match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("the row has {len} cells, the first one {expected_len}")
        }
        _ => "the row cannot be read".to_owned(),
    };
    let line = usize::try_from(line).unwrap_or(usize::MAX);
    Malformed {
        line,
        column: 1,
        message,
    }
    .into_fault("CSV")
}

fn delimiter(media: &Mime, code: FaultCode) -> Result<u8, Fault> {
    let Some(given) = media.get_param("delimiter") else {
        return Ok(b',');
    };
    match given.as_str().as_bytes() {
        b"tab" => Ok(b'\t'),
        [one] if one.is_ascii() && !matches!(one, b'"' | b'\r' | b'\n') => Ok(*one),
        _ => Err(Fault::new(
            code,
            "The delimiter of the media type is not one ASCII character.",
        )),
    }
}

fn has_header(media: &Mime) -> bool {
    media
        .get_param("header")
        .is_none_or(|header| header.as_str() != "absent")
}

impl Formatter for CsvFormat {
    fn format(&self, model: &Model, media: &Mime) -> Result<Formatted, Fault> {
        if let Model::Text(text) = model {
            let bytes = charset::encode(text.clone(), media)?.into();
            return Ok(Formatted {
                bytes,
                media_type: None,
            });
        }
        let rows = match model {
            Model::Rows(rows) => Cow::Borrowed(rows),
            _ => Cow::Owned(rows_of(&model.to_json())?),
        };
        let mut writer = WriterBuilder::new()
            .delimiter(delimiter(media, FaultCode::Transformation)?)
            .terminator(Terminator::CRLF)
            .quote_style(QuoteStyle::Necessary)
            .from_writer(Vec::new());
        let header = Some(&rows.columns).filter(|columns| has_header(media) && !columns.is_empty());
        for cells in header.into_iter().chain(&rows.rows) {
            writer
                .write_record(cells)
                .map_err(|_| fault("The rows are not all of the same width."))?;
        }
        let bytes = writer
            .into_inner()
            .map_err(|_| fault("The rows cannot be written."))?;
        let text = String::from_utf8(bytes).map_err(|_| fault("The rows cannot be written."))?;
        Ok(Formatted {
            bytes: charset::encode(text, media)?.into(),
            media_type: None,
        })
    }
}

/// Rows of an array of flat objects, or of an object whose only leaf of arrays holds them: `{"rows": [..]}`
/// and what `<rows><row>..</row></rows>` maps to.
fn rows_of(value: &Json) -> Result<Rows, Fault> {
    let objects = objects(value).ok_or_else(|| fault("Only an array of objects can be written as CSV."))?;
    let mut columns: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    for entries in &objects {
        columns.extend(entries.keys().filter(|key| seen.insert(key.as_str())).cloned());
    }
    let row = |entries: &&serde_json::Map<String, Json>| -> Result<Vec<String>, Fault> {
        let cell = |column: &String| match entries.get(column).map(fields::scalar) {
            None => Ok(String::new()),
            Some(Some(text)) => Ok(text.into_owned()),
            Some(None) => Err(fault(format!(
                "The value of `{column}` is nested deeper than CSV can hold."
            ))),
        };
        columns.iter().map(cell).collect()
    };
    let rows = objects.iter().map(row).collect::<Result<_, _>>()?;
    Ok(Rows { columns, rows })
}

fn objects(value: &Json) -> Option<Vec<&serde_json::Map<String, Json>>> {
    let mut value = value;
    // An envelope around the rows has one key: `rows`, and `row` below it in XML.
    for _ in 0..2 {
        match value {
            Json::Object(entries) if entries.len() == 1 => match entries.values().next() {
                Some(inside @ (Json::Array(_) | Json::Object(_))) => value = inside,
                _ => break,
            },
            _ => break,
        }
    }
    fields::values(value).iter().map(Json::as_object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, format, refused};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn text_is_taken_for_csv_already() {
        let text = "a;b\n1;2\n".to_owned();
        assert_eq!(
            format(&SPEC, "text/csv", &Model::Text(text.clone())).unwrap(),
            (text, None)
        );
    }

    fn rows(media: &str, body: &[u8]) -> Rows {
        match build(&SPEC, media, body).unwrap_or_else(|fault| panic!("{fault}")) {
            Model::Rows(rows) => rows,
            other => panic!("{}", other.kind()),
        }
    }

    fn given(columns: &[&str], cells: &[&[&str]]) -> Rows {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Rows {
            columns: owned(columns),
            rows: cells.iter().map(|cells| owned(cells)).collect(),
        }
    }

    #[test]
    fn rows_come_out_as_they_went_in() {
        let body = "id,name\r\n1,\"a, \"\"b\"\"\"\r\n2,\"line\r\nbreak\"\r\n3,\r\n";
        let expected = given(
            &["id", "name"],
            &[&["1", "a, \"b\""], &["2", "line\r\nbreak"], &["3", ""]],
        );
        assert_eq!(rows("text/csv", body.as_bytes()), expected);
        assert_eq!(
            format(&SPEC, "text/csv", &Model::Rows(expected)).unwrap(),
            (body.to_owned(), None)
        );
        assert_eq!(rows("text/csv", b"\xEF\xBB\xBFa\n1"), given(&["a"], &[&["1"]]));
        assert_eq!(rows("text/csv", b""), Rows::default());
    }

    #[test]
    fn parameters_say_delimiter_charset_and_header() {
        let semicolon = "text/csv; delimiter=\";\"; charset=iso-8859-1; header=absent";
        let expected = given(&["column_1", "column_2"], &[&["\u{E9}", "1,5"]]);
        assert_eq!(rows(semicolon, b"\xE9;1,5\r\n"), expected);
        let written = SPEC
            .formatter
            .format(&Model::Rows(expected), &semicolon.parse().unwrap())
            .unwrap();
        assert_eq!(&written.bytes[..], b"\xE9;1,5\r\n");
        assert_eq!(
            rows("text/csv; delimiter=tab", b"a\tb\n1\t2"),
            given(&["a", "b"], &[&["1", "2"]])
        );
        assert!(refused(&SPEC, "text/csv; delimiter=ab", b"x").starts_with("client.unsupported_media_type"));
    }

    #[test]
    fn malformed_rows_are_refused_with_their_line() {
        for (body, expected) in [
            (
                "a,b\n1,2\n3\n",
                "line 3, column 1: the row has 1 cells, the first one 2",
            ),
            (
                "a,b\n1,2,3\n",
                "line 2, column 1: the row has 3 cells, the first one 2",
            ),
            (
                "a\n1\n\"2\n3\n",
                "line 3, column 1: a quoted cell of the row has no end",
            ),
            ("a,b,a\n", "line 1, column 1: the column `a` comes twice"),
        ] {
            let expected = format!("client.malformed_body: The body is not valid CSV: {expected}.");
            assert_eq!(refused(&SPEC, "text/csv", body.as_bytes()), expected, "{body:?}");
        }
        assert!(refused(&SPEC, "text/csv", b"a\n\xFF").contains("line 2, column 1: the text is not UTF-8"));
    }

    #[test]
    fn objects_are_rows() {
        let expected = "id,name,more\r\n1,a,\r\n2,,true\r\n";
        let value = json!([{ "id": 1, "name": "a" }, { "id": 2, "name": null, "more": true }]);
        assert_eq!(
            format(&SPEC, "text/csv", &Model::Json(value.clone())).unwrap().0,
            expected
        );
        assert_eq!(
            format(&SPEC, "text/csv", &Model::Json(json!({ "rows": value })))
                .unwrap()
                .0,
            expected
        );
        let xml = "<rows><row><id>1</id></row><row><id>2</id></row></rows>";
        let xml = Model::Xml(::xml::Document::parse_str(xml).unwrap());
        assert_eq!(format(&SPEC, "text/csv", &xml).unwrap().0, "id\r\n1\r\n2\r\n");
        for value in [json!([1]), json!("a"), json!([{ "a": [1] }])] {
            assert_eq!(
                format(&SPEC, "text/csv", &Model::Json(value)).unwrap_err().code(),
                FaultCode::Transformation
            );
        }
    }

    proptest! {
        #[test]
        fn any_rows_survive(width in 1..4_usize, cells in prop::collection::vec("[a\",\r\n é]{0,4}", 0..12)) {
            let columns = (0..width).map(|index| format!("c{index}")).collect();
            let written = Rows { columns, rows: cells.chunks_exact(width).map(<[String]>::to_vec).collect() };
            let (body, _) = format(&SPEC, "text/csv", &Model::Rows(written.clone())).unwrap();
            prop_assert_eq!(rows("text/csv", body.as_bytes()), written);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[a\",;\r\n]{0,30}") {
            let _ = build(&SPEC, "text/csv", &bytes);
            let _ = build(&SPEC, "text/csv", text.as_bytes());
        }
    }
}
