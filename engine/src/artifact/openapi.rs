//! `?openapi`: the OpenAPI 3.1 document of an API, made from its routes.

use super::Parts;
use super::api::{ApiConfig, BuiltRoute};
use crate::build::Build;
use crate::config::Text;
use crate::deployment::Document;
use crate::route::parameter_names;
use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

/// Adds the document at the API's base path.
pub(super) fn add(base: &str, api: &ApiConfig, routes: &[BuiltRoute], cx: &mut Build<'_>, parts: &mut Parts) {
    let mut paths = Map::new();
    for route in routes {
        let item = paths.entry(openapi_path(route)).or_insert_with(|| json!({}));
        let operation = operation(route, cx);
        let methods: Vec<String> = match &route.key.method {
            Some(method) => vec![method.as_str().to_ascii_lowercase()],
            None => ["get", "put", "post", "delete", "patch"]
                .map(str::to_owned)
                .to_vec(),
        };
        for method in methods {
            item[method] = operation.clone();
        }
    }
    let version = api.version.as_ref().map_or("1.0.0", |version| &version.value);
    let title = api
        .title
        .clone()
        .unwrap_or_else(|| api.context.value.trim_matches('/').to_owned());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": version },
        "servers": [],
        "paths": paths,
        "components": { "responses": { "Problem": problem_response() } },
    });
    if let Some(description) = &api.description {
        document["info"]["description"] = Json::String(description.clone());
    }
    let base = base.to_owned();
    parts.documents.entry(base.clone()).or_default().push(Document {
        query: "openapi".to_owned(),
        listeners: super::listeners(&api.listeners.0, cx),
        media_type: "application/vnd.oai.openapi+json; version=3.1",
        render: Box::new(move |origin| {
            let mut document = document.clone();
            document["servers"] = json!([{ "url": format!("{origin}{base}") }]);
            Bytes::from(document.to_string())
        }),
    });
}

/// OpenAPI writes a catch-all parameter like any other.
fn openapi_path(route: &BuiltRoute) -> String {
    route.key.path.replace("{*", "{")
}

fn operation(route: &BuiltRoute, cx: &mut Build<'_>) -> Json {
    let parameters: Vec<Json> = parameter_names(&route.key.path)
        .iter()
        .map(
            |name| json!({ "name": &**name, "in": "path", "required": true, "schema": { "type": "string" } }),
        )
        .collect();
    let mut ok = json!({ "description": "OK" });
    if let Some(schema) = schema(route.config.response_schema.as_ref(), cx) {
        ok["content"] = json!({ "application/json": { "schema": schema } });
    }
    let mut operation = json!({
        "responses": { "200": ok, "default": { "$ref": "#/components/responses/Problem" } },
    });
    if !parameters.is_empty() {
        operation["parameters"] = Json::Array(parameters);
    }
    if let Some(summary) = &route.config.summary {
        operation["summary"] = Json::String(summary.clone());
    }
    if let Some(schema) = schema(route.config.request_schema.as_ref(), cx) {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

fn schema(name: Option<&Text>, cx: &mut Build<'_>) -> Option<Json> {
    let name = name?;
    let (resource, text) = cx.resource_text(name)?;
    match serde_json::from_str(&text) {
        Ok(schema) => Some(schema),
        Err(error) => {
            cx.error(
                "config.bad_file",
                name.span(),
                format!("`{}` is not JSON: {error}", resource.name),
                None,
            );
            None
        }
    }
}

/// The problem document of RFC 9457 as every fault is answered.
fn problem_response() -> Json {
    let string = json!({ "type": "string" });
    json!({
        "description": "A fault",
        "content": { "application/problem+json": { "schema": {
            "type": "object",
            "properties": {
                "type": string, "title": string, "status": { "type": "integer" },
                "detail": string, "code": string, "instance": string,
            },
        } } },
    })
}
