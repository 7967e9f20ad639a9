//! XML to JSON: one walk over the tree with its own stack.

use super::{HINTS, Mapping, XSI, names};
use crate::model::json::{self, MAX_DEPTH};
use serde_json::{Map, Number, Value as Json};
use std::borrow::Cow;
use xml::{Document, Name, NodeId, NodeKind};

/// The JSON form of a node: an element is an object with its name as the only key, the document that of its
/// root element, text a string, anything else null.
///
/// Namespaces that are in scope from outside are declared on the element, where the mapping keeps them.
#[must_use]
pub fn xml_to_json(document: &Document, node: NodeId, mapping: &Mapping) -> Json {
    match document.kind(node) {
        NodeKind::Document => match document.root_element() {
            Some(root) => element_to_json(document, root, mapping),
            None => Json::Null,
        },
        NodeKind::Element => element_to_json(document, node, mapping),
        NodeKind::Text | NodeKind::CData => Json::from(document.string_value(node)),
        NodeKind::Comment | NodeKind::ProcessingInstruction => Json::Null,
    }
}

fn element_to_json(document: &Document, element: NodeId, mapping: &Mapping) -> Json {
    let value = element_content(document, element, mapping);
    if document.attribute(element, HINTS, "wrapper") == Some("true") {
        return value;
    }
    let reader = Reader {
        document,
        mapping,
        top: element,
    };
    let mut key = String::new();
    reader.key(element, &mut key);
    let value = if reader.is_array_of_one(element) {
        Json::Array(vec![value])
    } else {
        value
    };
    Json::Object(Map::from_iter([(key, value)]))
}

/// The value of an element without its name: what [`xml_to_json`] puts under the key. Null where the node is
/// not an element.
#[must_use]
pub fn element_content(document: &Document, element: NodeId, mapping: &Mapping) -> Json {
    if !document.is_element(element) {
        return Json::Null;
    }
    Reader {
        document,
        mapping,
        top: element,
    }
    .value(element)
}

struct Reader<'a> {
    document: &'a Document,
    mapping: &'a Mapping,
    top: NodeId,
}

/// An element whose children are being read.
struct Frame {
    element: NodeId,
    next: Option<NodeId>,
    /// Levels of JSON above the children.
    depth: usize,
    entries: Map<String, Json>,
    content: Content,
}

/// What the children of an element become.
enum Content {
    /// Keys of the object; those whose value is an array of the sender's own, not one of repetition.
    Keys(Vec<String>),
    /// The items of `#content`.
    Mixed(Vec<Json>),
    /// The items of the array that the element itself is.
    Items(Vec<Json>),
}

impl Reader<'_> {
    /// The value of an element without its name.
    fn value(&self, element: NodeId) -> Json {
        let mut stack: Vec<Frame> = Vec::new();
        let mut key = String::new();
        let mut done = match self.open(element, 1) {
            Ok(frame) => {
                stack.push(frame);
                None
            }
            Err(value) => Some((element, value)),
        };
        loop {
            if let Some((element, value)) = done.take() {
                match stack.last_mut() {
                    None => return value,
                    Some(frame) => self.attach(frame, element, value, &mut key),
                }
            }
            let Some(frame) = stack.last_mut() else {
                return Json::Null;
            };
            match frame.next {
                Some(child) => {
                    frame.next = self.document.next_sibling(child);
                    match self.child(frame, child) {
                        Some(Ok(opened)) => stack.push(opened),
                        Some(Err(value)) => done = Some((child, value)),
                        None => {}
                    }
                }
                None => done = stack.pop().map(|frame| (frame.element, frame.close())),
            }
        }
    }

    /// Starts with a child: a frame to read it by, its value at once, or nothing where it has none.
    fn child(&self, frame: &mut Frame, child: NodeId) -> Option<Result<Frame, Json>> {
        if self.document.is_element(child) {
            return Some(self.open(child, frame.depth + 2));
        }
        if let (Content::Mixed(items), true) = (&mut frame.content, self.document.is_text(child)) {
            let text = self.document.text(child).unwrap_or_default();
            match items.last_mut() {
                Some(Json::String(before)) => before.push_str(text),
                _ => items.push(Json::from(text)),
            }
        }
        None
    }

    /// A frame for an element with elements inside, the value itself for any other.
    fn open(&self, element: NodeId, depth: usize) -> Result<Frame, Json> {
        if depth >= MAX_DEPTH {
            return Err(Json::from(self.document.extract(element).to_string()));
        }
        let kind = self.document.attribute(element, HINTS, "type");
        if kind != Some("object") && self.is_nil(element) {
            return Err(Json::Null);
        }
        let is_array = kind == Some("array");
        let (has_elements, has_text) = self.content(element);
        let entries = if is_array {
            Map::new()
        } else {
            self.attributes(element)
        };
        if !has_elements && !is_array {
            return Err(self.leaf(element, entries, kind));
        }
        let (content, depth) = match (is_array, has_text) {
            (true, _) => (Content::Items(Vec::new()), depth),
            (false, true) => (Content::Mixed(Vec::new()), depth + 1),
            (false, false) => (Content::Keys(Vec::new()), depth),
        };
        Ok(Frame {
            element,
            next: self.document.first_child(element),
            depth,
            entries,
            content,
        })
    }

    /// Whether there are elements inside, and whether there is text that is not blank.
    fn content(&self, element: NodeId) -> (bool, bool) {
        let mut found = (false, false);
        for child in self.document.children(element) {
            found.0 |= self.document.is_element(child);
            found.1 |= self.document.is_text(child) && !self.document.text(child).is_none_or(xml::is_blank);
        }
        found
    }

    fn leaf(&self, element: NodeId, mut entries: Map<String, Json>, kind: Option<&str>) -> Json {
        let text = self.document.string_value(element);
        if entries.is_empty() && kind != Some("object") {
            return self.scalar(element, text, kind);
        }
        if !text.is_empty() {
            entries.insert("#text".to_owned(), self.scalar(element, text, kind));
        }
        Json::Object(entries)
    }

    fn scalar(&self, element: NodeId, text: Cow<'_, str>, kind: Option<&str>) -> Json {
        let is_typed = match kind {
            Some("number" | "boolean") => true,
            Some(_) => false,
            None => self.mapping.types,
        };
        if is_typed {
            match text.as_ref() {
                "true" => return Json::Bool(true),
                "false" => return Json::Bool(false),
                _ if json::is_number(&text) => {
                    return Json::Number(Number::from_string_unchecked(text.into_owned()));
                }
                _ => {}
            }
        }
        if self.document.attribute(element, HINTS, "escaped") == Some("true")
            && let Ok(plain) = serde_json::from_str::<String>(&format!("\"{text}\""))
        {
            return Json::String(plain);
        }
        Json::String(text.into_owned())
    }

    fn is_nil(&self, element: NodeId) -> bool {
        matches!(self.document.attribute(element, XSI, "nil"), Some("true" | "1"))
            && self.document.first_child(element).is_none()
    }

    fn is_array_of_one(&self, element: NodeId) -> bool {
        self.document.attribute(element, HINTS, "array") == Some("true")
    }

    /// Declarations and attributes, hints left out.
    fn attributes(&self, element: NodeId) -> Map<String, Json> {
        let mut entries = Map::new();
        if self.mapping.prefixes {
            self.declarations(element, &mut entries);
            if element == self.top {
                for above in self.document.ancestors(element) {
                    self.declarations(above, &mut entries);
                }
            }
        }
        for attribute in self.document.attributes(element) {
            if attribute.name.namespace == HINTS {
                continue;
            }
            let mut key = "@".to_owned();
            self.push_name(attribute.name, &mut key);
            entries.entry(key).or_insert_with(|| Json::from(attribute.value));
        }
        entries
    }

    fn declarations(&self, element: NodeId, entries: &mut Map<String, Json>) {
        for (prefix, namespace) in self.document.namespace_declarations(element) {
            let key = match prefix {
                _ if namespace == HINTS || (prefix, namespace) == ("xsi", XSI) => continue,
                "" => "@xmlns".to_owned(),
                _ => format!("@xmlns:{prefix}"),
            };
            entries.entry(key).or_insert_with(|| Json::from(namespace));
        }
    }

    fn key(&self, element: NodeId, key: &mut String) {
        if let Some(name) = self.document.name(element) {
            self.push_name(name, key);
        }
    }

    fn push_name(&self, name: Name<'_>, key: &mut String) {
        if self.mapping.prefixes && !name.prefix.is_empty() {
            key.push_str(name.prefix);
            key.push(':');
        }
        key.push_str(&names::decode(name.local));
    }

    /// Puts the value of a child where it belongs.
    fn attach(&self, frame: &mut Frame, child: NodeId, value: Json, key: &mut String) {
        key.clear();
        self.key(child, key);
        match &mut frame.content {
            Content::Items(items) => items.push(value),
            Content::Mixed(items) => {
                items.push(Json::Object(Map::from_iter([(key.clone(), value)])));
            }
            Content::Keys(own_arrays) => {
                let is_array = self.is_array_of_one(child);
                match frame.entries.get_mut(key.as_str()) {
                    Some(before) => repeat(before, value, key, own_arrays),
                    None if is_array => drop(frame.entries.insert(key.clone(), Json::Array(vec![value]))),
                    None => {
                        if value.is_array() {
                            own_arrays.push(key.clone());
                        }
                        frame.entries.insert(key.clone(), value);
                    }
                }
            }
        }
    }
}

/// Makes an array of what is repeated.
fn repeat(before: &mut Json, value: Json, key: &str, own_arrays: &mut Vec<String>) {
    let own = own_arrays.iter().position(|own| own == key);
    match (before, own) {
        (Json::Array(items), None) => items.push(value),
        (before, own) => {
            *before = Json::Array(vec![before.take(), value]);
            own.map(|index| own_arrays.swap_remove(index));
        }
    }
}

impl Frame {
    fn close(mut self) -> Json {
        match self.content {
            Content::Items(items) => return Json::Array(items),
            Content::Mixed(items) => drop(self.entries.insert("#content".to_owned(), Json::Array(items))),
            Content::Keys(_) => {}
        }
        Json::Object(self.entries)
    }
}
