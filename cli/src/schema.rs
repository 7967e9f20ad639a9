//! `mediary schema`: the JSON Schema of the whole language, for editors. It is made of the same types that check
//! a project, and of what is registered: steps, listeners, entries of proxies and addresses of endpoints.

use crate::arguments::SchemaOptions;
use crate::console::{Console, End};
use crate::test::definition::TestCase;
use engine::artifact::{ProjectConfig, RouteConfig, SequenceConfig};
use engine::config;
use engine::endpoint::{BalanceConfig, FailoverConfig, PolicyConfig, RecipientsConfig};
use engine::registry::{Registry, StepSpec};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Runs the command.
pub fn run(options: &SchemaOptions, console: &mut Console) -> End {
    let schema = if options.tests {
        tests()
    } else {
        language(crate::registry())
    };
    console.say(format_args!("{schema:#}"));
    End::Fine
}

/// The schema of test files.
#[must_use]
pub fn tests() -> Value {
    let mut schema = config::schema_of::<Vec<TestCase>>().as_value().clone();
    schema["title"] = "Mediary tests".into();
    schema
}

/// The schema of projects.
#[must_use]
pub fn language(registry: Registry) -> Value {
    let mut generator = config::schema_generator();
    generator.subschema_for::<ProjectConfig>();
    generator.subschema_for::<RouteConfig>();
    generator.subschema_for::<SequenceConfig>();
    generator.subschema_for::<PolicyConfig>();
    let registered = Registered::of(registry, &mut generator);
    let mut definitions: Map<String, Value> = generator.take_definitions(true);
    definitions.insert("steps".to_owned(), steps_schema());
    definitions.insert(
        "step".to_owned(),
        step_schema(registry.mediators, &registered, &definitions),
    );
    registered.fill_in(&mut definitions);
    let project = definitions.remove("ProjectConfig").unwrap_or_default();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mediary project",
    });
    schema.as_object_mut().into_iter().for_each(|schema| {
        schema.extend(project.as_object().cloned().unwrap_or_default());
        schema.insert("title".to_owned(), "Mediary project".into());
        schema.insert("$defs".to_owned(), Value::Object(definitions.clone()));
    });
    schema
}

/// The schemas of what is registered, as references into one set of definitions.
struct Registered {
    settings: Vec<(&'static str, Value)>,
    listeners: Vec<Value>,
    entries: Map<String, Value>,
    addresses: Map<String, Value>,
    connections: Map<String, Value>,
    stores: Map<String, Value>,
}

impl Registered {
    fn of(registry: Registry, generator: &mut SchemaGenerator) -> Self {
        let mut schema = |make: MakeSchema| make(generator).to_value();
        let mut registered = Self {
            settings: Vec::new(),
            listeners: Vec::new(),
            entries: Map::new(),
            addresses: Map::new(),
            connections: Map::new(),
            stores: Map::new(),
        };
        for (name, group) in groups() {
            registered.addresses.insert(name.to_owned(), schema(group));
        }
        for spec in registry.mediators {
            registered.settings.push((spec.name, schema(spec.schema)));
        }
        for spec in registry.transports {
            if let Some(listener) = &spec.listener {
                registered.listeners.push(schema(listener.schema));
            }
            if let Some(entry) = &spec.entry {
                let entry = or_text(&schema(entry.schema));
                registered.entries.insert(spec.name.to_owned(), entry);
            }
            if let Some(sender) = &spec.sender {
                let address = or_text(&schema(sender.schema));
                registered.addresses.insert(spec.name.to_owned(), address);
            }
            if let Some(connection) = &spec.connection {
                let connection = or_text(&schema(connection.schema));
                registered.connections.insert(spec.name.to_owned(), connection);
            }
        }
        for (name, store) in stores(registry) {
            let settings = json!({ "anyOf": [{ "type": "null" }, schema(store)] });
            registered.stores.insert(name.to_owned(), settings);
        }
        registered
    }

    /// Replaces what the types leave open.
    fn fill_in(&self, definitions: &mut Map<String, Value>) {
        let endpoint = json!({ "anyOf": [{ "type": "string" }, self.endpoint(definitions)] });
        let mut put = |definition: &str, pointer: &str, value: Value| {
            let place = definitions
                .get_mut(definition)
                .and_then(|schema| schema.pointer_mut(pointer));
            if let Some(place) = place {
                merge(place, value);
            }
        };
        let listener = json!({ "anyOf": self.listeners });
        let listeners = json!({ "additionalProperties": listener });
        put("SettingsConfig", "/properties/listeners", listeners);
        put("SettingsConfig", "/properties/management", listener);
        put("ProxyConfig", "/properties/from", one_of_keys(&self.entries));
        if let Some(timer) = self.entries.get("timer") {
            put("TaskConfig", "/properties/schedule", timer.clone());
        }
        let named = |kinds: &Map<String, Value>| json!({ "additionalProperties": one_of_keys(kinds) });
        put(
            "ProjectConfig",
            "/properties/connections",
            named(&self.connections),
        );
        put("ProjectConfig", "/properties/stores", named(&self.stores));
        put(
            "ProjectConfig",
            "/properties/endpoints",
            json!({ "additionalProperties": endpoint }),
        );
        let long_or_steps = |long: &str| {
            let long = format!("#/$defs/{long}");
            json!({ "additionalProperties": { "anyOf": [{ "$ref": "#/$defs/steps" }, { "$ref": long }] } })
        };
        put("ApiConfig", "/properties/routes", long_or_steps("RouteConfig"));
        put(
            "ProjectConfig",
            "/properties/sequences",
            long_or_steps("SequenceConfig"),
        );
    }

    /// An endpoint in its long form: where to send, and the policy.
    fn endpoint(&self, definitions: &Map<String, Value>) -> Value {
        let policy = definitions
            .get("PolicyConfig")
            .and_then(|policy| policy.get("properties"));
        let mut properties = self.addresses.clone();
        properties.extend(policy.and_then(Value::as_object).cloned().unwrap_or_default());
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    }
}

/// The kinds of message store: those of the engine and those of transports.
pub fn stores(registry: Registry) -> impl Iterator<Item = (&'static str, MakeSchema)> {
    let built_in = engine::store::BUILT_IN.iter();
    let built_in = built_in.map(|(name, spec)| (*name, spec.schema));
    let of_transports = registry.transports.iter();
    built_in.chain(of_transports.filter_map(|spec| Some((spec.name, spec.store.as_ref()?.schema))))
}

/// A path or an address may stand alone: `http: /path`, `http: URL`.
fn or_text(long: &Value) -> Value {
    json!({ "anyOf": [{ "type": "string" }, long] })
}

/// Makes the schema of a type.
pub type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// Endpoints that are no addresses, by their keys.
#[must_use]
pub fn groups() -> [(&'static str, MakeSchema); 3] {
    [
        ("load_balance", SchemaGenerator::subschema_for::<BalanceConfig>),
        ("failover", SchemaGenerator::subschema_for::<FailoverConfig>),
        (
            "recipient_list",
            SchemaGenerator::subschema_for::<RecipientsConfig>,
        ),
    ]
}

/// Lays keys over an object schema; a schema that allows anything is replaced.
fn merge(place: &mut Value, value: Value) {
    match (place.as_object_mut(), value) {
        (Some(place), Value::Object(value)) => place.extend(value),
        (_, value) => *place = value,
    }
}

/// A mapping with exactly one of these keys.
fn one_of_keys(entries: &Map<String, Value>) -> Value {
    json!({
        "type": "object", "properties": entries, "additionalProperties": false,
        "minProperties": 1, "maxProperties": 1,
    })
}

fn steps_schema() -> Value {
    let step = json!({ "$ref": "#/$defs/step" });
    json!({ "description": "A list of steps, or one step.", "anyOf": [{ "type": "array", "items": step }, step] })
}

/// A bare word, or a mapping with one key.
fn step_schema(mediators: &[StepSpec], registered: &Registered, definitions: &Map<String, Value>) -> Value {
    let mut properties = Map::new();
    let mut words = Vec::new();
    for (spec, (_, settings)) in mediators.iter().zip(&registered.settings) {
        let resolved = resolve(settings, definitions);
        let bare = is_optional(resolved);
        if bare {
            words.push(spec.name);
        }
        properties.insert(
            spec.name.to_owned(),
            settings_schema(spec, settings, resolved, bare),
        );
    }
    let mut alternatives = vec![one_of_keys(&properties)];
    if !words.is_empty() {
        alternatives.insert(0, json!({ "type": "string", "enum": words }));
    }
    json!({ "description": "One step.", "anyOf": alternatives })
}

/// The settings in every form in which they may stand.
fn settings_schema(spec: &StepSpec, settings: &Value, resolved: &Value, bare: bool) -> Value {
    let main = spec
        .shorthand
        .and_then(|key| resolved.get("properties")?.get(key));
    let mut forms = vec![settings.clone()];
    forms.extend(main.cloned());
    if bare {
        forms.push(json!({ "type": "null" }));
    }
    let description = resolved.get("description").cloned().unwrap_or_default();
    match forms.len() {
        1 => settings.clone(),
        _ => json!({ "description": description, "anyOf": forms }),
    }
}

/// Whether a step may stand without settings: nothing is required.
#[must_use]
pub fn is_optional(settings: &Value) -> bool {
    let is_mapping = settings.get("type").is_some_and(|kind| kind == "object");
    let required = settings.get("required").and_then(Value::as_array);
    is_mapping && required.is_none_or(Vec::is_empty)
}

/// Follows a reference into the definitions.
#[must_use]
pub fn resolve<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    let reference = schema.get("$ref").and_then(Value::as_str);
    let name = reference.and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.and_then(|name| definitions.get(name)).unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Kind;

    #[test]
    fn what_the_types_leave_open_is_filled_in() {
        let schema = language(crate::registry());
        let at = |pointer: &str| {
            let found = schema.pointer(pointer);
            found.unwrap_or_else(|| panic!("{pointer} is missing"))
        };
        assert_eq!(at("/$defs/steps/anyOf/0/items/$ref"), "#/$defs/step");
        at("/$defs/SettingsConfig/properties/listeners/additionalProperties/anyOf/0");
        at("/$defs/ProxyConfig/properties/from/properties/http");
        at("/properties/endpoints/additionalProperties/anyOf/1/properties/http");
        at("/$defs/ApiConfig/properties/routes/additionalProperties/anyOf/1");
        at("/$defs/TaskConfig/properties/schedule/anyOf/1");
        at("/properties/stores/additionalProperties/minProperties");
        at("/properties/connections/additionalProperties/minProperties");
        at("/properties/sequences/additionalProperties/anyOf/1");
        let steps = at("/$defs/step/anyOf/1/properties").as_object().unwrap();
        assert_eq!(steps.len(), crate::registry().mediators.len());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        for schema in [language(crate::registry()), tests()] {
            check_references(&schema, &schema);
        }
    }

    #[test]
    fn what_the_reference_shows_is_valid() {
        let project = jsonschema::validator_for(&language(crate::registry())).unwrap();
        for page in crate::reference::pages(crate::registry()) {
            let Some(example) = page.example.map(|example| json_of(&example)) else {
                continue;
            };
            let example = match page.kind {
                Kind::Step => json!({ "sequences": { "example": example } }),
                _ => example,
            };
            assert!(project.is_valid(&example), "{}: {example:#}", page.name);
            assert!(!project.is_valid(&json!({ "typo": example })), "{}", page.name);
        }
    }

    #[test]
    fn tests_of_new_projects_are_valid() {
        let schema = jsonschema::validator_for(&tests()).unwrap();
        assert!(schema.is_valid(&json_of(include_str!("new/hello.test.yaml"))));
        assert!(!schema.is_valid(&json_of("- { name: a, sent: { GET: / } }")));
    }

    fn json_of(yaml: &str) -> Value {
        let (node, problems) = config::parse(&mut config::Sources::default(), "test", yaml);
        assert!(problems.is_empty(), "{problems:?}");
        node.unwrap().to_json()
    }

    fn check_references(part: &Value, whole: &Value) {
        match part {
            Value::Object(entries) => {
                if let Some(Value::String(reference)) = entries.get("$ref") {
                    let pointer = reference.trim_start_matches('#');
                    assert!(whole.pointer(pointer).is_some(), "{reference}");
                }
                entries.values().for_each(|part| check_references(part, whole));
            }
            Value::Array(items) => items.iter().for_each(|part| check_references(part, whole)),
            _ => {}
        }
    }
}
