//! Where a message goes, as the URI that stands in its start line: `/EXCHANGE/ROUTING_KEY?PROPERTY=VALUE`, all percent-encoded.

use super::Settings;
use engine::exchange::Exchange;
use engine::fault::{Fault, FaultCode};
use engine::message::StartLine;
use http::{Method, Uri};
use lapin::BasicProperties;
use lapin::types::ShortString;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt::Write;

/// An evaluated address.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    properties: Vec<(String, String)>,
}

/// Evaluates the address for an exchange.
pub(super) fn start(settings: &Settings, exchange: &Exchange) -> Result<StartLine, Fault> {
    let (name, key) = (
        settings.exchange.render(exchange)?,
        settings.routing_key.render(exchange)?,
    );
    let mut uri = format!("/{}/{}", encoded(&name), encoded(&key));
    let mut separator = '?';
    for (name, template) in &settings.properties {
        let value = template.render(exchange)?;
        if !value.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(uri, "{separator}{name}={}", encoded(&value));
            separator = '&';
        }
    }
    let uri = Uri::try_from(uri).map_err(|error| invalid(&format!("the address is too long: {error}")))?;
    Ok(StartLine::Request {
        method: Method::POST,
        uri,
    })
}

impl Target {
    /// Reads an address again.
    pub(super) fn from_uri(uri: &Uri) -> Result<Self, Fault> {
        let mut segments = uri.path().splitn(3, '/').skip(1).map(decoded);
        let exchange = short("exchange", segments.next().unwrap_or_default())?;
        let routing_key = short("routing key", segments.next().unwrap_or_default())?;
        let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
        let properties = pairs
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect();
        Ok(Self {
            exchange,
            routing_key,
            properties,
        })
    }

    /// Sets the properties of the address.
    pub(super) fn apply(&self, mut properties: BasicProperties) -> Result<BasicProperties, Fault> {
        for (name, value) in &self.properties {
            let text = || short(name, value.clone());
            properties = match name.as_str() {
                "message_id" => properties.with_message_id(text()?),
                "correlation_id" => properties.with_correlation_id(text()?),
                "reply_to" => properties.with_reply_to(text()?),
                "priority" => properties.with_priority(number(name, value)?),
                "expiration" => {
                    let milliseconds: u32 = number(name, value)?;
                    properties.with_expiration(short(name, milliseconds.to_string())?)
                }
                "timestamp" => properties.with_timestamp(number(name, value)?),
                "type" => properties.with_type(text()?),
                "app_id" => properties.with_app_id(text()?),
                "user_id" => properties.with_user_id(text()?),
                _ => properties,
            };
        }
        Ok(properties)
    }
}

fn encoded(text: &str) -> percent_encoding::PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn short(what: &str, text: String) -> Result<ShortString, Fault> {
    let length = text.len();
    ShortString::try_new(text)
        .map_err(|_| invalid(&format!("the {what} has {length} bytes; AMQP allows 255")))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Fault> {
    let number = value.trim().parse();
    number.map_err(|_| invalid(&format!("`{name}` is no number in its range")))
}

fn invalid(detail: &str) -> Fault {
    Fault::new(FaultCode::Expression, "The message cannot be addressed.").with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let path = format!(
            "/{}/{}?type={}&priority=7",
            encoded("a/b?"),
            encoded("é.#&="),
            encoded("x y")
        );
        let target = Target::from_uri(&Uri::try_from(path).unwrap()).unwrap();
        assert_eq!(target.exchange.as_str(), "a/b?");
        assert_eq!(target.routing_key.as_str(), "é.#&=");
        let properties = target.apply(BasicProperties::default()).unwrap();
        assert_eq!(properties.kind().as_ref().unwrap().as_str(), "x y");
        assert_eq!(*properties.priority(), Some(7));
    }

    #[test]
    fn the_default_exchange_has_no_name() {
        let target = Target::from_uri(&Uri::from_static("//orders")).unwrap();
        assert_eq!(
            (target.exchange.as_str(), target.routing_key.as_str()),
            ("", "orders")
        );
    }

    #[test]
    fn what_amqp_cannot_say_is_a_fault() {
        let long = format!("//{}", "a".repeat(256));
        assert!(Target::from_uri(&Uri::try_from(long).unwrap()).is_err());
        for query in ["priority=256", "expiration=soon", "timestamp=-1"] {
            let uri = Uri::try_from(format!("//q?{query}")).unwrap();
            let target = Target::from_uri(&uri).unwrap();
            assert!(target.apply(BasicProperties::default()).is_err(), "{query}");
        }
    }
}
