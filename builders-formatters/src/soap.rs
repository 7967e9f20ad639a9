//! SOAP 1.2: `application/soap+xml`; faults of both versions. SOAP 1.1 travels as `text/xml`.

use crate::{problem, xml};
use bytes::Bytes;
use engine::fault::{Fault, Origin};
use engine::format::{Builder, FaultStyle, FormatLimits, FormatSpec, Formatted, Formatter, RenderedFault};
use engine::model::Model;
use engine::model::json::Malformed;
use engine::model::soap::{self, FaultParts, Subcode, Version};
use http::StatusCode;
use mime::Mime;
use std::borrow::Cow;

const NAMESPACE: &str = "urn:mediary:fault";

pub(crate) const SPEC: FormatSpec = FormatSpec {
    name: "soap",
    docs: "SOAP 1.2 envelopes; SOAP 1.1 envelopes are `text/xml`.\n\n\
        The structure of an incoming envelope is checked. On the way out a SOAP 1.1 envelope is converted to 1.2, and anything \
        else is wrapped into an envelope. Faults are SOAP Faults of the version that the client speaks: 1.1 always with status \
        500; 1.2 with 400 where the client is to blame, else 500.",
    media_types: &["application/soap+xml"],
    builder: &SoapFormat,
    formatter: &SoapFormat,
    faults: Some((&[FaultStyle::Soap11, FaultStyle::Soap12], render)),
};

struct SoapFormat;

impl Builder for SoapFormat {
    fn build(&self, bytes: &Bytes, media: &Mime, limits: &FormatLimits) -> Result<Model, Fault> {
        let document = xml::parse(bytes, media, limits)?;
        soap::validate(&document).map_err(|message| {
            let place = document.root_element().and_then(|root| document.position(root));
            let (line, column) = place.unwrap_or((1, 1));
            Malformed {
                line,
                column,
                message: message.trim_end_matches('.').to_owned(),
            }
            .into_fault("SOAP")
        })?;
        Ok(Model::Xml(document))
    }
}

impl Formatter for SoapFormat {
    fn format(&self, model: &Model, media: &Mime) -> Result<Formatted, Fault> {
        let document = model.to_xml()?;
        let envelope = match soap::version(&document) {
            Some(Version::Soap12) => document,
            Some(Version::Soap11) => Cow::Owned(soap::convert(&document, Version::Soap12)),
            None => Cow::Owned(soap::wrap(Some(&document), &[], Version::Soap12)),
        };
        Ok(xml::write(&envelope, media))
    }
}

fn render(fault: &Fault, instance: &str, style: FaultStyle) -> RenderedFault {
    let version = if style == FaultStyle::Soap12 {
        Version::Soap12
    } else {
        Version::Soap11
    };
    let is_client = fault.origin() == Origin::Client;
    let mut members = problem::document(fault, instance);
    if let Some(members) = members.as_object_mut() {
        members.retain(|key, _| matches!(key.as_str(), "code" | "status" | "instance" | "details"));
    }
    let detail = problem::to_xml("fault", NAMESPACE, &members);
    let parts = FaultParts {
        code: if is_client { "Client" } else { "Server" },
        subcode: Some(Subcode {
            prefix: "m",
            namespace: NAMESPACE,
            local: fault.name(),
        }),
        reason: fault.message(),
        actor: None,
        detail: Some(&detail),
    };
    RenderedFault {
        bytes: soap::fault_envelope(version, &parts).to_string().into(),
        media_type: version.media_type(),
        status: match version {
            Version::Soap12 if is_client => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, format, refused, text};
    use engine::fault::FaultCode;
    use serde_json::json;

    const TYPE: &str = "application/soap+xml; charset=utf-8";
    const ENVELOPE: &str = r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><a>1</a></s:Body></s:Envelope>"#;

    #[test]
    fn an_envelope_comes_out_as_it_went_in() {
        let model = build(&SPEC, TYPE, ENVELOPE.as_bytes()).unwrap();
        assert_eq!(format(&SPEC, TYPE, &model).unwrap(), (ENVELOPE.to_owned(), None));
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        assert_eq!(
            refused(&SPEC, TYPE, b"\n<a/>"),
            "client.malformed_body: The body is not valid SOAP: line 2, column 1: The document is not a SOAP envelope."
        );
        let no_body = ENVELOPE.replace("s:Body", "s:Header");
        assert!(refused(&SPEC, TYPE, no_body.as_bytes()).contains("has no Body"));
        assert!(
            refused(&SPEC, TYPE, b"<a")
                .starts_with("client.malformed_body: The body is not valid XML: line 1, column ")
        );
    }

    #[test]
    fn other_models_are_wrapped_and_converted() {
        let (body, _) = format(&SPEC, TYPE, &Model::Json(json!({ "a": 1 }))).unwrap();
        assert_eq!(
            body,
            ENVELOPE
                .replace("<s:", "<soap:")
                .replace("</s:", "</soap:")
                .replace("xmlns:s=", "xmlns:soap=")
        );
        let old = ENVELOPE.replace(
            "http://www.w3.org/2003/05/soap-envelope",
            Version::Soap11.namespace(),
        );
        let old = ::xml::Document::parse_str(&old).unwrap();
        assert_eq!(format(&SPEC, TYPE, &Model::Xml(old)).unwrap().0, ENVELOPE);
    }

    #[test]
    fn a_fault_is_a_soap_fault_of_its_version() {
        let fault = Fault::new(FaultCode::Validation, "No <a>.").with_details(json!({ "path": "/a" }));
        let detail = "<fault xmlns=\"urn:mediary:fault\"><status>400</status><code>client.validation</code>\
            <instance>id-1</instance><details><path>/a</path></details></fault>";
        assert_eq!(
            text(&render(&fault, "id-1", FaultStyle::Soap11)),
            format!(
                "500 text/xml; charset=utf-8 <soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>\
                 <soap:Fault><faultcode>soap:Client</faultcode><faultstring>No &lt;a&gt;.</faultstring><detail>{detail}</detail>\
                 </soap:Fault></soap:Body></soap:Envelope>"
            )
        );
        assert_eq!(
            text(&render(&fault, "id-1", FaultStyle::Soap12)),
            format!(
                "400 application/soap+xml; charset=utf-8 <soap:Envelope xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\">\
                 <soap:Body><soap:Fault><soap:Code><soap:Value>soap:Sender</soap:Value><soap:Subcode>\
                 <soap:Value xmlns:m=\"urn:mediary:fault\">m:client.validation</soap:Value></soap:Subcode></soap:Code><soap:Reason>\
                 <soap:Text xml:lang=\"en\">No &lt;a&gt;.</soap:Text></soap:Reason><soap:Detail>{detail}</soap:Detail></soap:Fault>\
                 </soap:Body></soap:Envelope>"
            )
        );
        let timeout = render(&Fault::new(FaultCode::Timeout, "Slow."), "id", FaultStyle::Soap12);
        assert_eq!(timeout.status.as_u16(), 500);
        assert!(text(&timeout).contains("soap:Receiver"));
    }
}
