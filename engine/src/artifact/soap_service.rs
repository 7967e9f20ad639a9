//! A proxy with a contract: a SOAP service. Requests are checked, dispatched to the steps of their operation, and answered in
//! the SOAP version they came in.

use super::Parts;
use crate::build::Build;
use crate::config::{Named, Spanned, Steps, suggestion};
use crate::deployment::Document;
use crate::exchange::Exchange;
use crate::expression::soap_action;
use crate::fault::{Fault, FaultCode};
use crate::mediator::{AsyncMediator, BoxFuture, Flow, Needs, asynchronous};
use crate::message::Message;
use crate::model::{Model, soap};
use crate::payload::Payload;
use crate::registry::EntryRoute;
use crate::sequence::Sequence;
use crate::wsdl::{Contract, resolve};
use bytes::Bytes;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// The contract of a SOAP service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractConfig {
    /// A WSDL 1.1 document: a resource or a file. It is served at `?wsdl` with the gateway's address, its imports with it.
    pub wsdl: Spanned<String>,
    /// Whether requests are validated against the schemas of the contract.
    #[serde(default)]
    pub validate: bool,
}

/// A contract that was read, with the service built on it.
pub(super) struct Service {
    contract: Arc<Contract>,
}

impl Service {
    /// Reads the contract; problems go to `cx`.
    pub(super) fn read(config: &ContractConfig, cx: &mut Build<'_>) -> Option<Self> {
        let main = cx.resource_at(&config.wsdl.value, config.wsdl.span)?;
        let base = main
            .file
            .as_ref()
            .map_or_else(|| main.name.clone(), |file| file.to_string_lossy().into_owned());
        let inline = main.file.is_none().then(|| main.bytes.clone());
        let span = config.wsdl.span;
        let mut load = |location: &str| match &inline {
            Some(bytes) if location == base => utf8(bytes),
            _ => crate::build::read_file(std::path::Path::new(location)).and_then(|bytes| utf8(&bytes)),
        };
        match Contract::read(&base, &mut load) {
            Ok(contract) => Some(Self {
                contract: Arc::new(contract),
            }),
            Err(error) => {
                let name = std::path::Path::new(&error.location)
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                cx.error(
                    "config.bad_contract",
                    span,
                    format!("`{name}`: {}", error.message),
                    None,
                );
                None
            }
        }
    }

    /// The step that dispatches to the operations' steps, or to `default` where the proxy has steps for all of them.
    pub(super) fn dispatch(
        &self,
        config: &ContractConfig,
        operations: &Named<Steps>,
        default: Sequence,
        cx: &mut Build<'_>,
    ) -> Sequence {
        let mut by_operation = HashMap::new();
        for (name, span, steps) in operations.iter() {
            let known = self
                .contract
                .operations
                .iter()
                .any(|operation| operation.name == name);
            if !known {
                let help = suggestion(
                    name,
                    self.contract
                        .operations
                        .iter()
                        .map(|operation| operation.name.as_str()),
                );
                cx.error(
                    "config.unknown_reference",
                    span,
                    format!("the contract has no operation `{name}`"),
                    help,
                );
            }
            let steps = cx.within(&format!(".operations.{name}"), |cx| cx.steps(steps, ""));
            by_operation.insert(name.to_owned(), steps);
        }
        let schema = if config.validate {
            self.schema(config, cx)
        } else {
            None
        };
        let dispatch = Dispatch {
            contract: Arc::clone(&self.contract),
            by_operation,
            default,
            schema,
        };
        let step = cx.within(".contract", |cx| {
            cx.positioned("contract", config.wsdl.span, asynchronous(dispatch))
        });
        Sequence::new(vec![step])
    }

    fn schema(&self, config: &ContractConfig, cx: &mut Build<'_>) -> Option<xml::schema::Schema> {
        let sources: Vec<xml::schema::SchemaSource> = self
            .contract
            .schemas
            .iter()
            .map(|schema| xml::schema::SchemaSource::bytes(schema.base.clone(), schema.text.clone()))
            .collect();
        let load = |location: &str, base: &str| {
            let path = resolve(base, location);
            let bytes = crate::build::read_file(std::path::Path::new(&path))?;
            Ok(xml::schema::SchemaSource::bytes(path, bytes))
        };
        match xml::schema::Schema::compile_many(sources, &load) {
            Ok(schema) => Some(schema),
            Err(error) => {
                cx.error(
                    "config.bad_schema",
                    config.wsdl.span,
                    format!("the schemas of the contract: {error}"),
                    None,
                );
                None
            }
        }
    }

    /// Serves the contract's documents at the service's path.
    pub(super) fn publish(&self, entry: &EntryRoute, listeners: &[Arc<str>], parts: &mut Parts) {
        let path = entry.path.trim_end_matches('/').to_owned();
        let served = parts.documents.entry(path.clone()).or_default();
        for (index, document) in self.contract.documents.iter().enumerate() {
            let (contract, path) = (Arc::clone(&self.contract), path.clone());
            served.push(Document {
                query: document.query.clone(),
                listeners: listeners.to_vec(),
                media_type: "text/xml; charset=utf-8",
                render: Box::new(move |origin| {
                    Bytes::from(contract.documents[index].render(&format!("{origin}{path}")))
                }),
            });
        }
    }
}

fn utf8(bytes: &Bytes) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "it is not UTF-8".to_owned())
}

struct Dispatch {
    contract: Arc<Contract>,
    by_operation: HashMap<String, Sequence>,
    default: Sequence,
    schema: Option<xml::schema::Schema>,
}

/// Violations that a validation fault tells.
const VIOLATIONS_MAX: usize = 20;

impl AsyncMediator for Dispatch {
    fn needs(&self) -> Needs {
        Needs::Model
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let (version, operation) = self.accept(exchange)?;
            let operation = self
                .contract
                .operations
                .iter()
                .find(|known| known.name == operation);
            let Some(operation) = operation else {
                return Err(unknown_operation());
            };
            let name = serde_json::Value::String(operation.name.clone());
            exchange
                .vars
                .insert("operation".into(), Arc::new(Model::Json(name)));
            let steps = self.by_operation.get(&operation.name).unwrap_or(&self.default);
            let flow = steps.run(exchange).await?;
            if flow != Flow::Drop && (operation.has_output || flow == Flow::Respond) {
                if !is_soap_media_type(&exchange.message) {
                    exchange.lift(Needs::Model).await?;
                }
                answer_in(version, exchange)?;
            }
            Ok(flow)
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        let operations = self.contract.operations.iter();
        let own = operations.filter_map(|operation| {
            Some((
                format!("operations.{}", operation.name),
                self.by_operation.get(&operation.name)?,
            ))
        });
        own.chain([("steps".to_owned(), &self.default)]).collect()
    }
}

impl Dispatch {
    /// Checks the envelope and finds the operation.
    fn accept(&self, exchange: &Exchange) -> Result<(soap::Version, String), Fault> {
        let refuse = |message: String| Fault::new(FaultCode::BadRequest, message);
        let Some(model) = exchange.model() else {
            return Err(refuse("The request has no SOAP envelope.".to_owned()));
        };
        let Model::Xml(document) = &**model else {
            return Err(refuse("The request is not a SOAP envelope.".to_owned()));
        };
        soap::validate(document).map_err(refuse)?;
        let Some(version) = soap::version(document) else {
            return Err(refuse("The request is not a SOAP envelope.".to_owned()));
        };
        let bound = match version {
            soap::Version::Soap11 => self.contract.versions.soap11,
            soap::Version::Soap12 => self.contract.versions.soap12,
        };
        if !bound {
            return Err(refuse("The service does not speak this SOAP version.".to_owned()));
        }
        let content = soap::body_content(document);
        let name = content
            .and_then(|content| document.name(content))
            .map(|name| (name.namespace, name.local));
        let action = soap_action(&exchange.message);
        let operation = self
            .contract
            .operation(name, action.as_deref())
            .ok_or_else(unknown_operation)?;
        if let (Some(schema), Some(content)) = (&self.schema, content) {
            validate(schema, document, content)?;
        }
        Ok((version, operation.name.clone()))
    }
}

fn unknown_operation() -> Fault {
    Fault::new(
        FaultCode::BadRequest,
        "The service has no operation for this request.",
    )
}

fn validate(
    schema: &xml::schema::Schema,
    document: &xml::Document,
    content: xml::NodeId,
) -> Result<(), Fault> {
    let violations = schema.validate_element(document, content);
    if violations.is_empty() {
        return Ok(());
    }
    let details = violations
        .iter()
        .take(VIOLATIONS_MAX)
        .map(|violation| {
            serde_json::json!({ "line": violation.line, "column": violation.column, "path": violation.path, "message": violation.message })
        })
        .collect();
    Err(Fault::new(
        FaultCode::Validation,
        "The request does not match the contract's schema.",
    )
    .with_details(details))
}

/// A reply that already says it is SOAP passes as it is, unread.
fn is_soap_media_type(message: &Message) -> bool {
    let media = crate::format::media_type(message.content_type());
    matches!(media.essence_str(), "text/xml" | "application/soap+xml")
}

/// Makes the message an envelope of this version: what is none yet is wrapped.
fn answer_in(version: soap::Version, exchange: &mut Exchange) -> Result<(), Fault> {
    let Some(model) = exchange.message.payload.as_model().cloned() else {
        return Ok(());
    };
    let document = model.to_xml()?;
    let envelope = match soap::version(&document) {
        Some(found) if found == version => None,
        Some(_) => Some(soap::convert(&document, version)),
        None => Some(soap::wrap(Some(&document), &[], version)),
    };
    exchange.become_reply(status(envelope.as_ref().unwrap_or(&document)));
    let message = &mut exchange.message;
    if let Some(envelope) = envelope {
        message.payload = Payload::model(Model::Xml(envelope));
        message.set_content_type(version.media_type());
    }
    Ok(())
}

/// The status of an envelope over HTTP: 200, for faults 500 (SOAP 1.1 section 6.2), and 400 for `Sender` in 1.2 (part 2 section
/// 7.5.2.2). A status that the steps came by, such as a JSON backend's 404, means nothing to a SOAP client.
fn status(envelope: &xml::Document) -> StatusCode {
    match soap::fault(envelope) {
        None => StatusCode::OK,
        Some(fault) if fault.version == soap::Version::Soap12 && fault.code == "Sender" => {
            StatusCode::BAD_REQUEST
        }
        Some(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
