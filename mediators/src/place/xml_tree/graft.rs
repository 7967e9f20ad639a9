//! Copying elements to where they belong, without declaring namespaces again that are already in scope there.

use super::{inherited, misplaced, refused, start};
use engine::expression::Value;
use engine::fault::Fault;
use engine::model::Model;
use engine::model::canonical::{Mapping, json_to_xml};
use serde_json::{Value as Json, json};
use xml::{Document, NodeId};

/// Appends what a value stands for under `parent`: elements, the content of a document, or the members of an object as elements.
pub(super) fn append_all(
    document: &mut Document,
    parent: NodeId,
    value: &Value,
) -> Result<Vec<NodeId>, Fault> {
    match value {
        Value::Nodes(model, nodes) => match &**model {
            Model::Xml(source) => nodes
                .iter()
                .map(|node| copy(document, parent, source, *node))
                .collect(),
            _ => Ok(Vec::new()),
        },
        Value::Model(model) => match &**model {
            Model::Xml(source) => {
                let roots: Vec<NodeId> = source.child_elements(start(source)).collect();
                roots
                    .into_iter()
                    .map(|node| copy(document, parent, source, node))
                    .collect()
            }
            other => append_members(document, parent, &other.to_json()),
        },
        other => append_members(document, parent, &other.to_json()),
    }
}

fn append_members(document: &mut Document, parent: NodeId, value: &Json) -> Result<Vec<NodeId>, Fault> {
    let Json::Object(members) = value else {
        return Err(misplaced(
            "only elements, or an object whose members become elements, can be put into XML",
        ));
    };
    let source = json_to_xml(&json!({ "holder": members }), &Mapping::default())?;
    let Some(holder) = source.root_element() else {
        return Ok(Vec::new());
    };
    let children: Vec<NodeId> = source.child_elements(holder).collect();
    children
        .into_iter()
        .map(|child| adopt(document, parent, &source, child))
        .collect()
}

/// Copies an element of another document to the end of `parent`.
fn copy(document: &mut Document, parent: NodeId, source: &Document, node: NodeId) -> Result<NodeId, Fault> {
    let Some(name) = source.name(node).filter(|_| source.is_element(node)) else {
        return Err(misplaced("only elements can be copied"));
    };
    let element = document
        .append_element(parent, name.prefix, name.local, name.namespace)
        .map_err(refused)?;
    copy_content(document, element, source, node)?;
    Ok(element)
}

/// Copies declarations, attributes and children of `node` to `element`.
pub(super) fn copy_content(
    document: &mut Document,
    element: NodeId,
    source: &Document,
    node: NodeId,
) -> Result<(), Fault> {
    let declarations: Vec<(String, String)> = source
        .namespace_declarations(node)
        .map(|(prefix, namespace)| (prefix.to_owned(), namespace.to_owned()))
        .collect();
    for (prefix, namespace) in declarations {
        if document.lookup_namespace(element, &prefix).unwrap_or_default() != namespace {
            // A prefix that the element itself uses otherwise stays; the children bring their own declaration.
            let _ = document.declare_namespace(element, &prefix, &namespace);
        }
    }
    copy_attributes(document, element, source, node)?;
    let children: Vec<NodeId> = source.children(node).collect();
    for child in children {
        let copied = document.import(source, child).map_err(refused)?;
        document.append(element, copied).map_err(refused)?;
    }
    Ok(())
}

fn copy_attributes(
    document: &mut Document,
    element: NodeId,
    source: &Document,
    node: NodeId,
) -> Result<(), Fault> {
    for attribute in source.attributes(node) {
        let name = attribute.name;
        document
            .set_attribute(element, name.prefix, name.local, name.namespace, attribute.value)
            .map_err(refused)?;
    }
    Ok(())
}

/// As [`copy`], for elements made of JSON: what has no namespace takes that of its parent. Recurses as deep as the JSON goes.
fn adopt(document: &mut Document, parent: NodeId, source: &Document, node: NodeId) -> Result<NodeId, Fault> {
    let Some(name) = source.name(node) else {
        return Err(misplaced("only elements can be copied"));
    };
    let element = if name.namespace.is_empty() {
        let (prefix, namespace) = inherited(document, parent);
        document.append_element(parent, &prefix, name.local, &namespace)
    } else {
        document.append_element(parent, name.prefix, name.local, name.namespace)
    };
    let element = element.map_err(refused)?;
    adopt_content(document, element, source, node)?;
    Ok(element)
}

/// Copies attributes and children of an element made of JSON.
pub(super) fn adopt_content(
    document: &mut Document,
    element: NodeId,
    source: &Document,
    node: NodeId,
) -> Result<(), Fault> {
    copy_attributes(document, element, source, node)?;
    let children: Vec<NodeId> = source.children(node).collect();
    for child in children {
        match source.text(child) {
            Some(text) => document.append_text(element, text).map_err(refused)?,
            None => drop(adopt(document, element, source, child)?),
        }
    }
    Ok(())
}
