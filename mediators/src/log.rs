//! `log`: a line in the log. It goes through `tracing` with the target `mediation`, so that it can be filtered apart from the
//! gateway's own lines.

use crate::text::{needs_of, optional_template, structure_value};
use engine::build::Build;
use engine::config::{Named, RawNode, Text};
use engine::exchange::Exchange;
use engine::expression::{Escape, Structure, Template};
use engine::fault::Fault;
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::message::StartLine;
use engine::observe::{MASK, is_masked};
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// Writes a line to the log. Without settings the line tells what kind of message passes here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// The text of the line; `${ ... }` is evaluated. Longer than 64 KiB it is cut. Secrets of the configuration are refused.
    pub message: Option<Text>,
    /// How important the line is.
    #[serde(default)]
    pub level: Level,
    /// Values beside the text. Passwords, cookies and authorization headers among them are masked.
    #[serde(default)]
    pub fields: Named<RawNode>,
}

/// Levels of the log.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may be wrong.
    Warn,
    /// What happens, at a rate that people can read.
    #[default]
    Info,
    /// Details for finding mistakes.
    Debug,
    /// Everything.
    Trace,
}

const BYTES_MAX: usize = 64 << 10;

impl StepConfig for LogConfig {
    const NAME: &'static str = "log";
    const EXAMPLE: &'static str = r#"- log: "order ${payload.id} from ${request.remote_address | default('unknown')}"
- log:
    level: debug
    message: order received
    fields: { id: "${payload.id}", total: "${payload.total}" }"#;
    const SHORTHAND: Option<&'static str> = Some("message");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let secret_text = self.message.as_ref().filter(|text| text.secret()).map(Text::span);
        let secret_field = self
            .fields
            .iter()
            .find(|(_, _, node)| node.secret())
            .map(|(_, _, node)| node.span);
        if let Some(span) = secret_text.or(secret_field) {
            let help = Some("leave it out; secrets never go to the log".to_owned());
            cx.error(
                "config.secret_in_log",
                span,
                "this would write a secret to the log",
                help,
            );
            return None;
        }
        let message = optional_template(self.message.as_ref(), Escape::None, cx);
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|(name, _, node)| Some((name.to_owned(), cx.structure(node)?)))
            .collect();
        Some(sync(Log {
            message: message?,
            level: self.level,
            fields: fields.into_iter().collect::<Option<_>>()?,
            step: cx.path().into(),
        }))
    }
}

struct Log {
    message: Option<Template>,
    level: Level,
    fields: Vec<(String, Structure)>,
    step: Box<str>,
}

impl Mediator for Log {
    fn needs(&self) -> Needs {
        let fields = self
            .fields
            .iter()
            .map(|(_, value)| value.needs())
            .max()
            .unwrap_or_default();
        fields.max(needs_of(self.message.as_ref(), Template::needs))
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        if !self.level.is_enabled() {
            return Ok(Flow::Next);
        }
        let mut message = match &self.message {
            Some(template) => template.render(exchange)?,
            None => summary(exchange),
        };
        cut(&mut message);
        let mut fields = Map::new();
        for (name, value) in &self.fields {
            let value = structure_value(value, exchange)?.to_json();
            fields.insert(name.clone(), value);
        }
        let mut fields = Json::Object(fields);
        mask(&mut fields);
        self.write(&message, &fields, exchange);
        Ok(Flow::Next)
    }
}

impl Level {
    fn is_enabled(self) -> bool {
        match self {
            Self::Error => tracing::enabled!(target: "mediation", tracing::Level::ERROR),
            Self::Warn => tracing::enabled!(target: "mediation", tracing::Level::WARN),
            Self::Info => tracing::enabled!(target: "mediation", tracing::Level::INFO),
            Self::Debug => tracing::enabled!(target: "mediation", tracing::Level::DEBUG),
            Self::Trace => tracing::enabled!(target: "mediation", tracing::Level::TRACE),
        }
    }
}

impl Log {
    fn write(&self, message: &str, fields: &Json, exchange: &Exchange) {
        let mut text = (!self.fields.is_empty()).then(|| fields.to_string());
        text.iter_mut().for_each(cut);
        let fields = text.as_deref().map(tracing::field::display);
        let (step, id) = (&*self.step, exchange.entry.id.as_str());
        match self.level {
            Level::Error => tracing::error!(target: "mediation", id, step, fields, "{message}"),
            Level::Warn => tracing::warn!(target: "mediation", id, step, fields, "{message}"),
            Level::Info => tracing::info!(target: "mediation", id, step, fields, "{message}"),
            Level::Debug => tracing::debug!(target: "mediation", id, step, fields, "{message}"),
            Level::Trace => tracing::trace!(target: "mediation", id, step, fields, "{message}"),
        }
    }
}

fn summary(exchange: &Exchange) -> String {
    let message = &exchange.message;
    let what = match &message.start {
        StartLine::Request { method, uri } => format!("{method} {}", uri.path()),
        StartLine::Response { status } => format!("reply {}", status.as_u16()),
        StartLine::Event => "message".to_owned(),
    };
    match message.content_type() {
        Some(media_type) => format!("{what}, {media_type}"),
        None => format!("{what}, no body"),
    }
}

fn cut(text: &mut String) {
    if text.len() > BYTES_MAX {
        text.truncate(text.floor_char_boundary(BYTES_MAX));
        text.push_str(" ... (cut)");
    }
}

fn mask(value: &mut Json) {
    match value {
        Json::Object(members) => {
            for (name, member) in members {
                if is_masked(name) {
                    *member = Json::from(MASK);
                } else {
                    mask(member);
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{captured, diagnostics, json, run};

    #[test]
    fn writes_text_and_fields_and_masks_what_is_confidential() {
        let lines = captured(
            "- log: { level: warn, message: 'id ${payload.id}', fields: { all: '${headers}', n: '${payload.n}' } }",
            || {
                let mut message = json(r#"{"id": "x1", "n": 1.50}"#);
                message
                    .headers
                    .insert("authorization", "Basic abc".parse().unwrap());
                message
            },
        );
        assert!(lines.contains("WARN mediation"), "{lines}");
        assert!(lines.contains("id x1"), "{lines}");
        assert!(lines.contains(r#""n":1.50"#), "{lines}");
        assert!(
            lines.contains(r#""authorization":"***""#) && !lines.contains("Basic abc"),
            "{lines}"
        );
    }

    #[test]
    fn bare_it_tells_what_passes() {
        let lines = captured("- log", || json("{}"));
        assert!(lines.contains("POST /test, application/json"), "{lines}");
    }

    #[tokio::test]
    async fn reads_no_payload_where_it_names_none_and_leaves_bytes_alone() {
        let mut outcome = run("- log: passing", json(r#"{ "a" : 1 }"#)).await;
        assert_eq!(
            outcome.exchange.message.payload.state(),
            engine::payload::PayloadState::Bytes
        );
        assert_eq!(outcome.text(), r#"{ "a" : 1 }"#);
    }

    #[test]
    fn mistakes_are_placed() {
        let text = diagnostics("- log: 'a ${payload.x | uper}'");
        assert!(
            text.contains("unknown filter `uper`") && text.contains("did you mean `upper`?"),
            "{text}"
        );
        assert!(text.contains("test.yaml:3:"), "{text}");
        let text = diagnostics("- log: { level: inof, message: x }");
        assert!(text.contains("did you mean `info`?"), "{text}");
    }
}
