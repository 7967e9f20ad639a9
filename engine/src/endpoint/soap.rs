//! SOAP backends: the payload leaves in an envelope of the right version with its action, and a fault in the reply is a fault.

use super::run::Call;
use crate::expression::Template;
use crate::fault::{Fault, FaultCode};
use crate::format;
use crate::mediator::Needs;
use crate::message::Message;
use crate::model::soap::Version;
use crate::model::{Model, soap};
use crate::payload::{Payload, PayloadState};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;
use std::borrow::Cow;

/// How to speak to a SOAP backend.
pub(super) struct Soap {
    pub(super) version: Version,
    /// The action where the step names none.
    pub(super) action: Option<Template>,
}

const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");
/// Where the root element of an envelope is looked for without parsing.
const ENVELOPE_SEARCHED_BYTES_MAX: usize = 2048;

impl Soap {
    /// How much of the exchange's payload the action reads.
    pub(super) fn needs(&self) -> Needs {
        self.action.as_ref().map_or(Needs::Headers, Template::needs)
    }

    /// Makes the message an envelope of this version, if it is none, and names the action. The payload is not a stream.
    pub(super) fn wrap(&self, call: &Call<'_>, message: &mut Message) -> Result<(), Fault> {
        if !self.wrapped_already(message) {
            message.parse(&call.exchange.deployment)?;
            let document = self.envelope(message)?;
            message.payload = Payload::model(Model::Xml(document));
        }
        self.name_action(call, message)
    }

    fn envelope(&self, message: &Message) -> Result<xml::Document, Fault> {
        let Some(model) = message.payload.as_model() else {
            return Ok(soap::wrap(None, &[], self.version));
        };
        let document = model.to_xml()?;
        Ok(match soap::version(&document) {
            Some(version) if version == self.version => document.into_owned(),
            Some(_) => soap::convert(&document, self.version),
            None => soap::wrap(Some(&document), &[], self.version),
        })
    }

    /// Whether the bytes are plainly an envelope of this version, so that they go on as they came.
    fn wrapped_already(&self, message: &Message) -> bool {
        if message.headers.contains_key(http::header::CONTENT_ENCODING) || !is_xml(message.content_type()) {
            return false;
        }
        let bytes = message.payload.as_bytes();
        let head = bytes.map(|bytes| &bytes[..bytes.len().min(ENVELOPE_SEARCHED_BYTES_MAX)]);
        head.is_some_and(|head| {
            root_tag(&String::from_utf8_lossy(head)).is_some_and(|tag| is_envelope(tag, self.version))
        })
    }

    /// SOAP 1.1 section 6.1.1: `SOAPAction`, in quotes, required. SOAP 1.2 part 2 section 6.5.3: the media type's parameter `action`.
    fn name_action(&self, call: &Call<'_>, message: &mut Message) -> Result<(), Fault> {
        let configured = || {
            self.action
                .as_ref()
                .map(|action| action.render(call.exchange))
                .transpose()
        };
        let action = match &call.options.action {
            Some(action) => Some(Cow::Borrowed(action.as_str())),
            None => configured()?.map(Cow::Owned),
        };
        let unsendable = |_| {
            Fault::new(FaultCode::Expression, "The SOAP action cannot be sent.")
                .with_detail("it has characters that no header can hold")
        };
        let kept = action
            .is_none()
            .then(|| self.kept_content_type(message))
            .flatten();
        let action = action.map(|action| action.replace(['"', '\\'], ""));
        match (self.version, action) {
            (Version::Soap11, action) => {
                let given = action
                    .is_none()
                    .then(|| message.headers.remove(SOAP_ACTION))
                    .flatten();
                let quoted = || HeaderValue::try_from(format!("\"{}\"", action.unwrap_or_default()));
                let value = given.map_or_else(quoted, Ok).map_err(unsendable)?;
                message.headers.insert(SOAP_ACTION, value);
                message.set_content_type(kept.as_deref().unwrap_or(self.version.media_type()));
            }
            (Version::Soap12, Some(action)) => {
                message.headers.remove(SOAP_ACTION);
                let media = format!("{}; action=\"{action}\"", self.version.media_type());
                let value = HeaderValue::try_from(media).map_err(unsendable)?;
                message.headers.insert(http::header::CONTENT_TYPE, value);
            }
            (Version::Soap12, None) => {
                message.headers.remove(SOAP_ACTION);
                message.set_content_type(kept.as_deref().unwrap_or(self.version.media_type()));
            }
        }
        Ok(())
    }

    /// The content type of bytes that go on as they came: it knows their charset.
    fn kept_content_type(&self, message: &Message) -> Option<String> {
        let untouched = matches!(
            message.payload.state(),
            PayloadState::Bytes | PayloadState::Parsed
        );
        let content_type = message.content_type().filter(|_| untouched)?;
        let wanted = self.version.media_type().parse::<mime::Mime>().ok()?;
        let fits = format::media_type(Some(content_type)).essence_str() == wanted.essence_str();
        fits.then(|| content_type.to_owned())
    }
}

/// Whether this media type is XML.
pub(super) fn is_xml(content_type: Option<&str>) -> bool {
    let media = format::media_type(content_type);
    media.subtype() == mime::XML || media.suffix() == Some(mime::XML)
}

/// The start tag of the root element, without its brackets, as far as a look at the text tells.
fn root_tag(text: &str) -> Option<&str> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            _ => break,
        };
        rest = rest[rest.find(end)? + end.len()..].trim_start();
    }
    let tag = rest.strip_prefix('<').filter(|tag| !tag.starts_with('!'))?;
    tag.split_once('>').map(|(tag, _)| tag)
}

fn is_envelope(tag: &str, version: Version) -> bool {
    let name = tag
        .split(|character: char| character.is_whitespace() || character == '/')
        .next()
        .unwrap_or_default();
    let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
    local == "Envelope"
        && ['"', '\'']
            .iter()
            .any(|quote| tag.contains(&format!("{quote}{}{quote}", version.namespace())))
}

/// The SOAP fault in a buffered reply.
pub(super) fn fault(call: &Call<'_>, reply: &mut Message, status: StatusCode) -> Option<Fault> {
    reply.parse(&call.exchange.deployment).ok()?;
    let model = reply.payload.as_model()?;
    let Model::Xml(document) = &**model else {
        return None;
    };
    let found = soap::fault(document)?;
    let details = json!({
        "status": status.as_u16(),
        "code": found.code,
        "reason": found.reason,
        "actor": found.actor,
        "detail": found.detail_json,
    });
    let message = format!("The backend answered with a SOAP fault: {}", found.reason);
    Some(Fault::new(FaultCode::SoapFault, message).with_details(details))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_recognised_by_its_root() {
        let ns = "http://schemas.xmlsoap.org/soap/envelope/";
        let is = |text: &str| root_tag(text).is_some_and(|tag| is_envelope(tag, Version::Soap11));
        assert!(is(&format!(
            "<?xml version='1.0'?><!-- > --> \n<s:Envelope xmlns:s=\"{ns}\"><s:Body/>"
        )));
        assert!(is(&format!("<Envelope xmlns=\"{ns}\">")));
        assert!(!is(&format!("<order xmlns:s=\"{ns}\"><s:Envelope/></order>")));
        assert!(!is(
            "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\">"
        ));
        assert!(!is("{}") && !is("") && !is("<!DOCTYPE x><x>") && !is("<?xml") && !is("<Envelope"));
    }
}
