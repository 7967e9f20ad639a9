//! Bodies as browsers and other gateways write them.

use super::*;
use crate::testing::{build, build_with, format, refused};
use engine::fault::FaultCode;
use engine::model::Part;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use proptest::prelude::*;
use serde_json::json;

const TYPE: &str = "multipart/form-data; boundary=XX";

const BROWSER: &str = "--XX\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHello\r\nworld\r\n--XX\r\n\
    Content-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a%22b.txt\"\r\nContent-Type: text/plain\r\n\r\n\
    \r\n--X\r\n\r\n--XX--\r\n";

fn parts(media: &str, body: &[u8]) -> Vec<Part> {
    match build(&SPEC, media, body).unwrap_or_else(|fault| panic!("{fault}")) {
        Model::Parts(parts) => parts,
        other => panic!("{}", other.kind()),
    }
}

#[test]
fn a_form_of_a_browser_is_read() {
    let found = parts(TYPE, BROWSER.as_bytes());
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].name.as_deref(), &found[0].content[..]),
        (Some("title"), &b"Hello\r\nworld"[..])
    );
    assert_eq!(found[1].file_name.as_deref(), Some("C:\\dir\\a%22b.txt"));
    assert_eq!(found[1].content, "\r\n--X\r\n");
    assert_eq!(
        found[1].headers.get(CONTENT_TYPE),
        Some(&HeaderValue::from_static("text/plain"))
    );
    assert!(
        found[1].headers.get(CONTENT_DISPOSITION).is_none(),
        "its names stand in the part"
    );
}

#[test]
fn odd_but_valid_bodies_are_read() {
    let body = b"preamble\r\n--XX \t\r\n\r\n\r\n--XX\r\nA: b\r\n\r\n--XX--epilogue";
    let found = parts("multipart/mixed; boundary=\"XX\"", body);
    assert_eq!(
        found.iter().map(|part| part.content.len()).collect::<Vec<_>>(),
        [0, 0]
    );
    assert!(parts("multipart/mixed; boundary=XX", b"--XX--").is_empty());
    let names = b"--XX\r\nContent-Disposition: attachment; filename=a.txt; filename*=UTF-8''na%C3%AFve.txt\r\n\r\nx\r\n--XX--";
    let found = parts("multipart/mixed; boundary=XX", names);
    assert_eq!(found[0].file_name.as_deref(), Some("naïve.txt"));
    assert!(
        found[0].headers.get(CONTENT_DISPOSITION).is_some(),
        "it says more than a form would"
    );
    let quoted = b"--XX\r\ncontent-disposition: form-data; name=\"a\\\"b;c\" ; x=y\r\n\r\n\r\n--XX--";
    assert_eq!(parts(TYPE, quoted)[0].name.as_deref(), Some("a\"b;c"));
}

#[test]
fn malformed_bodies_are_refused_with_their_position() {
    for (body, expected) in [
        ("", "line 1, column 1: the boundary does not occur"),
        (
            "--YY\r\n\r\n--YY--",
            "line 1, column 1: the boundary does not occur",
        ),
        ("--XX\r\n\r\nabc", "line 2, column 1: the part has no end"),
        ("--XX\r\nA: b", "line 2, column 1: the header line has no end"),
        (
            "--XX\r\nno header\r\n\r\n\r\n--XX--",
            "line 2, column 1: the header line cannot be read",
        ),
        (
            "--XX\r\nA: b\r\n: c\r\n\r\n\r\n--XX--",
            "line 3, column 1: the header line cannot be read",
        ),
        (
            "--XX\r\n\r\n\r\n--XXY",
            "line 4, column 5: expected a line break after the boundary",
        ),
        (
            "--XX\r\n\r\na\r\n--XX\r\n",
            "line 5, column 1: the header line has no end",
        ),
        (
            "--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\n\r\n--XX--",
            "line 2, column 1: the content-disposition cannot be read",
        ),
    ] {
        let expected = format!("client.malformed_body: The body is not valid multipart data: {expected}.");
        assert_eq!(refused(&SPEC, TYPE, body.as_bytes()), expected, "{body:?}");
    }
    assert!(refused(&SPEC, "multipart/form-data", b"--XX--").contains("has no boundary"));
}

#[test]
fn parts_and_headers_are_limited() {
    let limits = FormatLimits {
        parts: 1,
        ..FormatLimits::default()
    };
    assert_eq!(
        build_with(&SPEC, TYPE, BROWSER.as_bytes(), &limits)
            .unwrap_err()
            .code(),
        FaultCode::MalformedBody
    );
    let many = format!("--XX\r\n{}\r\n\r\n--XX--", "A: b\r\n".repeat(33));
    assert!(refused(&SPEC, TYPE, many.as_bytes()).contains("too large"));
    let long = format!("--XX\r\nA: {}\r\n\r\n\r\n--XX--", "b".repeat(17 << 10));
    assert!(refused(&SPEC, TYPE, long.as_bytes()).contains("has no end"));
}

#[test]
fn parts_are_written_with_a_boundary_of_their_own() {
    let file = Part {
        name: Some("f".into()),
        file_name: Some("a\"b\r\n.txt".into()),
        headers: [(CONTENT_TYPE, HeaderValue::from_static("text/plain"))]
            .into_iter()
            .collect(),
        content: "data".into(),
    };
    let (body, media) = format(
        &SPEC,
        "multipart/form-data; boundary=XX",
        &Model::Parts(vec![file]),
    )
    .unwrap();
    let media = media.unwrap();
    let boundary = media.strip_prefix("multipart/form-data; boundary=").unwrap();
    let expected = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a%22b%0D%0A.txt\"\r\n\
         content-type: text/plain\r\n\r\ndata\r\n--{boundary}--\r\n"
    );
    assert_eq!(body, expected);
    let related = format(
        &SPEC,
        "multipart/related; boundary=XX; type=\"text/xml\"",
        &Model::Parts(Vec::new()),
    )
    .unwrap();
    assert!(
        related
            .1
            .unwrap()
            .starts_with("multipart/related; type=\"text/xml\"; boundary=mediary-")
    );
}

#[test]
fn an_object_is_written_as_fields() {
    let value = json!({ "a": [1, "x"], "o": { "b": true }, "n": null });
    let (body, media) = format(&SPEC, "multipart/form-data", &Model::Json(value)).unwrap();
    let found = parts(&media.unwrap(), body.as_bytes());
    let fields: Vec<_> = found
        .iter()
        .map(|part| (part.name.as_deref().unwrap(), &part.content[..]))
        .collect();
    assert_eq!(
        fields,
        [("a", &b"1"[..]), ("a", b"x"), ("o", b"{\"b\":true}"), ("n", b"")]
    );
    assert_eq!(found[2].headers[CONTENT_TYPE], "application/json");
    assert_eq!(
        format(&SPEC, "multipart/form-data", &Model::Text("a".into()))
            .unwrap_err()
            .code(),
        FaultCode::Transformation
    );
}

proptest! {
    #[test]
    fn any_parts_survive(contents in prop::collection::vec(("[a-z é]{0,8}", prop::collection::vec(any::<u8>(), 0..40)), 0..5)) {
        let written: Vec<Part> = contents
            .iter()
            .map(|(name, content)| Part { name: Some(name.clone()), content: content.clone().into(), ..Part::default() })
            .collect();
        let formatted = SPEC.formatter.format(&Model::Parts(written), &"multipart/form-data".parse().unwrap()).unwrap();
        let read = parts(&formatted.media_type.unwrap(), &formatted.bytes);
        let read: Vec<_> = read.into_iter().map(|part| (part.name.unwrap(), part.content.to_vec())).collect();
        prop_assert_eq!(read, contents);
    }

    #[test]
    fn hostile_bytes_never_panic(pieces in prop::collection::vec("(--XX|--|\r\n|\r|\n|:|;|=|\"|name|content-disposition|[ a]|\\PC)", 0..24)) {
        let body = format!("--XX{}", pieces.concat());
        let _ = build(&SPEC, TYPE, body.as_bytes());
        let _ = build(&SPEC, TYPE, pieces.concat().as_bytes());
    }
}
