//! `sequences`: named steps, with `params:` templates of steps.

use super::NamedSequences;
use crate::build::Build;
use crate::config::{Named, Node, NodeValue, RawNode, Spanned, Steps};
use crate::deployment::NamedSequence;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// A named sequence in its long form; the short form is just its steps.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SequenceConfig {
    /// Parameters with their defaults; `null` stands for none, so that the caller must give it. Read as `params.NAME`.
    #[serde(default)]
    pub params: Named<RawNode>,
    /// The steps.
    pub steps: Steps,
    /// Steps for faults of this sequence; when they end normally, the caller goes on.
    pub on_fault: Option<Steps>,
}

/// Reads all sequences and makes their names known, so that they can refer to each other.
pub(super) fn declare(
    sequences: Named<RawNode>,
    cx: &mut Build<'_>,
) -> Vec<(Spanned<String>, SequenceConfig)> {
    let mut declared = Vec::new();
    for (name, node) in sequences {
        let Some(config) = read(&node.0, cx) else {
            cx.names
                .sequences
                .insert(name.value.as_str().into(), IndexMap::new());
            continue;
        };
        let parameters = config
            .params
            .iter()
            .map(|(parameter, _, default)| (parameter.to_owned(), !default.is_null()))
            .collect();
        cx.names.sequences.insert(name.value.as_str().into(), parameters);
        declared.push((name, config));
    }
    declared
}

fn read(node: &Node, cx: &mut Build<'_>) -> Option<SequenceConfig> {
    let is_long = matches!(&node.value, NodeValue::Mapping(_)) && node.get("steps").is_some();
    if is_long {
        return cx.read(node);
    }
    let steps: Steps = cx.read(node)?;
    Some(SequenceConfig {
        params: Named::default(),
        steps,
        on_fault: None,
    })
}

/// Builds the steps of all sequences.
pub(super) fn build(declared: Vec<(Spanned<String>, SequenceConfig)>, cx: &mut Build<'_>) -> NamedSequences {
    let mut built = NamedSequences::new();
    for (name, config) in declared {
        let sequence = cx.within(&format!("sequences.{}", name.value), |cx| NamedSequence {
            parameters: parameters(&config),
            steps: cx.steps(&config.steps, ""),
            on_fault: cx.optional_steps(config.on_fault.as_ref(), "on_fault"),
        });
        built.insert(Arc::from(name.value), sequence);
    }
    built
}

fn parameters(config: &SequenceConfig) -> IndexMap<Arc<str>, Option<serde_json::Value>> {
    let default = |node: &RawNode| (!node.is_null()).then(|| node.to_json());
    config
        .params
        .iter()
        .map(|(name, _, node)| (Arc::from(name), default(node)))
        .collect()
}
