//! Envelopes as services and clients really write them.

use super::*;
use serde_json::json;

const QUOTE: &str = concat!(
    r#"<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:ser="http://services.samples">"#,
    "\n  <soapenv:Header/>\n  <soapenv:Body>\n    <ser:getQuote><ser:symbol>IBM</ser:symbol></ser:getQuote>\n  </soapenv:Body>\n",
    "</soapenv:Envelope>"
);

fn parse(text: &str) -> Document {
    Document::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn soap(version: Version, inside: &str) -> Document {
    let namespace = version.namespace();
    parse(&format!(
        r#"<s:Envelope xmlns:s="{namespace}" xmlns:m="urn:m">{inside}</s:Envelope>"#
    ))
}

#[test]
fn the_parts_of_an_envelope_are_found() {
    let quote = parse(QUOTE);
    assert_eq!(version(&quote), Some(Version::Soap11));
    assert_eq!(validate(&quote), Ok(()));
    assert!(header(&quote).is_some());
    assert_eq!(
        unwrap(&quote).unwrap().to_string(),
        r#"<ser:getQuote xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:ser="http://services.samples"><ser:symbol>IBM</ser:symbol></ser:getQuote>"#
    );
    assert!(fault(&quote).is_none());
    let plain = parse("<Envelope><Body/></Envelope>");
    assert_eq!(
        (version(&plain), body(&plain), unwrap(&plain).is_none()),
        (None, None, true)
    );
    let empty = soap(Version::Soap12, "<s:Body/>");
    assert_eq!(
        (version(&empty), body_content(&empty)),
        (Some(Version::Soap12), None)
    );
}

#[test]
fn wrapping_and_unwrapping_are_inverse() {
    let content = parse(r#"<a xmlns="urn:a"><b/></a>"#);
    let block = parse(r#"<h:id xmlns:h="urn:h">7</h:id>"#);
    let envelope = wrap(Some(&content), &[&block], Version::Soap12);
    assert_eq!(
        envelope.to_string(),
        concat!(
            r#"<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Header>"#,
            r#"<h:id xmlns:h="urn:h">7</h:id></soap:Header><soap:Body><a xmlns="urn:a"><b/></a></soap:Body></soap:Envelope>"#
        )
    );
    assert_eq!(validate(&envelope), Ok(()));
    let inner = unwrap(&envelope).unwrap();
    assert!(
        inner
            .name(inner.root_element().unwrap())
            .unwrap()
            .is("urn:a", "a")
    );
    assert!(
        wrap(None, &[], Version::Soap11)
            .to_string()
            .ends_with("<soap:Body/></soap:Envelope>")
    );
}

#[test]
fn envelopes_of_a_wrong_structure_are_refused() {
    for (inside, version, message) in [
        ("", Version::Soap11, "no Body"),
        ("<s:Header/>", Version::Soap11, "no Body"),
        ("<s:Body/><s:Body/>", Version::Soap11, "two Bodies"),
        ("<s:Body/><s:Header/>", Version::Soap11, "Header comes after"),
        ("<s:Header/><s:Header/><s:Body/>", Version::Soap12, "two Headers"),
        ("x<s:Body/>", Version::Soap12, "text between"),
        (
            "<s:Body/><m:more/>",
            Version::Soap12,
            "cannot hold the element `more`",
        ),
        (
            "<m:more/><s:Body/>",
            Version::Soap11,
            "cannot hold the element `more`",
        ),
        ("<s:Body/><more/>", Version::Soap11, "cannot hold"),
        (
            "<s:Header><id/></s:Header><s:Body/>",
            Version::Soap11,
            "no namespace",
        ),
        (
            r#"<s:Header><m:id s:mustUnderstand="true"/></s:Header><s:Body/>"#,
            Version::Soap11,
            "mustUnderstand",
        ),
        (
            r#"<s:Header><m:id s:mustUnderstand="yes"/></s:Header><s:Body/>"#,
            Version::Soap12,
            "mustUnderstand",
        ),
    ] {
        let error = validate(&soap(version, inside)).expect_err(inside);
        assert!(error.contains(message), "{inside}: {error}");
    }
    assert!(validate(&soap(Version::Soap11, "<s:Body/><m:more/>")).is_ok());
    assert!(
        validate(&parse("<a/>"))
            .unwrap_err()
            .contains("not a SOAP envelope")
    );
    assert!(
        validate(&parse(r#"<Envelope xmlns="urn:new"/>"#))
            .unwrap_err()
            .contains("unknown SOAP version")
    );
}

#[test]
fn faults_of_both_versions_are_read() {
    let old = soap(
        Version::Soap11,
        "<s:Body><s:Fault><faultcode>s:Client.Limit</faultcode><faultstring> Too much </faultstring>\
         <faultactor>urn:me</faultactor><detail><m:limit><m:max>5</m:max></m:limit></detail></s:Fault></s:Body>",
    );
    let read = fault(&old).unwrap();
    assert_eq!((read.code.as_str(), read.reason.as_str()), ("Client", "Too much"));
    assert_eq!(
        (read.subcodes, read.actor.as_deref()),
        (vec!["Limit".to_owned()], Some("urn:me"))
    );
    assert_eq!(read.detail_json, Some(json!({ "limit": { "max": "5" } })));

    let new = soap(
        Version::Soap12,
        "<s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>m:A</s:Value>\
         <s:Subcode><s:Value>m:B</s:Value></s:Subcode></s:Subcode></s:Code><s:Reason><s:Text xml:lang=\"de\">Zu viel</s:Text>\
         <s:Text xml:lang=\"en-GB\">Too much</s:Text></s:Reason><s:Node>urn:node</s:Node></s:Fault></s:Body>",
    );
    let read = fault(&new).unwrap();
    assert_eq!(
        (read.code.as_str(), read.reason.as_str(), read.version),
        ("Sender", "Too much", Version::Soap12)
    );
    assert_eq!(
        (read.subcodes, read.actor.as_deref()),
        (vec!["A".to_owned(), "B".to_owned()], Some("urn:node"))
    );
    assert_eq!((read.detail, read.detail_json), (None, None));

    let empty = fault(&soap(Version::Soap12, "<s:Body><s:Fault/></s:Body>")).unwrap();
    assert_eq!((empty.code.as_str(), empty.reason.as_str()), ("", ""));
}

#[test]
fn faults_are_written_and_read_back() {
    let detail = parse(r#"<f:fault xmlns:f="urn:f"><f:code>x</f:code></f:fault>"#);
    let parts = FaultParts {
        code: "Client",
        subcode: Some(Subcode {
            prefix: "m",
            namespace: "urn:sub",
            local: "limit",
        }),
        reason: "a\u{0}b <c>",
        actor: Some("urn:me"),
        detail: Some(&detail),
    };
    assert_eq!(
        fault_envelope(Version::Soap11, &parts).to_string(),
        concat!(
            r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault>"#,
            "<faultcode>soap:Client</faultcode><faultstring>a\u{FFFD}b &lt;c&gt;</faultstring><faultactor>urn:me</faultactor>",
            r#"<detail><f:fault xmlns:f="urn:f"><f:code>x</f:code></f:fault></detail></soap:Fault></soap:Body></soap:Envelope>"#
        )
    );
    let new = fault_envelope(Version::Soap12, &parts).to_string();
    assert_eq!(
        new,
        concat!(
            r#"<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body><soap:Fault>"#,
            r#"<soap:Code><soap:Value>soap:Sender</soap:Value><soap:Subcode><soap:Value xmlns:m="urn:sub">m:limit</soap:Value></soap:Subcode></soap:Code>"#,
            "<soap:Reason><soap:Text xml:lang=\"en\">a\u{FFFD}b &lt;c&gt;</soap:Text></soap:Reason><soap:Role>urn:me</soap:Role>",
            r#"<soap:Detail><f:fault xmlns:f="urn:f"><f:code>x</f:code></f:fault></soap:Detail></soap:Fault></soap:Body></soap:Envelope>"#
        )
    );
    let read = fault(&parse(&new)).unwrap();
    assert_eq!(
        (read.code.as_str(), read.subcodes),
        ("Sender", vec!["limit".to_owned()])
    );
}

#[test]
fn versions_are_converted_both_ways() {
    let inside = |flag: &str, role: &str, next: &str| {
        format!(
            r#"<s:Header><m:id s:mustUnderstand="{flag}" s:{role}="{next}">7</m:id></s:Header><s:Body><m:a m:b="c">x</m:a></s:Body>"#
        )
    };
    let old = soap(
        Version::Soap11,
        &inside("1", "actor", "http://schemas.xmlsoap.org/soap/actor/next"),
    );
    let new = soap(
        Version::Soap12,
        &inside(
            "true",
            "role",
            "http://www.w3.org/2003/05/soap-envelope/role/next",
        ),
    );
    assert_eq!(convert(&old, Version::Soap12).to_string(), new.to_string());
    assert_eq!(convert(&new, Version::Soap11).to_string(), old.to_string());
    assert_eq!(convert(&old, Version::Soap11).to_string(), old.to_string());
    assert_eq!(convert(&parse("<a/>"), Version::Soap11).to_string(), "<a/>");

    let quote = convert(&parse(QUOTE), Version::Soap12).to_string();
    assert_eq!(
        quote,
        QUOTE.replace(Version::Soap11.namespace(), Version::Soap12.namespace())
    );
    let default = parse(
        r#"<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><a xmlns=""/></Body></Envelope>"#,
    );
    let converted = convert(&default, Version::Soap12).to_string();
    assert_eq!(
        converted,
        r#"<Envelope xmlns="http://www.w3.org/2003/05/soap-envelope"><Body><a xmlns=""/></Body></Envelope>"#
    );
}

#[test]
fn faults_are_converted_both_ways() {
    let old = soap(
        Version::Soap11,
        "<s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>No</faultstring><detail><m:x/></detail></s:Fault></s:Body>",
    );
    let new = soap(
        Version::Soap12,
        "<s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code><s:Reason><s:Text xml:lang=\"en\">No</s:Text></s:Reason>\
         <s:Detail><m:x/></s:Detail></s:Fault></s:Body>",
    );
    assert_eq!(convert(&old, Version::Soap12).to_string(), new.to_string());
    // What moves keeps the prefixes it was written under, as its content may use them.
    let kept = "<m:x xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"/>";
    assert_eq!(
        convert(&new, Version::Soap11).to_string(),
        old.to_string().replace("<m:x/>", kept)
    );
    let own = soap(
        Version::Soap11,
        "<s:Body><s:Fault><faultcode>m:Odd</faultcode><faultstring/></s:Fault></s:Body>",
    );
    let read = fault(&convert(&own, Version::Soap12)).unwrap();
    assert_eq!(
        (read.code.as_str(), read.subcodes),
        ("Receiver", vec!["Odd".to_owned()])
    );
}
