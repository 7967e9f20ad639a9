//! From YAML text to typed configuration, with every problem of a project found in one run.
//!
//! The stages, each a file below `config/`:
//!
//! 1. [`parse()`]: text to a [`Node`] tree in which every key and value knows its place.
//! 2. `load`, `merge`, `overrides`: the files of a project become one tree, `--set` included.
//! 3. `substitute`: `${env.NAME}` and `${secret.NAME}` in string leaves.
//! 4. `check`, `deserialize`: the tree against a type's JSON Schema, which finds every problem and its place,
//!    then into the type by serde.
//!
//! The JSON Schema that editors use is the one that checks, and comes from the types: they cannot drift apart.
//! Configuration types use no `flatten`, no `untagged` and no internal tags, since those lose positions.

mod check;
mod deserialize;
mod diagnostic;
mod environment;
mod folder;
mod leaf;
mod load;
mod merge;
mod nearest;
mod node;
mod offsets;
mod overrides;
mod parse;
mod plain;
mod read;
mod reference;
mod render;
mod schema;
mod secrets;
mod source;
mod substitute;
mod summary;
mod types;
mod yaml_error;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use environment::Environment;
pub(crate) use folder::{DATA, one_spelling};
pub use folder::{FILES_MAX, is_in_data};
pub use leaf::{Leaf, LeafError, leaf_schema};
pub use load::{LoadOptions, Project, load_project, load_texts};
pub use merge::merge;
pub use nearest::{nearest, suggestion};
pub use node::{Key, Node, NodeValue, Scalar, ScalarStyle, Segment};
pub use overrides::{SET_SOURCE, apply_override};
pub use parse::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX, parse};
pub use read::{expand_shorthand, read, read_with_shorthand};
pub use reference::{Placeholder, placeholders};
pub use render::{Style, render, render_all};
pub use schema::{schema_generator, schema_of};
pub use secrets::SecretSettings;
pub use source::{Position, SourceId, Sources, Span};
pub use substitute::substitute;
pub use summary::summary_and_text;
pub use types::{Duration, Named, OneOrMany, Rate, RawNode, SecretText, Size, Spanned, Step, Steps, Text};

#[cfg(test)]
mod tests;
