//! Reading WSDL documents: imports first, then port types, bindings and messages over all of them.

use super::documents::{self, SOAP11, SOAP12};
use super::{Contract, ContractDocument, ContractError, Load, Operation, SchemaText, Versions, resolve};
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::BTreeMap;

const WSDL: &str = "http://schemas.xmlsoap.org/wsdl/";
const XSD: &str = "http://www.w3.org/2001/XMLSchema";

/// Documents of one contract.
const DOCUMENTS_MAX: usize = 100;

struct Source {
    location: String,
    text: String,
    is_wsdl: bool,
}

pub(super) fn contract(location: &str, load: &mut Load<'_>) -> Result<Contract, ContractError> {
    let sources = load_all(location, load)?;
    let trees = sources.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let wsdls: Vec<Node<'_, '_>> = trees
        .iter()
        .zip(&sources)
        .filter(|(_, source)| source.is_wsdl)
        .map(|(tree, _)| tree.root_element())
        .collect();
    if wsdls.first().is_none_or(|root| !is(root, WSDL, "definitions")) {
        let message = "the document is no WSDL 1.1 (`definitions` in the WSDL namespace)".to_owned();
        return Err(ContractError {
            location: location.to_owned(),
            message,
        });
    }
    let contract = Contract {
        operations: operations(&wsdls),
        versions: versions(&wsdls),
        schemas: schemas(&trees, &sources),
        documents: documents(&trees, &sources),
    };
    if contract.operations.is_empty() {
        let message = "no operation is bound to SOAP".to_owned();
        return Err(ContractError {
            location: location.to_owned(),
            message,
        });
    }
    Ok(contract)
}

fn load_all(location: &str, load: &mut Load<'_>) -> Result<Vec<Source>, ContractError> {
    let mut sources: Vec<Source> = Vec::new();
    let mut wanted = vec![(location.to_owned(), true)];
    while let Some((location, is_wsdl)) = wanted.pop() {
        if sources.iter().any(|source| source.location == location) {
            continue;
        }
        let error = |message: String| ContractError {
            location: location.clone(),
            message,
        };
        if sources.len() >= DOCUMENTS_MAX {
            return Err(error(format!(
                "the contract has more than {DOCUMENTS_MAX} documents"
            )));
        }
        let source = Source {
            text: load(&location).map_err(error)?,
            location,
            is_wsdl,
        };
        let imported = documents::imports(&parse(&source)?);
        wanted.extend(
            imported
                .into_iter()
                .rev()
                .filter(|(imported, _)| is_local(imported))
                .map(|(imported, is_wsdl)| (resolve(&source.location, &imported), is_wsdl)),
        );
        sources.push(source);
    }
    Ok(sources)
}

/// A contract is never fetched over the network: absolute URLs stay as they are.
fn is_local(location: &str) -> bool {
    !location.contains("://")
}

fn parse(source: &Source) -> Result<Document<'_>, ContractError> {
    let options = ParsingOptions {
        allow_dtd: false,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(&source.text, options).map_err(|error| ContractError {
        location: source.location.clone(),
        message: error.to_string(),
    })
}

fn is(node: &Node<'_, '_>, namespace: &str, local: &str) -> bool {
    node.has_tag_name((namespace, local))
}

fn children<'a, 'd>(nodes: &[Node<'a, 'd>], namespace: &str, local: &str) -> Vec<Node<'a, 'd>> {
    nodes
        .iter()
        .flat_map(Node::children)
        .filter(|node| is(node, namespace, local))
        .collect()
}

/// The SOAP extension element of a WSDL element.
fn soap_extension<'a, 'd>(node: &Node<'a, 'd>, local: &str) -> Option<Node<'a, 'd>> {
    node.children()
        .find(|child| is(child, SOAP11, local) || is(child, SOAP12, local))
}

fn versions(wsdls: &[Node<'_, '_>]) -> Versions {
    let bound = |namespace: &str| {
        let bindings = children(wsdls, WSDL, "binding");
        bindings
            .iter()
            .flat_map(Node::children)
            .any(|node| is(&node, namespace, "binding"))
    };
    Versions {
        soap11: bound(SOAP11),
        soap12: bound(SOAP12),
    }
}

fn operations(wsdls: &[Node<'_, '_>]) -> Vec<Operation> {
    let mut found: BTreeMap<usize, Operation> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for binding in children(wsdls, WSDL, "binding") {
        let Some(soap) = soap_extension(&binding, "binding") else {
            continue;
        };
        let style = soap.attribute("style").unwrap_or("document");
        let port_type = binding.attribute("type").map(local_name);
        for bound in children(&[binding], WSDL, "operation") {
            let name = bound.attribute("name").unwrap_or_default();
            let extension = soap_extension(&bound, "operation");
            let action = extension
                .and_then(|node| node.attribute("soapAction"))
                .unwrap_or_default();
            let style = extension
                .and_then(|node| node.attribute("style"))
                .unwrap_or(style);
            let index = order.iter().position(|known| known == name).unwrap_or_else(|| {
                order.push(name.to_owned());
                order.len() - 1
            });
            let operation = found
                .entry(index)
                .or_insert_with(|| abstract_operation(wsdls, port_type, &bound, name, style));
            if !action.is_empty() && !operation.actions.iter().any(|known| known == action) {
                operation.actions.push(action.to_owned());
            }
        }
    }
    found.into_values().collect()
}

fn abstract_operation(
    wsdls: &[Node<'_, '_>],
    port_type: Option<&str>,
    bound: &Node<'_, '_>,
    name: &str,
    style: &str,
) -> Operation {
    let port_types = children(wsdls, WSDL, "portType");
    let of_type = port_types
        .iter()
        .filter(|node| port_type.is_none_or(|wanted| node.attribute("name") == Some(wanted)));
    let operation = of_type
        .flat_map(|node| children(&[*node], WSDL, "operation"))
        .find(|operation| operation.attribute("name") == Some(name));
    let input = operation.and_then(|operation| child(&operation, "input"));
    let message = input.and_then(|input| input.attribute("message")).map(local_name);
    let messages = children(wsdls, WSDL, "message");
    let message = messages
        .iter()
        .find(|node| message.is_some() && node.attribute("name") == message);
    let input = if style == "rpc" {
        let namespace = child(bound, "input").and_then(|input| soap_extension(&input, "body"));
        let namespace = namespace
            .and_then(|body| body.attribute("namespace"))
            .unwrap_or_default();
        Some((namespace.to_owned(), name.to_owned()))
    } else {
        message
            .and_then(|message| body_part(message, bound))
            .and_then(|part| qualified(&part, part.attribute("element")?))
    };
    let has_output = operation.is_some_and(|operation| child(&operation, "output").is_some());
    Operation {
        name: name.to_owned(),
        actions: Vec::new(),
        input,
        has_output,
    }
}

fn child<'a, 'd>(node: &Node<'a, 'd>, local: &str) -> Option<Node<'a, 'd>> {
    node.children().find(|child| is(child, WSDL, local))
}

/// The part that is the body: the one that `soap:body parts` names, else the only one with an element.
fn body_part<'a, 'd>(message: &Node<'a, 'd>, bound: &Node<'_, '_>) -> Option<Node<'a, 'd>> {
    let body = child(bound, "input").and_then(|input| soap_extension(&input, "body"));
    let named = body
        .and_then(|body| body.attribute("parts"))
        .and_then(|parts| parts.split_whitespace().next());
    let mut parts = message
        .children()
        .filter(|node| is(node, WSDL, "part") && node.attribute("element").is_some());
    match named {
        Some(name) => parts.find(|part| part.attribute("name") == Some(name)),
        None => parts.next(),
    }
}

fn local_name(qname: &str) -> &str {
    qname.rsplit(':').next().unwrap_or(qname)
}

fn qualified(node: &Node<'_, '_>, qname: &str) -> Option<(String, String)> {
    let (prefix, local) = match qname.split_once(':') {
        Some((prefix, local)) => (Some(prefix), local),
        None => (None, qname),
    };
    let namespace = node.lookup_namespace_uri(prefix).unwrap_or_default();
    Some((namespace.to_owned(), local.to_owned()))
}

/// Inline schemas, each made a document of its own by the namespace declarations in scope.
fn schemas(trees: &[Document<'_>], sources: &[Source]) -> Vec<SchemaText> {
    let mut schemas = Vec::new();
    for (tree, source) in trees.iter().zip(sources).filter(|(_, source)| source.is_wsdl) {
        for types in children(&[tree.root_element()], WSDL, "types") {
            for schema in children(&[types], XSD, "schema") {
                schemas.push(SchemaText {
                    text: standalone(&schema, &source.text),
                    base: source.location.clone(),
                });
            }
        }
    }
    schemas
}

fn standalone(schema: &Node<'_, '_>, source: &str) -> String {
    let text = &source[schema.range()];
    let own: String = text[..text.find('>').unwrap_or(text.len())].to_owned();
    let declared = |prefix: Option<&str>| {
        let attribute = prefix.map_or_else(|| "xmlns=".to_owned(), |prefix| format!("xmlns:{prefix}="));
        own.split_whitespace().any(|word| word.starts_with(&attribute))
    };
    let mut inherited = String::new();
    for namespace in schema
        .namespaces()
        .filter(|namespace| namespace.name() != Some("xml") && !declared(namespace.name()))
    {
        let prefix = namespace
            .name()
            .map(|prefix| format!(":{prefix}"))
            .unwrap_or_default();
        let uri = namespace.uri().replace('&', "&amp;").replace('"', "&quot;");
        inherited.push_str(&format!(" xmlns{prefix}=\"{uri}\""));
    }
    let name_end = text.find([' ', '\t', '\n', '\r', '>', '/']).unwrap_or(text.len());
    format!("{}{inherited}{}", &text[..name_end], &text[name_end..])
}

fn documents(trees: &[Document<'_>], sources: &[Source]) -> Vec<ContractDocument> {
    let queries: Vec<(String, String)> = sources
        .iter()
        .enumerate()
        .map(|(index, source)| {
            let kind = if source.is_wsdl { "wsdl" } else { "xsd" };
            let query = if index == 0 {
                kind.to_owned()
            } else {
                format!("{kind}={index}")
            };
            (source.location.clone(), query)
        })
        .collect();
    let document = |((tree, source), (_, query)): ((&Document<'_>, &Source), &(String, String))| {
        let query_of = |location: &str| {
            let location = resolve(&source.location, location);
            queries
                .iter()
                .find(|(known, _)| *known == location)
                .map(|(_, query)| query.clone())
        };
        ContractDocument::new(query.clone(), &source.text, tree, &query_of)
    };
    trees.iter().zip(sources).zip(&queries).map(document).collect()
}
