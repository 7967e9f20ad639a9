//! The foreign SOAP peers understand each other without the gateway. When a test with the gateway between
//! them fails, this one tells whose fault it is.

use mediary_tests::{Finished, TestServer, node, python};
use serde_json::{Value, json};

const SERVICE: &str = "servers/stock_quote_spyne.py";

/// A SOAP client under the common contract of the two scripts in `tests/clients`.
type Client = fn(&[&str]) -> Finished;

fn zeep(arguments: &[&str]) -> Finished {
    python("clients/zeep_client.py", arguments)
}

fn soap(arguments: &[&str]) -> Finished {
    node("clients/soap_client.mjs", arguments)
}

#[test]
fn zeep_speaks_soap_1_1_with_spyne() {
    check(zeep, "1.1");
}

#[test]
fn zeep_speaks_soap_1_2_with_spyne() {
    check(zeep, "1.2");
}

#[test]
fn npm_soap_speaks_soap_1_1_with_spyne() {
    check(soap, "1.1");
}

#[test]
fn npm_soap_speaks_soap_1_2_with_spyne() {
    check(soap, "1.2");
}

#[test]
fn the_wsdl_names_the_operations() {
    let service = TestServer::python(SERVICE, &[]);
    let wsdl = format!("{}?wsdl", service.url());
    for client in [zeep as Client, soap] {
        let operations = client(&[&wsdl, "operations"]).expect_success().json();
        for name in ["getQuote", "getQuotes", "buyStocks"] {
            assert!(operations.get(name).is_some(), "{name} is not in {operations}");
        }
    }
}

#[test]
fn a_client_without_a_service_fails_loudly() {
    let nowhere = mediary_tests::refused_url();
    for client in [zeep as Client, soap] {
        let end = client(&[&nowhere, "operations"]).expect_code(1);
        assert!(!end.stderr.is_empty(), "a message is expected");
    }
}

fn check(client: Client, version: &str) {
    let service = TestServer::python(SERVICE, &["--soap", version]);
    let wsdl = format!("{}?wsdl", service.url());
    let call = |more: &[&str]| {
        client(&[&[wsdl.as_str(), "--soap", version], more].concat())
            .expect_success()
            .json()
    };

    let quote = call(&["call", "getQuote", r#"{"request": {"symbol": "SUN"}}"#]);
    assert_eq!(returned(&quote)["name"], "Sun & Sons <Ltd>");
    assert_eq!(returned(&quote)["volume"], 7431);

    let quotes = call(&["call", "getQuotes", r#"{"request": {"symbol": ["IBM", "MSFT"]}}"#]);
    assert_eq!(returned(&quotes)[1]["symbol"], "MSFT");

    let fault = call(&["call", "getQuote", r#"{"request": {"symbol": "NONE"}}"#]);
    let blame = if version == "1.1" {
        "soap11env:Client"
    } else {
        "soap12env:Sender"
    };
    assert_eq!(fault["fault"]["code"], blame);
    assert_eq!(fault["fault"]["message"], "Unknown symbol: NONE");
    assert!(
        fault["fault"]["detail"].to_string().contains("UnknownSymbol"),
        "{fault}"
    );

    let orders = r#"{"order": [{"symbol": "IBM", "buyerID": "ann", "price": "140.50", "volume": 2}]}"#;
    let receipt = call(&["--header", r#"{"routing": "EU"}"#, "call", "buyStocks", orders]);
    assert_eq!(returned(&receipt)["routing"], "EU");
    let refused = call(&["call", "buyStocks", orders]);
    assert_eq!(
        refused["fault"]["message"],
        "The SOAP header 'routing' is required"
    );
    assert_eq!(refused["fault"]["detail"], json!(null));
}

/// What the operation returned: zeep unwraps the element `return`, npm soap does not.
fn returned(answer: &Value) -> &Value {
    let result = &answer["result"];
    result.get("return").unwrap_or(result)
}
