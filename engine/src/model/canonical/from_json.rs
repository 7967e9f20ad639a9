//! JSON to XML: one walk over the value with its own stack, writing in document order.

use super::{HINTS, Mapping, XSI, names, refused};
use crate::fault::Fault;
use crate::model::json;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use xml::{Document, EditError, NodeId};

/// The XML form of a JSON value.
///
/// # Errors
/// `gateway.transformation` where a text holds a character that XML cannot carry (unless hints are on), or a
/// namespace declaration is not one.
pub fn json_to_xml(value: &Json, mapping: &Mapping) -> Result<Document, Fault> {
    let mut writer = Writer {
        document: Document::new(),
        hints: mapping.hints,
        tasks: Vec::new(),
    };
    writer
        .root(value, mapping)
        .and_then(|()| writer.run())
        .map_err(refused)?;
    Ok(writer.document)
}

/// What is still to be written; the last comes first.
enum Task<'a> {
    Element {
        parent: NodeId,
        label: Label<'a>,
        value: &'a Json,
        is_array_of_one: bool,
    },
    Text {
        parent: NodeId,
        text: Cow<'a, str>,
    },
}

/// How an element gets its name.
#[derive(Clone, Copy)]
enum Label<'a> {
    /// A key that may begin with a prefix.
    Key(&'a str),
    /// A key that is a name as a whole, such as `@id` when its value cannot be an attribute.
    Whole(&'a str),
}

const ITEM: Label<'static> = Label::Whole("item");

struct Writer<'a> {
    document: Document,
    hints: bool,
    tasks: Vec<Task<'a>>,
}

impl<'a> Writer<'a> {
    fn root(&mut self, value: &'a Json, mapping: &'a Mapping) -> Result<(), EditError> {
        let parent = NodeId::DOCUMENT;
        if let Some((key, value)) = root_entry(value) {
            return self.element(parent, Label::Key(key), value, false);
        }
        self.element(parent, Label::Key(&mapping.root), value, false)?;
        match self.document.root_element() {
            Some(root) if self.hints => self.hint(root, "wrapper", "true"),
            _ => Ok(()),
        }
    }

    fn run(&mut self) -> Result<(), EditError> {
        while let Some(task) = self.tasks.pop() {
            match task {
                Task::Text { parent, text } => self.document.append_text(parent, &text)?,
                Task::Element {
                    parent,
                    label,
                    value,
                    is_array_of_one,
                } => {
                    self.element(parent, label, value, is_array_of_one)?;
                }
            }
        }
        Ok(())
    }

    fn element(
        &mut self,
        parent: NodeId,
        label: Label<'a>,
        value: &'a Json,
        single: bool,
    ) -> Result<(), EditError> {
        let own = value.as_object();
        let id = self.append(parent, label, own)?;
        if parent == NodeId::DOCUMENT && self.hints {
            // Where the prefix is taken, each hint finds one of its own.
            let _ = self.document.declare_namespace(id, "j", HINTS);
        }
        if single && self.hints {
            self.hint(id, "array", "true")?;
        }
        match value {
            Json::Null => self.nil(id),
            Json::Bool(_) | Json::Number(_) | Json::String(_) => self.scalar(id, value),
            Json::Array(items) => self.items(id, items),
            Json::Object(entries) => self.object(id, entries),
        }
    }

    fn append(
        &mut self,
        parent: NodeId,
        label: Label<'_>,
        own: Option<&Map<String, Json>>,
    ) -> Result<NodeId, EditError> {
        let key = match label {
            Label::Key(key) | Label::Whole(key) => key,
        };
        let split = key.split_once(':').filter(|_| matches!(label, Label::Key(_)));
        let prefixed = split.and_then(|(prefix, local)| {
            let namespace = self.namespace(parent, prefix, own)?;
            Some((prefix, local, namespace))
        });
        let (prefix, local, namespace) = match prefixed {
            Some(found) => found,
            None => ("", key, self.default_namespace(parent, own)),
        };
        self.document
            .append_element(parent, prefix, &names::encode(local), &namespace)
    }

    /// The namespace of a prefix, as the object itself or something above it declares.
    fn namespace(&self, scope: NodeId, prefix: &str, own: Option<&Map<String, Json>>) -> Option<String> {
        if prefix == "xmlns" || !xml::is_ncname(prefix) {
            return None;
        }
        let declared = own
            .and_then(|own| own.get(&format!("@xmlns:{prefix}")))
            .and_then(Json::as_str);
        let declared =
            declared.filter(|namespace| !namespace.is_empty() && self.may_declare(prefix, namespace));
        let known = || match prefix {
            "xsi" => Some(XSI),
            _ => None,
        };
        let found = declared
            .or_else(|| self.document.lookup_namespace(scope, prefix))
            .or_else(known);
        found.map(str::to_owned)
    }

    fn default_namespace(&self, scope: NodeId, own: Option<&Map<String, Json>>) -> String {
        let declared = own.and_then(|own| own.get("@xmlns")).and_then(Json::as_str);
        let declared = declared.filter(|namespace| self.may_declare("", namespace));
        let inherited = || self.document.lookup_namespace(scope, "").unwrap_or_default();
        declared.unwrap_or_else(inherited).to_owned()
    }

    /// Whether a declaration is written as one: with hints only if reading it gives it back.
    fn may_declare(&self, prefix: &str, namespace: &str) -> bool {
        !self.hints
            || (namespace != HINTS
                && (prefix, namespace) != ("xsi", XSI)
                && !matches!(namespace, xml::XML_NAMESPACE | xml::XMLNS_NAMESPACE)
                && (prefix.is_empty() || (!namespace.is_empty() && prefix != "xml"))
                && xml::first_illegal(namespace).is_none())
    }

    fn nil(&mut self, id: NodeId) -> Result<(), EditError> {
        if let Some(root) = self.document.root_element()
            && self.document.lookup_namespace(id, "xsi").is_none()
        {
            self.document.declare_namespace(root, "xsi", XSI)?;
        }
        self.document.set_attribute(id, "xsi", "nil", XSI, "true")
    }

    fn scalar(&mut self, id: NodeId, value: &Json) -> Result<(), EditError> {
        let text = text_of(value);
        if self.hints {
            if let Some(kind) = scalar_kind(value) {
                self.hint(id, "type", kind)?;
            }
            if xml::first_illegal(&text).is_some() {
                self.hint(id, "escaped", "true")?;
                let literal = escape_illegal(&text);
                return self.document.append_text(id, &literal);
            }
        }
        self.document.append_text(id, &text)
    }

    fn items(&mut self, id: NodeId, items: &'a [Json]) -> Result<(), EditError> {
        if self.hints {
            self.hint(id, "type", "array")?;
        }
        let task = |value| Task::Element {
            parent: id,
            label: ITEM,
            value,
            is_array_of_one: false,
        };
        self.tasks.extend(items.iter().rev().map(task));
        Ok(())
    }

    fn object(&mut self, id: NodeId, entries: &'a Map<String, Json>) -> Result<(), EditError> {
        for (key, value) in entries {
            self.declaration(id, key, value)?;
        }
        let first = self.tasks.len();
        let mut is_plain = !self
            .document
            .namespace_declarations(id)
            .any(|(prefix, namespace)| is_read(prefix, namespace));
        for (key, value) in entries {
            match key.strip_prefix('@') {
                Some("xmlns") if self.is_declared(id, "", value) => continue,
                Some(name)
                    if is_declaration(name) && self.is_declared(id, &name["xmlns:".len()..], value) =>
                {
                    continue;
                }
                Some(name) if self.attribute(id, name, value)? => {
                    is_plain = false;
                    continue;
                }
                _ => {}
            }
            self.child(id, key, value, entries)?;
        }
        self.tasks[first..].reverse();
        let has_elements = self.tasks[first..]
            .iter()
            .any(|task| matches!(task, Task::Element { .. }));
        if self.hints && is_plain && !has_elements {
            self.hint(id, "type", "object")?;
        }
        Ok(())
    }

    fn declaration(&mut self, id: NodeId, key: &str, value: &Json) -> Result<(), EditError> {
        let prefix = match key.strip_prefix("@xmlns") {
            Some("") => "",
            Some(rest) if rest.starts_with(':') && rest.len() > 1 => &rest[1..],
            _ => return Ok(()),
        };
        let Some(namespace) = value
            .as_str()
            .filter(|namespace| self.may_declare(prefix, namespace))
        else {
            return Ok(());
        };
        match self.document.declare_namespace(id, prefix, namespace) {
            Err(_) if self.hints || !xml::is_ncname(prefix) => Ok(()),
            result => result,
        }
    }

    fn is_declared(&self, id: NodeId, prefix: &str, value: &Json) -> bool {
        let mut declarations = self.document.namespace_declarations(id);
        let written = value
            .as_str()
            .filter(|namespace| self.may_declare(prefix, namespace));
        written.is_some_and(|namespace| declarations.any(|found| found == (prefix, namespace)))
    }

    /// Writes an attribute, where the value can be one; with hints only if reading it gives it back.
    fn attribute(&mut self, id: NodeId, name: &str, value: &Json) -> Result<bool, EditError> {
        let can_be = match value {
            Json::String(text) => !self.hints || xml::first_illegal(text).is_none(),
            Json::Number(_) | Json::Bool(_) => !self.hints,
            Json::Null | Json::Array(_) | Json::Object(_) => false,
        };
        let split = name.split_once(':');
        let prefixed =
            split.and_then(|(prefix, local)| Some((prefix, local, self.namespace(id, prefix, None)?)));
        let (prefix, local, namespace) = prefixed.unwrap_or(("", name, String::new()));
        let local = names::encode(local);
        let is_taken = self.document.attribute(id, &namespace, &local).is_some();
        let is_special = (namespace == XSI && local == "nil") || namespace == HINTS;
        if !can_be || (self.hints && (is_taken || is_special)) || (prefix.is_empty() && local == "xmlns") {
            return Ok(false);
        }
        self.document
            .set_attribute(id, prefix, &local, &namespace, &text_of(value))?;
        Ok(true)
    }

    /// Plans what an entry of an object that is not an attribute becomes.
    fn child(
        &mut self,
        parent: NodeId,
        key: &'a str,
        value: &'a Json,
        entries: &'a Map<String, Json>,
    ) -> Result<(), EditError> {
        match (key, value) {
            ("#text", Json::String(_) | Json::Number(_) | Json::Bool(_))
                if self.is_text(parent, value, entries) =>
            {
                self.text(parent, value)
            }
            ("#content", Json::Array(items)) if !self.hints || is_mixed(items, entries) => {
                items.iter().for_each(|item| self.mixed(parent, item));
                Ok(())
            }
            _ => {
                let label = match key.starts_with(['@', '#']) {
                    true => Label::Whole(key),
                    false => Label::Key(key),
                };
                self.plan(parent, label, value);
                Ok(())
            }
        }
    }

    /// Whether `#text` is written as the text of its element; with hints only if reading gives it back.
    fn is_text(&self, parent: NodeId, value: &Json, entries: &Map<String, Json>) -> bool {
        if !self.hints {
            return true;
        }
        let has_attributes = self
            .document
            .attributes(parent)
            .any(|attribute| attribute.name.namespace != HINTS);
        let declares = || {
            self.document
                .namespace_declarations(parent)
                .any(|(prefix, namespace)| is_read(prefix, namespace))
        };
        let is_alone = entries.keys().all(|key| key == "#text" || key.starts_with('@'));
        let is_only_text = is_alone
            && !entries
                .iter()
                .any(|(key, value)| key.starts_with('@') && !value.is_string());
        let needs_type = scalar_kind(value).is_some();
        is_only_text && value.as_str() != Some("") && (!needs_type || has_attributes || declares())
    }

    fn text(&mut self, parent: NodeId, value: &'a Json) -> Result<(), EditError> {
        if self.hints {
            return self.scalar(parent, value);
        }
        self.tasks.push(Task::Text {
            parent,
            text: text_of(value),
        });
        Ok(())
    }

    /// Plans an item of `#content`.
    fn mixed(&mut self, parent: NodeId, item: &'a Json) {
        match item {
            Json::Object(entries) => entries
                .iter()
                .for_each(|(key, value)| self.plan(parent, Label::Key(key), value)),
            Json::Array(_) => self.plan(parent, ITEM, item),
            Json::Null => {}
            Json::String(_) | Json::Number(_) | Json::Bool(_) => {
                self.tasks.push(Task::Text {
                    parent,
                    text: text_of(item),
                });
            }
        }
    }

    /// Plans the element of a key, or its elements where the value is an array.
    fn plan(&mut self, parent: NodeId, label: Label<'a>, value: &'a Json) {
        let element = |value, is_array_of_one| Task::Element {
            parent,
            label,
            value,
            is_array_of_one,
        };
        match value {
            Json::Array(items) if items.is_empty() && !self.hints => {}
            Json::Array(items) if !items.is_empty() => {
                self.tasks
                    .extend(items.iter().map(|item| element(item, items.len() == 1)));
            }
            _ => self.tasks.push(element(value, false)),
        }
    }

    fn hint(&mut self, id: NodeId, name: &str, value: &str) -> Result<(), EditError> {
        self.document.set_attribute(id, "j", name, HINTS, value)
    }
}

/// The only entry of an object, where it can be the root element.
fn root_entry(value: &Json) -> Option<(&str, &Json)> {
    let entries = value.as_object().filter(|entries| entries.len() == 1)?;
    let (key, value) = entries.iter().next()?;
    let is_root = !value.is_array() && !key.starts_with(['@', '#']);
    is_root.then_some((key.as_str(), value))
}

fn is_declaration(name: &str) -> bool {
    name.starts_with("xmlns:") && name.len() > "xmlns:".len()
}

/// Whether reading keeps this declaration.
fn is_read(prefix: &str, namespace: &str) -> bool {
    namespace != HINTS && (prefix, namespace) != ("xsi", XSI)
}

/// Whether reading `#content` gives these items back.
fn is_mixed(items: &[Json], entries: &Map<String, Json>) -> bool {
    let is_element = |item: &Json| {
        item.as_object()
            .is_some_and(|entries| entries.len() == 1 && !entries.values().any(Json::is_array))
    };
    let is_text = |item: &Json| {
        item.as_str()
            .is_some_and(|text| !text.is_empty() && xml::first_illegal(text).is_none())
    };
    let is_blank = |item: &Json| item.as_str().is_none_or(xml::is_blank);
    items.iter().all(|item| is_element(item) || is_text(item))
        && items.iter().any(is_element)
        && !items.iter().all(is_blank)
        && !items
            .windows(2)
            .any(|pair| is_text(&pair[0]) && is_text(&pair[1]))
        && entries
            .iter()
            .all(|(key, value)| key == "#content" || (key.starts_with('@') && value.is_string()))
}

fn text_of(value: &Json) -> Cow<'_, str> {
    match value {
        Json::String(text) => Cow::Borrowed(text),
        Json::Number(number) => Cow::Borrowed(number.as_str()),
        Json::Bool(true) => Cow::Borrowed("true"),
        Json::Bool(false) => Cow::Borrowed("false"),
        Json::Null | Json::Array(_) | Json::Object(_) => Cow::Borrowed(""),
    }
}

/// The `type` that a scalar needs so that reading gives it back, with and without [`Mapping::types`].
fn scalar_kind(value: &Json) -> Option<&'static str> {
    match value {
        Json::Number(_) => Some("number"),
        Json::Bool(_) => Some("boolean"),
        Json::String(text) if matches!(text.as_str(), "true" | "false") || json::is_number(text) => {
            Some("string")
        }
        _ => None,
    }
}

/// The inside of a JSON string literal in which XML can carry every character.
fn escape_illegal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            _ if xml::is_char(character) && character != '\r' && character >= ' ' => literal.push(character),
            _ => literal.push_str(&format!("\\u{:04x}", u32::from(character))),
        }
    }
    literal
}
