//! `list_files`: the files of a folder.

use crate::file_step::{Target, in_time};
use crate::text::optional_variable;
use engine::build::Build;
use engine::config::{RawNode, Spanned};
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::model::Model;
use engine::registry::StepConfig;
use globset::{GlobBuilder, GlobMatcher};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Most files that are told.
const LIST_MAX: usize = 10_000;

/// Lists the files of an endpoint's folder by path: `[{ "name", "path", "size", "modified" }]`, at most 10,000. `modified` is a time in
/// UTC, RFC 3339. Names that begin with a dot are left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListFilesConfig {
    /// An endpoint that is a folder.
    pub endpoint: RawNode,
    /// Which files: `*.csv`. By default all.
    pub pattern: Option<Spanned<String>>,
    /// The variable for the list. By default it becomes the message.
    pub into: Option<Spanned<String>>,
}

impl StepConfig for ListFilesConfig {
    const NAME: &'static str = "list_files";
    const EXAMPLE: &'static str =
        r#"- list_files: { endpoint: "file:///tmp/mediary-out", pattern: "*.json", into: files }"#;
    const SHORTHAND: Option<&'static str> = Some("endpoint");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let target = Target::compile(&self.endpoint, None, cx);
        let pattern = self.pattern.map(|pattern| matcher(&pattern, cx));
        let into = optional_variable(self.into.as_ref(), cx);
        Some(asynchronous(ListFiles {
            target: target?,
            pattern: match pattern {
                Some(pattern) => Some(pattern?),
                None => None,
            },
            into: into?,
        }))
    }
}

fn matcher(pattern: &Spanned<String>, cx: &mut Build<'_>) -> Option<GlobMatcher> {
    let glob = GlobBuilder::new(&pattern.value).literal_separator(true).build();
    match glob {
        Ok(glob) => Some(glob.compile_matcher()),
        Err(error) => {
            let help = Some("write a pattern such as `*.csv`".to_owned());
            cx.error("config.bad_value", pattern.span, error.kind().to_string(), help);
            None
        }
    }
}

struct ListFiles {
    target: Target,
    pattern: Option<GlobMatcher>,
    into: Option<Box<str>>,
}

impl ListFiles {
    fn wanted(&self, path: &str) -> bool {
        !path.starts_with('.') && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(path))
    }
}

impl AsyncMediator for ListFiles {
    fn needs(&self) -> Needs {
        self.target.needs()
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let (files, _) = self.target.resolve(exchange)?;
            let mut found = in_time(exchange, files.list("", false, LIST_MAX)).await?;
            found.retain(|file| self.wanted(&file.path));
            found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
            let one = |file: &engine::files::FileInfo| {
                let name = file.path.rsplit('/').next();
                json!({ "name": name, "path": file.path, "size": file.size, "modified": file.modified_text() })
            };
            let model = Arc::new(Model::Json(Json::Array(found.iter().map(one).collect())));
            match &self.into {
                Some(into) => drop(exchange.vars.insert(into.clone(), model)),
                None => crate::place::set_model(&mut exchange.message, model, None),
            }
            Ok(Flow::Next)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, text_of};

    #[tokio::test]
    async fn a_folder_is_listed_by_pattern() {
        let steps = |pattern: &str| {
            format!(
                "- list_files: {{ endpoint: 'file:///x', pattern: '{pattern}', into: files }}\n- payload: {{ json: '${{vars.files}}' }}"
            )
        };
        let text = text_of(&steps("*.json"), json("{}")).await;
        assert!(
            text.contains(r#""path":"7.json""#) && text.contains(r#""size":7"#),
            "{text}"
        );
        assert!(text.contains(r#""modified":"1970-01-01T00:00:00Z""#), "{text}");
        assert_eq!(text_of(&steps("*.csv"), json("{}")).await, "[]");
    }

    #[tokio::test]
    async fn a_file_is_read_found_and_deleted() {
        let read = "- read_file: { endpoint: 'file:///x', name: '${payload.id}.json' }";
        assert_eq!(text_of(read, json(r#"{"id":7}"#)).await, r#"{"n":1}"#);
        assert_eq!(fault(read, json(r#"{"id":8}"#)).await.name(), "client.not_found");
        let there = "- file_exists: { endpoint: 'file:///x', name: '${payload.id}.json', into: known }\n- payload: { text: '${vars.known}' }";
        assert_eq!(text_of(there, json(r#"{"id":7}"#)).await, "true");
        assert_eq!(text_of(there, json(r#"{"id":8}"#)).await, "false");
    }

    #[test]
    fn an_endpoint_without_files_is_told() {
        assert!(!diagnostics("- list_files: { endpoint: 'test://echo' }").is_empty());
    }
}
