//! The same schemas and documents through `xmllint --schema`: only the verdict is compared.

use super::cases::{CASES, DEPARTURES};
use crate::Document;
use crate::schema::{Schema, SchemaSource};
use std::fs;
use std::process::Command;

fn wrap(body: &str) -> String {
    let xs = "http://www.w3.org/2001/XMLSchema";
    match body.strip_prefix("T:") {
        Some(body) => format!(
            "<xs:schema xmlns:xs='{xs}' xmlns='urn:t' targetNamespace='urn:t' elementFormDefault='qualified'>{body}</xs:schema>"
        ),
        None => format!("<xs:schema xmlns:xs='{xs}'>{body}</xs:schema>"),
    }
}

#[test]
fn verdicts_are_those_of_libxml2() {
    let folder = tempfile::tempdir().unwrap();
    let (mut pairs, mut differences) = (0, Vec::new());
    for (body, documents) in CASES {
        let text = wrap(body);
        fs::write(folder.path().join("s.xsd"), &text).unwrap();
        let loader = |location: &str, _: &str| Err(format!("nothing is at {location}"));
        let schema = Schema::compile(SchemaSource::bytes("s.xsd", text), &loader)
            .unwrap_or_else(|error| panic!("{body}: {error}"));
        let names: Vec<String> = (0..documents.len()).map(|index| format!("{index}.xml")).collect();
        for (name, document) in names.iter().zip(*documents) {
            fs::write(folder.path().join(name), document).unwrap();
        }
        let output = Command::new("xmllint")
            .args(["--noout", "--nonet", "--schema", "s.xsd"])
            .args(&names)
            .current_dir(folder.path())
            .output()
            .expect("xmllint is needed: install libxml2-utils");
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        for (name, document) in names.iter().zip(*documents) {
            pairs += 1;
            let valid = output.lines().any(|line| line == format!("{name} validates"));
            let invalid = output
                .lines()
                .any(|line| line == format!("{name} fails to validate"));
            assert!(
                valid != invalid,
                "xmllint has no verdict on {document} by {body}:\n{output}"
            );
            let ours = schema.validate(&Document::parse_str(document).unwrap());
            let is_known = DEPARTURES
                .iter()
                .any(|(part, known, _)| known == document && body.contains(part));
            if ours.is_empty() != valid && !is_known {
                differences.push(format!(
                    "{document} by {body}\n  libxml2: {valid}, ours: {ours:?}\n"
                ));
            }
        }
    }
    assert!(pairs >= 200, "only {pairs} pairs");
    assert!(
        differences.is_empty(),
        "{} of {pairs} differ:\n{}",
        differences.len(),
        differences.concat()
    );
}
