//! The pages of the top-level keys. Their settings come from the types, their examples stand here and are built
//! by a test.

use super::{Kind, Page, Settings, of_schema};
use crate::schema::MakeSchema;
use engine::artifact::{
    ApiConfig, ForwardConfig, ProcessorConfig, ProxyConfig, ResourceConfig, RouteConfig, SampleConfig,
    SequenceConfig, SettingsConfig, TaskConfig,
};
use engine::config::summary_and_text;
use engine::endpoint::PolicyConfig;
use engine::registry::Registry;
use schemars::SchemaGenerator;

struct Artifact {
    name: &'static str,
    text: &'static str,
    types: &'static [(&'static str, MakeSchema)],
    example: &'static str,
}

const ARTIFACTS: &[Artifact] = &[
    Artifact {
        name: "settings",
        text: "Server-wide: listeners, limits, observability, secrets.",
        types: &[("Settings", SchemaGenerator::subschema_for::<SettingsConfig>)],
        example: "\
settings:
  listeners:
    http: { port: 8290 }
  limits: { body: 10MiB, exchange: 1m }
  namespaces: { m: http://services.samples }
  access_log: true",
    },
    Artifact {
        name: "endpoints",
        text: "\
Named backends with their policies.

An endpoint is a URL, or a mapping with one key that says where to send and any of the policies at the end.",
        types: &[("Policies", SchemaGenerator::subschema_for::<PolicyConfig>)],
        example: "\
endpoints:
  quotes: http://localhost:9000/quotes
  orders:
    http: http://localhost:9001/orders
    timeout: 3s
    retry: { attempts: 2, on: [connect, timeout, 503] }
    circuit_breaker: { failure_ratio: 0.5, window: 10s, open_for: 30s }",
    },
    Artifact {
        name: "sequences",
        text: "\
Named, reusable steps; with `params:` they are templates.

A sequence is a list of steps, or a mapping with the settings below. The step `sequence` runs it.",
        types: &[("Long form", SchemaGenerator::subschema_for::<SequenceConfig>)],
        example: "\
sequences:
  greet:
    params: { greeting: Hello, name: null }
    steps:
      - payload: { text: \"${params.greeting}, ${params.name}!\" }",
    },
    Artifact {
        name: "proxies",
        text: "\
Message services: from any transport, through steps, to an endpoint.

With `to:` and without steps nothing is parsed: bytes stream through.",
        types: &[("Settings", SchemaGenerator::subschema_for::<ProxyConfig>)],
        example: "\
proxies:
  legacy:
    from: { http: /legacy }
    to: http://localhost:9000/app",
    },
    Artifact {
        name: "apis",
        text: "\
REST APIs.

A route is a method and a path below the API's context, with its steps or a mapping with the settings of a route.
The most specific path wins. `GET CONTEXT?openapi` describes the API in OpenAPI 3.1.",
        types: &[
            ("Settings", SchemaGenerator::subschema_for::<ApiConfig>),
            ("A route in its long form", SchemaGenerator::subschema_for::<RouteConfig>),
        ],
        example: "\
apis:
  hello:
    context: /hello
    version: v1
    routes:
      GET /{name}:
        - payload: { json: { greeting: \"Hello, ${params.name}!\" } }
        - respond",
    },
    Artifact {
        name: "tasks",
        text: "\
Scheduled steps.

The `schedule` is an interval (`10s`), a cron expression (`\"0 2 * * *\"`) or the settings of the transport `timer`. The steps start with an
empty message; `source.scheduled` says when the run was due. A run that is due while the last one is still going is skipped.",
        types: &[("Settings", SchemaGenerator::subschema_for::<TaskConfig>)],
        example: "\
tasks:
  nightly:
    schedule: { cron: \"0 2 * * *\", time_zone: Europe/Vienna }
    steps:
      - payload: { json: { due: \"${source.scheduled}\" } }
      - call: http://localhost:9000/reports",
    },
    Artifact {
        name: "stores",
        text: "\
Message stores: where messages wait, and where dead letters are kept.

A store is a mapping with one key, its kind: `memory`, `durable`, or a transport that keeps messages in its server. The step `store` puts a
message in, `dead_letter` of any artifact names the store for what failed for good, `processors` take messages out.",
        types: &[],
        example: "\
stores:
  orders: { memory: {} }",
    },
    Artifact {
        name: "processors",
        text: "\
What takes messages out of a store: to deliver each with retries, or some of them at fixed times.

A processor has a `store` and one of `forward` and `sample`. A message leaves the store when it was delivered, or is kept in the
`dead_letter` store.",
        types: &[
            ("Settings", SchemaGenerator::subschema_for::<ProcessorConfig>),
            ("`forward`", SchemaGenerator::subschema_for::<ForwardConfig>),
            ("`sample`", SchemaGenerator::subschema_for::<SampleConfig>),
        ],
        example: "\
stores:
  orders: { memory: {} }
  dead: { memory: {} }
processors:
  orders:
    store: orders
    forward: { to: http://localhost:9000/orders, attempts: 5, backoff: 1s }
    dead_letter: dead",
    },
    Artifact {
        name: "connections",
        text: "\
Connections to servers that several artifacts share, by name.

A connection is a mapping with one key, its transport, and that transport's settings. It opens when it is first used.",
        types: &[],
        example: "connections: {}",
    },
    Artifact {
        name: "resources",
        text: "Named files or inline texts: schemas, templates, WSDLs.",
        types: &[("Settings", SchemaGenerator::subschema_for::<ResourceConfig>)],
        example: "\
resources:
  order.schema:
    text: '{ \"type\": \"object\", \"required\": [\"id\"] }'",
    },
];

/// The pages.
pub(super) fn pages(registry: Registry) -> Vec<Page> {
    ARTIFACTS
        .iter()
        .map(|artifact| page(artifact, registry))
        .collect()
}

fn page(artifact: &Artifact, registry: Registry) -> Page {
    let (summary, text) = summary_and_text(artifact.text);
    let mut settings: Vec<Settings> = Vec::new();
    if artifact.name == "endpoints" {
        let senders = registry
            .transports
            .iter()
            .filter_map(|spec| Some((spec.name, spec.sender.as_ref()?.schema)));
        for (name, schema) in senders.chain(crate::schema::groups()) {
            settings.extend(of_schema(schema, &format!("`{name}`")).1);
        }
    }
    for (name, schema) in kinds(artifact.name, registry) {
        settings.extend(of_schema(schema, &format!("`{name}`")).1);
    }
    for (title, schema) in artifact.types {
        settings.extend(of_schema(*schema, title).1);
    }
    Page {
        kind: Kind::Artifact,
        name: artifact.name.to_owned(),
        summary,
        text,
        notes: Vec::new(),
        settings,
        example: Some(artifact.example.to_owned()),
    }
}

/// The kinds of a top-level key whose entries are mappings with one key, which are registered.
fn kinds(name: &str, registry: Registry) -> Vec<(&'static str, MakeSchema)> {
    let connections = registry.transports.iter();
    let connections =
        connections.filter_map(|spec| Some((spec.name, spec.connection.as_ref()?.schema as MakeSchema)));
    match name {
        "stores" => crate::schema::stores(registry).collect(),
        "connections" => connections.collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_a_project() {
        for artifact in ARTIFACTS {
            let built = engine::testing::deployment(crate::registry(), artifact.example);
            if let Err(problems) = built {
                panic!("{}: {problems}", artifact.name);
            }
        }
    }

    #[test]
    fn every_top_level_key_has_a_page() {
        let schema = crate::schema::language(crate::registry());
        let keys = schema["properties"].as_object().unwrap().keys();
        for key in keys {
            assert!(ARTIFACTS.iter().any(|artifact| artifact.name == key), "{key}");
        }
    }
}
