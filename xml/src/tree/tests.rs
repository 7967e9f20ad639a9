//! The tree: edits, moves between documents, writing. Whatever is built can be written, and reads back equal.

use crate::{Declaration, Document, EditError, NodeId, NodeKind, WriteOptions};
use proptest::prelude::*;

fn parse(text: &str) -> Document {
    Document::parse_str(text).unwrap()
}

fn root(document: &Document) -> NodeId {
    document.root_element().unwrap()
}

/// What a reader sees: names with namespaces, attributes, texts; adjacent text as one, prefixes left out.
fn infoset(document: &Document) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let mut last_text: Option<NodeId> = None;
    for id in document.descendants(NodeId::DOCUMENT) {
        let depth = document.ancestors(id).count();
        let text = document.text(id).unwrap_or("");
        match document.kind(id) {
            NodeKind::Element => {
                let name = document.name(id).unwrap();
                let mut attributes: Vec<String> = document
                    .attributes(id)
                    .map(|a| format!("{{{}}}{}={:?}", a.name.namespace, a.name.local, a.value))
                    .collect();
                attributes.sort();
                seen.push(format!(
                    "{depth} <{{{}}}{} {attributes:?}>",
                    name.namespace, name.local
                ));
            }
            NodeKind::Text | NodeKind::CData if text.is_empty() => {}
            NodeKind::Text | NodeKind::CData => {
                let joins = last_text.is_some_and(|last| {
                    let mut before = std::iter::successors(document.previous_sibling(id), |&n| {
                        document.previous_sibling(n)
                    });
                    before
                        .by_ref()
                        .take_while(|&n| document.is_text(n))
                        .any(|n| n == last)
                });
                match seen.last_mut() {
                    Some(previous) if joins => previous.push_str(text),
                    _ => seen.push(format!("{depth} {text}")),
                }
                last_text = Some(id);
            }
            kind => seen.push(format!(
                "{depth} {kind:?} {:?} {text}",
                document.name(id).map(|name| name.local)
            )),
        }
    }
    seen
}

fn assert_reads_back(document: &Document) {
    let text = document.to_string();
    let again = Document::parse_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(infoset(document), infoset(&again), "{text}");
    assert_eq!(again.to_string(), text);
}

#[test]
fn documents_are_built_from_nothing() {
    let mut document = Document::new();
    let envelope = document
        .append_element(NodeId::DOCUMENT, "s", "Envelope", "urn:soap")
        .unwrap();
    let body = document
        .append_element(envelope, "s", "Body", "urn:soap")
        .unwrap();
    let order = document.append_element(body, "", "order", "urn:o").unwrap();
    document.set_attribute(order, "", "id", "", "a\"<&\n\t").unwrap();
    document.set_attribute(order, "x", "id", "urn:x", "2").unwrap();
    document.append_text(order, "1 < 2 ").unwrap();
    document.append_text(order, "]]>\r").unwrap();
    document.append_cdata(order, "a]]>b\rc").unwrap();
    document.append_comment(body, " c ").unwrap();
    document.append_instruction(body, "go", "now").unwrap();
    assert_eq!(
        document.to_string(),
        "<s:Envelope xmlns:s=\"urn:soap\"><s:Body><order xmlns=\"urn:o\" xmlns:x=\"urn:x\" id=\"a&quot;&lt;&amp;&#10;&#9;\" \
         x:id=\"2\">1 &lt; 2 ]]&gt;&#13;<![CDATA[a]]]]><![CDATA[>b]]>&#13;<![CDATA[c]]></order><!-- c --><?go now?></s:Body></s:Envelope>"
    );
    assert_reads_back(&document);
    assert!(document.is_ordered());
}

#[test]
fn what_cannot_be_written_cannot_be_built() {
    let source = "<a xmlns:p='urn:p' p:x='1'>t</a>";
    let mut document = parse(source);
    let (a, top) = (root(&document), NodeId::DOCUMENT);
    let text = document.first_child(a).unwrap();
    let refusals = [
        (
            document.append_element(a, "", "1x", "").err(),
            EditError::Name("1x".into()),
        ),
        (
            document.append_element(a, "x:y", "b", "u").err(),
            EditError::Name("x:y".into()),
        ),
        (
            document.set_attribute(a, "", "xmlns", "", "u").err(),
            EditError::Name("xmlns".into()),
        ),
        (
            document.append_instruction(a, "xml", "").err(),
            EditError::Name("xml".into()),
        ),
        (document.append_text(a, "\0").err(), EditError::Character('\0')),
        (
            document.append_comment(a, "a--b").err(),
            EditError::Delimiter("--"),
        ),
        (document.append_comment(a, "a-").err(), EditError::Delimiter("--")),
        (
            document.append_instruction(a, "x", "?>").err(),
            EditError::Delimiter("?>"),
        ),
    ];
    for (found, expected) in refusals {
        assert_eq!(found, Some(expected));
    }
    let namespaces = [
        document.append_element(a, "p", "b", "").err(),
        document.append_element(a, "xml", "b", "u").err(),
        document.declare_namespace(a, "p", "urn:q").err(),
        document.rename(a, "p", "b", "urn:q").err(),
    ];
    assert!(
        namespaces
            .iter()
            .all(|error| matches!(error, Some(EditError::Namespace(_)))),
        "{namespaces:?}"
    );
    let places = [
        document.append_element(text, "", "b", "").err(),
        document.append_element(top, "", "b", "").err(),
        document.append_text(top, "x").err(),
        document.append(a, a).err(),
        document.append(text, a).err(),
    ];
    assert!(
        places
            .iter()
            .all(|error| matches!(error, Some(EditError::Place(_)))),
        "{places:?}"
    );
    assert_eq!(document.to_string(), source);
}

#[test]
fn one_edit_leaves_the_rest_as_it_came() {
    let mut document = parse("<?xml version='1.0'?>\n<a  b='1'>\r\n <c  d='x' >&#65;</c >\r\n <e/>\n</a>");
    let e = document.child_element(root(&document), "", "e").unwrap();
    document.set_text(e, "new").unwrap();
    assert_eq!(
        document.to_string(),
        "<?xml version='1.0'?>\n<a b=\"1\">\r\n <c  d='x' >&#65;</c >\r\n <e>new</e>\n</a>"
    );
    assert_reads_back(&document);
}

#[test]
fn texts_that_come_together_form_no_delimiter() {
    let mut document = parse("<a>]]<x/>><x/>&amp;</a>");
    while let Some(x) = document.child_element(root(&document), "", "x") {
        document.detach(x);
    }
    assert_eq!(document.string_value(root(&document)), "]]>&");
    assert_reads_back(&document);
}

#[test]
fn attributes_change_in_place() {
    let mut document = parse("<a xmlns:p='urn:p' x='1' p:y='2' z='3'/>");
    let a = root(&document);
    document.set_attribute(a, "q", "y", "urn:p", "two").unwrap();
    assert!(document.remove_attribute(a, "", "x"));
    assert!(!document.remove_attribute(a, "", "x"));
    document.set_attribute(a, "", "n", "urn:n", "4").unwrap();
    document.set_attribute(a, "p", "m", "urn:m", "5").unwrap();
    assert_eq!(
        document.to_string(),
        "<a xmlns:p=\"urn:p\" xmlns:ns0=\"urn:n\" xmlns:ns1=\"urn:m\" p:y=\"two\" z=\"3\" ns0:n=\"4\" ns1:m=\"5\"/>"
    );
    assert_reads_back(&document);
}

#[test]
fn renaming_keeps_the_namespaces_inside() {
    let mut document = parse("<a xmlns='urn:1'><b/></a>");
    document.rename(root(&document), "", "c", "urn:2").unwrap();
    assert_eq!(
        document.to_string(),
        "<c xmlns=\"urn:2\"><b xmlns=\"urn:1\"/></c>"
    );
    assert_reads_back(&document);
}

#[test]
fn subtrees_carry_their_namespaces_and_no_more() {
    let source = parse("<e:E xmlns:e='urn:e' xmlns:q='urn:q'><v xmlns='urn:v' t='q:name'><w/></v></e:E>");
    let v = document_child(&source);
    assert_eq!(
        source.extract(v).to_string(),
        "<v xmlns=\"urn:v\" xmlns:e=\"urn:e\" xmlns:q=\"urn:q\" t=\"q:name\"><w/></v>"
    );
    let mut target = parse("<e:E xmlns:e='urn:e'/>");
    let copy = target.import(&source, v).unwrap();
    target.append(root(&target), copy).unwrap();
    assert_eq!(
        target.to_string(),
        "<e:E xmlns:e=\"urn:e\"><v xmlns=\"urn:v\" xmlns:q=\"urn:q\" t=\"q:name\"><w/></v></e:E>"
    );
    assert!(target.is_ordered());
    let mut qualified = parse("<o xmlns='urn:o'/>");
    let plain = parse("<x><y/></x>");
    let copy = qualified.import(&plain, NodeId::DOCUMENT).unwrap();
    qualified.append(root(&qualified), copy).unwrap();
    assert_eq!(
        qualified.to_string(),
        "<o xmlns=\"urn:o\"><x xmlns=\"\"><y/></x></o>"
    );
    let mut out = Vec::new();
    source.write_node(v, &mut out, &WriteOptions::default());
    assert_eq!(String::from_utf8(out).unwrap(), source.extract(v).to_string());
}

fn document_child(document: &Document) -> NodeId {
    document.child_elements(root(document)).next().unwrap()
}

#[test]
fn nodes_move_within_a_document() {
    let mut document = parse("<r><a xmlns:p='urn:p'><p:x/></a><b/><c/></r>");
    let names = |document: &Document| {
        document
            .child_elements(root(document))
            .map(|id| document.name(id).unwrap().local.to_owned())
            .collect::<String>()
    };
    let child = |document: &Document, name| document.child_element(root(document), "", name).unwrap();
    let (a, b, c) = (
        child(&document, "a"),
        child(&document, "b"),
        child(&document, "c"),
    );
    document.insert_before(a, c).unwrap();
    assert_eq!(names(&document), "cab");
    document.insert_after(b, c).unwrap();
    assert_eq!(names(&document), "abc");
    let x = document.first_child(a).unwrap();
    document.replace(b, x).unwrap();
    assert_eq!(
        document.to_string(),
        "<r><a xmlns:p=\"urn:p\"/><p:x xmlns:p=\"urn:p\"/><c/></r>"
    );
    assert_eq!(document.compare(a, x), std::cmp::Ordering::Less);
    assert_eq!(document.compare(x, c), std::cmp::Ordering::Less);
    assert_reads_back(&document);
}

#[test]
fn declarations_and_indentation_are_options() {
    let document = parse("<a><b><c/>\n\n<d>t <e/></d></b><f xml:space='preserve'> <g/></f></a>");
    let mut out = Vec::new();
    document.write(
        &mut out,
        &WriteOptions {
            declaration: Declaration::Always,
            indent: Some(2),
        },
    );
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a>\n  <b>\n    <c/>\n    <d>t <e/></d>\n  </b>\n  \
         <f xml:space=\"preserve\"> <g/></f>\n</a>"
    );
}

#[test]
fn positions_are_those_of_the_source() {
    let mut document = parse("<a>\n\u{E9}<b/></a>");
    let b = document_child(&document);
    assert_eq!(document.position(b), Some((2, 2)));
    let new = document.append_element(b, "", "n", "").unwrap();
    assert_eq!(document.position(new), None);
    assert_eq!(document.position(b), Some((2, 2)));
}

const NAMES: [(&str, &str, &str); 6] = [
    ("", "a", ""),
    ("", "b", "urn:1"),
    ("p", "a", "urn:1"),
    ("p", "c", "urn:2"),
    ("q", "a", "urn:2"),
    ("", "d", "urn:2"),
];

/// One random edit: a number for the operation, two for nodes, one for a name, and a text.
type Step = (u8, u16, u16, u8, String);

fn apply(document: &mut Document, (operation, first, second, name, text): &Step) {
    let all: Vec<NodeId> = std::iter::once(NodeId::DOCUMENT)
        .chain(document.descendants(NodeId::DOCUMENT))
        .collect();
    let pick = |number: u16| all[usize::from(number) % all.len()];
    let (one, other) = (pick(*first), pick(*second));
    let (prefix, local, namespace) = NAMES[usize::from(*name) % NAMES.len()];
    // Errors are part of the game: a refused edit must leave the document whole.
    match operation % 16 {
        0..=2 => drop(document.append_element(one, prefix, local, namespace)),
        3 => drop(document.append_text(one, text)),
        4 => drop(document.append_cdata(one, text)),
        5 => drop(document.append_comment(one, text)),
        6 => drop(document.append_instruction(one, "t", text)),
        7 => drop(document.set_text(one, text)),
        8 => drop(document.set_attribute(one, prefix, local, namespace, text)),
        9 => drop(document.remove_attribute(one, namespace, local)),
        10 => drop(document.rename(one, prefix, local, namespace)),
        11 => drop(document.declare_namespace(one, prefix, namespace)),
        12 => drop(document.append(one, other)),
        13 => drop(document.insert_before(one, other)),
        14 => drop(document.replace(one, other)),
        _ => {
            let copy = document.clone();
            if let Ok(imported) = document.import(&copy, one) {
                drop(document.insert_after(other, imported));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn whatever_is_built_reads_back_equal(
        start in prop_oneof![
            Just("<r/>"),
            Just("<?xml version='1.0'?><r xmlns='urn:1' xmlns:p='urn:2'><p:a  x='1'>]]<b/>&gt;\r\n</p:a ><![CDATA[c]]></r>"),
            Just("<p:r xmlns:p='urn:1'><a xmlns:p='urn:2' p:c=''><p:b/></a>text<!--c--><?t d?></p:r>"),
        ],
        steps in proptest::collection::vec((any::<u8>(), any::<u16>(), any::<u16>(), any::<u8>(), "[a-z<>&\\]\\-\r\n\t\"'\u{1}]{0,6}"), 0..25),
    ) {
        let mut document = parse(start);
        for step in &steps {
            apply(&mut document, step);
            if document.root_element().is_none() {
                return Ok(());
            }
        }
        assert_reads_back(&document);
        let ids: Vec<NodeId> = document.descendants(NodeId::DOCUMENT).collect();
        prop_assert!(ids.windows(2).all(|pair| document.compare(pair[0], pair[1]).is_lt()));
        let part = document.extract(document.root_element().unwrap());
        assert_reads_back(&part);
    }
}
