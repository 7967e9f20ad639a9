//! `http-as-soap` consumed by foreign SOAP clients, strict ones, in both versions of SOAP.

use super::start;
use mediary_tests::{Backend, Finished, Gateway, Reply, get, node, post, python};
use serde_json::{Value, json};

/// A SOAP client under the common contract of the two scripts in `tests/clients`.
type Client = fn(&[&str]) -> Finished;

const CLIENTS: [(&str, Client); 2] = [
    ("zeep", |arguments| python("clients/zeep_client.py", arguments)),
    ("npm soap", |arguments| node("clients/soap_client.mjs", arguments)),
];
const VERSIONS: [&str; 2] = ["1.1", "1.2"];

/// The JSON application, as the sample expects it, with requests recorded.
fn application() -> Backend {
    Backend::start(|request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/shipments") if request.json()["weight_kg"].as_f64() > Some(30.0) => {
            error(422, "too_heavy", "A parcel weighs at most 30 kg")
        }
        ("POST", "/shipments") => Reply::status(201)
            .header("content-type", "application/json")
            .body(
            json!({"id": "S-7", "price": {"amount": 7.5, "currency": "EUR"}, "delivery_date": "2026-03-05"})
                .to_string(),
        ),
        ("GET", "/shipments/S-7") => Reply::json(&json!({"id": "S-7", "status": "in_transit", "events": [
            {"time": "2026-03-01T08:15:00Z", "place": "Hamburg"},
            {"time": "2026-03-01T17:40:00Z", "place": "Leipzig & <Halle>"},
        ]})),
        _ => error(404, "unknown_shipment", "There is no such shipment"),
    })
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = json!({"error": code, "message": message});
    Reply::status(status)
        .header("content-type", "application/json")
        .body(body.to_string())
}

fn service(backend: &Backend) -> (Gateway, String) {
    let gateway = start("http-as-soap", &[("shipping_app.http", &backend.url())]);
    let url = format!("{}/services/Shipping", gateway.url("http"));
    (gateway, url)
}

fn call(client: Client, version: &str, url: &str, operation: &str, arguments: &Value) -> Value {
    let wsdl = format!("{url}?wsdl");
    let arguments = arguments.to_string();
    client(&[&wsdl, "--soap", version, "call", operation, &arguments])
        .expect_success()
        .json()
}

#[test]
fn foreign_clients_call_it_in_both_versions() {
    let backend = application();
    let (_gateway, url) = service(&backend);
    for (name, client) in CLIENTS {
        for version in VERSIONS {
            let before = backend.requests().len();
            let recipient = json!({"name": "Ann <A>", "city": "Köln & Bonn", "country": "DE"});
            let order = json!({"recipient": recipient, "weightKg": 2.5, "express": true});
            let booked = call(client, version, &url, "BookShipment", &order);
            let result = &booked["result"];
            assert_eq!(result["shipmentId"], "S-7", "{name} {version}: {booked}");
            assert!(
                result["price"].to_string().contains("7.5"),
                "{name} {version}: {booked}"
            );
            assert!(
                result["price"].to_string().contains("EUR"),
                "{name} {version}: {booked}"
            );
            assert!(
                result["deliveryDate"].to_string().contains("2026-03-05"),
                "{name} {version}: {booked}"
            );
            let sent = backend.requests()[before].json();
            assert_eq!(
                sent,
                json!({"recipient": recipient, "weight_kg": 2.5, "express": true}),
                "{name} {version}"
            );

            let tracked = call(
                client,
                version,
                &url,
                "TrackShipment",
                &json!({"shipmentId": "S-7"}),
            );
            let result = &tracked["result"];
            assert_eq!(result["status"], "in_transit", "{name} {version}: {tracked}");
            assert_eq!(
                result["event"][1]["place"], "Leipzig & <Halle>",
                "{name} {version}: {tracked}"
            );
        }
    }
}

#[test]
fn foreign_clients_get_declared_faults_in_both_versions() {
    let backend = application();
    let (_gateway, url) = service(&backend);
    for (name, client) in CLIENTS {
        for version in VERSIONS {
            let unknown = call(
                client,
                version,
                &url,
                "TrackShipment",
                &json!({"shipmentId": "S-9"}),
            );
            let fault = &unknown["fault"];
            let code = if version == "1.1" { ":Client" } else { ":Sender" };
            assert!(
                fault["code"].as_str().unwrap_or_default().ends_with(code),
                "{name} {version}: {unknown}"
            );
            assert_eq!(fault["message"], "There is no such shipment", "{name} {version}");
            let detail = fault["detail"].to_string();
            assert!(
                detail.contains("ShippingFault") && detail.contains("unknown_shipment"),
                "{name} {version}: {detail}"
            );
        }
    }
}

#[test]
fn requests_that_break_the_contract_do_not_reach_the_application() {
    let backend = application();
    let (_gateway, url) = service(&backend);
    // The npm client does not validate what it sends, zeep leaves patterns to the server: both let this pass.
    for (name, client) in CLIENTS {
        for version in VERSIONS {
            let refused = call(
                client,
                version,
                &url,
                "TrackShipment",
                &json!({"shipmentId": "nonsense"}),
            );
            let fault = &refused["fault"];
            let code = if version == "1.1" { ":Client" } else { ":Sender" };
            assert!(
                fault["code"].as_str().unwrap_or_default().ends_with(code),
                "{name} {version}: {refused}"
            );
            let detail = fault["detail"].to_string();
            assert!(
                detail.contains("client.validation"),
                "{name} {version}: {refused}"
            );
            assert!(
                detail.contains("shipmentId"),
                "the place of the violation, {name} {version}: {refused}"
            );
        }
    }
    assert_eq!(backend.requests().len(), 0);
}

#[test]
fn the_wsdl_and_its_schema_have_the_gateway_s_address() {
    let backend = application();
    let (gateway, url) = service(&backend);
    for (name, client) in CLIENTS {
        for version in VERSIONS {
            let operations = client(&[&format!("{url}?wsdl"), "--soap", version, "operations"])
                .expect_success()
                .json();
            let mut names: Vec<&String> = operations.as_object().unwrap().keys().collect();
            names.sort();
            assert_eq!(names, ["BookShipment", "TrackShipment"], "{name} {version}");
        }
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let wsdl = runtime
        .block_on(get(&format!("{url}?wsdl")))
        .expect_status(200)
        .text();
    assert!(
        wsdl.contains(&format!("location=\"{}/services/Shipping\"", gateway.url("http"))),
        "{wsdl}"
    );
    assert!(!wsdl.contains("localhost:8290"), "{wsdl}");
}

#[tokio::test]
async fn the_version_of_the_reply_is_that_of_the_request() {
    let backend = application();
    let (_gateway, url) = service(&backend);
    for (namespace, media_type, fault_status) in [
        ("http://schemas.xmlsoap.org/soap/envelope/", "text/xml", 500),
        (
            "http://www.w3.org/2003/05/soap-envelope",
            "application/soap+xml",
            400,
        ),
    ] {
        let request = |id: &str| {
            format!(
                "<e:Envelope xmlns:e=\"{namespace}\"><e:Body><TrackShipment xmlns=\"http://example.org/shipping\">\
                 <shipmentId>{id}</shipmentId></TrackShipment></e:Body></e:Envelope>"
            )
        };
        let reply = post(&url, media_type, request("S-7")).await.expect_status(200);
        assert!(
            reply.header("content-type").starts_with(media_type),
            "{}",
            reply.header("content-type")
        );
        assert!(reply.text().contains(namespace), "{}", reply.text());
        let fault = post(&url, media_type, request("S-9"))
            .await
            .expect_status(fault_status);
        assert!(
            fault.header("content-type").starts_with(media_type),
            "{}",
            fault.header("content-type")
        );
        assert!(fault.text().contains(namespace), "{}", fault.text());
    }
}
