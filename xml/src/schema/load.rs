//! Schema documents: reading them, and finding the others that they include, import and redefine.
//!
//! Everything comes through the caller's loader; nothing here opens files or connections.

use super::component::QName;
use super::{SchemaError, SchemaSource, XSD_NAMESPACE};
use crate::{Document, Limits, NodeId, XML_NAMESPACE};
use std::collections::{HashMap, HashSet};

/// Schema documents of one schema at most.
const DOCUMENTS_MAX: usize = 1_000;

/// Reads the schema document at a location as it is written in the document at a base location.
pub type Loader<'a> = dyn Fn(&str, &str) -> Result<SchemaSource, String> + 'a;

/// A schema document in its role: one that names no target namespace takes that of who includes it.
#[derive(Debug)]
pub(super) struct SchemaDocument {
    pub(super) location: String,
    pub(super) document: Document,
    pub(super) root: NodeId,
    pub(super) target: String,
    /// Whether names without a namespace mean the target namespace.
    pub(super) chameleon: bool,
}

impl SchemaDocument {
    pub(super) fn error(&self, node: NodeId, message: impl Into<String>) -> SchemaError {
        let (line, column) = self.document.position(node).unwrap_or((0, 0));
        SchemaError {
            location: self.location.clone(),
            line,
            column,
            message: message.into(),
        }
    }

    pub(super) fn attribute(&self, node: NodeId, local: &str) -> Option<&str> {
        self.document.attribute(node, "", local)
    }

    pub(super) fn flag(&self, node: NodeId, local: &str) -> bool {
        matches!(self.attribute(node, local).map(str::trim), Some("true" | "1"))
    }

    /// The local name, if the node is an element of XML Schema.
    pub(super) fn tag(&self, node: NodeId) -> Option<&str> {
        self.document
            .name(node)
            .filter(|name| name.namespace == XSD_NAMESPACE)
            .map(|name| name.local)
    }

    /// The children that are elements of XML Schema, without annotations.
    pub(super) fn children(&self, node: NodeId) -> Vec<(&str, NodeId)> {
        let children = self.document.child_elements(node);
        let tagged = children.filter_map(|child| self.tag(child).map(|tag| (tag, child)));
        tagged.filter(|(tag, _)| *tag != "annotation").collect()
    }

    /// The first child with this tag.
    pub(super) fn child(&self, node: NodeId, wanted: &str) -> Option<NodeId> {
        self.children(node)
            .into_iter()
            .find(|(tag, _)| *tag == wanted)
            .map(|(_, child)| child)
    }

    /// The name that `text` stands for at `node`.
    pub(super) fn resolve(&self, node: NodeId, text: &str) -> Result<QName, SchemaError> {
        let text = text.trim();
        let (prefix, local) = text.split_once(':').unwrap_or(("", text));
        match self.document.lookup_namespace(node, prefix) {
            Some(namespace) => Ok(QName::new(namespace, local)),
            None if prefix.is_empty() && self.chameleon => Ok(QName::new(self.target.clone(), local)),
            None if prefix.is_empty() => Ok(QName::new("", local)),
            None => Err(self.error(node, format!("the prefix {prefix:?} is not declared"))),
        }
    }
}

/// The kinds of components that stand at the top of a schema, each with names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Element,
    Attribute,
    Type,
    Group,
    AttributeGroup,
}

impl Kind {
    fn of(tag: &str) -> Option<Self> {
        match tag {
            "element" => Some(Self::Element),
            "attribute" => Some(Self::Attribute),
            "simpleType" | "complexType" => Some(Self::Type),
            "group" => Some(Self::Group),
            "attributeGroup" => Some(Self::AttributeGroup),
            _ => None,
        }
    }
}

/// Where a component is defined. A redefinition refers to what it redefines by its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) document: usize,
    pub(super) node: NodeId,
    pub(super) redefines: bool,
}

/// All documents of a schema, and what they define.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) all: Vec<SchemaDocument>,
    pub(super) globals: HashMap<(Kind, QName), Place>,
    loaded: HashSet<(String, String)>,
    namespaces: HashSet<String>,
}

/// The name under which what was redefined is kept; no name of a document has a space.
pub(super) fn redefined(name: &QName) -> QName {
    QName::new(name.namespace.clone(), format!("{} redefined", name.local))
}

impl Documents {
    pub(super) fn load(roots: Vec<SchemaSource>, loader: &Loader<'_>) -> Result<Self, SchemaError> {
        let mut documents = Self::default();
        for source in roots {
            documents.add(source, None)?;
        }
        let mut next = 0;
        while next < documents.all.len() {
            documents.follow(next, loader)?;
            next += 1;
        }
        // In reverse, so that what a redefinition stands in for is known before it.
        for index in (0..documents.all.len()).rev() {
            documents.collect(index)?;
        }
        Ok(documents)
    }

    /// Reads a document unless it is there already in this role.
    fn add(&mut self, source: SchemaSource, including: Option<&str>) -> Result<(), SchemaError> {
        let location = source.location;
        let failure = |line, column, message| SchemaError {
            location: location.clone(),
            line,
            column,
            message,
        };
        let document = match source.content {
            super::SourceContent::Document(document) => *document,
            super::SourceContent::Bytes(bytes) => Document::parse(bytes, &Limits::default())
                .map_err(|error| failure(error.line, error.column, error.message))?,
        };
        let Some(root) = document.root_element() else {
            return Err(failure(0, 0, "the schema document is empty".to_owned()));
        };
        if !document
            .name(root)
            .is_some_and(|name| name.is(XSD_NAMESPACE, "schema"))
        {
            return Err(failure(1, 1, "the root element is not xs:schema".to_owned()));
        }
        if self.all.len() >= DOCUMENTS_MAX {
            return Err(failure(
                0,
                0,
                format!("more than {DOCUMENTS_MAX} schema documents"),
            ));
        }
        let own = document
            .attribute(root, "", "targetNamespace")
            .unwrap_or("")
            .to_owned();
        let chameleon = including.is_some_and(|target| own.is_empty() && !target.is_empty());
        let target = if chameleon {
            including.unwrap_or("").to_owned()
        } else {
            own
        };
        if including.is_some_and(|including| including != target) {
            let message = format!("an included schema has another target namespace, {target:?}");
            return Err(failure(1, 1, message));
        }
        if !location.is_empty() && !self.loaded.insert((location.clone(), target.clone())) {
            return Ok(());
        }
        self.namespaces.insert(target.clone());
        self.all.push(SchemaDocument {
            location,
            document,
            root,
            target,
            chameleon,
        });
        Ok(())
    }

    fn follow(&mut self, index: usize, loader: &Loader<'_>) -> Result<(), SchemaError> {
        let schema = &self.all[index];
        let (base, target) = (schema.location.clone(), schema.target.clone());
        let mut wanted = Vec::new();
        for (tag, node) in schema.children(schema.root) {
            let location = schema
                .attribute(node, "schemaLocation")
                .map(|text| text.trim().to_owned());
            match (tag, location) {
                ("include" | "redefine", Some(location)) => wanted.push((node, location, true)),
                ("include" | "redefine", None) => {
                    return Err(schema.error(node, format!("xs:{tag} without a schemaLocation")));
                }
                ("import", Some(location)) => {
                    let namespace = schema.attribute(node, "namespace").unwrap_or("");
                    if namespace != XML_NAMESPACE && !self.namespaces.contains(namespace) {
                        wanted.push((node, location, false));
                    }
                }
                _ => {}
            }
        }
        for (node, location, same_target) in wanted {
            let loaded = loader(&location, &base);
            let source = loaded.map_err(|message| {
                self.all[index].error(node, format!("cannot load {location:?}: {message}"))
            })?;
            self.add(source, same_target.then_some(target.as_str()))?;
        }
        Ok(())
    }

    fn collect(&mut self, index: usize) -> Result<(), SchemaError> {
        let schema = &self.all[index];
        let mut found = Vec::new();
        for (tag, node) in schema.children(schema.root) {
            match (tag, Kind::of(tag)) {
                ("redefine", _) => {
                    for (tag, node) in schema.children(node) {
                        found.extend(Kind::of(tag).map(|kind| (kind, node, true)));
                    }
                }
                (_, Some(kind)) => found.push((kind, node, false)),
                ("include" | "import" | "notation", _) => {}
                _ => return Err(schema.error(node, format!("xs:{tag} cannot stand in xs:schema"))),
            }
        }
        for (kind, node, redefines) in found {
            self.insert(
                kind,
                Place {
                    document: index,
                    node,
                    redefines,
                },
            )?;
        }
        Ok(())
    }

    fn insert(&mut self, kind: Kind, place: Place) -> Result<(), SchemaError> {
        let schema = &self.all[place.document];
        let Some(local) = schema.attribute(place.node, "name") else {
            return Err(schema.error(place.node, "a global component needs a name"));
        };
        let name = QName::new(schema.target.clone(), local.trim());
        let previous = self.globals.insert((kind, name.clone()), place);
        match previous {
            Some(old) if place.redefines => {
                self.globals.insert((kind, redefined(&name)), old);
                Ok(())
            }
            Some(_) => Err(self.all[place.document].error(place.node, format!("{name} is defined twice"))),
            None => Ok(()),
        }
    }
}
