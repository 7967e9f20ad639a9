//! The settings that every listener on a folder and every sender to one has. A transport adds its own keys by [`split_settings`].

use super::split::SplitSetting;
use engine::config::{Duration, Node, NodeValue, Spanned, Text};
use engine::files::Existing;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A folder whose files are messages.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FolderConfig {
    /// The folder.
    pub folder: Spanned<String>,
    /// Which files: `*.csv`, `{a,b}-??.xml`. With `recursive` the path below the folder counts where the pattern has a slash.
    /// Names that begin with a dot are never taken.
    #[serde(default = "any")]
    pub pattern: Spanned<String>,
    /// Whether files in folders below count.
    #[serde(default)]
    pub recursive: bool,
    /// How often the folder is looked at.
    #[serde(default = "second")]
    pub every: Duration,
    /// Which files come first. The order holds for `concurrency: 1`.
    #[serde(default)]
    pub sort: Sort,
    /// Leaves files alone that changed less than this ago.
    pub minimum_age: Option<Duration>,
    /// Leaves files alone whose size has not been the same for this long: writers that use no temporary name.
    pub stable_for: Option<Duration>,
    /// Most files taken from one look at the folder: those that come meanwhile wait for the next look.
    #[serde(default = "batch")]
    #[schemars(range(min = 1, max = 100_000))]
    pub batch: usize,
    /// How many files are worked on at once; with `split` how many parts.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrency: usize,
    /// The media type. By default it follows from the name's extension.
    pub content_type: Option<String>,
    /// Delivers a file in parts rather than as a whole: `rows`, or a mapping with more. Files come one after another then, and
    /// `concurrency` is that of the parts.
    pub split: Option<SplitSetting>,
    /// What becomes of a file that was delivered.
    #[serde(default = "done")]
    pub after: Action,
    /// What becomes of a file that failed for good.
    #[serde(default = "failed")]
    pub on_fault: Action,
    /// Deliveries after faults that may pass, such as a backend that is away.
    #[serde(default)]
    pub retry: RetryConfig,
    /// How long an owner of claims may be silent until others take its files over. All gateways on a folder should have the same.
    #[serde(default = "lease")]
    pub lease: Duration,
}

/// Which files come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    /// By path.
    #[default]
    Name,
    /// The oldest first.
    Modified,
    /// The smallest first.
    Size,
}

/// What becomes of a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// It is deleted.
    Delete,
    /// It gets another path in the same folder: a folder's name, or a path with `${ ... }` such as `done/${source.name}`. A file
    /// that is there already is not replaced; the new one gets a longer name.
    Move(Text),
    /// It stays in its folder under another name, such as `${source.name}.done`. The pattern must not match the new name.
    Rename(Text),
}

impl FolderConfig {
    /// What tells one listener from another: all settings, but not where they are written.
    pub(super) fn key(&self, artifact: &str, url: &str) -> String {
        let action = |action: &Action| match action {
            Action::Delete => json!("delete"),
            Action::Move(text) => json!({ "move": text.as_str() }),
            Action::Rename(text) => json!({ "rename": text.as_str() }),
        };
        let time = |time: &Option<Duration>| time.map(|time| time.get().as_nanos().to_string());
        json!([
            artifact,
            url,
            self.pattern.value,
            [
                self.recursive.to_string(),
                self.every.get().as_nanos().to_string()
            ],
            self.sort,
            time(&self.minimum_age),
            time(&self.stable_for),
            [self.batch, self.concurrency],
            self.content_type,
            self.split.as_ref().map(|split| split.to_json()),
            action(&self.after),
            action(&self.on_fault),
            self.retry,
            self.lease.get().as_nanos().to_string(),
        ])
        .to_string()
    }
}

/// Deliveries of the same file.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetryConfig {
    /// Most deliveries, the first included; 0 for no limit.
    pub attempts: u32,
    /// The wait after the first one; it doubles each time.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
        }
    }
}

/// Where files are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SenderConfig {
    /// The folder.
    pub folder: Spanned<String>,
    /// The name: `orders/${payload.id}.json`. It never leads out of the folder. By default a new one is made, with the extension of the
    /// media type. The `path` of a step replaces it.
    pub name: Option<Text>,
    /// What happens where the file exists.
    #[serde(default)]
    pub existing: ExistingConfig,
}

/// What happens where the file exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExistingConfig {
    /// It is replaced.
    #[default]
    Replace,
    /// A fault, `client.conflict`.
    Refuse,
    /// The new one gets a number: `orders-1.csv`.
    Number,
    /// The content goes to its end.
    Append,
}

impl From<ExistingConfig> for Existing {
    fn from(config: ExistingConfig) -> Self {
        match config {
            ExistingConfig::Replace => Self::Replace,
            ExistingConfig::Refuse => Self::Refuse,
            ExistingConfig::Number => Self::Number,
            ExistingConfig::Append => Self::Append,
        }
    }
}

fn any() -> Spanned<String> {
    Spanned::new("*".to_owned(), engine::config::Span::default())
}

fn second() -> Duration {
    Duration::from_secs(1)
}

fn batch() -> usize {
    10_000
}

fn one() -> usize {
    1
}

fn lease() -> Duration {
    Duration::from_secs(30)
}

fn done() -> Action {
    Action::Move(Text::unplaced(".done"))
}

fn failed() -> Action {
    Action::Move(Text::unplaced(".failed"))
}

/// Takes the keys of a transport out of a mapping: first those, then the rest.
pub(crate) fn split_settings(node: &Node, own: &[&str]) -> (Node, Node) {
    if !matches!(node.value, NodeValue::Mapping(_)) {
        return (Node::mapping(node.span, Vec::new()), node.clone());
    }
    let (own, rest): (Vec<_>, Vec<_>) = node
        .entries()
        .iter()
        .cloned()
        .partition(|(key, _)| own.contains(&&*key.text));
    (Node::mapping(node.span, own), Node::mapping(node.span, rest))
}

/// The schema of settings that two types read together.
pub(crate) fn merged_schema<A: JsonSchema, B: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = A::json_schema(generator);
    let other = B::json_schema(generator);
    for key in ["properties", "required"] {
        let Some(more) = other.get(key).cloned() else {
            continue;
        };
        let there = schema.ensure_object().entry(key.to_owned());
        match (there.or_insert_with(|| empty_like(&more)), more) {
            (serde_json::Value::Object(into), serde_json::Value::Object(more)) => into.extend(more),
            (serde_json::Value::Array(into), serde_json::Value::Array(more)) => into.extend(more),
            _ => {}
        }
    }
    schema
}

fn empty_like(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Array(_) => serde_json::Value::Array(Vec::new()),
        _ => serde_json::Value::Object(serde_json::Map::new()),
    }
}
