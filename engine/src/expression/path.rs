//! References into the message: a root and keys or indices below it.

use crate::mediator::Needs;
use smallvec::SmallVec;

/// The names an expression may start from.
pub const ROOTS: &[(&str, Root)] = &[
    ("payload", Root::Payload),
    ("headers", Root::Headers),
    ("vars", Root::Vars),
    ("params", Root::Params),
    ("query", Root::Query),
    ("request", Root::Request),
    ("response", Root::Response),
    ("principal", Root::Principal),
    ("fault", Root::Fault),
    ("message", Root::Message),
    ("original", Root::Original),
    ("soap", Root::Soap),
    ("source", Root::Source),
];

/// What an expression can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The body: for SOAP the content of the Body element.
    Payload,
    /// The message's headers.
    Headers,
    /// Variables set by steps.
    Vars,
    /// Arguments of a sequence template, path parameters, then query parameters.
    Params,
    /// Query parameters only.
    Query,
    /// How the message came in: method, path, url, host, `remote_address`.
    Request,
    /// The reply's status.
    Response,
    /// Who the client is.
    Principal,
    /// The fault being handled.
    Fault,
    /// Facts about the message: id, `correlation_id`, `media_type`, size.
    Message,
    /// The message as it arrived.
    Original,
    /// The SOAP envelope: version, action, headers, fault, envelope.
    Soap,
    /// Where an event comes from: of a file `name`, `path`, `size`, of a queue `routing_key`, `redelivered`.
    Source,
}

impl Root {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        ROOTS
            .iter()
            .find(|(root, _)| *root == name)
            .map(|(_, root)| *root)
    }
}

/// One key or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// `.name` or `['name']`.
    Key(Box<str>),
    /// `[3]`; negative counts from the end.
    Index(i64),
}

/// A root and what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// Where it starts.
    pub root: Root,
    /// Keys and indices.
    pub segments: SmallVec<[Segment; 4]>,
}

impl Path {
    pub(super) fn needs(&self) -> Needs {
        let first = self.segments.first();
        match self.root {
            Root::Payload => Needs::Model,
            Root::Soap if first != Some(&Segment::Key("action".into())) => Needs::Model,
            Root::Message if first == Some(&Segment::Key("size".into())) => Needs::Bytes,
            _ => Needs::Headers,
        }
    }

    pub(super) fn needs_original(&self) -> Option<Needs> {
        (self.root == Root::Original).then(|| match self.segments.first() {
            Some(Segment::Key(key)) if &**key == "headers" => Needs::Headers,
            _ => Needs::Model,
        })
    }
}
