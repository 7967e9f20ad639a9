//! The configuration layer through its public door: YAML in, values or rendered problems out.

mod positions;
mod problems;
mod projects;
mod properties;
mod reading;
mod substitution;

use super::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a small gateway might be configured with; every field type occurs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Gateway {
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    endpoints: Named<Endpoint>,
    #[serde(default)]
    proxies: Named<Proxy>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    port: u16,
    hosts: Vec<String>,
    secrets: SecretSettings,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    /// Where to send.
    http: Spanned<String>,
    #[serde(default = "five_seconds")]
    timeout: Duration,
    retry: Option<Retry>,
    soap: Option<Soap>,
    #[serde(default)]
    limit: Size,
    password: Option<SecretText>,
    #[serde(default)]
    keep_alive: bool,
    ratio: Option<f64>,
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Retry {
    /// How often to try, the first time included.
    attempts: u8,
    #[serde(default)]
    on: OneOrMany<RetryOn>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
enum RetryOn {
    /// No connection.
    Connect,
    /// No reply in time.
    Timeout,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
enum Soap {
    #[serde(rename = "1.1")]
    V11,
    #[serde(rename = "1.2")]
    V12,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Proxy {
    from: Entry,
    #[serde(default)]
    steps: Steps,
    when: Option<Text>,
    payload: Option<RawNode>,
    throttle: Option<Rate>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Entry {
    Http(String),
    File { folder: String, every: Option<Duration> },
    Local,
}

/// Reads a gateway from one text and an environment in which little is set.
fn load(yaml: &str) -> (Option<Gateway>, Project, Diagnostics) {
    load_with(&[("m.yaml", yaml)], &[])
}

fn load_with(texts: &[(&str, &str)], set: &[&str]) -> (Option<Gateway>, Project, Diagnostics) {
    let variables = [
        ("PORT", "8080"),
        ("HOST", "example.org"),
        ("ODD", "a'b\"${payload.x}"),
    ];
    let secrets = [
        ("MEDIARY_SECRET_DB_PASSWORD", "hunter2"),
        ("MEDIARY_SECRET_ODD", "${1 + 1}'\"\\"),
    ];
    let options = LoadOptions {
        set: set.iter().map(|it| (*it).to_owned()).collect(),
        environment: Environment::of(variables.into_iter().chain(secrets)),
    };
    let mut diagnostics = Diagnostics::new();
    let project = load_texts(
        texts.iter().copied(),
        std::path::Path::new(""),
        &options,
        &mut diagnostics,
    );
    let gateway = read(&project.root, &mut diagnostics);
    (gateway, project, diagnostics)
}

/// A gateway without problems.
fn gateway(yaml: &str) -> Gateway {
    let (gateway, project, diagnostics) = load(yaml);
    assert!(
        diagnostics.is_empty(),
        "{}",
        render_all(&diagnostics, &project.sources, Style::Plain)
    );
    gateway.unwrap()
}

/// Every problem as `file:line:column-end_column code: message (help)`, in the order of the text.
fn found(texts: &[(&str, &str)], set: &[&str]) -> Vec<String> {
    let (_, project, mut diagnostics) = load_with(texts, set);
    diagnostics.sort();
    diagnostics
        .iter()
        .map(|it| one_line(it, &project.sources))
        .collect()
}

fn one_line(it: &Diagnostic, sources: &Sources) -> String {
    let json = it.to_json(sources);
    let place = format!(
        "{}:{}:{}-{}",
        json["file"].as_str().unwrap(),
        json["line"],
        json["column"],
        json["end_column"]
    );
    let help = it
        .help
        .as_ref()
        .map(|help| format!(" ({help})"))
        .unwrap_or_default();
    format!(
        "{place} {}: {}{help}",
        it.code.trim_start_matches("config."),
        it.message
    )
}

/// The problems of one text.
fn problems(yaml: &str) -> Vec<String> {
    let lines = found(&[("m", yaml)], &[]);
    lines
        .into_iter()
        .map(|line| line.trim_start_matches("m:").to_owned())
        .collect()
}

/// The only problem of one text.
fn problem(yaml: &str) -> String {
    let mut problems = problems(yaml);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}
