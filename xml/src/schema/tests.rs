//! Validation: verdicts against libxml2 ([`oracle`]), and what only our side has to say.

mod cases;
mod oracle;

use super::*;
use std::collections::HashMap;

fn no_loader(location: &str, _: &str) -> Result<SchemaSource, String> {
    Err(format!("nothing is at {location}"))
}

fn schema(body: &str) -> Schema {
    let text = format!("<xs:schema xmlns:xs='{XSD_NAMESPACE}'>{body}</xs:schema>");
    Schema::compile(SchemaSource::bytes("s.xsd", text), &no_loader).unwrap()
}

fn refused(body: &str) -> SchemaError {
    let text = format!("<xs:schema xmlns:xs='{XSD_NAMESPACE}'>\n{body}</xs:schema>");
    Schema::compile(SchemaSource::bytes("s.xsd", text), &no_loader).unwrap_err()
}

#[test]
fn violations_name_place_and_reason() {
    let schema = schema(
        "<xs:element name='order'><xs:complexType><xs:sequence>\
         <xs:element name='item' maxOccurs='unbounded'><xs:complexType><xs:sequence>\
         <xs:element name='price' type='xs:decimal'/></xs:sequence>\
         <xs:attribute name='id' type='xs:int' use='required'/></xs:complexType></xs:element>\
         </xs:sequence></xs:complexType></xs:element>",
    );
    let document = Document::parse_str(
        "<order>\n <item id='1'><price>1.5</price></item>\n <item id='x'><price>a</price></item>\n <item><cost/></item>\n</order>",
    )
    .unwrap();
    let violations: Vec<String> = schema
        .validate(&document)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        violations,
        [
            "/order/item[2]/@id (line 3, column 2): \"x\" is not a value of xs:int",
            "/order/item[2]/price (line 3, column 15): \"a\" is not a value of xs:decimal",
            "/order/item[3] (line 4, column 2): the attribute id is required",
            "/order/item[3]/cost (line 4, column 8): the element cost cannot stand here; expected price",
        ]
    );
}

#[test]
fn the_number_of_violations_is_limited() {
    let schema = schema(
        "<xs:element name='a'><xs:complexType><xs:sequence><xs:element name='b' type='xs:int' maxOccurs='unbounded'/></xs:sequence></xs:complexType></xs:element>",
    );
    let document = Document::parse_str(&format!("<a>{}</a>", "<b>x</b>".repeat(1000))).unwrap();
    assert_eq!(schema.validate(&document).len(), VIOLATIONS_MAX);
}

#[test]
fn mistakes_in_schemas_are_found() {
    for (body, expected) in [
        (
            "<xs:element name='a' type='xs:strin'/>",
            "there is no type {http://www.w3.org/2001/XMLSchema}strin",
        ),
        (
            "<xs:element name='a' type='p:t'/>",
            "the prefix \"p\" is not declared",
        ),
        (
            "<xs:element name='a'/><xs:element name='a'/>",
            "a is defined twice",
        ),
        (
            "<xs:complexType name='t'><xs:group ref='g'/></xs:complexType>",
            "there is no definition of g",
        ),
        (
            "<xs:complexType name='t'><xs:sequence><xs:element ref='e'/></xs:sequence></xs:complexType>",
            "there is no element e",
        ),
        (
            "<xs:complexType name='t'><xs:complexContent><xs:extension base='t'/></xs:complexContent></xs:complexType>",
            "a type derives from itself",
        ),
        (
            "<xs:group name='g'><xs:sequence><xs:group ref='g'/></xs:sequence></xs:group>",
            "definitions are nested in a circle or too deeply",
        ),
        (
            "<xs:simpleType name='t'><xs:restriction base='xs:int'><xs:maxInclusive value='x'/></xs:restriction></xs:simpleType>",
            "\"x\" is not a value of xs:int",
        ),
        (
            "<xs:simpleType name='t'><xs:restriction base='xs:string'><xs:pattern value='['/></xs:restriction></xs:simpleType>",
            "a character class does not end",
        ),
        (
            "<xs:simpleType name='t'><xs:restriction base='xs:string'><xs:colour value='1'/></xs:restriction></xs:simpleType>",
            "xs:colour is not a facet",
        ),
        (
            "<xs:include schemaLocation='x.xsd'/>",
            "cannot load \"x.xsd\": nothing is at x.xsd",
        ),
        ("<xs:elephant/>", "xs:elephant cannot stand in xs:schema"),
    ] {
        let error = refused(body);
        assert_eq!(error.message, expected, "{body}");
        assert!(error.line == 2, "{error}");
    }
}

#[test]
fn schemas_of_a_wsdl_import_each_other_by_namespace() {
    let wsdl = Document::parse_str(
        "<w:types xmlns:w='urn:w' xmlns:xs='http://www.w3.org/2001/XMLSchema' xmlns:a='urn:a' xmlns:b='urn:b'>\
         <xs:schema targetNamespace='urn:a' elementFormDefault='qualified'><xs:import namespace='urn:b'/>\
         <xs:complexType name='node'><xs:sequence><xs:element name='next' type='b:link' minOccurs='0'/></xs:sequence></xs:complexType>\
         <xs:element name='root' type='a:node'/></xs:schema>\
         <xs:schema targetNamespace='urn:b' elementFormDefault='qualified'><xs:import namespace='urn:a'/>\
         <xs:complexType name='link'><xs:complexContent><xs:extension base='a:node'><xs:attribute name='n' type='xs:int'/>\
         </xs:extension></xs:complexContent></xs:complexType></xs:schema></w:types>",
    )
    .unwrap();
    let types = wsdl.root_element().unwrap();
    let sources = wsdl
        .child_elements(types)
        .map(|node| SchemaSource::document("", wsdl.extract(node)))
        .collect();
    let schema = Schema::compile_many(sources, &no_loader).unwrap();
    assert!(schema.declares_element("urn:a", "root"));
    let check = |text: &str| schema.validate(&Document::parse_str(text).unwrap()).len();
    assert_eq!(check("<root xmlns='urn:a'><next n='1'><next/></next></root>"), 0);
    assert_eq!(check("<root xmlns='urn:a'><next n='x'/></root>"), 1);
}

#[test]
fn a_soap_body_is_validated_where_it_stands() {
    let schema = schema("<xs:element name='a' type='xs:QName'/>");
    let document =
        Document::parse_str("<e:Envelope xmlns:e='urn:e' xmlns:p='urn:p'><a>p:x</a></e:Envelope>").unwrap();
    let inner = document
        .child_elements(document.root_element().unwrap())
        .next()
        .unwrap();
    assert_eq!(schema.validate_element(&document, inner), []);
    assert_eq!(schema.validate(&document.extract(inner)), []);
    assert_eq!(schema.validate(&document).len(), 1);
}

#[test]
fn a_schema_works_on_many_threads() {
    let schema = schema("<xs:element name='a' type='xs:int'/>");
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let schema = schema.clone();
            std::thread::spawn(move || {
                schema
                    .validate(&Document::parse_str(&format!("<a>{number}</a>")).unwrap())
                    .len()
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 0));
}

#[test]
fn included_and_redefined_schemas_come_from_the_loader() {
    let head =
        "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema' xmlns='urn:t' targetNamespace='urn:t'>";
    let files: HashMap<&str, String> = [
        ("main.xsd", format!("{head}<xs:redefine schemaLocation='base.xsd'><xs:simpleType name='s'><xs:restriction base='s'><xs:maxLength value='3'/></xs:restriction></xs:simpleType></xs:redefine><xs:element name='e' type='s'/></xs:schema>")),
        ("base.xsd", "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:simpleType name='s'><xs:restriction base='xs:string'><xs:minLength value='2'/></xs:restriction></xs:simpleType><xs:element name='f' type='s'/></xs:schema>".to_owned()),
    ]
    .into();
    let loader = |location: &str, base: &str| {
        assert_eq!(base, "main.xsd");
        let found = files.get(location).ok_or("not there")?;
        Ok(SchemaSource::bytes(location, found.clone()))
    };
    let schema = Schema::compile(
        SchemaSource::bytes("main.xsd", files["main.xsd"].clone()),
        &loader,
    )
    .unwrap();
    let check = |name: &str, text: &str| {
        let document = format!("<{name} xmlns='urn:t'>{text}</{name}>");
        schema.validate(&Document::parse_str(&document).unwrap()).len()
    };
    assert_eq!(
        [
            check("e", "ab"),
            check("e", "a"),
            check("e", "abcd"),
            check("f", "abcd")
        ],
        [0, 1, 1, 1]
    );
}

#[test]
fn large_bounds_and_deep_documents_cost_little() {
    let schema = schema(
        "<xs:element name='a'><xs:complexType><xs:sequence minOccurs='0' maxOccurs='1000000'>\
         <xs:element name='b' minOccurs='0' maxOccurs='1000000'/><xs:element ref='a' minOccurs='0'/></xs:sequence></xs:complexType></xs:element>",
    );
    let depth = 50_000;
    let text = "<a>".repeat(depth) + "<b/><b/>" + &"</a>".repeat(depth);
    let limits = Limits {
        depth: depth + 1,
        ..Limits::default()
    };
    assert_eq!(schema.validate_bytes(Bytes::from(text), &limits).unwrap(), []);
}

proptest::proptest! {
    #[test]
    fn hostile_schemas_never_panic(parts in proptest::collection::vec(proptest::sample::select(&[
        "<xs:element name='a' type='xs:int'>", "</xs:element>", "<xs:complexType name='t'>", "</xs:complexType>",
        "<xs:sequence>", "</xs:sequence>", "<xs:choice maxOccurs='9'>", "</xs:choice>", "<xs:any/>", "<xs:all/>",
        "<xs:element ref='a'/>", "<xs:attribute name='b'/>", "<xs:simpleType name='t'>", "</xs:simpleType>",
        "<xs:restriction base='t'>", "</xs:restriction>", "<xs:list itemType='t'/>", "<xs:pattern value='\\p{L}[a-c-[b]]'/>",
        "<xs:complexContent>", "</xs:complexContent>", "<xs:extension base='t'/>", "<xs:group ref='g'/>",
    ][..]), 0..14)) {
        let body = parts.concat();
        let text = format!("<xs:schema xmlns:xs='{XSD_NAMESPACE}'>{body}</xs:schema>");
        if let Ok(schema) = Schema::compile(SchemaSource::bytes("", text), &no_loader) {
            let document = Document::parse_str("<a b='1'>1<a/></a>").unwrap();
            let _ = schema.validate(&document);
        }
    }
}
