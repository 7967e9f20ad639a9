//! `rest-to-soap` in front of a SOAP service that others made (spyne), instead of its own backend.

use super::start;
use mediary_tests::{Backend, Gateway, Reply, TestServer, get, post, python, refused_url};
use serde_json::json;

fn in_front_of(service: &str) -> (Gateway, String) {
    let gateway = start("rest-to-soap", &[("stock_quotes.http", service)]);
    let base = format!("{}/stocks/v1", gateway.url("http"));
    (gateway, base)
}

#[tokio::test]
async fn a_foreign_service_answers_as_the_sample_s_own() {
    let service = TestServer::python("servers/stock_quote_spyne.py", &[]);
    let (_gateway, base) = in_front_of(service.url());
    let quote = get(&format!("{base}/quotes/SUN")).await.expect_status(200);
    assert_eq!(quote.header("content-type"), "application/json");
    let expected =
        json!({"symbol": "SUN", "name": "Sun & Sons <Ltd>", "last": 5.99, "change": 0.0, "volume": 7431});
    assert_eq!(quote.json(), expected);

    let quotes = get(&format!("{base}/quotes?symbols=IBM,MSFT"))
        .await
        .expect_status(200);
    let expected = json!({"quotes": [{"symbol": "IBM", "last": 140.34}, {"symbol": "MSFT", "last": 27.03}]});
    assert_eq!(quotes.json(), expected);
    let one = get(&format!("{base}/quotes?symbols=IBM"))
        .await
        .expect_status(200);
    assert_eq!(
        one.json(),
        json!({"quotes": [{"symbol": "IBM", "last": 140.34}]}),
        "one quote is a list too"
    );
}

#[tokio::test]
async fn a_soap_fault_becomes_a_problem_with_the_right_status() {
    let service = TestServer::python("servers/stock_quote_spyne.py", &[]);
    let (_gateway, base) = in_front_of(service.url());
    for path in ["quotes/N%26A", "quotes?symbols=IBM,N%26A"] {
        let problem = get(&format!("{base}/{path}")).await.expect_status(404);
        assert_eq!(problem.header("content-type"), "application/problem+json");
        let body = problem.json();
        assert_eq!(
            (&body["status"], &body["code"]),
            (&json!(404), &json!("stocks.unknown_symbol"))
        );
        assert_eq!(body["detail"], "There is no stock N&A.");
        assert_eq!(body["type"], "urn:mediary:fault:stocks.unknown_symbol");
    }
}

#[tokio::test]
async fn the_header_block_reaches_the_service() {
    let service = TestServer::python("servers/stock_quote_spyne.py", &[]);
    let (_gateway, base) = in_front_of(service.url());
    let orders = json!({"buyer": "ann", "orders": [
        {"symbol": "IBM", "price": 140.5, "volume": 2},
        {"symbol": "MSFT", "price": 27, "volume": 10},
    ]});
    let url = format!("{base}/orders");
    let request = http::Request::post(&url)
        .header("content-type", "application/json")
        .header("x-routing", "EU")
        .body(http_body_util::Full::new(bytes::Bytes::from(orders.to_string())))
        .unwrap();
    let receipt = mediary_tests::Client::new()
        .send(request)
        .await
        .unwrap()
        .expect_status(201);
    assert_eq!(
        receipt.json(),
        json!({"routing": "EU", "orders": 2, "total": 551.0})
    );

    let refused = post(&url, "application/json", orders.to_string())
        .await
        .expect_status(400);
    let body = refused.json();
    assert_eq!(body["code"], "stocks.refused");
    assert_eq!(body["detail"], "The SOAP header 'routing' is required.");
}

#[tokio::test]
async fn what_leaves_is_soap_1_1() {
    let reply = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><m:getQuoteResponse
        xmlns:m="http://services.samples"><m:return><m:symbol>A</m:symbol><m:last>1.10</m:last><m:change>0</m:change>
        <m:volume>1</m:volume><m:name>a</m:name></m:return></m:getQuoteResponse></s:Body></s:Envelope>"#;
    let backend = Backend::replying(Reply::ok("text/xml; charset=utf-8", reply));
    let (_gateway, base) = in_front_of(&backend.url());
    let request = http::Request::get(format!("{base}/quotes/A%3C%26"))
        .header("authorization", "Bearer secret")
        .body(http_body_util::Full::<bytes::Bytes>::default())
        .unwrap();
    mediary_tests::Client::new()
        .send(request)
        .await
        .unwrap()
        .expect_status(200);
    let call = backend.request();
    assert_eq!(
        (call.method.as_str(), call.header("soapaction")),
        ("POST", "\"getQuote\"")
    );
    assert!(
        call.header("content-type").starts_with("text/xml"),
        "{}",
        call.header("content-type")
    );
    assert_eq!(
        call.header("authorization"),
        "",
        "the client's credentials stay at the gateway"
    );
    assert!(
        call.text().contains("<m:symbol>A&lt;&amp;</m:symbol>"),
        "{}",
        call.text()
    );
    assert!(
        call.text().contains("http://schemas.xmlsoap.org/soap/envelope/"),
        "{}",
        call.text()
    );
}

#[tokio::test]
async fn a_service_that_is_down_is_a_bad_gateway() {
    let (_gateway, base) = in_front_of(&refused_url());
    let problem = get(&format!("{base}/quotes/IBM")).await.expect_status(502);
    assert_eq!(problem.json()["code"], "backend.connect");
}

#[test]
fn the_sample_s_own_backend_is_a_soap_service_for_others_too() {
    let gateway = Gateway::start(
        super::folder("rest-to-soap").as_path(),
        &["settings.listeners.backend.port=0"],
    );
    let wsdl = format!("{}/services/StockQuote?wsdl", gateway.url("backend"));
    let zeep = |more: &[&str]| {
        python("clients/zeep_client.py", &[&[wsdl.as_str()], more].concat())
            .expect_success()
            .json()
    };
    let quote = zeep(&["call", "getQuote", r#"{"request": {"symbol": "SUN"}}"#]);
    assert_eq!(quote["result"]["name"], "Sun & Sons <Ltd>");
    let quotes = zeep(&["call", "getQuotes", r#"{"request": {"symbol": ["IBM", "MSFT"]}}"#]);
    assert_eq!(quotes["result"][1]["last"], "27.03", "{quotes}");
    let unknown = zeep(&["call", "getQuote", r#"{"request": {"symbol": "NONE"}}"#]);
    assert_eq!(unknown["fault"]["message"], "Unknown symbol: NONE");
    assert!(
        unknown["fault"]["detail"].to_string().contains("UnknownSymbol"),
        "{unknown}"
    );
    let orders = r#"{"order": [{"symbol": "IBM", "buyerID": "ann", "price": "140.50", "volume": 2}]}"#;
    let receipt = zeep(&["--header", r#"{"routing": "EU"}"#, "call", "buyStocks", orders]);
    assert_eq!(
        (&receipt["result"]["routing"], &receipt["result"]["orders"]),
        (&json!("EU"), &json!(1))
    );
    let refused = zeep(&["call", "buyStocks", orders]);
    assert_eq!(
        refused["fault"]["message"],
        "The SOAP header 'routing' is required"
    );
}
