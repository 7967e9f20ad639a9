//! `file_exists`: asks whether there is a file.

use crate::file_step::{Target, in_time};
use crate::text::variable;
use engine::build::Build;
use engine::config::{RawNode, Spanned, Text};
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::model::Model;
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use std::sync::Arc;

/// Asks whether a file is in an endpoint's folder.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileExistsConfig {
    /// An endpoint that is a folder.
    pub endpoint: RawNode,
    /// The path in the folder.
    pub name: Text,
    /// The variable for the answer, `true` or `false`.
    pub into: Spanned<String>,
}

impl StepConfig for FileExistsConfig {
    const NAME: &'static str = "file_exists";
    const EXAMPLE: &'static str =
        r#"- file_exists: { endpoint: "file:///tmp/mediary-out", name: "${payload.id}.json", into: known }"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let target = Target::compile(&self.endpoint, Some(&self.name), cx);
        let into = variable(&self.into, cx);
        Some(asynchronous(FileExists {
            target: target?,
            into: into?,
        }))
    }
}

struct FileExists {
    target: Target,
    into: Box<str>,
}

impl AsyncMediator for FileExists {
    fn needs(&self) -> Needs {
        self.target.needs()
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let (files, name) = self.target.resolve(exchange)?;
            let there = in_time(exchange, files.info(&name)).await?.is_some();
            let model = Arc::new(Model::Json(Json::Bool(there)));
            exchange.vars.insert(self.into.clone(), model);
            Ok(Flow::Next)
        })
    }
}
