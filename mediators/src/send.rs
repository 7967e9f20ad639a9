//! `send`: hands the message to an endpoint without waiting for a reply. A durable transport confirms before the step ends.

use crate::outgoing::{Outgoing, Own, Settings};
use engine::build::Build;
use engine::config::{Named, RawNode, Spanned, Text};
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, Sends, StepKind, asynchronous};
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;

/// Sends the message one way. The message stays as it is; only a failed delivery is a fault.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendConfig {
    /// The name of an endpoint, a URL, or an endpoint's definition. A name may be `${ ... }`.
    pub endpoint: RawNode,
    /// The method; default what the endpoint or the client's request says.
    pub method: Option<Spanned<String>>,
    /// A path, with a query where wanted, below the endpoint's address. Inserted values are escaped: one value is one segment.
    pub path: Option<Text>,
    /// The SOAP action.
    pub action: Option<Text>,
    /// Headers to set on the request alone.
    #[serde(default)]
    pub headers: Named<Text>,
    /// Values for the variables of the endpoint's address.
    #[serde(default)]
    pub params: Named<Text>,
    /// Another body than the current one, a structure that becomes JSON.
    pub payload: Option<RawNode>,
}

impl StepConfig for SendConfig {
    const NAME: &'static str = "send";
    const EXAMPLE: &'static str = r#"- send: http://localhost:9000/events
- send: { endpoint: "http://localhost:9000/audit", payload: { order: "${payload.id}" } }"#;
    const SHORTHAND: Option<&'static str> = Some("endpoint");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let settings = Settings {
            endpoint: &self.endpoint,
            method: self.method.as_ref(),
            path: self.path.as_ref(),
            action: self.action.as_ref(),
            headers: &self.headers,
            params: &self.params,
            payload: self.payload.as_ref(),
        };
        Some(asynchronous(Send {
            outgoing: Outgoing::compile(&settings, cx)?,
        }))
    }
}

struct Send {
    outgoing: Outgoing,
}

impl AsyncMediator for Send {
    fn needs(&self) -> Needs {
        self.outgoing.needs()
    }

    fn sends(&self) -> Option<Sends<'_>> {
        Some(self.outgoing.sends(Own::Stays))
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let (endpoint, message, options) = self.outgoing.prepare(exchange, Own::Stays).await?;
            endpoint.send(exchange, message, &options).await?;
            Ok(Flow::Next)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, run};

    #[tokio::test]
    async fn the_message_stays() {
        let mut outcome = run(
            "- send: { endpoint: 'test://echo', payload: { a: '${payload.n}' } }\n- log: sent",
            json(r#"{ "n" : 1 }"#),
        )
        .await;
        assert_eq!(outcome.text(), r#"{ "n" : 1 }"#);
    }

    #[tokio::test]
    async fn a_failed_delivery_is_a_fault() {
        assert_eq!(
            fault("- send: 'test://down'", json("{}")).await.name(),
            "backend.connect"
        );
    }

    #[test]
    fn mistakes_are_placed() {
        assert!(diagnostics("- send: { endpoint: 'test://echo', into: x }").contains("into"));
        assert!(diagnostics("- send: nowhere").contains("`nowhere`"));
    }
}
