//! `throw`: raises a fault.

use crate::text::{check_fault_code, needs_of, optional_structure, optional_template};
use engine::build::Build;
use engine::config::{RawNode, Spanned, Text};
use engine::exchange::Exchange;
use engine::expression::{Escape, Structure, Template};
use engine::fault::{Fault, FaultCode};
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;

/// Raises a fault, for a `catch`, an `on_fault`, or the client. Without settings, inside a `catch` or `on_fault`, it raises the fault
/// that is being handled once more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThrowConfig {
    /// A code of the table of faults, or one of the project's own such as `orders.out_of_stock`; default `gateway.thrown`.
    pub code: Option<Spanned<String>>,
    /// The status for the client; default that of the code, 500 for the project's own. A message that no client waits for is delivered
    /// again where a fault of the project's own has 429, 502, 503 or 504.
    pub status: Option<Text>,
    /// What the client reads; `${ ... }` is evaluated.
    pub message: Option<Text>,
    /// More for the client to read by program, a structure.
    pub details: Option<RawNode>,
}

impl StepConfig for ThrowConfig {
    const NAME: &'static str = "throw";
    const EXAMPLE: &'static str =
        r#"- throw: { code: orders.out_of_stock, status: 409, message: "no more ${payload.article}" }"#;
    const SHORTHAND: Option<&'static str> = Some("message");
    const TERMINAL: bool = true;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let good = self
            .code
            .as_ref()
            .is_none_or(|code| check_fault_code(code, code.span, cx));
        let status = optional_template(self.status.as_ref(), Escape::None, cx);
        let message = optional_template(self.message.as_ref(), Escape::None, cx);
        let details = optional_structure(self.details.as_ref(), cx);
        let status = status?;
        if let (Some(text), Some(literal)) = (&self.status, status.as_ref().and_then(Template::as_literal))
            && !is_failure(&literal)
        {
            let help = Some("a fault has a status from 400 to 599".to_owned());
            cx.error("config.bad_value", text.span(), "not a status for a fault", help);
            return None;
        }
        let throw = Throw {
            code: self.code.map(|code| code.value),
            status,
            message: message?,
            details: details?,
        };
        good.then(|| sync(throw))
    }
}

fn is_failure(text: &str) -> bool {
    crate::place::status(text).is_ok_and(|status| status.as_u16() >= 400)
}

struct Throw {
    code: Option<String>,
    status: Option<Template>,
    message: Option<Template>,
    details: Option<Structure>,
}

impl Throw {
    fn fault(&self, exchange: &Exchange) -> Result<Fault, Fault> {
        let custom = self
            .code
            .as_deref()
            .filter(|code| FaultCode::by_name(code).is_none());
        let code = self
            .code
            .as_deref()
            .and_then(FaultCode::by_name)
            .unwrap_or(FaultCode::Thrown);
        let message = match &self.message {
            Some(message) => message.render(exchange)?,
            None => format!("{}.", code.row().title),
        };
        let mut fault = Fault::new(code, message);
        if let Some(custom) = custom {
            fault = fault.with_custom_code(custom);
        }
        if let Some(status) = &self.status {
            let text = status.render(exchange)?;
            let status = crate::place::status(&text)
                .ok()
                .filter(|status| status.as_u16() >= 400);
            let status = status
                .ok_or_else(|| crate::place::misplaced(format!("`{text}` is no status for a fault")))?;
            fault = fault.with_status(status);
        }
        if let Some(details) = &self.details {
            fault = fault.with_details(details.evaluate(exchange)?);
        }
        Ok(fault)
    }

    fn is_bare(&self) -> bool {
        self.code.is_none() && self.status.is_none() && self.message.is_none() && self.details.is_none()
    }
}

impl Mediator for Throw {
    fn needs(&self) -> Needs {
        let status = needs_of(self.status.as_ref(), Template::needs);
        let message = needs_of(self.message.as_ref(), Template::needs);
        status
            .max(message)
            .max(needs_of(self.details.as_ref(), Structure::needs))
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        match exchange.fault.as_ref().filter(|_| self.is_bare()) {
            Some(handled) => Err(handled.again()),
            None => Err(self.fault(exchange)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json};

    #[tokio::test]
    async fn raises_what_it_says() {
        let steps = "- throw: { code: orders.gone, status: 410, message: 'no ${payload.a}', details: { a: '${payload.a}' } }";
        let own = fault(steps, json(r#"{"a": 1}"#)).await;
        assert_eq!(
            (own.name(), own.status().as_u16(), own.message()),
            ("orders.gone", 410, "no 1")
        );
        assert_eq!(own.details().unwrap().to_string(), r#"{"a":1}"#);
        assert_eq!(own.step(), Some("sequences.main[0]"));
        let table = fault("- throw: { code: client.not_found }", json("{}")).await;
        assert_eq!((table.name(), table.status().as_u16()), ("client.not_found", 404));
        let bare = fault("- throw", json("{}")).await;
        assert_eq!(
            (bare.name(), bare.message()),
            ("gateway.thrown", "The mediation raised a fault.")
        );
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- throw: { code: client.notfound, status: 200 }");
        assert!(
            text.contains("did you mean `client.not_found`?") && text.contains("400 to 599"),
            "{text}"
        );
        assert!(diagnostics("- throw: x\n- log: y").contains("never reached"));
    }
}
