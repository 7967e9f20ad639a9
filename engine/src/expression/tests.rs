//! Expressions and templates through their public door: text in, value or mistake with its place out.

use super::*;
use crate::exchange::Entry;
use crate::message::Message;
use crate::model::{Model, json};
use crate::payload::Payload;
use crate::registry::Registry;
use serde_json::{Value as Json, json as value};
use std::time::Duration;
use tokio::time::Instant;

fn exchange(model: Model) -> Exchange {
    let registry = Registry {
        mediators: &[],
        transports: &[],
        formats: &[],
    };
    let deployment = crate::testing::deployment(registry, "settings: { workers: 1 }");
    let deployment = deployment.unwrap_or_else(|_| crate::deployment::Deployment {
        version: 1,
        settings: crate::settings::Settings::default(),
        formats: Arc::new(crate::format::Formats::new(&[])),
        routes: crate::route::RouteTable::default(),
        endpoints: indexmap::IndexMap::new(),
        sequences: indexmap::IndexMap::new(),
        artifacts: Vec::new(),
        documents: std::collections::HashMap::new(),
        listeners: Vec::new(),
        entries: std::collections::HashMap::new(),
        stores: indexmap::IndexMap::new(),
        startups: Vec::new(),
    });
    let entry = Entry {
        id: "id-1".to_owned(),
        path: "/orders/7".to_owned(),
        query: Some("page=2&q=a%20b".to_owned()),
        path_parameters: vec![("id".into(), "7".to_owned())],
        ..Entry::default()
    };
    let mut message = Message {
        payload: Payload::model(model),
        ..Message::default()
    };
    message.headers.insert("x-user", "ann".parse().unwrap());
    let runtime_free = Instant::now() + Duration::from_secs(1);
    Exchange::new(message, Arc::new(entry), Arc::new(deployment), runtime_free)
}

fn json_exchange(text: &str) -> Exchange {
    exchange(Model::Json(
        json::parse(text.as_bytes(), &crate::format::FormatLimits::default()).unwrap(),
    ))
}

fn xml_exchange(text: &str) -> Exchange {
    exchange(Model::Xml(xml::Document::parse_str(text).unwrap()))
}

fn scope() -> Scope {
    Scope {
        namespaces: Arc::new(xml::xpath::Namespaces::new().with("m", "urn:m")),
    }
}

fn eval(source: &str, exchange: &Exchange) -> Json {
    let compiled =
        Expression::compile(source, &scope()).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
    compiled
        .evaluate(exchange)
        .unwrap_or_else(|fault| panic!("{source}: {fault}"))
        .to_json()
}

fn fault(source: &str, exchange: &Exchange) -> String {
    let compiled = Expression::compile(source, &scope()).unwrap().at("a.yaml:1:1");
    compiled.evaluate(exchange).unwrap_err().detail().unwrap()
}

fn mistakes(source: &str) -> Vec<(String, String)> {
    let errors = Expression::compile(source, &scope()).err().unwrap_or_default();
    errors
        .into_iter()
        .map(|error| (source[error.range].to_owned(), error.message))
        .collect()
}

const ORDER: &str = r#"{"order":{"id":"A1","total":1.10,"big":12345678901234567890123,"items":[{"sku":"x","n":2},{"sku":"y","n":3}]}}"#;

#[test]
fn plain_references_keep_what_stands_there() {
    let exchange = json_exchange(ORDER);
    assert_eq!(eval("payload.order.id", &exchange), value!("A1"));
    assert_eq!(eval("payload.order.total", &exchange).to_string(), "1.10");
    assert_eq!(eval("payload.order.items[-1].sku", &exchange), value!("y"));
    assert_eq!(
        eval("payload['order']['big']", &exchange).to_string(),
        "12345678901234567890123"
    );
    assert_eq!(eval("headers['x-user']", &exchange), value!("ann"));
    assert_eq!(eval("headers.x_user", &exchange), value!("ann"));
    assert_eq!(
        eval("params.id ~ params.page ~ query.q", &exchange),
        value!("72a b")
    );
    assert_eq!(eval("message.correlation_id", &exchange), value!("id-1"));
}

#[test]
fn operators_filters_and_tests_see_the_values() {
    let exchange = json_exchange(ORDER);
    assert_eq!(
        eval(
            "payload.order.total | float * 2 > 2 and headers['x-user'] == 'ann'",
            &exchange
        ),
        value!(true)
    );
    assert_eq!(
        eval("payload.order.items | map(attribute='n') | sum", &exchange),
        value!(5)
    );
    assert_eq!(
        eval("payload.order.big + 1", &exchange).to_string(),
        "12345678901234567890124"
    );
    assert_eq!(
        eval("payload.nothing.there | default('none')", &exchange),
        value!("none")
    );
    assert_eq!(
        eval(
            "payload.nothing is defined or payload.order is defined",
            &exchange
        ),
        value!(true)
    );
    assert_eq!(
        eval(
            "'a1' if payload.order.id is matching('^A') else payload.nope",
            &exchange
        ),
        value!("a1")
    );
    assert_eq!(
        eval("jsonpath('$.order.items[?@.n > 2].sku')", &exchange),
        value!("y")
    );
    assert_eq!(
        eval("{'a': payload.order.id, 'b': [1, 2]}", &exchange),
        value!({"a": "A1", "b": [1, 2]})
    );
    let members = eval(
        "[payload.order] | first | items | map('first') | join(' ')",
        &exchange,
    );
    assert_eq!(members, value!("id total big items"), "the order stays");
}

#[test]
fn what_is_absent_is_a_fault_that_names_it() {
    let exchange = json_exchange(ORDER);
    assert_eq!(
        fault("payload.order.nope", &exchange),
        "a.yaml:1:1: `payload.order.nope` is undefined"
    );
    let in_context = fault("payload.order.nope == 1", &exchange);
    assert_eq!(
        in_context,
        "a.yaml:1:1: `payload.order.nope` is undefined in `payload.order.nope == 1`"
    );
    assert!(fault("payload.order.id | float", &exchange).starts_with("a.yaml:1:1: "));
}

#[test]
fn xml_is_navigated_by_local_names() {
    let exchange = xml_exchange(
        "<m:order xmlns:m='urn:m' no='5'><m:id>7</m:id><item><sku>x</sku></item><item><sku>y</sku></item></m:order>",
    );
    assert_eq!(eval("payload.order.id", &exchange), value!("7"));
    assert_eq!(eval("payload.order['@no']", &exchange), value!("5"));
    assert_eq!(eval("payload.order.item[1].sku", &exchange), value!("y"));
    assert_eq!(eval("payload.order.item | length", &exchange), value!(2));
    assert_eq!(eval("xpath('/m:order/item[2]/sku')", &exchange), value!("y"));
    assert_eq!(eval("xpath('count(//item)') == 2", &exchange), value!(true));
    assert_eq!(eval("xpath('//@no')", &exchange), value!("5"));
    assert_eq!(eval("payload.order.id | int + 1", &exchange), value!(8));
    let price = xml_exchange("<price currency='EUR'>2.5</price>");
    assert_eq!(eval("payload.price | float * 2", &price), value!(5.0));
    assert_eq!(
        eval(
            "payload.price['@currency'] == 'EUR' and payload.price == '2.5'",
            &price
        ),
        value!(true)
    );
}

#[test]
fn mistakes_are_found_at_load_with_their_place() {
    let found = |source: &str| {
        mistakes(source)
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{source} compiles"))
    };
    assert_eq!(
        found("paylod.id"),
        ("paylod.id".into(), "unknown name `paylod`".into())
    );
    assert_eq!(
        found("payload.a | upcase"),
        ("upcase".into(), "unknown filter `upcase`".into())
    );
    assert_eq!(
        found("payload.a is definde"),
        ("definde".into(), "unknown test `definde`".into())
    );
    assert_eq!(found("xpth('//a')").1, "unknown function `xpth`");
    assert_eq!(
        found("payload.a.upper()").1,
        "`upper()` cannot be called on a value"
    );
    assert!(found("xpath('//q:a')").1.starts_with("bad XPath"));
    assert!(found("jsonpath('$[')").1.starts_with("bad JSONPath"));
    assert!(
        found("payload.a is matching('(')")
            .1
            .starts_with("bad regular expression")
    );
    assert!(!mistakes("payload.a +").is_empty());
    assert_eq!(mistakes("paylod.a + heders.b").len(), 2);
}

#[test]
fn needs_follow_from_what_is_read() {
    let needs = |source: &str| Expression::compile(source, &scope()).unwrap().needs();
    assert_eq!(needs("headers['a'] == params.b"), Needs::Headers);
    assert_eq!(needs("payload.a"), Needs::Model);
    assert_eq!(needs("xpath('//a')"), Needs::Model);
    assert_eq!(needs("soap.action"), Needs::Headers);
    assert_eq!(needs("message.size > 3"), Needs::Bytes);
    let original = Expression::compile("original.payload.a", &scope()).unwrap();
    assert_eq!(
        (original.needs(), original.needs_original()),
        (Needs::Headers, Some(Needs::Model))
    );
}

#[test]
fn templates_insert_escaped_and_keep_types() {
    let exchange = json_exchange(r#"{"a":"<b> & \"c\"","n":1.10,"l":[{"x":1},{"x":2}]}"#);
    let render = |text: &str, escape| {
        let template =
            Template::compile(text, &scope(), escape).unwrap_or_else(|errors| panic!("{errors:?}"));
        template
            .render(&exchange)
            .unwrap_or_else(|fault| panic!("{fault}"))
    };
    assert_eq!(
        render("<a>${payload.a}</a>", Escape::Xml),
        "<a>&lt;b&gt; &amp; &quot;c&quot;</a>"
    );
    assert_eq!(
        render(r#"{"a":"${payload.a}"}"#, Escape::Json),
        r#"{"a":"<b> & \"c\""}"#
    );
    assert_eq!(
        render("/x/${payload.a}", Escape::Url),
        "/x/%3Cb%3E%20%26%20%22c%22"
    );
    assert_eq!(
        render("$${literal} ${ {'k': '}'}.k } ${payload.n}", Escape::None),
        "${literal} } 1.10"
    );
    let blocks = "{% for i in payload.l %}<x>${i.x}${payload.a}</x>{% endfor %}$${y}";
    assert_eq!(
        render(blocks, Escape::Xml),
        "<x>1&lt;b&gt; &amp; &quot;c&quot;</x><x>2&lt;b&gt; &amp; &quot;c&quot;</x>${y}"
    );
    let whole = Template::compile("${payload.l}", &scope(), Escape::None).unwrap();
    assert_eq!(
        whole.value(&exchange).unwrap().to_json(),
        value!([{"x": 1}, {"x": 2}])
    );
}

#[test]
fn for_blocks_run_over_one_element_as_over_several() {
    let render = |text: &str, xml: &str| {
        let template = Template::compile(text, &scope(), Escape::None).unwrap();
        template
            .render(&xml_exchange(xml))
            .unwrap_or_else(|fault| panic!("{fault}"))
    };
    let names = "{% for i in payload.o.i %}[${i}]{% endfor %}{% for i in xpath('//i') %}(${i}){% endfor %}";
    assert_eq!(render(names, "<o><i>a</i><i>b</i></o>"), "[a][b](a)(b)");
    assert_eq!(render(names, "<o><i>ab</i></o>"), "[ab](ab)");
    assert_eq!(render(names, "<o/>"), "");
    let deep = "{% for i in payload.o.i %}${i.n}{% endfor %}";
    assert_eq!(render(deep, "<o><i><n>1</n></i></o>"), "1");
    let keys = Template::compile("{% for k in payload.o %}${k}{% endfor %}", &scope(), Escape::None).unwrap();
    assert_eq!(
        keys.render(&json_exchange(r#"{"o":{"a":1,"b":2}}"#)).unwrap(),
        "ab"
    );
}

#[test]
fn mistakes_in_templates_have_their_place() {
    let text = "a ${payload.x | nope} b ${hedders.y}";
    let errors = Template::compile(text, &scope(), Escape::None).err().unwrap();
    let found: Vec<&str> = errors.iter().map(|error| &text[error.range.clone()]).collect();
    assert_eq!(found, ["nope", "hedders.y"]);
    let unclosed = Template::compile("a ${payload.x", &scope(), Escape::None)
        .err()
        .unwrap();
    assert_eq!(
        (unclosed[0].range.clone(), unclosed[0].message.as_str()),
        (2..4, "`${` is not closed")
    );
    assert!(Template::compile("{% for x in payload.l %}${y}{% endfor %}", &scope(), Escape::None).is_err());
}

#[test]
fn every_documented_name_exists() {
    let environment = &*environment::ENVIRONMENT;
    for (name, _) in FILTERS {
        let used = environment
            .compile_expression_owned(format!("1 | {name}"))
            .unwrap()
            .eval(());
        let unknown = used.is_err_and(|error| error.kind() == minijinja::ErrorKind::UnknownFilter);
        assert!(!unknown, "filter {name}");
    }
    for (name, _) in TESTS {
        let used = environment
            .compile_expression_owned(format!("1 is {name}"))
            .map(|test| test.eval(()));
        let unknown =
            used.is_ok_and(|used| used.is_err_and(|error| error.kind() == minijinja::ErrorKind::UnknownTest));
        assert!(!unknown, "test {name}");
    }
}

#[test]
fn members_keep_their_order() {
    let exchange = json_exchange(r#"{"rows": [{"z": 1, "a": {"y": 2, "b": 3}}], "none": []}"#);
    for source in [
        "payload.rows | selectattr('z', 'eq', 1) | first",
        "payload.rows[0:1][0]",
        "{'z': 1, 'a': {'y': 2, 'b': 3}}",
    ] {
        let value = eval(source, &exchange).to_string();
        assert_eq!(value, r#"{"z":1,"a":{"y":2,"b":3}}"#, "{source}");
    }
}
