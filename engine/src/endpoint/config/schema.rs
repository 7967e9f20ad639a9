//! The JSON Schema of endpoints for editors: the policy's keys and one key per kind, of which exactly one is given.

use super::{BalanceConfig, FailoverConfig, PolicyConfig, RecipientsConfig};
use crate::registry::Registry;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// The schema of one definition below `endpoints`: a URL or a mapping.
pub fn endpoint_schema(registry: &Registry, generator: &mut SchemaGenerator) -> Schema {
    let senders = registry
        .transports
        .iter()
        .filter_map(|spec| Some((spec.name, spec.sender.as_ref()?)));
    let mut kinds: Map<String, Value> = senders
        .map(|(name, sender)| (name.to_owned(), (sender.schema)(generator).to_value()))
        .collect();
    kinds.insert(
        "load_balance".to_owned(),
        or_list(&generator.subschema_for::<BalanceConfig>()),
    );
    kinds.insert(
        "failover".to_owned(),
        or_list(&generator.subschema_for::<FailoverConfig>()),
    );
    kinds.insert(
        "recipient_list".to_owned(),
        or_list(&generator.subschema_for::<RecipientsConfig>()),
    );
    let exactly_one: Vec<Value> = kinds.keys().map(|kind| json!({ "required": [kind] })).collect();
    let mut policy = PolicyConfig::json_schema(generator);
    if let Some(properties) = policy.get_mut("properties").and_then(Value::as_object_mut) {
        properties.extend(kinds);
    }
    policy.insert("oneOf".to_owned(), exactly_one.into());
    json_schema!({ "anyOf": [{ "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*://|\\$\\{" }, policy] })
}

/// A list alone is the group's members.
fn or_list(schema: &Schema) -> Value {
    json!({ "anyOf": [schema, { "type": "array", "minItems": 1, "maxItems": 64 }] })
}
