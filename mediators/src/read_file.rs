//! `read_file`: the content of a file.

use crate::file_step::{Target, in_time};
use crate::text::optional_variable;
use engine::build::Build;
use engine::config::{RawNode, Spanned, Text};
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::fault::FaultCode;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::message::Message;
use engine::model::Model;
use engine::payload::Payload;
use engine::registry::StepConfig;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// Media types by extension; anything else is binary.
const TYPES: [(&str, &str); 6] = [
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("csv", "text/csv"),
    ("txt", "text/plain; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("yaml", "application/yaml"),
];

/// Reads a file of an endpoint's folder, at most as large as a body may be. It becomes the message; with `into` its content goes into a
/// variable and the message stays. A file that is not there is `client.not_found`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFileConfig {
    /// An endpoint that is a folder.
    pub endpoint: RawNode,
    /// The path in the folder.
    pub name: Text,
    /// The variable for the content: `order` for `vars.order`.
    pub into: Option<Spanned<String>>,
    /// The media type. By default it follows from the name's extension.
    pub content_type: Option<String>,
}

impl StepConfig for ReadFileConfig {
    const NAME: &'static str = "read_file";
    const EXAMPLE: &'static str =
        r#"- read_file: { endpoint: "file:///tmp/mediary-out", name: "${payload.id}.json" }"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let target = Target::compile(&self.endpoint, Some(&self.name), cx);
        let into = optional_variable(self.into.as_ref(), cx);
        Some(asynchronous(ReadFile {
            target: target?,
            into: into?,
            content_type: self.content_type,
        }))
    }
}

struct ReadFile {
    target: Target,
    into: Option<Box<str>>,
    content_type: Option<String>,
}

impl ReadFile {
    async fn read(&self, exchange: &Exchange) -> Result<Message, Fault> {
        let (files, name) = self.target.resolve(exchange)?;
        let limit = exchange.deployment.settings.limits.body_bytes;
        let content = files.read(&name, 0).await?;
        let mut bytes = Vec::new();
        let read = content
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .await;
        read.map_err(|error| {
            Fault::new(FaultCode::IncompleteBody, "The file cannot be read.").with_source(error)
        })?;
        if bytes.len() as u64 > limit {
            return Err(Fault::new(
                FaultCode::ReplyTooLarge,
                format!("The file exceeds {limit} bytes."),
            ));
        }
        let mut message = Message::response(StatusCode::OK);
        message.set_content_type(self.content_type.as_deref().unwrap_or_else(|| media_type(&name)));
        message.payload = Payload::bytes(bytes);
        Ok(message)
    }
}

fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(extension));
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}

impl AsyncMediator for ReadFile {
    fn needs(&self) -> Needs {
        self.target.needs()
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let message = in_time(exchange, self.read(exchange)).await?;
            let Some(into) = &self.into else {
                exchange.message = message;
                return Ok(Flow::Next);
            };
            let kept = std::mem::replace(&mut exchange.message, message);
            let read = exchange.lift(Needs::Model).await;
            let model = exchange.model().cloned();
            exchange.message = kept;
            read?;
            let model = model.unwrap_or_else(|| Arc::new(Model::Json(Json::Null)));
            exchange.vars.insert(into.clone(), model);
            Ok(Flow::Next)
        })
    }
}
