//! Parsing: what is accepted, what is refused and why, and where text comes from.

use crate::{Document, Limits, NodeId, NodeKind, ParseErrorKind};
use bytes::Bytes;
use proptest::prelude::*;

fn refused(text: &str) -> ParseErrorKind {
    match Document::parse_str(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.kind,
    }
}

#[test]
fn unchanged_documents_leave_as_they_came() {
    for text in [
        "<a/>",
        "<?xml version='1.0' encoding=\"UTF-8\"?>\r\n<!-- x --><?pi  data?>\n<a b='1'  c=\"2\" >t&#65;<![CDATA[<]]></a >\n",
        "<p:a xmlns:p='urn:x' xmlns=\"urn:y\"><b p:c='&lt;'/>mixed<p:d>\r\n</p:d>&amp;</p:a>",
    ] {
        let document = Document::parse_str(text).unwrap();
        assert_eq!(document.to_string(), text);
    }
}

#[test]
fn values_are_normalized_and_unescaped() {
    let document =
        Document::parse_str("<a b='x\ty\r\nz&#10;&quot;'>1\r\n2\r3&lt;&#x1F600;]]&gt;</a>").unwrap();
    let root = document.root_element().unwrap();
    assert_eq!(document.attribute(root, "", "b"), Some("x y z\n\""));
    assert_eq!(document.string_value(root), "1\n2\n3<\u{1F600}]]>");
}

#[test]
fn names_resolve_in_their_scope() {
    let text =
        "<a xmlns='urn:1' xmlns:p='urn:2'><p:b p:c='1' c='2'><a xmlns=''/></p:b><p:b xmlns:p='urn:3'/></a>";
    let document = Document::parse_str(text).unwrap();
    let root = document.root_element().unwrap();
    let names: Vec<String> = std::iter::once(root)
        .chain(document.descendants(root))
        .filter_map(|id| document.name(id))
        .map(|name| format!("{{{}}}{name}", name.namespace))
        .collect();
    assert_eq!(names, ["{urn:1}a", "{urn:2}p:b", "{}a", "{urn:3}p:b"]);
    let inner = document.first_child(root).unwrap();
    assert_eq!(document.attribute(inner, "urn:2", "c"), Some("1"));
    assert_eq!(document.attribute(inner, "", "c"), Some("2"));
    assert_eq!(document.lookup_namespace(inner, "p"), Some("urn:2"));
    assert_eq!(
        document.lookup_namespace(inner, "xml"),
        Some(crate::XML_NAMESPACE)
    );
}

#[test]
fn malformed_documents_are_refused() {
    for text in [
        "",
        " ",
        "x",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "<a b=1/>",
        "<a b='<'/>",
        "<a b='1'c='2'/>",
        "<a b='1' b='2'/>",
        "<1/>",
        "<a>&x;</a>",
        "<a>&#0;</a>",
        "<a>&#xFFFE;</a>",
        "<a>&amp</a>",
        "<a>]]></a>",
        "<a><!-- -- --></a>",
        "<a><!-- --->",
        "<a><?xml version='1.0'?></a>",
        " <?xml version='1.0'?><a/>",
        "<?xml version='2.0'?><a/>",
        "<?xml encoding='UTF-8'?><a/>",
        "<?xml version='1.0' standalone='x'?><a/>",
        "<a>\u{1}</a>",
        "<a>\u{FFFF}</a>",
        "<a b='\u{FFFE}'/>",
        "<a",
        "<a b",
        "<a b='",
        "<a><![CDATA[",
        "<a/ >",
        "<a><![CDATA[x]]</a>",
        "</a>",
        "<a><b></a></b>",
        "<a>&#38 ;</a>",
        "<a>&#x110000;</a>",
        "<a>& </a>",
    ] {
        assert_eq!(refused(text), ParseErrorKind::Syntax, "{text}");
    }
    for text in [
        "<p:a/>",
        "<a p:b=''/>",
        "<a xmlns:p=''/>",
        "<a xmlns:xml='urn:x'/>",
        "<a xmlns:xmlns='urn:x'/>",
        "<a:b:c xmlns:a='u'/>",
        "<:a/>",
        "<a: xmlns:a='u'/>",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        "<xmlns:a/>",
    ] {
        assert_eq!(refused(text), ParseErrorKind::Namespace, "{text}");
    }
    assert_eq!(
        refused("<a xmlns:p='u' xmlns:q='u' p:x='' q:x=''/>"),
        ParseErrorKind::Syntax
    );
    assert_eq!(refused("<!DOCTYPE a><a/>"), ParseErrorKind::Doctype);
}

#[test]
fn limits_have_their_own_kinds() {
    let limits = Limits {
        depth: 3,
        bytes: 100,
        attributes: 2,
        nodes: 6,
    };
    let kind = |text: &str| {
        Document::parse(Bytes::from(text.to_owned()), &limits)
            .map_err(|e| e.kind)
            .err()
    };
    assert_eq!(kind("<a><a><a/></a></a>"), None);
    assert_eq!(
        kind("<a><a><a><a/></a></a></a>"),
        Some(ParseErrorKind::DepthLimit)
    );
    assert_eq!(kind("<a b='' c='' d=''/>"), Some(ParseErrorKind::AttributeLimit));
    assert_eq!(
        kind("<a><b/><b/><b/><b/><b/><b/></a>"),
        Some(ParseErrorKind::NodeLimit)
    );
    assert_eq!(kind(&" ".repeat(101)), Some(ParseErrorKind::BytesLimit));
}

#[test]
fn errors_tell_the_place() {
    let error = Document::parse_str("<a>\n  <\u{E9}>&no;</\u{E9}></a>").unwrap_err();
    assert_eq!((error.line, error.column), (2, 6));
}

#[test]
fn encodings_are_recognized() {
    let text = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a>\u{E9}\u{1F600}</a>";
    let utf16 = |big: bool, mark: bool| {
        let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
        units
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect::<Vec<u8>>()
    };
    for (big, mark) in [(true, true), (false, true), (true, false), (false, false)] {
        let document = Document::parse(utf16(big, mark).into(), &Limits::default()).unwrap();
        assert_eq!(document.string_value(NodeId::DOCUMENT), "\u{E9}\u{1F600}");
        let written = document.to_string();
        assert_eq!(
            written,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a>\u{E9}\u{1F600}</a>"
        );
    }
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>";
    let document = Document::parse(Bytes::from_static(latin), &Limits::default()).unwrap();
    assert_eq!(document.string_value(NodeId::DOCUMENT), "\u{E9}");
    let bare = Bytes::from_static(b"<a>\xE9</a>");
    assert_eq!(
        Document::parse(bare.clone(), &Limits::default())
            .unwrap_err()
            .kind,
        ParseErrorKind::Encoding
    );
    let document = Document::parse_as(bare, Some("iso-8859-1"), &Limits::default()).unwrap();
    assert_eq!(document.string_value(NodeId::DOCUMENT), "\u{E9}");
    let marked = Document::parse(Bytes::from_static(b"\xEF\xBB\xBF<a/>"), &Limits::default()).unwrap();
    assert_eq!(marked.to_string(), "<a/>");
    assert_eq!(marked.kind(marked.root_element().unwrap()), NodeKind::Element);
}

#[test]
fn deep_documents_do_not_overflow_the_stack() {
    let depth = 200_000;
    let text = "<a>".repeat(depth) + "x" + &"</a>".repeat(depth);
    let limits = Limits {
        depth,
        ..Limits::default()
    };
    let mut document = Document::parse(Bytes::from(text.clone()), &limits).unwrap();
    let root = document.root_element().unwrap();
    assert_eq!(document.string_value(root), "x");
    let deepest = document.descendants(root).last().unwrap();
    document.set_text(deepest, "y").unwrap();
    assert_eq!(document.to_string(), text.replace('x', "y"));
    let copy = document.clone().extract(root);
    assert_eq!(copy.to_string(), document.to_string());
    let mut other = Document::new();
    let imported = other.import(&document, root).unwrap();
    other.append(NodeId::DOCUMENT, imported).unwrap();
    assert_eq!(other.to_string(), document.to_string());
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Document::parse(bytes.into(), &Limits::default());
    }

    #[test]
    fn hostile_markup_never_panics(parts in proptest::collection::vec(prop_oneof![
        "[<>&;\"'/?!=:\\[\\]a-c x-]{0,12}", Just("<a>".to_owned()), Just("</a>".to_owned()),
        Just("<![CDATA[".to_owned()), Just("]]>".to_owned()), Just("<!--".to_owned()), Just("-->".to_owned()),
        Just("<?xml ".to_owned()), Just("?>".to_owned()), Just("&#x".to_owned()), Just(" xmlns:p='u'".to_owned()),
        Just("\u{FFFE}\u{EFFF}\r\n".to_owned()),
    ], 0..20)) {
        let text = parts.concat();
        if let Ok(document) = Document::parse_str(&text) {
            prop_assert_eq!(&document.to_string(), &text);
        }
        let _ = Document::parse_str(&format!("<r>{text}</r>"));
    }
}
