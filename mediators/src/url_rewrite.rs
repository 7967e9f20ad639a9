//! `url_rewrite`: changes the path and query that go to the backend. What the client sent stays readable in `request`.

use crate::text::optional_template;
use engine::build::Build;
use engine::config::{Named, OneOrMany, Spanned, Text};
use engine::exchange::Exchange;
use engine::expression::{Escape, Template};
use engine::fault::{Fault, FaultCode};
use engine::mediator::{Flow, Mediator, Needs, StepKind, sync};
use engine::message::StartLine;
use engine::registry::StepConfig;
use http::uri::PathAndQuery;
use http::{Uri, uri};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Rewrites what the next pass-through (`to:`), or `call` without a `path`, adds to the endpoint's address. The settings apply in the
/// order of this page, to the client's path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UrlRewriteConfig {
    /// A new path. Inserted values are escaped: one value is one segment.
    pub path: Option<Text>,
    /// A beginning of the path to take away, where the path has it: whole segments.
    pub strip_prefix: Option<Spanned<String>>,
    /// A regular expression to look for in the path.
    pub regex: Option<Spanned<String>>,
    /// What stands in the place of everything that `regex` finds; `$1` is its first group.
    pub replace: Option<Spanned<String>>,
    /// Changes of the query.
    #[serde(default)]
    pub query: QueryConfig,
}

/// Changes of the query, in this order.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryConfig {
    /// Parameters to take away; `*` takes all.
    #[serde(default)]
    pub remove: OneOrMany<String>,
    /// Parameters to set, in the place of those with the same name.
    #[serde(default)]
    pub set: Named<Text>,
    /// Parameters to add.
    #[serde(default)]
    pub add: Named<Text>,
}

impl StepConfig for UrlRewriteConfig {
    const NAME: &'static str = "url_rewrite";
    const EXAMPLE: &'static str = r#"- url_rewrite:
    strip_prefix: /api/v1
    query: { set: { tenant: "${headers.x_tenant}" }, remove: [debug] }
- url_rewrite: { regex: "^/old/(.*)$", replace: "/new/$1" }"#;

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let path = optional_template(self.path.as_ref(), Escape::Url, cx);
        let replacement = replacement(self.regex.as_ref(), self.replace.as_ref(), cx);
        let set = parameters(&self.query.set, cx);
        let add = parameters(&self.query.add, cx);
        let query = QueryEdits {
            remove: self.query.remove.0,
            set: set?,
            add: add?,
        };
        let edits_path = self.path.is_some() || self.strip_prefix.is_some() || self.regex.is_some();
        if !edits_path && query.is_empty() {
            let help = Some("give `path`, `strip_prefix`, `regex` or `query`".to_owned());
            cx.error(
                "config.bad_combination",
                cx.step_span(),
                "`url_rewrite` changes nothing",
                help,
            );
            return None;
        }
        Some(sync(UrlRewrite {
            edits_path,
            path: path?,
            strip_prefix: self
                .strip_prefix
                .map(|prefix| prefix.value.trim_end_matches('/').into()),
            replacement: replacement?,
            query,
        }))
    }
}

#[expect(
    clippy::option_option,
    reason = "the outer level says whether there were errors"
)]
fn replacement(
    regex: Option<&Spanned<String>>,
    replace: Option<&Spanned<String>>,
    cx: &mut Build<'_>,
) -> Option<Option<(Regex, Box<str>)>> {
    let (regex, replace) = match (regex, replace) {
        (None, None) => return Some(None),
        (Some(regex), Some(replace)) => (regex, replace),
        (Some(lone), None) | (None, Some(lone)) => {
            let help = Some("`regex` and `replace` belong together".to_owned());
            cx.error(
                "config.bad_combination",
                lone.span,
                "one of `regex` and `replace` is missing",
                help,
            );
            return None;
        }
    };
    match Regex::new(regex) {
        Ok(compiled) => Some(Some((compiled, replace.value.as_str().into()))),
        Err(error) => {
            let problem = error.to_string();
            let last = problem
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            cx.error(
                "config.bad_expression",
                regex.span,
                format!("bad regular expression: {last}"),
                None,
            );
            None
        }
    }
}

fn parameters(named: &Named<Text>, cx: &mut Build<'_>) -> Option<Vec<(String, Template)>> {
    let compiled: Vec<_> = named
        .iter()
        .map(|(name, _, text)| Some((name.to_owned(), cx.template(text, Escape::None)?)))
        .collect();
    compiled.into_iter().collect()
}

struct QueryEdits {
    remove: Vec<String>,
    set: Vec<(String, Template)>,
    add: Vec<(String, Template)>,
}

impl QueryEdits {
    fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    fn needs(&self) -> Needs {
        self.set
            .iter()
            .chain(&self.add)
            .map(|(_, template)| template.needs())
            .max()
            .unwrap_or_default()
    }

    /// The new query. Parameters that are not named keep their spelling.
    fn apply(&self, query: Option<&str>, exchange: &Exchange) -> Result<Option<String>, Fault> {
        let goes = |name: &str| {
            let removed = self
                .remove
                .iter()
                .any(|removed| removed == "*" || removed == name);
            removed || self.set.iter().any(|(set, _)| set == name)
        };
        let given = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        let mut pairs: Vec<String> = given
            .filter(|pair| !goes(&decoded_name(pair)))
            .map(str::to_owned)
            .collect();
        for (name, template) in self.set.iter().chain(&self.add) {
            let value = template.render(exchange)?;
            pairs.push(
                form_urlencoded::Serializer::new(String::new())
                    .append_pair(name, &value)
                    .finish(),
            );
        }
        Ok((!pairs.is_empty()).then(|| pairs.join("&")))
    }
}

fn decoded_name(pair: &str) -> String {
    form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(name, _)| name.into_owned())
}

struct UrlRewrite {
    edits_path: bool,
    path: Option<Template>,
    strip_prefix: Option<Box<str>>,
    replacement: Option<(Regex, Box<str>)>,
    query: QueryEdits,
}

impl UrlRewrite {
    fn rewritten_path(&self, exchange: &Exchange) -> Result<String, Fault> {
        let entry = &exchange.entry;
        let current = if entry.rewritten {
            &entry.path_rest
        } else {
            &entry.path
        };
        let mut path = match &self.path {
            Some(template) => template.render(exchange)?,
            None => current.clone(),
        };
        if let Some(prefix) = &self.strip_prefix {
            let rest = path
                .strip_prefix(&**prefix)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'));
            if let Some(rest) = rest {
                path = rest.to_owned();
            }
        }
        if let Some((regex, replace)) = &self.replacement {
            path = regex.replace_all(&path, &**replace).into_owned();
        }
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        Ok(path)
    }
}

impl Mediator for UrlRewrite {
    fn needs(&self) -> Needs {
        self.path
            .as_ref()
            .map(Template::needs)
            .unwrap_or_default()
            .max(self.query.needs())
    }

    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let path = if self.edits_path {
            self.rewritten_path(exchange)?
        } else {
            exchange.entry.path_rest.clone()
        };
        let query = self.query.apply(exchange.entry.query.as_deref(), exchange)?;
        let checked = checked(&path, query.as_deref())?;
        if let StartLine::Request { uri, .. } = &mut exchange.message.start {
            *uri = replaced(uri, checked);
        }
        let entry = Arc::make_mut(&mut exchange.entry);
        entry.path_rest = path;
        entry.replace_query(query);
        entry.rewritten = true;
        Ok(Flow::Next)
    }
}

/// What cannot stand in a URL, or would leave its path, is refused.
fn checked(path: &str, query: Option<&str>) -> Result<PathAndQuery, Fault> {
    let unusable = |detail: String| {
        Fault::new(FaultCode::Transformation, "The URL cannot be rewritten so.").with_detail(detail)
    };
    if path.contains(['?', '#']) || path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(unusable(format!("`{path}` is no path")));
    }
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None if path.is_empty() => "/".to_owned(),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(text).map_err(|error| unusable(error.to_string()))
}

fn replaced(uri: &Uri, path_and_query: PathAndQuery) -> Uri {
    let mut parts: uri::Parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use crate::testing::{diagnostics, fault, json, run};

    async fn target(steps: &str, body: &str) -> String {
        let outcome = run(steps, json(body)).await;
        assert!(outcome.flow.is_ok(), "{:?}", outcome.flow);
        let entry = &outcome.exchange.entry;
        format!(
            "{}?{}",
            entry.path_rest,
            entry.query.as_deref().unwrap_or_default()
        )
    }

    #[tokio::test]
    async fn paths_and_queries_are_rewritten() {
        let cases = [
            ("path: '/orders/${payload.id}'", "/orders/a%2Fb?q=1"),
            ("strip_prefix: /test", "/?q=1"),
            ("strip_prefix: /te", "/test?q=1"),
            ("regex: '^/t(.*)$', replace: '/n/$1/x'", "/n/est/x?q=1"),
            (
                "query: { set: { q: '2 3', r: '${payload.id}' } }",
                "?q=2+3&r=a%2Fb",
            ),
            ("query: { add: { q: '2' } }", "?q=1&q=2"),
            ("query: { remove: '*' }", "?"),
            ("path: /x, query: { remove: [q], add: { z: 1 } }", "/x?z=1"),
        ];
        for (settings, expected) in cases {
            assert_eq!(
                target(&format!("- url_rewrite: {{ {settings} }}"), r#"{"id": "a/b"}"#).await,
                expected,
                "{settings}"
            );
        }
    }

    #[tokio::test]
    async fn the_next_call_follows_it_and_the_request_stays_readable() {
        let steps = r#"
- url_rewrite: { path: /x }
- url_rewrite: { regex: "x", replace: "y", query: { add: { r: 2 } } }
- set: { headers.x-path: "${request.path}" }
- call: test://echo
- set: { payload: "${payload.path} ${payload.headers['x-path']}" }"#;
        assert_eq!(run(steps, json("{}")).await.text(), "/y?q=1&r=2 /test");
    }

    #[tokio::test]
    async fn paths_cannot_be_left() {
        let text = fault(
            "- url_rewrite: { regex: '^/test', replace: '/a/../../b' }",
            json("{}"),
        )
        .await;
        assert_eq!(text.name(), "gateway.transformation");
    }

    #[test]
    fn mistakes_are_placed() {
        assert!(diagnostics("- url_rewrite: { regex: '(' , replace: x }").contains("bad regular expression"));
        assert!(diagnostics("- url_rewrite: { regex: x }").contains("is missing"));
        assert!(diagnostics("- url_rewrite").contains("changes nothing"));
    }
}
