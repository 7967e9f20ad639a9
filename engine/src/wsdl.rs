//! WSDL 1.1 contracts: their operations, schemas and documents, read once at load.
//!
//! Only what a gateway needs is read: which operation a message is for (WS-I Basic Profile 1.1 section 4.7: by the qualified name
//! of the body's child, or by the action), which schemas describe it, and the documents to serve with their addresses rewritten.

mod documents;
mod read;

pub use documents::ContractDocument;

use std::path::Path;

/// A contract.
#[derive(Debug)]
pub struct Contract {
    /// The operations of the chosen port type, in order.
    pub operations: Vec<Operation>,
    /// SOAP versions that its bindings speak.
    pub versions: Versions,
    /// The schemas of its types: inline ones with the namespace declarations in scope, and their base for relative locations.
    pub schemas: Vec<SchemaText>,
    /// The main document and everything it imports, as served.
    pub documents: Vec<ContractDocument>,
}

/// Which SOAP versions a contract binds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// SOAP 1.1.
    pub soap11: bool,
    /// SOAP 1.2.
    pub soap12: bool,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// The `soapAction` of each binding; empty ones are left out.
    pub actions: Vec<String>,
    /// Namespace and local name of the body's child in a request; none for an operation without input parts.
    pub input: Option<(String, String)>,
    /// Whether a reply is expected.
    pub has_output: bool,
}

/// The text of a schema.
#[derive(Clone, Debug)]
pub struct SchemaText {
    /// A self-contained `xs:schema` document.
    pub text: String,
    /// What relative locations in it start from: the location of the document it stands in.
    pub base: String,
}

/// A mistake in a contract: the document and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractError {
    /// The location of the document.
    pub location: String,
    /// What is wrong, with line and column where known.
    pub message: String,
}

/// Reads the text at a location; relative locations have been resolved against the importing document.
pub type Load<'a> = dyn FnMut(&str) -> Result<String, String> + 'a;

impl Contract {
    /// Reads a contract from the document at `location`, and what it imports through `load`.
    ///
    /// # Errors
    /// The first mistake found.
    pub fn read(location: &str, load: &mut Load<'_>) -> Result<Self, ContractError> {
        read::contract(location, load)
    }

    /// The operation for a message: by its body's child, else by its action.
    #[must_use]
    pub fn operation(&self, body: Option<(&str, &str)>, action: Option<&str>) -> Option<&Operation> {
        let by_body = |operation: &&Operation| match (&operation.input, body) {
            (Some((namespace, local)), Some(found)) => (namespace.as_str(), local.as_str()) == found,
            (None, None) => true,
            _ => false,
        };
        let wanted = action.filter(|action| !action.is_empty());
        let by_action = |operation: &&Operation| {
            wanted.is_some_and(|wanted| operation.actions.iter().any(|action| action == wanted))
        };
        let both = self
            .operations
            .iter()
            .find(|operation| by_body(operation) && by_action(operation));
        both.or_else(|| self.operations.iter().find(by_body))
            .or_else(|| self.operations.iter().find(by_action))
    }
}

/// Resolves a relative location against the location of the document that names it.
#[must_use]
pub fn resolve(base: &str, location: &str) -> String {
    let folder = Path::new(base).parent().unwrap_or(Path::new(""));
    let mut parts: Vec<String> = Vec::new();
    for part in folder.join(location).components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if parts.last().is_some_and(|last| last != "..") => {
                drop(parts.pop());
            }
            other => parts.push(other.as_os_str().to_string_lossy().into_owned()),
        }
    }
    parts.join("/").replacen("//", "/", 1)
}

#[cfg(test)]
mod tests;
