//! `set`: gives values to variables, headers, the status and the payload. One step for what Synapse has `property`, `header` and
//! `payloadFactory` for where a single value is meant.

use crate::place::{Mode, Place, place};
use crate::text::structure_value;
use engine::build::Build;
use engine::config::{Named, RawNode};
use engine::exchange::Exchange;
use engine::expression::Structure;
use engine::fault::Fault;
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;

/// Sets any number of places, in the order they are written: `vars.NAME`, `vars.NAME.path`, `headers.NAME`, `status`, `payload`,
/// `payload.path`. Values are text, structures, or a single `${ ... }`, which keeps its type. `null` takes a header away; a list
/// gives it several lines. A status makes the message the reply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SetConfig {
    /// Values by place.
    pub targets: Named<RawNode>,
}

impl StepConfig for SetConfig {
    const NAME: &'static str = "set";
    const EXAMPLE: &'static str = r#"- set:
    vars.total: ${payload.items | sum(attribute="price")}
    vars.customer.name: ${payload.name}
    headers.x-request-id: ${message.id}
    payload.checked: true
    status: 201"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let built: Vec<_> = self
            .targets
            .iter()
            .map(|(target, span, value)| {
                let value = cx.structure(value);
                Some((place(target, span, cx)?, value?))
            })
            .collect();
        let targets = built.into_iter().collect::<Option<_>>()?;
        Some(sync(Set { targets }))
    }
}

struct Set {
    targets: Vec<(Place, Structure)>,
}

impl Mediator for Set {
    fn needs(&self) -> Needs {
        let needs = |(place, value): &(Place, Structure)| place.needs().max(value.needs());
        self.targets.iter().map(needs).max().unwrap_or_default()
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        for (place, value) in &self.targets {
            let value = structure_value(value, exchange)?;
            place.put(exchange, value, Mode::Replace)?;
        }
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, run, text_of, xml};
    use engine::payload::PayloadState;

    #[tokio::test]
    async fn sets_parts_of_json() {
        let steps = "- set: { payload.a.b: '${payload.n}', 'payload.list[1]': x, 'payload.list[-2]': 0, payload.gone: null }";
        let text = text_of(steps, json(r#"{"n": 1.50, "list": [5]}"#)).await;
        assert_eq!(text, r#"{"n":1.50,"list":[0,"x"],"a":{"b":1.50},"gone":null}"#);
    }

    #[tokio::test]
    async fn sets_parts_of_xml_in_the_namespace_of_their_parent() {
        let steps = r#"
- set:
    payload.order.id: 8 & more
    payload.order['@state']: new
    payload.order.customer.name: Ann
    payload.order.line[1]: second"#;
        let given = r#"<m:order xmlns:m="urn:o"><m:id>7</m:id><m:line>first</m:line></m:order>"#;
        let expected = concat!(
            r#"<m:order xmlns:m="urn:o" state="new"><m:id>8 &amp; more</m:id><m:line>first</m:line>"#,
            r#"<m:customer><m:name>Ann</m:name></m:customer><m:line>second</m:line></m:order>"#
        );
        assert_eq!(text_of(steps, xml(given)).await, expected);
    }

    #[tokio::test]
    async fn variables_keep_types_and_xml_and_take_paths() {
        let steps = r#"
- set:
    vars.order: ${payload}
    vars.total.sum: 5
    vars.total.list: [1, "${payload.order.id}"]
- set: { payload: { a: "${vars.total}", id: "${vars.order.order.id | int}" } }
- set: { headers.x-kind: "${vars.order.order['@kind']}" }
- set: { payload: "${vars.order}" }"#;
        let mut outcome = run(steps, xml("<order kind='k'><id>7</id><x/></order>")).await;
        assert_eq!(outcome.text(), "<order kind='k'><id>7</id><x/></order>");
        assert_eq!(outcome.exchange.message.headers["x-kind"], "k");
        assert_eq!(outcome.exchange.message.content_type(), Some("application/xml"));
        assert_eq!(
            outcome.exchange.vars["total"].to_json().to_string(),
            r#"{"sum":5,"list":[1,"7"]}"#
        );
    }

    #[tokio::test]
    async fn headers_status_and_text() {
        let steps = r#"
- set:
    headers.x-a: [one, two]
    headers.accept: null
    status: ${200 + 1}
    payload: plain"#;
        let mut message = json("{}");
        message.headers.insert("accept", "a/b".parse().unwrap());
        message.headers.insert("authorization", "secret".parse().unwrap());
        let mut outcome = run(steps, message).await;
        assert_eq!(outcome.text(), "plain");
        let message = &outcome.exchange.message;
        assert_eq!(message.status().unwrap(), 201);
        assert_eq!(message.headers.get_all("x-a").iter().count(), 2);
        assert!(!message.headers.contains_key("accept") && !message.headers.contains_key("authorization"));
        assert_eq!(message.content_type(), Some("text/plain; charset=utf-8"));
    }

    #[tokio::test]
    async fn a_header_does_not_parse_the_body() {
        let outcome = run(
            "- set: { headers.x-a: 'n ${query.q}', vars.b: 1 }",
            json("not json"),
        )
        .await;
        assert_eq!(outcome.exchange.message.payload.state(), PayloadState::Bytes);
        assert_eq!(outcome.exchange.message.headers["x-a"], "n 1");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_a_fault() {
        let injected = fault(
            "- set: { headers.x-a: '${payload.v}' }",
            json(r#"{"v": "a\r\nx-b: 1"}"#),
        )
        .await;
        assert_eq!(injected.name(), "gateway.transformation");
        let status = fault("- set: { status: '${payload.v}' }", json(r#"{"v": 999}"#)).await;
        assert!(status.detail().unwrap().contains("`999` is no status"));
        let list = fault("- set: { payload.v.x: 1 }", json(r#"{"v": 5}"#)).await;
        assert!(list.detail().unwrap().contains("not an object"));
        let absent = fault("- set: { vars.a: '${payload.nope}' }", json("{}")).await;
        assert_eq!(absent.name(), "gateway.expression");
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- set: { header.x: 1 }");
        assert!(text.contains("`header.x` is no place to write to"), "{text}");
        assert!(
            text.contains("did you mean `headers.x`?") && text.contains("test.yaml:3:14"),
            "{text}"
        );
        let text = diagnostics("- set: { headers.content-length: 1, vars.x: '${pay.x}' }");
        assert!(
            text.contains("set by the transport") && text.contains("`pay`"),
            "{text}"
        );
    }
}
