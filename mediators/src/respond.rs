//! `respond`: ends the exchange with a reply.

use crate::text::{Headers, needs_of, optional_structure, optional_template, structure_value};
use engine::build::Build;
use engine::config::{Named, RawNode, Text};
use engine::exchange::Exchange;
use engine::expression::{Escape, Structure, Template, Value};
use engine::fault::Fault;
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::registry::StepConfig;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

/// Replies with the current message and ends. Settings change the message first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RespondConfig {
    /// The status, 200 to 599; default that of the message where it is a reply, else 200. With 204 and 304 there is no body.
    pub status: Option<Text>,
    /// Headers to set.
    #[serde(default)]
    pub headers: Named<Text>,
    /// The body: a structure that becomes JSON, or text.
    pub payload: Option<RawNode>,
}

impl StepConfig for RespondConfig {
    const NAME: &'static str = "respond";
    const EXAMPLE: &'static str = r#"- filter:
    when: payload.id is defined
    else:
      - respond: { status: 422, headers: { x-reason: missing }, payload: { error: "an order has an id" } }
- respond"#;
    const SHORTHAND: Option<&'static str> = Some("status");
    const TERMINAL: bool = true;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let status = optional_template(self.status.as_ref(), Escape::None, cx);
        let headers = Headers::compile(&self.headers, cx);
        let payload = optional_structure(self.payload.as_ref(), cx);
        let status = status?;
        let literal = status.as_ref().and_then(Template::as_literal);
        if let (Some(text), Some(literal)) = (&self.status, literal)
            && crate::place::status(&literal).is_err()
        {
            let help = Some("a reply has a status from 200 to 599".to_owned());
            cx.error("config.bad_value", text.span(), "not a status", help);
            return None;
        }
        Some(sync(Respond {
            status,
            headers: headers?,
            payload: payload?,
        }))
    }
}

struct Respond {
    status: Option<Template>,
    headers: Headers,
    payload: Option<Structure>,
}

impl Mediator for Respond {
    fn needs(&self) -> Needs {
        let status = needs_of(self.status.as_ref(), Template::needs);
        status
            .max(self.headers.needs())
            .max(needs_of(self.payload.as_ref(), Structure::needs))
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let status = match &self.status {
            Some(status) => Some(crate::place::status(&status.render(exchange)?)?),
            None => None,
        };
        let headers = self.headers.evaluate(exchange)?;
        let payload = self
            .payload
            .as_ref()
            .map(|payload| structure_value(payload, exchange))
            .transpose()?;
        if let Some(payload) = payload {
            crate::place::set_payload(&mut exchange.message, payload);
        }
        exchange.become_reply(status.or(exchange.message.status()).unwrap_or(StatusCode::OK));
        let message = &mut exchange.message;
        if matches!(
            message.status(),
            Some(StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        ) {
            crate::place::set_payload(message, Value::Undefined);
        }
        for (name, value) in headers {
            if let Some(name) = name {
                message.headers.insert(name, value);
            }
        }
        Ok(Flow::Respond)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, run};
    use engine::mediator::Flow;

    #[tokio::test]
    async fn bare_it_replies_with_the_message() {
        let mut message = json("{ }");
        message.headers.insert("authorization", "secret".parse().unwrap());
        let mut outcome = run(
            "- filter: { when: 'true', then: [respond] }\n- set: { payload: no }",
            message,
        )
        .await;
        assert_eq!(*outcome.flow.as_ref().unwrap(), Flow::Respond);
        assert_eq!(outcome.text(), "{ }");
        assert_eq!(outcome.exchange.message.status().unwrap(), 200);
        assert!(!outcome.exchange.message.headers.contains_key("authorization"));
    }

    #[tokio::test]
    async fn settings_change_the_message_first() {
        let steps = "- respond: { status: '${payload.s}', headers: { x-s: 's${payload.s}' }, payload: { was: '${payload}' } }";
        let mut outcome = run(steps, json(r#"{"s": 418}"#)).await;
        assert_eq!(outcome.text(), r#"{"was":{"s":418}}"#);
        assert_eq!(outcome.exchange.message.status().unwrap(), 418);
        assert_eq!(outcome.exchange.message.headers["x-s"], "s418");
        let mut outcome = run("- respond: { status: 204 }", json("{}")).await;
        assert_eq!(
            (
                outcome.text(),
                outcome.exchange.message.status().unwrap().as_u16()
            ),
            (String::new(), 204)
        );
        assert_eq!(
            run("- respond: 404", json("{}"))
                .await
                .exchange
                .message
                .status()
                .unwrap(),
            404
        );
        assert_eq!(
            fault("- respond: { status: '${payload.s}' }", json(r#"{"s": 99}"#))
                .await
                .name(),
            "gateway.transformation"
        );
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- respond: { status: 1000 }");
        assert!(
            text.contains("200 to 599") && text.contains("test.yaml:3:"),
            "{text}"
        );
        assert!(diagnostics("- respond\n- log: x").contains("never reached"));
    }
}
