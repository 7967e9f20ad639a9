//! Contracts as texts in, operations and served documents out.

use super::*;

const MAIN: &str = r#"<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:s12="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:t" targetNamespace="urn:t">
  <import namespace="urn:m" location="parts/messages.wsdl"/>
  <types><xs:schema targetNamespace="urn:t" elementFormDefault="qualified"><xs:include schemaLocation="types.xsd"/>
    <xs:element name="getQuote" type="t:Quote"/></xs:schema></types>
  <portType name="Quotes"><operation name="getQuote"><input message="t:in"/><output message="t:out"/></operation>
    <operation name="ping"><input message="t:none"/></operation></portType>
  <binding name="B11" type="t:Quotes"><s:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="getQuote"><s:operation soapAction="urn:getQuote"/><input><s:body use="literal"/></input></operation>
    <operation name="ping"><s:operation soapAction="" style="rpc"/><input><s:body use="literal" namespace="urn:rpc"/></input></operation></binding>
  <binding name="B12" type="t:Quotes"><s12:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="getQuote"><s12:operation soapAction="urn:getQuote12"/></operation></binding>
  <service name="S"><port name="P" binding="t:B11"><s:address location="http://inside:9000/q"/></port>
    <port name="P12" binding="t:B12"><s12:address location="http://inside:9000/q"/></port></service>
</definitions>"#;

const MESSAGES: &str = r#"<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:t" targetNamespace="urn:t">
  <message name="in"><part name="parameters" element="t:getQuote"/></message><message name="out"/><message name="none"/></definitions>"#;

const TYPES: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:t" targetNamespace="urn:t">
  <xs:complexType name="Quote"><xs:sequence/></xs:complexType></xs:schema>"#;

fn contract() -> Contract {
    let mut load = |location: &str| match location {
        "c/main.wsdl" => Ok(MAIN.to_owned()),
        "c/parts/messages.wsdl" => Ok(MESSAGES.to_owned()),
        "c/types.xsd" => Ok(TYPES.to_owned()),
        other => Err(format!("no {other}")),
    };
    Contract::read("c/main.wsdl", &mut load).unwrap()
}

#[test]
fn operations_are_found_by_body_or_action() {
    let contract = contract();
    assert_eq!(
        contract.versions,
        Versions {
            soap11: true,
            soap12: true
        }
    );
    let names: Vec<&str> = contract
        .operations
        .iter()
        .map(|operation| operation.name.as_str())
        .collect();
    assert_eq!(names, ["getQuote", "ping"]);
    assert_eq!(contract.operations[0].actions, ["urn:getQuote", "urn:getQuote12"]);
    assert!(contract.operations[0].has_output && !contract.operations[1].has_output);
    let name = |body, action| {
        contract
            .operation(body, action)
            .map(|operation| operation.name.as_str())
    };
    assert_eq!(name(Some(("urn:t", "getQuote")), None), Some("getQuote"));
    assert_eq!(name(Some(("urn:other", "getQuote")), None), None);
    assert_eq!(name(Some(("urn:rpc", "ping")), Some("")), Some("ping"));
    assert_eq!(name(None, Some("urn:getQuote12")), Some("getQuote"));
}

#[test]
fn documents_are_served_with_the_gateways_address() {
    let contract = contract();
    let queries: Vec<&str> = contract
        .documents
        .iter()
        .map(|document| document.query.as_str())
        .collect();
    assert_eq!(queries, ["wsdl", "wsdl=1", "xsd=2"]);
    let main = contract.documents[0].render("http://gw:8290/q");
    assert!(
        main.contains(r#"<s:address location="http://gw:8290/q"/>"#),
        "{main}"
    );
    assert!(
        main.contains(r#"location="http://gw:8290/q?wsdl=1""#)
            && main.contains(r#"schemaLocation="http://gw:8290/q?xsd=2""#)
    );
    assert!(!main.contains("inside"));
    assert_eq!(main.matches("http://gw:8290/q").count(), 4);
}

#[test]
fn inline_schemas_stand_alone() {
    let schema = &contract().schemas[0];
    let tree = roxmltree::Document::parse(&schema.text).unwrap();
    assert_eq!(tree.root_element().lookup_namespace_uri(Some("t")), Some("urn:t"));
    assert_eq!(schema.base, "c/main.wsdl");
}

#[test]
fn mistakes_name_the_document() {
    let read = |text: &'static str| Contract::read("a.wsdl", &mut |_: &str| Ok(text.to_owned())).unwrap_err();
    assert!(read("<a/>").message.contains("no WSDL 1.1"));
    assert_eq!(read("<a").location, "a.wsdl");
    assert!(read("<!DOCTYPE a><a/>").message.contains("DTD"));
    let missing = Contract::read(
        "gone.wsdl",
        &mut |_: &str| Err("there is no such file".to_owned()),
    )
    .unwrap_err();
    assert_eq!(missing.message, "there is no such file");
    assert_eq!(resolve("/abs/x/a.wsdl", "../b.xsd"), "/abs/b.xsd");
}
