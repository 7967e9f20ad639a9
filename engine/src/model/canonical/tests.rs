//! Each row of the table, both ways, and that nothing else is lost.

use super::*;
use crate::format::FormatLimits;
use crate::model::{Part, Rows, json};
use proptest::prelude::*;
use serde_json::json;

fn read(text: &str, mapping: &Mapping) -> String {
    let document = xml::Document::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    xml_to_json(&document, document.document_node(), mapping).to_string()
}

fn write(text: &str, mapping: &Mapping) -> String {
    let value = json::parse(text.as_bytes(), &FormatLimits::default()).unwrap();
    json_to_xml(&value, mapping).unwrap().to_string()
}

fn hints() -> Mapping {
    Mapping {
        hints: true,
        ..Mapping::default()
    }
}

/// XML and JSON that turn into each other exactly.
const BOTH_WAYS: &[(&str, &str)] = &[
    ("<order><id>7</id></order>", r#"{"order":{"id":"7"}}"#),
    ("<id/>", r#"{"id":""}"#),
    ("<id>  </id>", r#"{"id":"  "}"#),
    (r#"<a id="7" b="x"/>"#, r#"{"a":{"@id":"7","@b":"x"}}"#),
    (r#"<a id="7">x</a>"#, r##"{"a":{"@id":"7","#text":"x"}}"##),
    ("<r><i>1</i><i>2</i></r>", r#"{"r":{"i":["1","2"]}}"#),
    (
        "<p>see <b>x</b> <i/>!</p>",
        r##"{"p":{"#content":["see ",{"b":"x"}," ",{"i":""},"!"]}}"##,
    ),
    (
        r#"<r xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><a xsi:nil="true"/></r>"#,
        r#"{"r":{"a":null}}"#,
    ),
    (
        r#"<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>"#,
        r#"{"a":null}"#,
    ),
    (
        r#"<m:a xmlns:m="u"><m:b m:c="1"/><d/></m:a>"#,
        r#"{"m:a":{"@xmlns:m":"u","m:b":{"@m:c":"1"},"d":""}}"#,
    ),
    (
        r#"<a xmlns="u"><b xmlns=""><c/></b></a>"#,
        r#"{"a":{"@xmlns":"u","b":{"@xmlns":"","c":""}}}"#,
    ),
    (
        r#"<a xml:lang="en">x</a>"#,
        r##"{"a":{"@xml:lang":"en","#text":"x"}}"##,
    ),
    (
        "<a><first_x0020_name>x</first_x0020_name><_x0040_y/></a>",
        r#"{"a":{"first name":"x","@y":""}}"#,
    ),
    ("<p_x003A_a/>", r#"{"p:a":""}"#),
    ("<a>&lt;&amp;&gt;&#13;\n</a>", r#"{"a":"<&>\r\n"}"#),
];

#[test]
fn the_rows_of_the_table_hold_both_ways() {
    let mapping = Mapping::default();
    for (xml, json) in BOTH_WAYS {
        assert_eq!(read(xml, &mapping), *json, "{xml}");
        if !json.contains("\"@y\"") {
            assert_eq!(write(json, &mapping), *xml, "{json}");
        }
    }
}

/// The guide's examples: fenced pairs, one way or with hints where the fence says so.
#[test]
fn the_examples_of_the_guide_hold() {
    let guide = include_str!("../../../../docs/guide/json-and-xml.md");
    let blocks: Vec<(&str, &str)> = guide
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.split_once('\n'))
        .collect();
    let pairs: Vec<_> = blocks.chunks_exact(2).collect();
    assert!(pairs.len() >= 10, "the guide has examples");
    for pair in pairs {
        let (xml, json) = match pair {
            [(fence, xml), (_, json)] if fence.starts_with("xml") => (xml.trim(), json.trim()),
            [(_, json), (_, xml)] => (xml.trim(), json.trim()),
            _ => panic!("examples come in pairs"),
        };
        let mapping = if pair[0].0.ends_with("hints") {
            hints()
        } else {
            Mapping::default()
        };
        assert_eq!(write(json, &mapping), xml);
        if !pair[0].0.ends_with("one-way") {
            assert_eq!(read(xml, &mapping), json);
        }
    }
}

#[test]
fn what_xml_alone_can_say_is_read_by_the_rules() {
    let mapping = Mapping::default();
    for (xml, json) in [
        (
            "<?xml version='1.0'?><!-- c --><a>\n  <b>1</b><?pi x?>\n</a>",
            r#"{"a":{"b":"1"}}"#,
        ),
        ("<a>x<![CDATA[<y>]]>z<!-- c --></a>", r#"{"a":"x<y>z"}"#),
        (
            "<a>x<!-- c -->y<b/></a>",
            r##"{"a":{"#content":["xy",{"b":""}]}}"##,
        ),
        ("<r><a>1</a><b/><a>2</a></r>", r#"{"r":{"a":["1","2"],"b":""}}"#),
        (r#"<a><b n="1"/><b/></a>"#, r#"{"a":{"b":[{"@n":"1"},""]}}"#),
        (
            r#"<a xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><b i:nil="1"/></a>"#,
            r#"{"a":{"@xmlns:i":"http://www.w3.org/2001/XMLSchema-instance","b":null}}"#,
        ),
        (
            r#"<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="t">1</a>"#,
            r##"{"a":{"@xsi:type":"t","#text":"1"}}"##,
        ),
    ] {
        assert_eq!(read(xml, &mapping), json, "{xml}");
    }
}

#[test]
fn what_json_alone_can_say_is_written_by_the_rules() {
    let mapping = Mapping {
        root: "top".to_owned(),
        ..Mapping::default()
    };
    for (json, xml) in [
        (
            "[1,[2,3],[]]",
            "<top><item>1</item><item><item>2</item><item>3</item></item><item/></top>",
        ),
        (r#"{"a":1,"b":true}"#, "<top><a>1</a><b>true</b></top>"),
        (r#"{"a":[1,2]}"#, "<top><a>1</a><a>2</a></top>"),
        (r#"{"a":{"b":[]}}"#, "<a/>"),
        ("1.10", "<top>1.10</top>"),
        ("{}", "<top/>"),
        (
            "null",
            r#"<top xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>"#,
        ),
        (r#"{"@a":"x"}"#, r#"<top a="x"/>"#),
        (
            r##"{"a":{"@n":1,"#text":2,"b":"c"}}"##,
            r#"<a n="1">2<b>c</b></a>"#,
        ),
        (
            r#"{"a":{"@n":null,"@m":[1]}}"#,
            r#"<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><_x0040_n xsi:nil="true"/><_x0040_m>1</_x0040_m></a>"#,
        ),
        (
            r#"{"a":{"@xsi:type":"t"}}"#,
            r#"<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="t"/>"#,
        ),
    ] {
        assert_eq!(write(json, &mapping), xml, "{json}");
    }
    let fault = json_to_xml(&json!({ "a": "\u{0}" }), &mapping).unwrap_err();
    assert_eq!(
        fault.to_string().split(" (").next(),
        Some("gateway.transformation: The value has no XML form: XML cannot carry the character U+0000.")
    );
}

#[test]
fn hints_keep_types_and_arrays() {
    let value = r#"{"a":{"n":1.10,"b":true,"s":"12","one":["x"],"none":[],"o":{}}}"#;
    let xml = concat!(
        r#"<a xmlns:j="urn:mediary:json"><n j:type="number">1.10</n><b j:type="boolean">true</b>"#,
        r#"<s j:type="string">12</s><one j:array="true">x</one><none j:type="array"/><o j:type="object"/></a>"#
    );
    assert_eq!(write(value, &hints()), xml);
    assert_eq!(read(xml, &Mapping::default()), value);
    assert_eq!(
        read(
            xml,
            &Mapping {
                types: true,
                ..Mapping::default()
            }
        ),
        value
    );
}

#[test]
fn types_are_guessed_only_where_nothing_is_lost() {
    let xml = r#"<a n="1"><i>1.50</i><z>007</z><t>true</t><u>True</u><e/><s> 1</s><p x="1">-2e5</p></a>"#;
    let expected = r##"{"a":{"@n":"1","i":1.50,"z":"007","t":true,"u":"True","e":"","s":" 1","p":{"@x":"1","#text":-2e5}}}"##;
    assert_eq!(
        read(
            xml,
            &Mapping {
                types: true,
                ..Mapping::default()
            }
        ),
        expected
    );
}

#[test]
fn without_prefixes_the_json_is_friendly() {
    let xml = r#"<m:a xmlns:m="u" xmlns="v"><m:b m:c="1" d="2"/><b>x</b><m:e>1</m:e></m:a>"#;
    let mapping = Mapping {
        prefixes: false,
        ..Mapping::default()
    };
    assert_eq!(
        read(xml, &mapping),
        r#"{"a":{"b":[{"@c":"1","@d":"2"},"x"],"e":"1"}}"#
    );
}

#[test]
fn a_subtree_takes_its_namespaces_along() {
    let document =
        xml::Document::parse_str(r#"<a xmlns="u" xmlns:m="v"><b xmlns:m="w"><m:c><d/></m:c></b></a>"#)
            .unwrap();
    let b = document
        .child_elements(document.root_element().unwrap())
        .next()
        .unwrap();
    let c = document.child_elements(b).next().unwrap();
    let value = xml_to_json(&document, c, &Mapping::default());
    assert_eq!(
        value,
        json!({ "m:c": { "@xmlns:m": "w", "@xmlns": "u", "d": "" } })
    );
}

#[test]
fn depth_is_no_danger() {
    let limits = xml::Limits {
        depth: 20_000,
        ..xml::Limits::default()
    };
    let text = "<a>".repeat(10_000) + &"</a>".repeat(10_000);
    let document = xml::Document::parse(text.into(), &limits).unwrap();
    let value = xml_to_json(&document, document.document_node(), &Mapping::default());
    let mut deepest = &value;
    while let Some(inner) = deepest.get("a") {
        deepest = inner;
    }
    assert!(
        deepest.as_str().unwrap().starts_with("<a><a>"),
        "the rest is kept as text"
    );
    assert_eq!(document.to_string().len(), 70_000);

    let deep = std::thread::Builder::new().stack_size(64 << 20).spawn(|| {
        let value = (0..10_000).fold(Json::Null, |inner, _| {
            Json::Object([("a".to_owned(), inner)].into_iter().collect())
        });
        json_to_xml(&value, &Mapping::default())
            .unwrap()
            .to_string()
            .len()
    });
    assert!(deep.unwrap().join().unwrap() > 60_000);
}

#[test]
fn the_other_models_have_their_forms() {
    let rows = Model::Rows(Rows {
        columns: vec!["id".into(), "first name".into()],
        rows: vec![vec!["1".into(), "A & B".into()], vec!["2".into(), String::new()]],
    });
    assert_eq!(
        to_json(&rows).to_string(),
        r#"{"rows":[{"id":"1","first name":"A & B"},{"id":"2","first name":""}]}"#
    );
    assert_eq!(
        to_xml(&rows).unwrap().to_string(),
        "<rows><row><id>1</id><first_x0020_name>A &amp; B</first_x0020_name></row>\
         <row><id>2</id><first_x0020_name/></row></rows>"
    );
    let text = Model::Text("a < b".into());
    assert_eq!(*to_json(&text), json!("a < b"));
    assert_eq!(to_xml(&text).unwrap().to_string(), "<root>a &lt; b</root>");
    let binary = Model::Binary(bytes::Bytes::from_static(b"\xFF\x00"));
    assert_eq!(*to_json(&binary), json!("/wA="));
    assert_eq!(to_xml(&binary).unwrap_err().code(), FaultCode::Transformation);
    let file = Part {
        name: Some("f".into()),
        file_name: Some("a.bin".into()),
        content: (&b"\xFF"[..]).into(),
        ..Part::default()
    };
    let field = Part {
        name: Some("n".into()),
        content: "v".into(),
        ..Part::default()
    };
    let expected = json!({ "parts": [
        { "name": "f", "file_name": "a.bin", "content": "/w==", "encoding": "base64" },
        { "name": "n", "content": "v" },
    ] });
    assert_eq!(*to_json(&Model::Parts(vec![file, field])), expected);
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]",
        2 => "(@|#)?(a|b|a:b|p:a|text|content|xmlns|xmlns:|xmlns:p|xmlns:j|xmlns:xsi|j:type|xsi:nil|xml:lang|xml:a|xmlns:xml)",
        1 => "[ab:@# _x0-9]{0,5}",
        1 => any::<String>(),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab \n\t]{0,3}",
        "(1|true|u|urn:mediary:json|http://www.w3.org/2001/XMLSchema-instance)",
        "(http://www.w3.org/XML/1998/namespace|http://www.w3.org/2000/xmlns/)",
        any::<String>(),
        "[\0\r\n\\\\\"<&>\u{FFFE}]{0,3}",
    ]
}

fn any_json() -> impl Strategy<Value = Json> {
    let number = "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![
        1 => Just(Json::Null),
        1 => any::<bool>().prop_map(Json::from),
        1 => number.prop_map(|text| Json::Number(serde_json::Number::from_string_unchecked(text))),
        4 => any_text().prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((any_key(), inner), 0..5)
                .prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    })
}

fn any_element() -> impl Strategy<Value = String> {
    let name = || "(a|b|c|p:a|q:b|_x|x1)";
    let attributes = || "( k=\"v\")?( xmlns:q=\"(u|v)\")?( p:z=\"1\")?( xmlns=\"(|d)\")?";
    let text = "(x|y z|&lt;|&#13;|<!\\[CDATA\\[k\\]\\]>| )";
    let leaf = prop_oneof![
        (name(), attributes(), text).prop_map(|(n, a, t)| format!("<{n}{a}>{t}</{n}>")),
        (name(), attributes()).prop_map(|(n, a)| format!("<{n}{a}/>")),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let mixed = prop::collection::vec(prop_oneof![3 => inner, 1 => text.prop_map(String::from)], 1..4);
        (name(), attributes(), mixed).prop_map(|(n, a, c)| format!("<{n}{a}>{}</{n}>", c.concat()))
    })
}

/// What the mapping keeps: names with namespaces, attributes, texts; siblings grouped by name unless there
/// is text between them.
fn shape(document: &xml::Document, element: xml::NodeId) -> String {
    let name = |name: xml::Name<'_>| format!("{{{}}}{}", name.namespace, name.local);
    let mut attributes: Vec<_> = document
        .attributes(element)
        .map(|each| (name(each.name), each.value.to_owned()))
        .collect();
    attributes.sort();
    let has_text = document
        .children(element)
        .any(|child| document.is_text(child) && !xml::is_blank(document.text(child).unwrap()));
    let has_elements = document.child_elements(element).next().is_some();
    let mut children: Vec<(String, String)> = Vec::new();
    for child in document.children(element) {
        match (document.name(child), document.text(child)) {
            (Some(found), _) => children.push((found.to_string(), shape(document, child))),
            (None, Some(text)) if has_text || !has_elements => match children.last_mut() {
                Some((kind, before)) if kind == "#" => before.push_str(text),
                _ => children.push(("#".to_owned(), text.to_owned())),
            },
            _ => {}
        }
    }
    if !has_text {
        let order: Vec<String> = children.iter().map(|(key, _)| key.clone()).collect();
        children.sort_by_key(|(key, _)| order.iter().position(|first| first == key));
    }
    format!(
        "{}{attributes:?}{children:?}",
        name(document.name(element).unwrap())
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_json_survives_xml_with_hints(value in any_json()) {
        let document = json_to_xml(&value, &hints()).unwrap();
        let text = document.to_string();
        let reread = xml::Document::parse_str(&text).unwrap();
        for mapping in [Mapping::default(), Mapping { types: true, ..Mapping::default() }] {
            prop_assert_eq!(&xml_to_json(&document, document.document_node(), &mapping), &value, "{}", text);
            prop_assert_eq!(&xml_to_json(&reread, reread.document_node(), &mapping), &value, "{}", text);
        }
    }

    #[test]
    fn any_json_has_an_xml_form_or_a_fault(value in any_json()) {
        if let Ok(document) = json_to_xml(&value, &Mapping::default()) {
            prop_assert!(xml::Document::parse_str(&document.to_string()).is_ok());
        }
    }

    #[test]
    fn any_xml_survives_json(inner in any_element()) {
        let text = format!("<r xmlns:p=\"u\" xmlns:q=\"w\">{inner}</r>");
        let document = xml::Document::parse_str(&text).unwrap();
        let json = xml_to_json(&document, document.document_node(), &Mapping::default());
        let back = json_to_xml(&json, &Mapping::default()).unwrap();
        let shapes = [&document, &back].map(|each| shape(each, each.root_element().unwrap()));
        prop_assert_eq!(&shapes[0], &shapes[1], "{} {}", text, json);
    }
}
