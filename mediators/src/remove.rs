//! `remove`: takes headers, variables and parts of the payload away.

use crate::place::{Place, place};
use engine::build::Build;
use engine::config::{OneOrMany, Span, Spanned};
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::registry::StepConfig;
use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

/// Removes what is at these places. What is not there is fine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveConfig {
    /// `headers.NAME`, `headers.PREFIX*`, `vars.NAME`, `vars.NAME.path`, `payload.path` or `payload`. For XML a path without an index
    /// stands for all elements of that name.
    pub targets: OneOrMany<Spanned<String>>,
}

impl StepConfig for RemoveConfig {
    const NAME: &'static str = "remove";
    const EXAMPLE: &'static str = "- remove: [headers.x-internal-*, vars.token, payload.customer.password]";
    const SHORTHAND: Option<&'static str> = Some("targets");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let targets: Vec<_> = self
            .targets
            .iter()
            .map(|target| Target::read(target, target.span, cx))
            .collect();
        let targets = targets.into_iter().collect::<Option<_>>()?;
        Some(sync(Remove { targets }))
    }
}

struct Remove {
    targets: Vec<Target>,
}

enum Target {
    One(Place),
    HeaderPrefix(Box<str>),
}

impl Target {
    fn read(text: &str, span: Span, cx: &mut Build<'_>) -> Option<Self> {
        if let Some(prefix) = text
            .strip_prefix("headers.")
            .and_then(|name| name.strip_suffix('*'))
        {
            return Some(Self::HeaderPrefix(prefix.to_ascii_lowercase().into()));
        }
        match place(text, span, cx)? {
            Place::Status => {
                let help = Some("set another one: `set: { status: 200 }`".to_owned());
                cx.error("config.bad_place", span, "a status cannot be removed", help);
                None
            }
            place => Some(Self::One(place)),
        }
    }
}

impl Mediator for Remove {
    fn needs(&self) -> Needs {
        let needs = |target: &Target| match target {
            Target::One(place) => place.needs(),
            Target::HeaderPrefix(_) => Needs::Headers,
        };
        self.targets.iter().map(needs).max().unwrap_or_default()
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        for target in &self.targets {
            match target {
                Target::One(place) => place.remove(exchange),
                Target::HeaderPrefix(prefix) => {
                    let headers = &mut exchange.message.headers;
                    let matching = |name: &&HeaderName| name.as_str().starts_with(&**prefix);
                    let found: Vec<HeaderName> = headers.keys().filter(matching).cloned().collect();
                    for name in found {
                        headers.remove(name);
                    }
                }
            }
        }
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, json, run, text_of, xml};

    #[tokio::test]
    async fn removes_parts_of_json_and_headers() {
        let mut message = json(r#"{"a": {"b": 1, "c": 2}, "list": [1, 2, 3]}"#);
        message.headers.insert("x-internal-a", "1".parse().unwrap());
        message.headers.insert("x-internal-b", "1".parse().unwrap());
        message.headers.insert("x-other", "1".parse().unwrap());
        let mut outcome = run(
            "- remove: [payload.a.b, 'payload.list[-1]', headers.X-Internal-*, payload.none.x]",
            message,
        )
        .await;
        assert_eq!(outcome.text(), r#"{"a":{"c":2},"list":[1,2]}"#);
        assert_eq!(outcome.exchange.message.headers.len(), 2);
    }

    #[tokio::test]
    async fn removes_elements_and_attributes() {
        let given = r#"<o a="1" b="2"><x>1</x><y/><x>2</x></o>"#;
        assert_eq!(
            text_of("- remove: [payload.o.x, \"payload.o['@a']\"]", xml(given)).await,
            r#"<o b="2"><y/></o>"#
        );
        assert_eq!(
            text_of("- remove: 'payload.o.x[1]'", xml(given)).await,
            r#"<o a="1" b="2"><x>1</x><y/></o>"#
        );
        assert_eq!(
            text_of("- remove: payload.o.none", xml("<o ><x/></o>")).await,
            "<o ><x/></o>",
            "untouched bytes stay"
        );
    }

    #[tokio::test]
    async fn removes_variables_and_the_body() {
        let mut outcome = run(
            "- set: { vars.a: { b: 1, c: 2 }, vars.d: 1 }\n- remove: [vars.a.b, vars.d, payload]",
            json("{}"),
        )
        .await;
        assert_eq!(outcome.text(), "");
        assert_eq!(outcome.exchange.vars.len(), 1);
        assert_eq!(outcome.exchange.vars["a"].to_json().to_string(), r#"{"c":2}"#);
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- remove: [headers.a, heders.x]");
        assert!(
            text.contains("did you mean `headers.x`?") && text.contains("test.yaml:3:27"),
            "{text}"
        );
        assert!(diagnostics("- remove: status").contains("cannot be removed"));
    }
}
