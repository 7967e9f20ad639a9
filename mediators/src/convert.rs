//! `convert`: the body as another media type, by the canonical mapping between JSON and XML, and into and out of SOAP envelopes.

mod accept;

use crate::place::set_model;
use engine::build::Build;
use engine::config::{OneOrMany, Span, Text, suggestion};
use engine::exchange::Exchange;
use engine::fault::{Fault, FaultCode};
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::model::canonical::{Mapping, json_to_xml, xml_to_json};
use engine::model::soap::{self, Version};
use engine::model::{Model, canonical};
use engine::registry::StepConfig;
use http::header::{self, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Converts the body. A SOAP envelope is unwrapped unless the target is SOAP.
///
/// Of several targets the client's `accept` header chooses, the first one where it has no preference; a client that accepts none of
/// them gets `client.not_acceptable`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvertConfig {
    /// The target: a media type, `json`, `xml`, `text`, `csv`, or `soap` (1.1) and `soap12`, which wrap what is no envelope and
    /// translate one of the other version. A list of media types leaves the choice to the client.
    pub to: OneOrMany<Text>,
    /// To XML: the name of the root element around what has none.
    #[serde(default = "default_root")]
    pub root: String,
    /// To XML: whether attributes keep the types and lists that would otherwise be lost on the way back.
    #[serde(default)]
    pub hints: bool,
    /// To JSON: whether element text that is a number, `true` or `false` becomes one; attributes stay text.
    #[serde(default)]
    pub types: bool,
    /// To JSON: whether keys keep namespace prefixes and objects the declarations of namespaces.
    #[serde(default)]
    pub prefixes: bool,
}

fn default_root() -> String {
    Mapping::default().root
}

const WORDS: [(&str, &str); 7] = [
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("text", "text/plain; charset=utf-8"),
    ("csv", "text/csv"),
    ("soap", ""),
    ("soap11", ""),
    ("soap12", ""),
];

impl StepConfig for ConvertConfig {
    const NAME: &'static str = "convert";
    const EXAMPLE: &'static str =
        "- convert: soap12\n- convert: { to: application/json, types: true }\n- convert: [json, xml]";
    const SHORTHAND: Option<&'static str> = Some("to");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let span = self.to.first().map_or_else(|| cx.step_span(), Text::span);
        let targets = targets(&self.to, span, cx);
        if !xml::is_ncname(&self.root) {
            let help = Some("write a name such as `order`".to_owned());
            cx.error(
                "config.bad_value",
                span,
                format!("`{}` is no name for a root element", self.root),
                help,
            );
            return None;
        }
        let mapping = Mapping {
            root: self.root,
            hints: self.hints,
            types: self.types,
            prefixes: self.prefixes,
        };
        Some(sync(Convert {
            targets: targets?,
            mapping,
        }))
    }
}

/// All targets. Where there are several, each has a media type, and the original message's `accept` header will be read.
fn targets(to: &[Text], span: Span, cx: &mut Build<'_>) -> Option<Vec<Target>> {
    let targets: Vec<_> = to
        .iter()
        .map(|text| target(text.as_str(), text.span(), cx))
        .collect();
    let targets: Vec<Target> = targets.into_iter().collect::<Option<_>>()?;
    let is_soap = |target: &Target| matches!(target, Target::Soap(_));
    if targets.is_empty() || (targets.len() > 1 && targets.iter().any(is_soap)) {
        let help = Some("name media types such as `[json, xml]`; SOAP is no matter of choice".to_owned());
        cx.error(
            "config.bad_combination",
            span,
            "there is nothing to choose from",
            help,
        );
        return None;
    }
    if targets.len() > 1 {
        cx.reads_original(Needs::Headers);
    }
    Some(targets)
}

fn target(text: &str, span: Span, cx: &mut Build<'_>) -> Option<Target> {
    match text {
        "soap" | "soap11" => return Some(Target::Soap(Version::Soap11)),
        "soap12" => return Some(Target::Soap(Version::Soap12)),
        _ => {}
    }
    let full = WORDS
        .iter()
        .find(|(word, _)| *word == text)
        .map_or(text, |(_, media_type)| media_type);
    let parsed = full
        .parse::<mime::Mime>()
        .ok()
        .filter(|media| media.type_() != "*" && media.subtype() != "*");
    let Some(media) = parsed else {
        let help = suggestion(text, WORDS.iter().map(|(word, _)| *word));
        cx.error(
            "config.bad_value",
            span,
            format!("`{text}` is no media type"),
            help,
        );
        return None;
    };
    let is = |name: &str| media.subtype() == name || media.suffix().is_some_and(|suffix| suffix == name);
    let full = full.to_owned();
    Some(if is("json") {
        Target::Json(full)
    } else if media.essence_str() == "application/soap+xml" {
        Target::Soap(Version::Soap12)
    } else if is("xml") {
        Target::Xml(full)
    } else if media.type_() == "text" && !is("csv") {
        Target::Text(full)
    } else {
        Target::Other(full)
    })
}

enum Target {
    Json(String),
    Xml(String),
    Text(String),
    Soap(Version),
    /// Left to the formatter of the media type.
    Other(String),
}

impl Target {
    fn media_type(&self) -> &str {
        match self {
            Self::Json(media_type)
            | Self::Xml(media_type)
            | Self::Text(media_type)
            | Self::Other(media_type) => media_type,
            Self::Soap(version) => version.media_type(),
        }
    }
}

struct Convert {
    /// At least one.
    targets: Vec<Target>,
    mapping: Mapping,
}

impl Mediator for Convert {
    fn needs(&self) -> Needs {
        Needs::Model
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let target = self.chosen(exchange)?;
        let given = exchange.model().cloned();
        if let &Target::Soap(version) = target {
            let envelope = self.envelope(given.as_deref(), version)?;
            exchange.message.headers.remove("soapaction");
            set_model(
                &mut exchange.message,
                Arc::new(Model::Xml(envelope)),
                Some(version.media_type()),
            );
            return Ok(Flow::Next);
        }
        let Some(given) = given else {
            return Ok(Flow::Next);
        };
        let unwrapped = match &*given {
            Model::Xml(document) if soap::version(document).is_some() => {
                exchange.message.headers.remove("soapaction");
                Arc::new(unwrapped(document))
            }
            _ => given,
        };
        let (model, media_type) = self.converted(unwrapped, target)?;
        set_model(&mut exchange.message, model, Some(media_type));
        Ok(Flow::Next)
    }
}

/// The content of the Body; an empty Body is an empty object.
fn unwrapped(document: &xml::Document) -> Model {
    soap::unwrap(document).map_or_else(|| Model::Json(serde_json::json!({})), Model::Xml)
}

impl Convert {
    /// The target, by the client's choice where there are several.
    fn chosen(&self, exchange: &mut Exchange) -> Result<&Target, Fault> {
        let [_, _, ..] = &self.targets[..] else {
            return Ok(&self.targets[0]);
        };
        let media_types: Vec<&str> = self.targets.iter().map(Target::media_type).collect();
        let index = match &exchange.original {
            Some(original) => accept::preferred(&media_types, &original.headers),
            None => Some(0),
        };
        exchange
            .reply_headers
            .append(header::VARY, HeaderValue::from_static("accept"));
        index.map(|index| &self.targets[index]).ok_or_else(|| {
            Fault::new(
                FaultCode::NotAcceptable,
                format!("There is {}.", media_types.join(", ")),
            )
        })
    }

    fn converted<'a>(&self, model: Arc<Model>, target: &'a Target) -> Result<(Arc<Model>, &'a str), Fault> {
        Ok(match target {
            Target::Json(media_type) => (self.json(model), media_type),
            Target::Xml(media_type) => match &*model {
                Model::Xml(_) => (model, media_type),
                other => (Arc::new(Model::Xml(self.xml(other)?)), media_type),
            },
            Target::Text(media_type) => (Arc::new(Model::Text(model.to_text()?.into_owned())), media_type),
            Target::Other(media_type) => (model, media_type),
            Target::Soap(version) => (model, version.media_type()),
        })
    }

    fn json(&self, model: Arc<Model>) -> Arc<Model> {
        match &*model {
            Model::Json(_) => model,
            Model::Xml(document) => Arc::new(Model::Json(xml_to_json(
                document,
                document.document_node(),
                &self.mapping,
            ))),
            other => Arc::new(Model::Json(other.to_json().into_owned())),
        }
    }

    fn xml(&self, model: &Model) -> Result<xml::Document, Fault> {
        match model {
            Model::Rows(_) | Model::Binary(_) | Model::Xml(_) => {
                canonical::to_xml(model).map(std::borrow::Cow::into_owned)
            }
            other => json_to_xml(&other.to_json(), &self.mapping),
        }
    }

    fn envelope(&self, model: Option<&Model>, version: Version) -> Result<xml::Document, Fault> {
        match model {
            None => Ok(soap::wrap(None, &[], version)),
            Some(Model::Xml(document)) => Ok(match soap::version(document) {
                Some(same) if same == version => document.clone(),
                Some(_) => soap::convert(document, version),
                None => soap::wrap(Some(document), &[], version),
            }),
            Some(other) => Ok(soap::wrap(Some(&self.xml(other)?), &[], version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, run, text_of, xml};
    use engine::testing::post;

    const SOAP11: &str = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><m:q xmlns:m="urn:q"><m:n>5</m:n></m:q></s:Body></s:Envelope>"#;

    #[tokio::test]
    async fn xml_becomes_friendly_json() {
        let given = "<m:o xmlns:m='urn:o' a='1'><m:n>5</m:n><m:n>x</m:n></m:o>";
        assert_eq!(
            text_of("- convert: json", xml(given)).await,
            r#"{"o":{"@a":"1","n":["5","x"]}}"#
        );
        assert_eq!(
            text_of("- convert: { to: json, types: true }", xml(given)).await,
            r#"{"o":{"@a":"1","n":[5,"x"]}}"#
        );
        let text = text_of(
            "- convert: { to: application/json, prefixes: true }",
            xml("<m:o xmlns:m='urn:o'/>"),
        )
        .await;
        assert_eq!(text, r#"{"m:o":{"@xmlns:m":"urn:o"}}"#);
    }

    #[tokio::test]
    async fn json_becomes_xml() {
        let mut outcome = run(
            "- convert: { to: xml, root: order }",
            json(r#"{"a": 1, "b": [1, 2]}"#),
        )
        .await;
        assert_eq!(outcome.text(), "<order><a>1</a><b>1</b><b>2</b></order>");
        assert_eq!(outcome.exchange.message.content_type(), Some("application/xml"));
    }

    #[tokio::test]
    async fn soap_is_wrapped_unwrapped_and_translated() {
        let mut outcome = run("- convert: soap", json(r#"{"q": {"n": 5}}"#)).await;
        assert_eq!(
            outcome.text(),
            r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><q><n>5</n></q></soap:Body></soap:Envelope>"#
        );
        assert_eq!(
            outcome.exchange.message.content_type(),
            Some("text/xml; charset=utf-8")
        );
        let mut message = post("text/xml", SOAP11);
        message.headers.insert("soapaction", "\"urn:q\"".parse().unwrap());
        let mut outcome = run("- convert: { to: json, types: true }", message).await;
        assert_eq!(outcome.text(), r#"{"q":{"n":5}}"#);
        assert!(!outcome.exchange.message.headers.contains_key("soapaction"));
        let mut outcome = run("- convert: soap12", post("text/xml", SOAP11)).await;
        assert!(outcome.text().contains("http://www.w3.org/2003/05/soap-envelope"));
        assert_eq!(
            outcome.exchange.message.content_type(),
            Some("application/soap+xml; charset=utf-8")
        );
        assert_eq!(text_of("- convert: soap", post("text/xml", SOAP11)).await, SOAP11);
    }

    #[tokio::test]
    async fn no_body_stays_none_and_binary_has_no_xml() {
        assert_eq!(text_of("- convert: json", json("")).await, "");
        let fault = fault("- convert: xml", post("application/x-unknown", "abc")).await;
        assert_eq!(fault.name(), "gateway.transformation");
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- convert: soap13");
        assert!(
            text.contains("`soap13` is no media type") && text.contains("did you mean `soap1"),
            "{text}"
        );
        assert!(diagnostics("- convert").contains("to"));
    }
}
