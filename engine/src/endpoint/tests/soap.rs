//! SOAP backends.

use super::{Backend, Payload, Setup, backend, setup};
use crate::message::Message;
use crate::model::Model;
use crate::transport::CallOptions;
use http::Method;
use serde_json::json;
use std::sync::Arc;

const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";

fn request(media_type: &str, body: impl Into<bytes::Bytes>) -> Message {
    let mut message = Message {
        payload: Payload::bytes(body),
        ..Message::default()
    };
    message.set_content_type(media_type);
    message
}

fn envelope(namespace: &str) -> String {
    format!("<e:Envelope  xmlns:e=\"{namespace}\"><e:Body><a/></e:Body></e:Envelope>")
}

async fn send(setup: &Setup, message: Message, options: &CallOptions) {
    let endpoint = Arc::clone(&setup.0.endpoints["main"]);
    endpoint
        .call(&mut setup.exchange(Method::POST), message, options)
        .await
        .unwrap();
}

/// The last call: content type, action, whether the body is an envelope in this namespace with `<a/>` in it.
fn last(backend: &Backend, namespace: &str) -> (String, Option<String>, bool) {
    let call = backend.calls().pop().unwrap();
    let text = |name: &str| {
        call.headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let document = xml::Document::parse_str(&call.body).unwrap();
    let root = document.root_element().unwrap();
    let body = document.child_element(root, namespace, "Body").unwrap();
    let has_content = document.child_element(body, "", "a").is_some();
    (
        text("content-type").unwrap(),
        text("soapaction"),
        document.name(root).unwrap().is(namespace, "Envelope") && has_content,
    )
}

#[tokio::test(start_paused = true)]
async fn xml_and_json_are_wrapped_with_their_action() {
    let setup = setup("main: { fake: \"fake://w1\", soap: \"1.1\", action: \"urn:default\" }");
    let named = CallOptions {
        action: Some("urn:named".into()),
        ..CallOptions::default()
    };
    let media = "text/xml; charset=utf-8".to_owned();
    send(&setup, request("application/xml", "<a/>"), &named).await;
    assert_eq!(
        last(&backend("w1"), SOAP11),
        (media.clone(), Some("\"urn:named\"".into()), true)
    );
    send(
        &setup,
        request("application/json", "{\"a\":null}"),
        &CallOptions::default(),
    )
    .await;
    assert_eq!(
        last(&backend("w1"), SOAP11),
        (media.clone(), Some("\"urn:default\"".into()), true)
    );
    let model = Model::Xml(xml::Document::parse_str("<a/>").unwrap());
    send(
        &setup,
        Message {
            payload: Payload::model(model),
            ..Message::default()
        },
        &named,
    )
    .await;
    assert_eq!(
        last(&backend("w1"), SOAP11),
        (media, Some("\"urn:named\"".into()), true)
    );
}

#[tokio::test(start_paused = true)]
async fn soap12_names_the_action_in_the_media_type() {
    let setup = setup("main: { fake: \"fake://w2\", soap: \"1.2\" }");
    let named = CallOptions {
        action: Some("urn:a".into()),
        ..CallOptions::default()
    };
    send(&setup, request("application/xml", "<a/>"), &named).await;
    let media = "application/soap+xml; charset=utf-8; action=\"urn:a\"".to_owned();
    assert_eq!(last(&backend("w2"), SOAP12), (media, None, true));
}

#[tokio::test(start_paused = true)]
async fn an_envelope_of_the_right_version_goes_on_byte_by_byte() {
    let setup = setup("main: { fake: \"fake://w3\", soap: \"1.1\" }");
    let mut message = request("text/xml; charset=ISO-8859-1", envelope(SOAP11));
    message
        .headers
        .insert("soapaction", "\"urn:own\"".parse().unwrap());
    send(&setup, message, &CallOptions::default()).await;
    let call = backend("w3").calls().pop().unwrap();
    assert_eq!(call.body, envelope(SOAP11));
    assert_eq!(call.headers["content-type"], "text/xml; charset=ISO-8859-1");
    assert_eq!(call.headers["soapaction"], "\"urn:own\"");
}

#[tokio::test(start_paused = true)]
async fn an_envelope_of_the_other_version_is_converted() {
    let setup = setup("main: { fake: \"fake://w4\", soap: \"1.1\" }");
    send(
        &setup,
        request("application/soap+xml", envelope(SOAP12)),
        &CallOptions::default(),
    )
    .await;
    let media = "text/xml; charset=utf-8".to_owned();
    assert_eq!(last(&backend("w4"), SOAP11), (media, Some("\"\"".into()), true));
}

#[tokio::test(start_paused = true)]
async fn a_member_without_soap_gets_what_the_client_sent() {
    let setup = setup("main: { failover: [ { fake: \"fake://w5a\", soap: \"1.1\" }, \"fake://w5b\" ] }");
    backend("w5a").always("refuse");
    send(
        &setup,
        request("application/xml", "<a/>"),
        &CallOptions::default(),
    )
    .await;
    let call = backend("w5b").calls().pop().unwrap();
    assert_eq!(
        (call.body.as_str(), call.headers.contains_key("soapaction")),
        ("<a/>", false)
    );
}

#[tokio::test(start_paused = true)]
async fn a_soap_fault_is_a_fault_and_other_errors_are_replies() {
    let setup = setup("main: { fake: \"fake://w6\", soap: \"1.1\" }");
    let backend = backend("w6");
    let body = format!(
        "<e:Envelope xmlns:e=\"{SOAP11}\"><e:Body><e:Fault><faultcode>e:Client</faultcode><faultstring>bad</faultstring>\
         <faultactor>urn:x</faultactor><detail><why>1</why></detail></e:Fault></e:Body></e:Envelope>"
    );
    backend
        .replies(&[("content-type", "text/xml")], &body)
        .will("500, 200");
    let mut fault = setup.try_get().await.unwrap_err();
    assert_eq!(fault.name(), "backend.soap_fault");
    let expected = json!({ "status": 500, "code": "Client", "reason": "bad", "actor": "urn:x", "detail": { "why": "1" } });
    assert_eq!(fault.details(), Some(&expected));
    assert_eq!(
        fault.take_reply().unwrap().payload.as_bytes().unwrap(),
        body.as_bytes()
    );
    assert_eq!(setup.get().await, "200", "a good status is not looked into");
    backend
        .replies(&[("content-type", "text/html")], "<p>")
        .will("500");
    assert_eq!(setup.get().await, "500");
    backend
        .replies(&[("content-type", "text/xml")], "<broken")
        .will("500");
    assert_eq!(setup.get().await, "500");
}
