//! `delete_file`: deletes a file.

use crate::file_step::{Target, in_time};
use engine::build::Build;
use engine::config::{RawNode, Text};
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;

/// Deletes a file of an endpoint's folder. A file that is not there is fine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteFileConfig {
    /// An endpoint that is a folder.
    pub endpoint: RawNode,
    /// The path in the folder.
    pub name: Text,
}

impl StepConfig for DeleteFileConfig {
    const NAME: &'static str = "delete_file";
    const EXAMPLE: &'static str =
        r#"- delete_file: { endpoint: "file:///tmp/mediary-out", name: "${payload.id}.json" }"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let target = Target::compile(&self.endpoint, Some(&self.name), cx)?;
        Some(asynchronous(DeleteFile { target }))
    }
}

struct DeleteFile {
    target: Target,
}

impl AsyncMediator for DeleteFile {
    fn needs(&self) -> Needs {
        self.target.needs()
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let (files, name) = self.target.resolve(exchange)?;
            in_time(exchange, files.delete(&name)).await?;
            Ok(Flow::Next)
        })
    }
}
