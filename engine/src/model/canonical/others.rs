//! The forms of text, binary data, parts and rows.

use super::{names, refused};
use crate::fault::Fault;
use crate::model::{Part, Rows};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};
use xml::{Document, EditError, NodeId};

pub(super) fn base64(bytes: &[u8]) -> Json {
    Json::String(STANDARD.encode(bytes))
}

pub(super) fn parts_to_json(parts: &[Part]) -> Json {
    let parts = parts.iter().map(part_to_json).collect();
    Json::Object(Map::from_iter([("parts".to_owned(), Json::Array(parts))]))
}

fn part_to_json(part: &Part) -> Json {
    let content_type = part
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let mut entries = Map::new();
    let named = [
        ("name", part.name.as_deref()),
        ("file_name", part.file_name.as_deref()),
        ("content_type", content_type),
    ];
    for (key, value) in named {
        entries.extend(value.map(|value| (key.to_owned(), Json::from(value))));
    }
    match std::str::from_utf8(&part.content) {
        Ok(text) => drop(entries.insert("content".to_owned(), Json::from(text))),
        Err(_) => {
            entries.insert("content".to_owned(), base64(&part.content));
            entries.insert("encoding".to_owned(), Json::from("base64"));
        }
    }
    Json::Object(entries)
}

pub(super) fn rows_to_json(rows: &Rows) -> Json {
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().map(|cell| Json::from(cell.as_str()));
        Json::Object(rows.columns.iter().cloned().zip(cells).collect())
    };
    let rows = rows.rows.iter().map(row).collect();
    Json::Object(Map::from_iter([("rows".to_owned(), Json::Array(rows))]))
}

pub(super) fn rows_to_xml(rows: &Rows) -> Result<Document, Fault> {
    let mut document = Document::new();
    append_rows(&mut document, rows).map_err(refused)?;
    Ok(document)
}

fn append_rows(document: &mut Document, rows: &Rows) -> Result<(), EditError> {
    let names: Vec<_> = rows.columns.iter().map(|column| names::encode(column)).collect();
    let root = document.append_element(NodeId::DOCUMENT, "", "rows", "")?;
    for cells in &rows.rows {
        let row = document.append_element(root, "", "row", "")?;
        for (name, cell) in names.iter().zip(cells) {
            let element = document.append_element(row, "", name, "")?;
            document.append_text(element, cell)?;
        }
    }
    Ok(())
}
