//! JSON Schema and XML Schema, compiled at load. References lead to files beside the schema, never to the network.

use engine::build::Build;
use engine::config::Text;
use engine::format::FormatLimits;
use engine::model::{Model, json, soap};
use jsonschema::{PatternOptions, Retrieve, Uri, Validator};
use serde_json::{Value as Json, json as json_value};
use std::path::{Path, PathBuf};
use xml::schema::{Schema, SchemaSource};

/// The largest file that a schema may refer to.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A compiled JSON Schema.
pub(super) struct JsonSchemaCheck(Validator);

impl JsonSchemaCheck {
    pub(super) fn load(name: &Text, cx: &mut Build<'_>) -> Option<Self> {
        let resource = cx.resource(name)?;
        let mut report = |problem: String, help: Option<&str>| {
            cx.error("config.bad_schema", name.span(), problem, help.map(str::to_owned));
        };
        let schema = match json::parse(&resource.bytes, &FormatLimits::default()) {
            Ok(schema) => schema,
            Err(error) => {
                report(format!("`{}` is not valid JSON: {error}", resource.name), None);
                return None;
            }
        };
        let folder = resource
            .file
            .as_deref()
            .and_then(Path::parent)
            .map(Path::to_owned);
        let built = jsonschema::options()
            .with_retriever(Beside(folder))
            .with_base_uri(BASE)
            .with_pattern_options(PatternOptions::regex())
            .build(&schema);
        match built {
            Ok(validator) => Some(Self(validator)),
            Err(error) => {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() {
                    String::new()
                } else {
                    format!(" at {place}")
                };
                report(
                    format!("`{}` is no JSON Schema{place}: {error}", resource.name),
                    Some(
                        "references lead to files beside the schema; patterns are without look-around and back references",
                    ),
                );
                None
            }
        }
    }

    /// What is wrong with the body.
    pub(super) fn check(&self, model: Option<&Model>, count_max: usize) -> Vec<Json> {
        let absent = Json::Null;
        let friendly;
        let value = match model {
            None => &absent,
            Some(Model::Json(value)) => value,
            Some(other) => {
                friendly = engine::expression::Value::Model(std::sync::Arc::new(other.clone())).to_json();
                &friendly
            }
        };
        let violation = |error: jsonschema::ValidationError<'_>| json_value!({ "pointer": error.instance_path().to_string(), "message": error.to_string() });
        self.0.iter_errors(value).take(count_max).map(violation).collect()
    }
}

/// Where relative references start from; the path below it is one below the schema's folder.
const BASE: &str = "mediary:///";

/// Finds referenced schemas in the folder of the schema.
struct Beside(Option<PathBuf>);

impl Retrieve for Beside {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Json, Box<dyn std::error::Error + Send + Sync>> {
        let refused = || format!("`{uri}` is not a file beside the schema");
        let path = uri.as_str().strip_prefix(BASE).ok_or_else(refused)?;
        let folder = self.0.as_ref().ok_or_else(refused)?;
        let bytes = read(&folder.join(path)).map_err(|problem| format!("cannot read `{path}`: {problem}"))?;
        Ok(json::parse(&bytes, &FormatLimits::default()).map_err(|error| format!("`{path}`: {error}"))?)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read(file).map_err(|error| error.to_string())
}

/// A compiled XML Schema.
pub(super) struct XmlSchemaCheck(Schema);

impl XmlSchemaCheck {
    pub(super) fn load(name: &Text, cx: &mut Build<'_>) -> Option<Self> {
        let resource = cx.resource(name)?;
        let location = resource
            .file
            .as_ref()
            .map_or_else(|| resource.name.clone(), |file| file.display().to_string());
        let in_folder = resource.file.is_some();
        let loader = |wanted: &str, base: &str| {
            if !in_folder || wanted.contains("://") {
                return Err(format!("`{wanted}` is not a file beside the schema"));
            }
            let file = Path::new(base).parent().unwrap_or(Path::new("")).join(wanted);
            let bytes = read(&file).map_err(|problem| format!("cannot read `{wanted}`: {problem}"))?;
            Ok(SchemaSource::bytes(file.display().to_string(), bytes))
        };
        match Schema::compile(SchemaSource::bytes(location, resource.bytes), &loader) {
            Ok(schema) => Some(Self(schema)),
            Err(error) => {
                let problem = format!(
                    "`{}` is no XML Schema: line {}, column {}: {}",
                    resource.name, error.line, error.column, error.message
                );
                cx.error("config.bad_schema", name.span(), problem, None);
                None
            }
        }
    }

    /// What is wrong with the document, for SOAP with the content of its Body.
    pub(super) fn check(&self, model: Option<&Model>, count_max: usize) -> Vec<Json> {
        let single = |message: &str| vec![json_value!({ "message": message })];
        let document = match model {
            None => return single("there is no body"),
            Some(Model::Xml(document)) => document,
            Some(_) => return single("the body is not XML"),
        };
        let violations = if soap::version(document).is_some() {
            match soap::body_content(document) {
                Some(content) => self.0.validate_element(document, content),
                None => return single("the Body is empty"),
            }
        } else {
            self.0.validate(document)
        };
        let violation = |violation: xml::schema::Violation| json_value!({ "line": violation.line, "column": violation.column, "path": violation.path, "message": violation.message });
        violations.into_iter().take(count_max).map(violation).collect()
    }
}
