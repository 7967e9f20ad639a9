//! `payload`: builds a new body from a structure or a template. What Synapse calls `payloadFactory`.
//!
//! Inserted values are escaped as the media type asks for, so no value of a message can change the structure of the result. XML and
//! JSON results are parsed at once: what is ill-formed fails here, with its place, and not at the backend.

use crate::place::set_model;
use engine::build::Build;
use engine::config::{RawNode, Span, Text};
use engine::exchange::Exchange;
use engine::expression::{Escape, Structure, Template};
use engine::fault::{Fault, FaultCode};
use engine::format::FormatLimits;
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::model::{Model, json};
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Replaces the body. Exactly one of `json`, `xml`, `text` and `template` says by what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadConfig {
    /// A structure that becomes JSON. Strings may hold `${ ... }`; a single `${ ... }` keeps its type.
    pub json: Option<RawNode>,
    /// A template of an XML document, SOAP envelopes included. Values are escaped; elements with children are inserted as XML.
    pub xml: Option<Text>,
    /// A template of text.
    pub text: Option<Text>,
    /// A resource, or a file relative to this one, that holds the template. Its media type follows from its extension: `json`, `xml`,
    /// `html`, `csv`, anything else is text.
    pub template: Option<Text>,
    /// The media type of the result, where another one than the usual is wanted.
    pub media_type: Option<Text>,
}

impl StepConfig for PayloadConfig {
    const NAME: &'static str = "payload";
    const EXAMPLE: &'static str = r#"- payload:
    json:
      symbol: ${params.symbol}
      lines: ${payload.lines}
- payload:
    xml: |
      <m:getQuote xmlns:m="http://services.samples">
        <m:symbol>${payload.symbol}</m:symbol>
      </m:getQuote>"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let media_type = match &self.media_type {
            Some(text) => Some(media_type(text, cx)?),
            None => None,
        };
        let (content, default) = self.content(media_type.as_ref(), cx)?;
        let media_type = media_type
            .map(|media| media.to_string())
            .or(default.map(str::to_owned));
        Some(sync(Payload { content, media_type }))
    }
}

/// What a template's result is read as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Xml,
    Text,
}

impl PayloadConfig {
    fn content(
        &self,
        media: Option<&mime::Mime>,
        cx: &mut Build<'_>,
    ) -> Option<(Content, Option<&'static str>)> {
        match (&self.json, &self.xml, &self.text, &self.template) {
            (Some(node), None, None, None) => {
                let content = match cx.structure(node)? {
                    Structure::Constant(value) => Content::Constant(Arc::new(Model::Json(value))),
                    structure => Content::Structure(structure),
                };
                Some((content, None))
            }
            (None, Some(text), None, None) => Some((inline(text, Kind::Xml, Escape::Xml, cx)?, None)),
            (None, None, Some(text), None) => {
                let (kind, escape) = media.map_or((Kind::Text, Escape::None), kind_of_text);
                let default = (kind == Kind::Text).then_some("text/plain; charset=utf-8");
                Some((inline(text, kind, escape, cx)?, default))
            }
            (None, None, None, Some(name)) => {
                let (resource, source) = cx.resource_text(name)?;
                let default = by_extension(&resource.name);
                let effective = media.cloned().or_else(|| default.parse().ok());
                let (kind, escape) = effective
                    .as_ref()
                    .map_or((Kind::Text, Escape::None), kind_of_text);
                let template = cx.template_file(&source, name.span(), escape)?;
                let content = compiled(template, kind, name.span(), &resource.name, cx)?;
                Some((content, (kind != Kind::Xml).then_some(default)))
            }
            _ => {
                let help = Some("give one of `json`, `xml`, `text` and `template`".to_owned());
                let span = cx.step_span();
                cx.error(
                    "config.bad_combination",
                    span,
                    "a payload is made from exactly one source",
                    help,
                );
                None
            }
        }
    }
}

fn media_type(text: &Text, cx: &mut Build<'_>) -> Option<mime::Mime> {
    match text.as_str().parse() {
        Ok(media) => Some(media),
        Err(_) => {
            let help = Some("such as `application/json` or `text/html; charset=utf-8`".to_owned());
            cx.error("config.bad_value", text.span(), "not a media type", help);
            None
        }
    }
}

fn by_extension(name: &str) -> &'static str {
    match name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase())
        .as_deref()
    {
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("csv") => "text/csv",
        _ => "text/plain; charset=utf-8",
    }
}

fn kind_of_text(media: &mime::Mime) -> (Kind, Escape) {
    let is = |name: &str| media.subtype() == name || media.suffix().is_some_and(|suffix| suffix == name);
    if is("json") {
        (Kind::Json, Escape::Json)
    } else if is("xml") {
        (Kind::Xml, Escape::Xml)
    } else if is("html") {
        (Kind::Text, Escape::Xml)
    } else {
        (Kind::Text, Escape::None)
    }
}

fn inline(text: &Text, kind: Kind, escape: Escape, cx: &mut Build<'_>) -> Option<Content> {
    let template = cx.template(text, escape)?;
    compiled(template, kind, text.span(), "template", cx)
}

/// A template without expressions is filled now, and what is wrong with its result is reported now.
fn compiled(template: Template, kind: Kind, span: Span, name: &str, cx: &mut Build<'_>) -> Option<Content> {
    let Some(text) = template.as_literal() else {
        return Some(Content::Template(template, kind));
    };
    match read(text, kind) {
        Ok(model) => Some(Content::Constant(Arc::new(model))),
        Err(problem) => {
            cx.error(
                "config.bad_template",
                span,
                format!("the {name} is {problem}"),
                None,
            );
            None
        }
    }
}

fn read(text: String, kind: Kind) -> Result<Model, String> {
    match kind {
        Kind::Text => Ok(Model::Text(text)),
        Kind::Json => json::parse(text.as_bytes(), &FormatLimits::default())
            .map(Model::Json)
            .map_err(|error| format!("not valid JSON: {error}")),
        Kind::Xml => xml::Document::parse_str(text.trim())
            .map(Model::Xml)
            .map_err(|error| format!("not well-formed XML: {error}")),
    }
}

struct Payload {
    content: Content,
    media_type: Option<String>,
}

enum Content {
    Constant(Arc<Model>),
    Structure(Structure),
    Template(Template, Kind),
}

impl Payload {
    fn model(&self, exchange: &Exchange) -> Result<Arc<Model>, Fault> {
        match &self.content {
            Content::Constant(model) => Ok(Arc::clone(model)),
            Content::Structure(structure) => Ok(Arc::new(Model::Json(structure.evaluate(exchange)?))),
            Content::Template(template, kind) => {
                let text = template.render(exchange)?;
                let limit = exchange.deployment.settings.limits.body_bytes;
                if text.len() as u64 > limit {
                    let message = format!("The new body exceeds {limit} bytes.");
                    return Err(Fault::new(FaultCode::LimitExceeded, message));
                }
                let model = read(text, *kind).map_err(|problem| {
                    Fault::new(FaultCode::Transformation, format!("The new body is {problem}."))
                })?;
                Ok(Arc::new(model))
            }
        }
    }
}

impl Mediator for Payload {
    fn needs(&self) -> Needs {
        match &self.content {
            Content::Constant(_) => Needs::Headers,
            Content::Structure(structure) => structure.needs(),
            Content::Template(template, _) => template.needs(),
        }
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let model = self.model(exchange)?;
        let media_type = self
            .media_type
            .as_deref()
            .unwrap_or_else(|| model.default_media_type());
        set_model(&mut exchange.message, model, Some(media_type));
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{REGISTRY, diagnostics, fault, json, project, run, text_of, xml};

    #[tokio::test]
    async fn json_keeps_types_and_digits() {
        let steps = "- payload: { json: { a: '${payload.n}', b: 'n=${payload.n}', c: ['${payload.list}', 1, null], d: '$${x}' } }";
        let text = text_of(steps, json(r#"{"n": 1.50, "list": [true]}"#)).await;
        assert_eq!(text, r#"{"a":1.50,"b":"n=1.50","c":[[true],1,null],"d":"${x}"}"#);
    }

    #[tokio::test]
    async fn xml_escapes_values_and_inserts_elements() {
        let steps = "- payload:\n    xml: |\n      <out id=\"${payload.o.id}\">${payload.o.text}${payload.o.part}</out>";
        let given = "<o><id>a\"b</id><text>1 &lt; 2 &amp; 3</text><part><x>y</x></part></o>";
        let mut outcome = run(steps, xml(given)).await;
        assert_eq!(
            outcome.text(),
            "<out id=\"a&quot;b\">1 &lt; 2 &amp; 3<part><x>y</x></part></out>"
        );
        assert_eq!(outcome.exchange.message.content_type(), Some("application/xml"));
    }

    #[tokio::test]
    async fn a_value_cannot_change_the_structure() {
        let steps = "- payload: { xml: '<a>${payload.v}</a>' }";
        let text = text_of(steps, json(r#"{"v": "</a><b>\u0001"}"#)).await;
        assert_eq!(text, "<a>&lt;/a&gt;&lt;b&gt;\u{fffd}</a>");
        let steps = "- payload: { text: '{\"a\": \"${payload.v}\", \"b\": ${payload.o}}', media_type: application/json }";
        let text = text_of(steps, json(r#"{"v": "\", \"x\": \"", "o": [1, "2"]}"#)).await;
        assert_eq!(text, r#"{"a":"\", \"x\": \"","b":[1,"2"]}"#);
    }

    #[tokio::test]
    async fn soap_templates_get_the_media_type_of_their_version() {
        let steps = "- payload: { xml: '<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body>${payload.a}</e:Body></e:Envelope>' }";
        let outcome = run(steps, json(r#"{"a": 1}"#)).await;
        assert_eq!(
            outcome.exchange.message.content_type(),
            Some("application/soap+xml; charset=utf-8")
        );
    }

    #[tokio::test]
    async fn ill_formed_results_are_faults_with_their_place() {
        let fault = fault(
            "- payload: { text: '<a>\n${payload.v}', media_type: text/xml }",
            json(r#"{"v": 1}"#),
        )
        .await;
        assert_eq!(fault.name(), "gateway.transformation");
        assert!(
            fault.message().contains("not well-formed XML: line"),
            "{}",
            fault.message()
        );
    }

    #[tokio::test]
    async fn text_replaces_a_body_that_nobody_reads() {
        let mut outcome = run("- payload: { text: 'hello ${query.q}' }", json("not json")).await;
        assert_eq!(outcome.text(), "hello 1");
        assert_eq!(
            outcome.exchange.message.content_type(),
            Some("text/plain; charset=utf-8")
        );
    }

    #[tokio::test]
    async fn template_files_may_loop() {
        let folder = std::env::temp_dir().join(format!("mediary-payload-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let source = "<items>{% for i in payload.items %}<i n=\"${loop.index}\">${i}</i>{% endfor %}</items>";
        std::fs::write(folder.join("items.xml"), source).unwrap();
        let yaml = project("- payload: { template: items.xml }");
        let deployment = engine::testing::deployment_in(REGISTRY, &yaml, &folder).unwrap();
        let mut outcome =
            engine::testing::run_in(deployment.into(), json(r#"{"items": ["a&b", "c"]}"#)).await;
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            outcome.text(),
            "<items><i n=\"1\">a&amp;b</i><i n=\"2\">c</i></items>"
        );
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- payload: { xml: '<a><b></a>' }");
        assert!(text.contains("not well-formed XML: line 1"), "{text}");
        let text = diagnostics("- payload: { text: a, json: {} }");
        assert!(text.contains("exactly one source"), "{text}");
        let text = diagnostics("- payload: { json: { a: '${payload..x}' } }");
        assert!(text.contains("test.yaml:3:"), "{text}");
        let text = diagnostics("- payload: { template: nope.xml }");
        assert!(text.contains("cannot read `nope.xml`"), "{text}");
    }
}
