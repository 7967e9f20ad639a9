//! `enrich`: takes a value from one place and puts it into, over or beside another.

use crate::place::{Mode, Place, place};
use crate::text::Source;
use engine::build::Build;
use engine::config::{RawNode, Spanned};
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;

/// Moves a value between parts of the payload, variables and headers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrichConfig {
    /// Where the value comes from: an expression such as `vars.customer` or `xpath("//item")`, or a structure with `${ ... }` in it.
    pub from: RawNode,
    /// Where it goes: `payload`, `payload.path`, `vars.NAME`, `vars.NAME.path` or `headers.NAME`.
    pub to: Spanned<String>,
    /// How it is put there.
    #[serde(default)]
    pub mode: EnrichMode,
}

/// How a value is put into a place.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnrichMode {
    /// Instead of what is there.
    #[default]
    Replace,
    /// Into it: as the last item of a list, as members of an object, as child elements.
    Child,
    /// Before it: an item of a list, or an element.
    Before,
    /// After it: an item of a list, or an element.
    After,
}

impl StepConfig for EnrichConfig {
    const NAME: &'static str = "enrich";
    const EXAMPLE: &'static str = r#"- enrich: { from: vars.customer, to: payload.order, mode: child }
- enrich: { from: { checked: true, at: "${now()}" }, to: payload.audit }"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let from = Source::compile(&self.from, cx);
        let to = place(&self.to, self.to.span, cx)?;
        let mode = match self.mode {
            EnrichMode::Replace => Mode::Replace,
            EnrichMode::Child => Mode::Child,
            EnrichMode::Before => Mode::Before,
            EnrichMode::After => Mode::After,
        };
        let beside = matches!(mode, Mode::Before | Mode::After);
        let single = matches!(to, Place::Status | Place::Header(_)) && mode != Mode::Replace;
        if single && (beside || to == Place::Status) {
            let help = Some("leave `mode` out".to_owned());
            cx.error(
                "config.bad_combination",
                self.to.span,
                format!("`{}` can only be replaced", self.to.value),
                help,
            );
            return None;
        }
        Some(sync(Enrich {
            from: from?,
            to,
            mode,
        }))
    }
}

struct Enrich {
    from: Source,
    to: Place,
    mode: Mode,
}

impl Mediator for Enrich {
    fn needs(&self) -> Needs {
        let whole_payload =
            matches!(&self.to, Place::Payload(path) if path.is_empty()) && self.mode != Mode::Replace;
        let target = if whole_payload {
            Needs::Model
        } else {
            self.to.needs()
        };
        self.from.needs().max(target)
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let value = self.from.evaluate(exchange)?;
        self.to.put(exchange, value, self.mode)?;
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, text_of, xml};

    #[tokio::test]
    async fn json_children_and_neighbours() {
        let given = r#"{"list": [1, 2], "o": {"a": 1}, "x": {"b": 2}}"#;
        let cases = [
            (
                "from: payload.x, to: payload.o, mode: child",
                r#"{"list":[1,2],"o":{"a":1,"b":2},"x":{"b":2}}"#,
            ),
            (
                "from: '9', to: payload.list, mode: child",
                r#"{"list":[1,2,9],"o":{"a":1},"x":{"b":2}}"#,
            ),
            (
                "from: '9', to: 'payload.list[0]', mode: before",
                r#"{"list":[9,1,2],"o":{"a":1},"x":{"b":2}}"#,
            ),
            (
                "from: '9', to: 'payload.list[-1]', mode: after",
                r#"{"list":[1,2,9],"o":{"a":1},"x":{"b":2}}"#,
            ),
            (
                "from: { n: '${payload.x.b}' }, to: payload.o",
                r#"{"list":[1,2],"o":{"n":2},"x":{"b":2}}"#,
            ),
            ("from: payload.x, to: payload", r#"{"b":2}"#),
        ];
        for (settings, expected) in cases {
            assert_eq!(
                text_of(&format!("- enrich: {{ {settings} }}"), json(given)).await,
                expected,
                "{settings}"
            );
        }
    }

    #[tokio::test]
    async fn elements_move_with_their_namespaces() {
        let given = r#"<o xmlns="urn:o"><a k="1"><b>x</b></a><c/></o>"#;
        let cases = [
            (
                "from: payload.o.a, to: payload.o.c, mode: child",
                r#"<o xmlns="urn:o"><a k="1"><b>x</b></a><c><a k="1"><b>x</b></a></c></o>"#,
            ),
            (
                "from: payload.o.a, to: payload.o.c",
                r#"<o xmlns="urn:o"><a k="1"><b>x</b></a><c k="1"><b>x</b></c></o>"#,
            ),
            (
                "from: payload.o.c, to: payload.o.a, mode: before",
                r#"<o xmlns="urn:o"><c/><a k="1"><b>x</b></a><c/></o>"#,
            ),
            (
                "from: { d: 1 }, to: payload.o.c, mode: after",
                r#"<o xmlns="urn:o"><a k="1"><b>x</b></a><c/><d>1</d></o>"#,
            ),
            (
                "from: xpath(\"//*[local-name()='b']\"), to: payload.o.c, mode: child",
                r#"<o xmlns="urn:o"><a k="1"><b>x</b></a><c><b>x</b></c></o>"#,
            ),
        ];
        for (settings, expected) in cases {
            let steps = format!(
                "- enrich:\n{}",
                settings
                    .split(", ")
                    .map(|setting| format!("    {setting}\n"))
                    .collect::<String>()
            );
            assert_eq!(text_of(&steps, xml(given)).await, expected, "{settings}");
        }
    }

    #[tokio::test]
    async fn soap_bodies_variables_and_headers() {
        let envelope = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><q><n>5</n></q></s:Body></s:Envelope>"#;
        let steps = "- enrich: { from: payload.q, to: vars.kept }\n- enrich: { from: { r: 1 }, to: payload.q, mode: child }\n- enrich: { from: payload.q.n, to: headers.x-n }";
        let mut outcome = crate::testing::run(steps, engine::testing::post("text/xml", envelope)).await;
        assert_eq!(outcome.text(), envelope.replace("</n>", "</n><r>1</r>"));
        assert_eq!(outcome.exchange.message.headers["x-n"], "5");
        assert_eq!(
            outcome.exchange.vars["kept"].to_text().unwrap(),
            r#"<q xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><n>5</n></q>"#,
            "with the namespaces that were in scope"
        );
    }

    #[tokio::test]
    async fn what_does_not_fit_is_a_fault() {
        let text = fault(
            "- enrich: { from: payload.a, to: payload.a, mode: before }",
            json(r#"{"a": 1}"#),
        )
        .await;
        assert!(text.detail().unwrap().contains("no item of a list"));
        let text = fault("- enrich: { from: '5', to: payload.o, mode: child }", xml("<o/>")).await;
        assert!(text.detail().unwrap().contains("can be put into XML"));
    }

    #[test]
    fn mistakes_are_placed() {
        assert!(diagnostics("- enrich: { from: a.b, to: payload }").contains("`a`"));
        assert!(
            diagnostics("- enrich: { from: '1', to: headers.x, mode: before }")
                .contains("can only be replaced")
        );
        assert!(diagnostics("- enrich: { to: payload }").contains("from"));
    }
}
