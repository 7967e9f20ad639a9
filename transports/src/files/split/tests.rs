//! Every format through the reader of parts, with the file cut into chunks at every byte.

use super::config::{Into, Split};
use super::elements::Name;
use super::parts::{Part, Parts, Place, Trouble};
use engine::fault::Fault;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// Content that comes in two pieces and then by `step` bytes.
struct Chunks {
    bytes: Vec<u8>,
    at: usize,
    first: usize,
    step: usize,
}

impl AsyncRead for Chunks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let wanted = if self.at < self.first {
            self.first - self.at
        } else {
            self.step
        };
        let length = wanted.min(self.bytes.len() - self.at).min(buffer.remaining());
        let at = self.at;
        buffer.put_slice(&self.bytes[at..at + length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

fn file(
    split: &Split,
    media_type: &str,
    bytes: &[u8],
    chunks: (usize, usize),
    from: &Place,
    index: u64,
) -> Parts {
    let rest = usize::try_from(from.offset).unwrap();
    let content = Box::pin(Chunks {
        bytes: bytes[rest..].to_vec(),
        at: 0,
        first: chunks.0,
        step: chunks.1,
    });
    Parts::new(
        split,
        split.scanner(media_type),
        content,
        bytes.len() as u64,
        from,
        index,
    )
}

fn drained(mut parts: Parts) -> (Vec<Part>, Option<Fault>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move {
        let mut all = Vec::new();
        loop {
            match parts.next().await {
                Ok(Some(part)) => all.push(part),
                Ok(None) => return (all, None),
                Err(Trouble::Bad(fault)) => return (all, Some(fault)),
                Err(Trouble::Unreadable(error)) => panic!("{error}"),
            }
        }
    })
}

fn texts(parts: &[Part]) -> Vec<String> {
    parts
        .iter()
        .map(|part| String::from_utf8_lossy(&part.bytes).into_owned())
        .collect()
}

/// The parts of a file, the same however it is cut, and the same again from each of them on.
#[track_caller]
fn cut_everywhere(split: &Split, media_type: &str, bytes: &[u8]) -> (Vec<String>, Option<String>) {
    let beginning = Place::default();
    let (whole, fault) = drained(file(split, media_type, bytes, (usize::MAX, 1), &beginning, 0));
    let (expected, fault) = (texts(&whole), fault.map(|fault| fault.to_string()));
    for first in 0..=bytes.len() {
        let (parts, again) = drained(file(split, media_type, bytes, (first, usize::MAX), &beginning, 0));
        assert_eq!(texts(&parts), expected, "cut at {first}");
        assert_eq!(again.map(|fault| fault.to_string()), fault, "cut at {first}");
    }
    for step in 1..4 {
        let (parts, again) = drained(file(split, media_type, bytes, (0, step), &beginning, 0));
        assert_eq!(texts(&parts), expected, "{step} bytes at a time");
        assert_eq!(
            again.map(|fault| fault.to_string()),
            fault,
            "{step} bytes at a time"
        );
    }
    for (index, part) in whole.iter().enumerate() {
        assert_eq!(part.index, index as u64);
        let resumed = file(split, media_type, bytes, (0, 3), &part.place, part.index);
        let (rest, _) = drained(resumed);
        assert_eq!(texts(&rest), expected[index..], "from part {index} on");
        assert_eq!(rest[0].index, part.index);
    }
    (expected, fault)
}

#[track_caller]
fn good(split: &Split, media_type: &str, text: &str) -> Vec<String> {
    let (parts, fault) = cut_everywhere(split, media_type, text.as_bytes());
    assert_eq!(fault, None);
    parts
}

fn lines() -> Split {
    Split::of(Into::Lines, None, &[], 1, 100)
}

fn rows() -> Split {
    Split::of(Into::Rows, None, &[], 1, 100)
}

fn items(at: &[&str]) -> Split {
    Split::of(Into::Items, None, at, 1, 100)
}

fn elements(namespace: Option<&str>, local: &str) -> Split {
    let name = Name {
        namespace: namespace.map(str::to_owned),
        local: local.to_owned(),
    };
    Split::of(Into::Elements, Some(name), &[], 1, 200)
}

#[test]
fn lines_come_without_their_breaks() {
    assert_eq!(good(&lines(), "", "a\nb\r\n\n\r\nc d\n"), ["a", "b", "c d"]);
    assert_eq!(good(&lines(), "", "\u{FEFF}ä\rb\nlast"), ["ä\rb", "last"]);
    assert_eq!(good(&lines(), "", ""), Vec::<String>::new());
    let three = Split::of(Into::Lines, None, &[], 3, 100);
    assert_eq!(good(&three, "", "1\n2\r\n3\n4\n"), ["1\n2\n3", "4"]);
}

#[test]
fn rows_come_with_the_header() {
    let text = "\u{FEFF}id,text\r\n1,\"a\nb \"\"c\"\" , d\"\r\n\r\n2,x\"y\n3,\"\"\n4,last";
    let expected = [
        "id,text\r\n1,\"a\nb \"\"c\"\" , d\"\r\n",
        "id,text\r\n2,x\"y\n",
        "id,text\r\n3,\"\"\n",
        "id,text\r\n4,last",
    ];
    assert_eq!(good(&rows(), "text/csv", text), expected);
    assert_eq!(good(&rows(), "text/csv", "id\r1\r2\r"), ["id\r1\r", "id\r2\r"]);
    assert_eq!(
        good(&rows(), "text/csv; header=absent", "1,2\n3,4\n"),
        ["1,2\n", "3,4\n"]
    );
    assert_eq!(
        good(&rows(), "text/csv; delimiter=\";\"", "a;b\n\"1;\n\";2\n"),
        ["a;b\n\"1;\n\";2\n"]
    );
    assert_eq!(
        good(&rows(), "text/tab-separated-values", "a\tb\n1\t\"\n\"\n"),
        ["a\tb\n1\t\"\n\"\n"]
    );
    for empty in ["", "id,text", "id,text\n", "\r\n\n"] {
        assert_eq!(
            good(&rows(), "text/csv", empty),
            Vec::<String>::new(),
            "{empty:?}"
        );
    }
    let two = Split::of(Into::Rows, None, &[], 2, 100);
    assert_eq!(good(&two, "text/csv", "h\n1\n2\n3\n"), ["h\n1\n2\n", "h\n3\n"]);
    let narrow = Split::of(Into::Rows, None, &[], 100, 8);
    assert_eq!(
        good(&narrow, "text/csv", "h\n11\n22\n33\n"),
        ["h\n11\n", "h\n22\n", "h\n33\n"]
    );
}

/// What the CSV format makes of the parts is what it makes of the file.
#[test]
fn rows_end_where_the_reader_of_csv_ends_them() {
    let cells = [
        "",
        "a",
        "\"",
        "\"\"",
        "\"q\"",
        "\"a\nb\"",
        "x\"y",
        "\"a\"b",
        "\"a\"\"\n\"",
        "\r",
    ];
    for first in cells {
        for second in cells {
            for break_ in ["\n", "\r\n", "\r"] {
                let text = format!("h,i{break_}{first},{second}{break_}1,2{break_}{second},{first}{break_}");
                let (parts, _) = cut_everywhere(&rows(), "text/csv", text.as_bytes());
                let read = |text: &str| -> Vec<Vec<String>> {
                    let mut reader = csv::ReaderBuilder::new()
                        .flexible(true)
                        .from_reader(text.as_bytes());
                    let rows = reader
                        .records()
                        .map(|row| row.unwrap().iter().map(str::to_owned).collect());
                    rows.collect()
                };
                let one_by_one: Vec<_> = parts.iter().flat_map(|part| read(part)).collect();
                let mut whole = read(&text);
                if one_by_one.len() < whole.len() {
                    // A cell that has no end is a fault here; the reader ends it with the file.
                    whole.truncate(one_by_one.len());
                    let (_, fault) = cut_everywhere(&rows(), "text/csv", text.as_bytes());
                    assert!(fault.is_some_and(|fault| fault.contains("no end")), "{text:?}");
                }
                assert_eq!(one_by_one, whole, "{text:?}");
            }
        }
    }
}

#[test]
fn items_come_as_they_are() {
    let text = " [ {\"a\": [1, \"]\\\"}\"]} ,2,\"x,\\\\\",null , [[]],-1.5e3\n]\n";
    let expected = [
        "{\"a\": [1, \"]\\\"}\"]}",
        "2",
        "\"x,\\\\\"",
        "null",
        "[[]]",
        "-1.5e3",
    ];
    assert_eq!(good(&items(&[]), "application/json", text), expected);
    assert_eq!(good(&items(&[]), "application/json", "[]"), Vec::<String>::new());
    let text = r#"{"n":{"o":[9]},"s":"[","d\u0061ta":{"x":[1,{"o":1}],"o":[1,{"o":2}],"z":3},"t":[4]}"#;
    assert_eq!(
        good(&items(&["data", "o"]), "application/json", text),
        ["1", "{\"o\":2}"]
    );
    let two = Split::of(Into::Items, None, &[], 2, 100);
    assert_eq!(good(&two, "application/json", "[1, 2,3]"), ["[1,2]", "[3]"]);
}

#[test]
fn elements_come_with_their_namespaces() {
    let text = "<?xml version=\"1.0\"?>\n<!-- <o> --><a:list xmlns:a='urn:a' xmlns=\"urn:d\" x='>'><?p <o>?><![CDATA[<o>]]>\
        <o n=\"<>/\" >1<o/><!-- </o> --><![CDATA[</o>]]></o>t<in xmlns='' xmlns:a='urn:b'><o/></in><o xmlns='urn:e'>2</o ></a:list >\n";
    let expected = [
        "<o xmlns:a=\"urn:a\" xmlns=\"urn:d\" n=\"<>/\" >1<o/><!-- </o> --><![CDATA[</o>]]></o>",
        "<o xmlns:a=\"urn:b\"/>",
        "<o xmlns:a=\"urn:a\" xmlns='urn:e'>2</o >",
    ];
    assert_eq!(good(&elements(None, "o"), "application/xml", text), expected);
    assert_eq!(
        good(&elements(Some("urn:e"), "o"), "application/xml", text),
        expected[2..]
    );
    assert_eq!(
        good(&elements(Some("urn:d"), "o"), "application/xml", text),
        expected[..1]
    );
    assert_eq!(
        good(&elements(None, "r"), "application/xml", "<r>1</r>"),
        ["<r>1</r>"]
    );
    let latin = "<?xml version='1.0' encoding='ISO-8859-1'?><r><o>1</o></r>";
    let expected = ["<?xml version='1.0' encoding='ISO-8859-1'?><o>1</o>"];
    assert_eq!(good(&elements(None, "o"), "application/xml", latin), expected);
}

#[test]
fn malformed_files_are_told_with_the_place() {
    let o = elements(None, "o");
    for (split, text, parts, told) in [
        (rows(), "h\n1\n\"2", 1, "at byte 4: a quoted cell"),
        (items(&[]), "", 0, "the file is empty"),
        (items(&[]), "{}", 0, "the document is no array"),
        (items(&["a"]), "{\"b\":1}", 0, "the document has no key `a`"),
        (items(&["a"]), "{\"a\":{}}", 0, "`a` is no array"),
        (items(&["a"]), "{\"a", 0, "in the middle of a key or a value"),
        (items(&[]), "[1 2]", 1, "at byte 3: `2` is not expected"),
        (items(&[]), "[1,]", 1, "at byte 3: `]`"),
        (items(&[]), "[1,{\"a\":", 1, "in the middle of a key or a value"),
        (items(&[]), "[1] x", 1, "at byte 4: `x`"),
        (
            items(&["a"]),
            "{\"a\":[1]",
            1,
            "in the middle of a key or a value",
        ),
        (o, "<r><o>1</o><o>", 1, "too early"),
        (elements(None, "o"), "<r><o>1</o>", 1, "too early"),
        (elements(None, "o"), "<r><o>1</o></s>", 1, "another name"),
        (elements(None, "o"), "<r/><r/>", 0, "second root"),
        (elements(None, "o"), "<!DOCTYPE r><r/>", 0, "document type"),
        (elements(None, "o"), "id,text\n1,2\n", 0, "text outside"),
        (elements(None, "o"), "", 0, "no root element"),
        (lines(), "\u{FFFE}", 0, ""),
    ] {
        let (found, fault) = cut_everywhere(&split, "", text.as_bytes());
        if told.is_empty() {
            continue;
        }
        assert_eq!(found.len(), parts, "{text:?}");
        assert!(
            fault.as_deref().is_some_and(|fault| fault.contains(told)),
            "{text:?}: {fault:?}"
        );
    }
    let (_, fault) = cut_everywhere(&lines(), "", b"\xFF\xFEa\0\n\0");
    assert!(fault.unwrap().contains("UTF-16"));
}

/// The window never grows beyond the longest part and a chunk; what is no part may be as long as it likes.
#[test]
fn long_parts_are_faults_and_long_filling_is_none() {
    let long = "x".repeat(1 << 20);
    for (split, text) in [
        (lines(), format!("a\n{long}\nb")),
        (rows(), format!("h\na\n\"{long}\n{long}\"\n")),
        (items(&[]), format!("[\"a\",\"{long}\"]")),
        (elements(None, "o"), format!("<r><o>a</o><o>{long}</o></r>")),
    ] {
        let (parts, fault) = drained(file(&split, "", text.as_bytes(), (0, 1000), &Place::default(), 0));
        assert_eq!(parts.len(), 1);
        let fault = fault.unwrap();
        assert_eq!(fault.name(), "client.body_too_large");
        assert!(fault.detail().unwrap().contains("part_max"), "{fault}");
    }
    for (split, text) in [
        (
            items(&["k"]),
            format!("{{\"{long}\":\"{long}\",\"k\":[1],\"l\":[{long}]}}"),
        ),
        (
            elements(None, "o"),
            format!("<r>{long}<!--{long}--><i>{long}</i><![CDATA[{long}]]><o>1</o></r><?p {long}?>"),
        ),
        (lines(), format!("{}1", "\n".repeat(1 << 20))),
    ] {
        let (parts, fault) = drained(file(&split, "", text.as_bytes(), (0, 1000), &Place::default(), 0));
        assert_eq!((parts.len(), fault.map(|fault| fault.to_string())), (1, None));
    }
}
