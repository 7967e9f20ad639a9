//! XPath: corner semantics by hand, and a generated corpus against libxml2 ([`oracle`]).

mod oracle;

use super::*;
use std::collections::HashMap;

const DOCUMENT: &str = "<r xmlns='urn:d' xmlns:p='urn:p' xml:lang='en-GB'><a n='1'>x<![CDATA[y]]>z</a>\
    <p:b n='2' p:m='q'>30</p:b><c xmlns=''><d>1</d><d>2</d><d>3.5</d><e xml:id='k'/></c><!--note--><?go now?></r>";

fn namespaces() -> Namespaces {
    [("d", "urn:d"), ("p", "urn:p")].into_iter().collect()
}

fn evaluate(text: &str) -> Result<Value, XPathError> {
    let document = Document::parse_str(DOCUMENT).unwrap();
    let variables: HashMap<String, Value> = [
        ("n".to_owned(), Value::Number(2.0)),
        ("s".to_owned(), Value::from("30")),
    ]
    .into();
    XPath::compile(text, &namespaces())?.evaluate(&document, document.document_node(), &variables)
}

fn string(text: &str) -> String {
    let document = Document::parse_str(DOCUMENT).unwrap();
    evaluate(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .string(&document)
}

/// Expressions over [`DOCUMENT`] and the string values of what they yield.
const VALUES: &[(&str, &str)] = &[
    ("string(/d:r/d:a)", "xyz"),
    ("count(/d:r/d:a/text())", "1"),
    ("string(/d:r/d:a/text())", "xyz"),
    ("/d:r/p:b/@p:m", "q"),
    ("/d:r/p:b/@m", ""),
    ("count(/d:r/c/d)", "3"),
    ("sum(//d)", "6.5"),
    ("//d[last()]", "3.5"),
    ("//d[position() = $n]", "2"),
    ("//d[$n]", "2"),
    ("//*[. = $s]/@n", "2"),
    ("name(//*[@n = 2])", "p:b"),
    ("namespace-uri(/*)", "urn:d"),
    ("local-name(//processing-instruction('go'))", "go"),
    ("//comment()", "note"),
    ("string(id('k')/preceding-sibling::*[1])", "3.5"),
    ("count(//e/ancestor::node())", "3"),
    ("count(/d:r/namespace::*)", "3"),
    ("count(//e/namespace::*)", "2"),
    ("string(/d:r/namespace::p)", "urn:p"),
    ("count(//@*/following::d)", "3"),
    ("count(/d:r/c/d[1]/following::node())", "7"),
    ("lang('en')", "false"),
    ("boolean(//d[lang('EN')])", "true"),
    ("1 div 0", "Infinity"),
    ("-1 div 0", "-Infinity"),
    ("0 div 0", "NaN"),
    ("string(-0)", "0"),
    ("5 mod -2", "1"),
    ("-5 mod 2", "-1"),
    ("1.5 mod 0.5", "0"),
    ("0.1 + 0.2", "0.30000000000000004"),
    ("1000000000000000000000", "1000000000000000000000"),
    ("0.0000001", "0.0000001"),
    ("number('1e3')", "NaN"),
    ("number(' -12.50 ')", "-12.5"),
    ("number('+1')", "NaN"),
    ("number('.')", "NaN"),
    (".5 + 5.", "5.5"),
    ("--1", "1"),
    ("---1", "-1"),
    ("round(2.5)", "3"),
    ("round(-2.5)", "-2"),
    ("substring('12345', 1.5, 2.6)", "234"),
    ("substring('12345', 0, 3)", "12"),
    ("substring('12345', 0 div 0, 3)", ""),
    ("substring('12345', -42, 1 div 0)", "12345"),
    ("substring('12345', -1 div 0, 1 div 0)", ""),
    ("substring('h\u{E9}llo', 2, 2)", "\u{E9}l"),
    ("substring-after('1999/04/01', '/')", "04/01"),
    ("substring-before('abc', '')", ""),
    ("substring-after('abc', '')", "abc"),
    ("translate('--aaa--', 'abc-', 'ABC')", "AAA"),
    ("normalize-space('  a \t b\n')", "a b"),
    ("concat('a', 1, true())", "a1true"),
    ("string-length('\u{1F600}')", "1"),
    ("'1' = 1", "true"),
    ("true() = 'false'", "true"),
    ("//d = 2", "true"),
    ("//d != 2", "true"),
    ("//d > 3", "true"),
    ("3 > //d", "true"),
    ("//d < //d", "true"),
    ("//nothing = //nothing", "false"),
    ("//nothing = false()", "true"),
    ("//d[1] = //d", "true"),
    ("2 > 1 > 0", "true"),
    ("1 = 1 = 1", "true"),
    ("false() or not(false()) and true()", "true"),
    ("(//d)[2]", "2"),
    ("//d[2]/preceding-sibling::*[1]", "1"),
    ("(//d[2] | //d[1])[1]", "1"),
    ("//e/preceding-sibling::d[1]", "3.5"),
    ("(//e/preceding-sibling::d)[1]", "1"),
    ("count(//d | //d[1] | //e)", "4"),
    ("count(//node())", "15"),
    ("count(//.)", "16"),
    ("4*2 - 3 div 3", "7"),
    ("//c/d[position() > 1 and position() < last()]", "2"),
    ("count(/)", "1"),
    ("string(/*/*[3]/*[1]/..//d[. > 3])", "3.5"),
];

#[test]
fn values_are_as_the_recommendation_says() {
    for (expression, expected) in VALUES {
        assert_eq!(string(expression), *expected, "{expression}");
    }
}

#[test]
fn names_that_are_operators_elsewhere_are_names_where_operands_stand() {
    let document = Document::parse_str("<div><or>2</or><and>3</and><mod/><text>t</text></div>").unwrap();
    let string = |text: &str| {
        let path = XPath::compile(text, &Namespaces::new()).unwrap();
        path.evaluate_string(&document, NodeId::DOCUMENT, &()).unwrap()
    };
    assert_eq!(string("div/or * div/and"), "6");
    assert_eq!(string("div/or div div/or"), "1");
    assert_eq!(string("count(div/* [2])"), "1");
    assert_eq!(string("div/text"), "t");
    assert_eq!(string("div/and mod div/or"), "1");
    assert_eq!(string("div /or-div/ mod"), "");
}

#[test]
fn mistakes_are_found_at_compile_time_with_their_place() {
    for (expression, kind, offset) in [
        ("", XPathErrorKind::Syntax, 0),
        ("a b", XPathErrorKind::Syntax, 2),
        ("a[", XPathErrorKind::Syntax, 2),
        ("a]", XPathErrorKind::Syntax, 1),
        ("'abc", XPathErrorKind::Syntax, 0),
        ("//", XPathErrorKind::Syntax, 2),
        ("a/1", XPathErrorKind::Syntax, 2),
        ("sideways::a", XPathErrorKind::Syntax, 0),
        ("1 + x:a", XPathErrorKind::Prefix, 4),
        ("a + cuont(b)", XPathErrorKind::Function, 4),
        ("count()", XPathErrorKind::Function, 0),
        ("count(1)", XPathErrorKind::Type, 6),
        ("'a' | b", XPathErrorKind::Type, 0),
        ("b | 1", XPathErrorKind::Type, 4),
        ("1[1]", XPathErrorKind::Type, 0),
        ("#", XPathErrorKind::Syntax, 0),
        ("$", XPathErrorKind::Syntax, 1),
        ("a/foo()", XPathErrorKind::Syntax, 2),
        ("$missing", XPathErrorKind::Variable, 0),
        ("count($n)", XPathErrorKind::Type, 6),
    ] {
        let error = evaluate(expression).expect_err(expression);
        assert_eq!(
            (error.kind, error.offset),
            (kind, offset),
            "{expression}: {error}"
        );
    }
    assert!(evaluate("cuont(b)").unwrap_err().message.contains("count()"));
}

#[test]
fn hostile_expressions_end() {
    let nested = "(".repeat(10_000) + "1" + &")".repeat(10_000);
    assert_eq!(evaluate(&nested).unwrap_err().kind, XPathErrorKind::Syntax);
    let predicates = "a[".repeat(10_000);
    assert_eq!(evaluate(&predicates).unwrap_err().kind, XPathErrorKind::Syntax);
    assert_eq!(string(&format!("1{}", " + 1".repeat(10_000))), "10001");
    assert_eq!(string(&format!("{}1", "-".repeat(10_001))), "-1");
    assert_eq!(string(&format!("count(.{})", "/.".repeat(10_000))), "1");
    let document = Document::parse_str(&("<a>".repeat(120) + &"</a>".repeat(120))).unwrap();
    let greedy = "//*[//*[//*[//*[//*[. = 'x']]]]]";
    let path = XPath::compile(greedy, &Namespaces::new()).unwrap();
    let error = path
        .evaluate_within(&document, NodeId::DOCUMENT, &(), 100_000)
        .unwrap_err();
    assert_eq!(error.kind, XPathErrorKind::Budget);
    let cheap = XPath::compile("count(//a//a//a//a//a)", &Namespaces::new()).unwrap();
    let value = cheap
        .evaluate_within(&document, NodeId::DOCUMENT, &(), 5_000)
        .unwrap();
    assert_eq!(value, Value::Number(116.0));
}

#[test]
fn one_node_costs_no_walk_over_the_rest() {
    let text = format!("<r>{}</r>", "<o><s>1</s></o>".repeat(5_000));
    let document = Document::parse_str(&text).unwrap();
    for expression in [
        "(//o)[1]/s",
        "boolean(//s)",
        "//o and //s",
        "not(//o)",
        "//s = '1'",
    ] {
        let path = XPath::compile(expression, &Namespaces::new()).unwrap();
        let value = path.evaluate_within(&document, NodeId::DOCUMENT, &(), 20);
        assert!(value.is_ok(), "{expression}: {value:?}");
    }
}

#[test]
fn functions_of_the_application_are_called() {
    let document = Document::parse_str(DOCUMENT).unwrap();
    let mut functions = Functions::new();
    functions.register("urn:p", "twice", 1..=1, |call, arguments| {
        Ok(Value::Number(arguments[0].number(call.document) * 2.0))
    });
    functions.register("urn:p", "fail", 0..=0, |_, _| Err("no luck".to_owned()));
    let compile = |text| XPath::compile_with(text, &namespaces(), &functions);
    let run = |text| compile(text).unwrap().evaluate(&document, NodeId::DOCUMENT, &());
    assert_eq!(run("sum(//d) + p:twice(//d[2])"), Ok(Value::Number(10.5)));
    assert_eq!(run("1 + p:fail()").unwrap_err().message, "no luck");
    assert_eq!(compile("p:twice()").unwrap_err().kind, XPathErrorKind::Function);
    assert!(compile("p:twise(1)").unwrap_err().message.contains("twice"));
}

#[test]
fn variables_are_listed() {
    let path = XPath::compile("$a + //x[$p:b = $a]", &namespaces()).unwrap();
    assert_eq!(path.variables().collect::<Vec<_>>(), ["a", "p:b"]);
    fn shareable<T: Send + Sync + Clone>(_: &T) {}
    shareable(&path);
}

#[test]
fn order_holds_after_edits() {
    let mut document = Document::parse_str("<r><a/><b/></r>").unwrap();
    let root = document.root_element().unwrap();
    let first = document.first_child(root).unwrap();
    let new = document.append_element(root, "", "c", "").unwrap();
    document.insert_before(first, new).unwrap();
    let path = XPath::compile("r/b | r/c | r/a", &Namespaces::new()).unwrap();
    let Value::Nodes(nodes) = path.evaluate(&document, NodeId::DOCUMENT, &()).unwrap() else {
        panic!()
    };
    let names: Vec<&str> = nodes
        .iter()
        .map(|node| node.name(&document).unwrap().local)
        .collect();
    assert_eq!(names, ["c", "a", "b"]);
}

proptest::proptest! {
    #[test]
    fn hostile_expressions_never_panic(
        parts in proptest::collection::vec(proptest::sample::select(&[
            "a", "*", "/", "//", "[", "]", "(", ")", "1", ".", "..", "@", "::", "child", "self::", "text()", "'x'",
            "$n", "count(", "position()", "last()", "|", "=", "<", "and", "or", "-", "div", "following::", " ", "p:",
        ][..]), 0..24)
    ) {
        let _ = evaluate(&parts.concat());
    }
}
