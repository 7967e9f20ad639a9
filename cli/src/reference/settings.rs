//! From the JSON Schema of a configuration type to the tables that people read.

use serde_json::{Map, Value};

/// A table of settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The heading.
    pub title: String,
    /// What stands above the table.
    pub text: String,
    /// The settings.
    pub rows: Vec<Setting>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub name: String,
    /// What it holds, in words.
    pub kind: String,
    /// Whether it has to be given.
    pub required: bool,
    /// What holds where it is not given.
    pub default: Option<String>,
    /// What it does.
    pub text: String,
}

/// The documentation of a type and its tables: its own settings, then those of the mappings within.
pub(super) fn tables(root: &Value, definitions: &Map<String, Value>, title: &str) -> (String, Vec<Settings>) {
    let mut reader = Reader {
        definitions,
        tables: Vec::new(),
        seen: Vec::new(),
        waiting: Vec::new(),
    };
    let schema = reader.resolve(root);
    let text = description(schema);
    reader.table(schema, title, "");
    while let Some((path, name)) = reader.next_waiting() {
        let schema = &definitions[&name];
        reader.table(schema, &format!("`{path}`"), &description(schema));
    }
    (text, reader.tables)
}

/// Nested mappings that one page explains.
const TABLES_MAX: usize = 40;

struct Reader<'a> {
    definitions: &'a Map<String, Value>,
    tables: Vec<Settings>,
    seen: Vec<String>,
    /// Key paths and definitions whose tables are still to come.
    waiting: Vec<(String, String)>,
}

impl<'a> Reader<'a> {
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        crate::schema::resolve(schema, self.definitions)
    }

    fn next_waiting(&mut self) -> Option<(String, String)> {
        (!self.waiting.is_empty() && self.tables.len() < TABLES_MAX).then(|| self.waiting.remove(0))
    }

    fn table(&mut self, schema: &'a Value, title: &str, text: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let variants = alternatives(schema).into_iter().flatten();
        let of_variants = variants.filter_map(|variant| variant.get("properties")?.as_object());
        let required: Vec<&str> = words(schema.get("required"));
        let path = title.trim_matches('`').to_owned();
        let path = if text.is_empty() {
            String::new()
        } else {
            path + "."
        };
        let mut rows = Vec::new();
        for (name, property) in properties.into_iter().chain(of_variants).flatten() {
            let mut kind = self.kind(property, &format!("{path}{name}"));
            // Endpoints stay nodes until the build, so their schema says nothing; the name of the key does.
            if kind == "any value" && matches!(name.as_str(), "endpoint" | "to") {
                "endpoint".clone_into(&mut kind);
            }
            rows.push(Setting {
                name: name.clone(),
                kind,
                required: required.contains(&name.as_str()),
                default: property.get("default").and_then(default),
                text: self.text(property),
            });
        }
        if !rows.is_empty() {
            self.tables.push(Settings {
                title: title.to_owned(),
                text: text.to_owned(),
                rows,
            });
        }
    }

    fn text(&self, property: &'a Value) -> String {
        let own = description(property);
        if own.is_empty() {
            description(self.resolve(property))
        } else {
            own
        }
    }

    /// What a setting holds, in words. Mappings with settings of their own get a table of their own.
    fn kind(&mut self, schema: &'a Value, path: &str) -> String {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            return self.reference(name.trim_start_matches("#/$defs/"), path);
        }
        if let Some(leaf) = schema.get("x-leaf").and_then(Value::as_str) {
            return leaf.replace('_', " ");
        }
        if let Some(several) = alternatives(schema) {
            return self.alternatives(several, path);
        }
        let words = words(schema.get("enum"));
        if !words.is_empty() {
            return quoted(&words);
        }
        if let Some(word) = schema.get("const") {
            return format!(
                "`{}`",
                word.as_str().map_or_else(|| word.to_string(), str::to_owned)
            );
        }
        self.typed(schema, path)
    }

    fn typed(&mut self, schema: &'a Value, path: &str) -> String {
        let names: Vec<&str> = match schema.get("type") {
            Some(Value::String(name)) => vec![name.as_str()],
            names => words(names).into_iter().filter(|name| *name != "null").collect(),
        };
        match names[..] {
            ["array"] => match schema.get("items") {
                Some(items) => format!("list of {}", self.kind(items, path)),
                None => "list".to_owned(),
            },
            ["object"] => self.mapping(schema, path),
            ["integer"] => "whole number".to_owned(),
            ["number"] => "number".to_owned(),
            ["boolean"] => "`true` or `false`".to_owned(),
            [] => "any value".to_owned(),
            _ => "text".to_owned(),
        }
    }

    fn mapping(&mut self, schema: &'a Value, path: &str) -> String {
        let single = schema
            .get("properties")
            .and_then(Value::as_object)
            .filter(|it| it.len() == 1);
        if let Some((name, value)) = single.and_then(|properties| properties.iter().next()) {
            return format!("`{name}:` {}", self.kind(value, &format!("{path}.{name}")));
        }
        match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => {
                format!("map of {}", self.kind(values, &format!("{path}.NAME")))
            }
            _ => "map".to_owned(),
        }
    }

    fn reference(&mut self, name: &str, path: &str) -> String {
        if name == "steps" || name == "step" {
            return name.to_owned();
        }
        let Some(schema) = self.definitions.get(name) else {
            return "any value".to_owned();
        };
        let has_table = schema.get("properties").is_some();
        if !has_table {
            return self.within(name, |reader| reader.kind(schema, path));
        }
        if !self.seen.iter().any(|seen| seen == name) {
            self.seen.push(name.to_owned());
            self.waiting.push((path.to_owned(), name.to_owned()));
        }
        "map, see below".to_owned()
    }

    /// Follows a definition once: a recursive type is named, not followed.
    fn within(&mut self, name: &str, body: impl FnOnce(&mut Self) -> String) -> String {
        if self.seen.iter().any(|seen| seen == name) {
            return "the same".to_owned();
        }
        self.seen.push(name.to_owned());
        let text = body(self);
        self.seen.retain(|seen| seen != name);
        text
    }

    fn alternatives(&mut self, several: &'a [Value], path: &str) -> String {
        let mut kinds: Vec<String> = Vec::new();
        for schema in several {
            if schema.get("type").is_some_and(|kind| kind == "null") {
                continue;
            }
            let kind = self.kind(schema, path);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if let [one, many] = &kinds[..]
            && *many == format!("list of {one}")
        {
            return format!("{one}, or a list of them");
        }
        if kinds.len() > 2 && kinds.iter().all(|kind| kind.starts_with('`')) {
            return kinds.join(", ");
        }
        kinds.join(" or ")
    }
}

fn alternatives(schema: &Value) -> Option<&[Value]> {
    let list = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    list.as_array().map(Vec::as_slice)
}

fn words(list: Option<&Value>) -> Vec<&str> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

fn description(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// Defaults that say something: not null, and not what is empty anyway.
fn default(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}
