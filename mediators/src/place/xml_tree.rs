//! Writing into an XML document, SOAP bodies included. Elements on the way are made where they are missing, in the namespace of
//! their parent.

mod graft;

use super::path::{Segment, display, position};
use super::{Mode, misplaced};
use engine::expression::Value;
use engine::fault::Fault;
use engine::model::canonical::{Mapping, json_to_xml};
use engine::model::{Model, soap};
use serde_json::{Value as Json, json};
use xml::{Document, EditError, NodeId};

/// Where a path leads.
enum Target {
    /// The content that paths start from: the document, or the Body of a SOAP envelope.
    Start(NodeId),
    /// An element.
    Element(NodeId),
    /// An attribute of an element.
    Attribute(NodeId, String),
}

/// Puts a value at a path.
pub(super) fn put(document: &mut Document, path: &[Segment], value: &Value, mode: Mode) -> Result<(), Fault> {
    match (make(document, path, mode)?, mode) {
        (Target::Attribute(element, name), Mode::Replace) => {
            let text = value.clone().into_text()?;
            set_attribute(document, element, &name, &text)
        }
        (Target::Attribute(..), _) => Err(misplaced(format!(
            "`{}` is an attribute; it can only be replaced",
            display(path)
        ))),
        (Target::Element(element), Mode::Replace) => replace_content(document, element, value),
        (Target::Element(element) | Target::Start(element), Mode::Child) => {
            graft::append_all(document, element, value).map(drop)
        }
        (Target::Element(element), Mode::Before | Mode::After) => put_beside(document, element, value, mode),
        (Target::Start(start), Mode::Replace) => {
            clear(document, start);
            graft::append_all(document, start, value).map(drop)
        }
        (Target::Start(_), _) => Err(misplaced("nothing can stand beside the whole payload")),
    }
}

fn put_beside(document: &mut Document, element: NodeId, value: &Value, mode: Mode) -> Result<(), Fault> {
    let parent = document
        .parent(element)
        .filter(|parent| document.is_element(*parent))
        .ok_or_else(|| misplaced("nothing can stand beside the root element"))?;
    let mut reference = element;
    for (index, node) in graft::append_all(document, parent, value)?
        .into_iter()
        .enumerate()
    {
        if mode == Mode::Before && index == 0 {
            document.insert_before(reference, node).map_err(refused)?;
        } else {
            document.insert_after(reference, node).map_err(refused)?;
        }
        reference = node;
    }
    Ok(())
}

/// Takes away what is at a path.
pub(super) fn remove(document: &mut Document, path: &[Segment]) {
    match find(document, path) {
        Some(Target::Element(element)) => {
            let repeated = matches!(path.last(), Some(Segment::Key(_)));
            let same = if repeated {
                siblings(document, element)
            } else {
                vec![element]
            };
            for element in same {
                document.detach(element);
            }
        }
        Some(Target::Attribute(element, name)) => {
            let found = document
                .attributes(element)
                .find(|attribute| matches_name(attribute.name, &name))
                .map(|attribute| {
                    (
                        attribute.name.namespace.to_owned(),
                        attribute.name.local.to_owned(),
                    )
                });
            if let Some((namespace, local)) = found {
                document.remove_attribute(element, &namespace, &local);
            }
        }
        Some(Target::Start(_)) | None => {}
    }
}

/// Whether there is anything at a path.
pub(super) fn exists(document: &Document, path: &[Segment]) -> bool {
    match find(document, path) {
        Some(Target::Attribute(element, name)) => document
            .attributes(element)
            .any(|attribute| matches_name(attribute.name, &name)),
        found => found.is_some(),
    }
}

fn start(document: &Document) -> NodeId {
    soap::body(document).unwrap_or_else(|| document.document_node())
}

/// Elements with the same name under the same parent.
fn siblings(document: &Document, element: NodeId) -> Vec<NodeId> {
    let (Some(parent), Some(name)) = (document.parent(element), document.name(element)) else {
        return vec![element];
    };
    document
        .child_elements(parent)
        .filter(|child| document.name(*child) == Some(name))
        .collect()
}

fn find(document: &Document, path: &[Segment]) -> Option<Target> {
    let mut current = start(document);
    let mut segments = path.iter().peekable();
    while let Some(segment) = segments.next() {
        let Segment::Key(key) = segment else { return None };
        if let Some(name) = key.strip_prefix('@') {
            return segments
                .peek()
                .is_none()
                .then(|| Target::Attribute(current, name.to_owned()));
        }
        let named = named(document, current, key);
        let index = match segments.peek() {
            Some(Segment::Index(index)) => {
                let at = position(*index, named.len());
                segments.next();
                at?
            }
            _ => 0,
        };
        current = *named.get(index)?;
    }
    Some(if path.is_empty() {
        Target::Start(current)
    } else {
        Target::Element(current)
    })
}

/// As [`find`], but makes what is missing. What stands beside another element must be there.
fn make(document: &mut Document, path: &[Segment], mode: Mode) -> Result<Target, Fault> {
    if let Some(found) = find(document, path) {
        return Ok(found);
    }
    if matches!(mode, Mode::Before | Mode::After) {
        return Err(misplaced(format!(
            "there is no `{}` in the payload",
            display(path)
        )));
    }
    let mut current = start(document);
    let mut segments = path.iter().peekable();
    while let Some(segment) = segments.next() {
        let Segment::Key(key) = segment else {
            return Err(misplaced(format!(
                "`{}` counts something that has no name",
                display(path)
            )));
        };
        if let Some(name) = key.strip_prefix('@') {
            return Ok(Target::Attribute(current, name.to_owned()));
        }
        let existing = named(document, current, key);
        let wanted = match segments.peek() {
            Some(Segment::Index(index)) => {
                let at = position(*index, existing.len()).filter(|at| *at <= existing.len());
                segments.next();
                at.ok_or_else(|| misplaced(format!("`{}` leaves out an element", display(path))))?
            }
            _ => 0,
        };
        current = match existing.get(wanted) {
            Some(element) => *element,
            None => append_named(document, current, key)?,
        };
    }
    Ok(Target::Element(current))
}

fn named(document: &Document, parent: NodeId, key: &str) -> Vec<NodeId> {
    let matches = |child: &NodeId| document.name(*child).is_some_and(|name| matches_name(name, key));
    document.child_elements(parent).filter(matches).collect()
}

fn matches_name(name: xml::Name<'_>, key: &str) -> bool {
    match key.split_once(':') {
        Some((prefix, local)) => name.prefix == prefix && name.local == local,
        None => name.local == key,
    }
}

/// Prefix and namespace that a new child takes when its name has no prefix.
fn inherited(document: &Document, parent: NodeId) -> (String, String) {
    let body_of_envelope = soap::body(document) == Some(parent);
    match document.name(parent).filter(|_| !body_of_envelope) {
        Some(name) => (name.prefix.to_owned(), name.namespace.to_owned()),
        None => (String::new(), String::new()),
    }
}

fn append_named(document: &mut Document, parent: NodeId, key: &str) -> Result<NodeId, Fault> {
    let (prefix, local, namespace) = match key.split_once(':') {
        Some((prefix, local)) => {
            let namespace = document.lookup_namespace(parent, prefix).map(str::to_owned);
            let namespace =
                namespace.ok_or_else(|| misplaced(format!("nothing declares the prefix `{prefix}`")))?;
            (prefix.to_owned(), local, namespace)
        }
        None => {
            let (prefix, namespace) = inherited(document, parent);
            (prefix, key, namespace)
        }
    };
    document
        .append_element(parent, &prefix, local, &namespace)
        .map_err(refused)
}

fn set_attribute(document: &mut Document, element: NodeId, name: &str, text: &str) -> Result<(), Fault> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    let namespace = match prefix {
        "" => String::new(),
        prefix => document
            .lookup_namespace(element, prefix)
            .map(str::to_owned)
            .ok_or_else(|| misplaced(format!("nothing declares the prefix `{prefix}`")))?,
    };
    document
        .set_attribute(element, prefix, local, &namespace, text)
        .map_err(refused)
}

/// Scalars become the element's text; structures its children and attributes.
fn replace_content(document: &mut Document, element: NodeId, value: &Value) -> Result<(), Fault> {
    if let Some(text) = scalar(value) {
        return document.set_text(element, &text).map_err(refused);
    }
    match value {
        Value::Nodes(model, nodes) if nodes.len() == 1 => {
            let Model::Xml(source) = &**model else {
                return Ok(());
            };
            let source = source.clone();
            clear(document, element);
            graft::copy_content(document, element, &source, nodes[0])
        }
        Value::Nodes(..) => Err(misplaced("several elements cannot be the content of one")),
        Value::Model(model) if matches!(**model, Model::Xml(_)) => {
            clear(document, element);
            graft::append_all(document, element, value).map(drop)
        }
        other => {
            let Json::Object(members) = other.to_json() else {
                return Err(misplaced("a list cannot be the content of one element"));
            };
            let source = json_to_xml(&json!({ "holder": members }), &Mapping::default())?;
            clear(document, element);
            match source.root_element() {
                Some(root) => graft::adopt_content(document, element, &source, root),
                None => Ok(()),
            }
        }
    }
}

fn clear(document: &mut Document, element: NodeId) {
    let children: Vec<NodeId> = document.children(element).collect();
    for child in children {
        document.detach(child);
    }
}

/// Text for what is no structure.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Undefined | Value::Json(Json::Null) => Some(String::new()),
        Value::Json(Json::String(text)) => Some(text.clone()),
        Value::Json(other @ (Json::Bool(_) | Json::Number(_))) => Some(other.to_string()),
        Value::Model(model) => match &**model {
            Model::Text(text) => Some(text.clone()),
            Model::Json(json) => scalar(&Value::Json(json.clone())),
            _ => None,
        },
        Value::Nodes(model, nodes) => match (&**model, &nodes[..]) {
            (Model::Xml(document), [node]) => {
                let plain = document.child_elements(*node).next().is_none()
                    && document.attributes(*node).next().is_none();
                plain.then(|| document.string_value(*node).into_owned())
            }
            _ => None,
        },
        Value::Json(_) => None,
    }
}

fn refused(error: EditError) -> Fault {
    misplaced("the XML cannot be changed so").with_source(error)
}
