//! The messages of the classic ESB benchmark: SOAP 1.1 with a `routing` header and a `buyStocks` body of N
//! orders, and the same orders as JSON. Outsiders can compare our figures with published ones.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The largest message that is made.
pub(crate) const BYTES_MAX: u64 = 16 << 20;

/// The form of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    Soap,
    Json,
    /// No body: a GET.
    None,
}

impl Form {
    pub(crate) fn content_type(self) -> Option<&'static str> {
        match self {
            Self::Soap => Some("text/xml; charset=utf-8"),
            Self::Json => Some("application/json"),
            Self::None => None,
        }
    }

    /// A message with as many orders as come nearest to this size from below, one at least.
    pub(crate) fn message(self, bytes: u64) -> String {
        let (head, order, separator, foot) = match self {
            Self::Soap => (SOAP_HEAD, SOAP_ORDER, "", SOAP_FOOT),
            Self::Json => (JSON_HEAD, JSON_ORDER, ",", JSON_FOOT),
            Self::None => return String::new(),
        };
        let bytes = usize::try_from(bytes.min(BYTES_MAX)).unwrap_or(0);
        let room = bytes.saturating_sub(head.len() + foot.len()) + separator.len();
        let count = (room / (order.len() + separator.len())).max(1);
        format!("{head}{}{foot}", vec![order; count].join(separator))
    }
}

const SOAP_HEAD: &str = concat!(
    r#"<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">"#,
    r#"<soapenv:Header><routing xmlns="http://someuri">xadmin;server1;community#1.0##</routing></soapenv:Header>"#,
    r#"<soapenv:Body><m:buyStocks xmlns:m="http://services.samples/xsd">"#
);
const SOAP_ORDER: &str =
    "<order><symbol>IBM</symbol><buyerID>asankha</buyerID><price>140.34</price><volume>2000</volume></order>";
const SOAP_FOOT: &str = "</m:buyStocks></soapenv:Body></soapenv:Envelope>";
const JSON_HEAD: &str = r#"{"buyStocks":{"order":["#;
const JSON_ORDER: &str = r#"{"symbol":"IBM","buyerID":"asankha","price":140.34,"volume":2000}"#;
const JSON_FOOT: &str = "]}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_about_the_wanted_size() {
        for form in [Form::Soap, Form::Json] {
            for bytes in [1024, 10 * 1024, 100 * 1024] {
                let length = form.message(bytes).len() as u64;
                assert!(
                    length <= bytes && length + 110 > bytes,
                    "{form:?}: {length} of {bytes} bytes"
                );
            }
        }
        assert!(serde_json::from_str::<serde_json::Value>(&Form::Json.message(1024)).is_ok());
        assert!(Form::None.message(1024).is_empty());
    }
}
