//! `apis`: REST APIs. A route is a method and a path below the API's context; the most specific path wins.

use super::{Parts, add_route, listeners, openapi, route_metrics};
use crate::build::Build;
use crate::config::{Duration, Named, Node, NodeValue, OneOrMany, RawNode, Span, Spanned, Steps};
use crate::deployment::{Artifact, ArtifactKind, RouteSteps};
use crate::mediator::Needs;
use crate::route::{Guard, Route, parameter_names};
use crate::sequence::Sequence;
use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// A REST API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    /// The path that all its routes are below, such as `/quotes`.
    pub context: Spanned<String>,
    /// The version, such as `v1`: a path segment behind the context, or the value of `version_header`.
    pub version: Option<Spanned<String>>,
    /// The header that carries the version, instead of the path.
    pub version_header: Option<Spanned<String>>,
    /// Host names it answers for; without any, all.
    #[serde(default)]
    pub hosts: OneOrMany<Spanned<String>>,
    /// Listeners it is served on; without any, all.
    #[serde(default)]
    pub listeners: OneOrMany<Spanned<String>>,
    /// Title of the generated API description.
    pub title: Option<String>,
    /// Text of the generated API description.
    pub description: Option<String>,
    /// Steps before those of every route: authentication, CORS, rate limits.
    #[serde(default)]
    pub policies: Steps,
    /// Routes: `METHOD /path/{parameter}`, or `ANY /path`, with their steps or a definition.
    pub routes: Named<RawNode>,
    /// Steps for faults that no route handles.
    pub on_fault: Option<Steps>,
    /// The store for messages that failed, where no `on_fault` handled the fault. The client gets the fault all the same.
    pub dead_letter: Option<Spanned<String>>,
    /// Most time for one exchange; the default is `settings.limits.exchange`.
    pub timeout: Option<Duration>,
}

/// A route in its long form; the short form is just its steps.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteConfig {
    /// Steps before the route's own.
    pub policies: Steps,
    /// The steps.
    pub steps: Steps,
    /// An endpoint to which the request goes on as it is, after the steps.
    pub to: Option<RawNode>,
    /// Steps for faults of this route.
    pub on_fault: Option<Steps>,
    /// Most time for one exchange.
    pub timeout: Option<Duration>,
    /// One line for the generated API description.
    pub summary: Option<String>,
    /// JSON Schema of the request body, for the API description: a resource or a file.
    pub request_schema: Option<crate::config::Text>,
    /// JSON Schema of the reply, for the API description: a resource or a file.
    pub response_schema: Option<crate::config::Text>,
}

/// A route's key, read.
pub(super) struct RouteKey {
    /// `None` stands for every method.
    pub(super) method: Option<Method>,
    pub(super) path: String,
}

pub(super) fn build(name: &Spanned<String>, api: &ApiConfig, cx: &mut Build<'_>, parts: &mut Parts) {
    let artifact_name: Arc<str> = format!("apis.{}", name.value).into();
    cx.within(&artifact_name, |cx| {
        // With a bad context the routes are still checked, somewhere.
        let base = base_path(api, cx).unwrap_or_else(|| "/_".to_owned());
        let guards = guards(api, cx);
        let listeners = listeners(&api.listeners.0, cx);
        cx.original = None;
        let policies = cx.steps(&api.policies, "policies");
        let on_fault = cx.optional_steps(api.on_fault.as_ref(), "on_fault");
        let api_original = cx.original.take().max(parts.shared_original);
        let built: Vec<BuiltRoute> = api
            .routes
            .iter()
            .filter_map(|(key, span, node)| build_route(key, span, &node.0, &base, api_original, cx))
            .collect();
        let routes = built.iter().map(BuiltRoute::steps).collect();
        let dead_letter = api.dead_letter.as_ref().and_then(|name| cx.store(name));
        let artifact = Arc::new(Artifact {
            name: Arc::clone(&artifact_name),
            kind: ArtifactKind::Api,
            policies,
            on_fault,
            dead_letter,
            routes,
        });
        openapi::add(&base, api, &built, cx, parts);
        for route in built {
            let methods: Vec<Method> = route.key.method.iter().cloned().collect();
            let (pattern, span) = (route.pattern.clone(), route.span);
            let route = Arc::new(route.into_route(&artifact, api, cx));
            for guard in &guards {
                add_route((&listeners, &pattern, guard), &methods, &route, span, cx, parts);
            }
        }
        parts.artifacts.push(artifact);
    });
}

/// A route whose artifact is still being built.
pub(super) struct BuiltRoute {
    pub(super) key: RouteKey,
    pub(super) config: RouteConfig,
    pub(super) pattern: String,
    template: Arc<str>,
    span: Span,
    policies: Sequence,
    steps: Sequence,
    on_fault: Option<Sequence>,
    original: Option<Needs>,
}

impl BuiltRoute {
    fn steps(&self) -> RouteSteps {
        RouteSteps {
            template: Arc::clone(&self.template),
            policies: self.policies.clone(),
            steps: self.steps.clone(),
            on_fault: self.on_fault.clone(),
            original: self.original,
        }
    }

    fn into_route(self, artifact: &Arc<Artifact>, api: &ApiConfig, cx: &Build<'_>) -> Route {
        let timeout = self.config.timeout.or(api.timeout);
        Route {
            metrics: route_metrics(&artifact.name, &self.template, cx),
            artifact: Arc::clone(artifact),
            parameters: parameter_names(&self.pattern),
            template: self.template,
            policies: self.policies,
            steps: self.steps,
            on_fault: self.on_fault,
            original: self.original,
            timeout: timeout.map(Into::into),
            soap: false,
        }
    }
}

fn build_route(
    key: &str,
    span: Span,
    node: &Node,
    base: &str,
    api_original: Option<Needs>,
    cx: &mut Build<'_>,
) -> Option<BuiltRoute> {
    let route_key = route_key(key, span, cx);
    let config = route_config(node, cx)?;
    let Some(route_key) = route_key else {
        // The steps of a route with a bad key are still checked.
        cx.within(&format!(".{key}"), |cx| cx.steps(&config.steps, ""));
        return None;
    };
    let pattern = match route_key.path.as_str() {
        "/" if !base.is_empty() => base.to_owned(),
        path => format!("{base}{path}"),
    };
    let method = route_key.method.as_ref().map_or("ANY", Method::as_str);
    let template: Arc<str> = format!("{method} {pattern}").into();
    cx.within(&format!(".{key}"), |cx| {
        cx.original = None;
        let policies = cx.steps(&config.policies, "policies");
        let steps = super::target::steps_then_to(&config.steps, config.to.as_ref(), cx)?;
        let on_fault = cx.optional_steps(config.on_fault.as_ref(), "on_fault");
        let original = cx.original.take().max(api_original);
        Some(BuiltRoute {
            key: route_key,
            config,
            pattern,
            template,
            span,
            policies,
            steps,
            on_fault,
            original,
        })
    })
}

fn route_config(node: &Node, cx: &mut Build<'_>) -> Option<RouteConfig> {
    const LONG: [&str; 3] = ["steps", "to", "policies"];
    let is_long =
        matches!(&node.value, NodeValue::Mapping(_)) && LONG.iter().any(|key| node.get(key).is_some());
    if is_long {
        return cx.read(node);
    }
    let steps: Steps = cx.read(node)?;
    Some(RouteConfig {
        steps,
        ..RouteConfig::default()
    })
}

const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "ANY",
];

fn route_key(key: &str, span: Span, cx: &mut Build<'_>) -> Option<RouteKey> {
    let help = || Some("a route is a method and a path: `GET /orders/{id}`".to_owned());
    let Some((method, path)) = key.split_once(' ') else {
        cx.error("config.bad_route", span, format!("`{key}` is no route"), help());
        return None;
    };
    if !METHODS.contains(&method) {
        let near = crate::config::suggestion(method, METHODS);
        cx.error("config.bad_route", span, format!("`{method}` is no method"), near);
        return None;
    }
    check_path(path.trim(), span, cx)?;
    let method = (method != "ANY").then(|| method.parse().ok()).flatten();
    Some(RouteKey {
        method,
        path: path.trim().to_owned(),
    })
}

/// Checks a path pattern: it begins with `/`, and its parameters are well-formed and unique.
pub(super) fn check_path(path: &str, span: Span, cx: &mut Build<'_>) -> Option<()> {
    let problem = path_problem(path);
    if let Some((problem, help)) = problem {
        cx.error("config.bad_path", span, problem, help);
        return None;
    }
    Some(())
}

fn path_problem(path: &str) -> Option<(String, Option<String>)> {
    if !path.starts_with('/') {
        return Some((
            format!("the path `{path}` does not begin with `/`"),
            Some(format!("write `/{path}`")),
        ));
    }
    if path.contains("//") || path.contains(['?', '#', ' ']) || path.contains("/../") || path.ends_with("/..")
    {
        return Some((format!("`{path}` is no normalised path"), None));
    }
    if path.matches('{').count() != path.matches('}').count() {
        return Some((format!("a brace of `{path}` is not closed"), None));
    }
    let names = parameter_names(path);
    if names.iter().any(|name| name.is_empty()) {
        return Some((format!("a parameter of `{path}` has no name"), None));
    }
    let repeated = names
        .iter()
        .enumerate()
        .find(|(index, name)| names[..*index].contains(name));
    repeated.map(|(_, name)| (format!("the parameter `{name}` occurs twice"), None))
}

fn base_path(api: &ApiConfig, cx: &mut Build<'_>) -> Option<String> {
    let context = api.context.value.trim_end_matches('/');
    if !context.is_empty() {
        check_path(context, api.context.span, cx)?;
    }
    Some(match (&api.version, &api.version_header) {
        (Some(version), None) => format!("{context}/{}", version.value),
        _ => context.to_owned(),
    })
}

fn guards(api: &ApiConfig, cx: &mut Build<'_>) -> Vec<Guard> {
    let version_header = api.version_header.as_ref().and_then(|header| {
        let Some(version) = &api.version else {
            let help = Some("add `version:` with the value to match".to_owned());
            cx.error(
                "config.missing_key",
                header.span,
                "`version_header` needs a `version`",
                help,
            );
            return None;
        };
        match HeaderName::try_from(header.value.as_str()) {
            Ok(name) => Some((name, version.value.clone())),
            Err(_) => {
                cx.error(
                    "config.bad_value",
                    header.span,
                    format!("`{}` is no header name", header.value),
                    None,
                );
                None
            }
        }
    });
    let guard = |host: Option<String>| Guard {
        version_header: version_header.clone(),
        host,
    };
    match &api.hosts.0[..] {
        [] => vec![guard(None)],
        hosts => hosts
            .iter()
            .map(|host| guard(Some(host.value.to_ascii_lowercase())))
            .collect(),
    }
}
