//! The reference of the language as data: one page per step, transport, format and top-level key, made from the
//! schemas that check a project. `mediary help` prints pages, `mediary docs` writes them.

mod artifacts;
mod settings;
mod tables;

pub use settings::{Setting, Settings};

use engine::config::{self, summary_and_text};
use engine::registry::{Registry, StepSpec, TransportSpec};
use schemars::{Schema, SchemaGenerator};

/// The kinds of page, in the order of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A top-level key.
    Artifact,
    /// A mediator.
    Step,
    /// Where messages come from and go to.
    Transport,
    /// A media type.
    Format,
    /// Tables that belong to no key.
    General,
}

impl Kind {
    /// All, in order.
    pub const ALL: [Self; 5] = [
        Self::Artifact,
        Self::Step,
        Self::Transport,
        Self::Format,
        Self::General,
    ];

    /// The heading in the index.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Artifact => "Top-level keys",
            Self::Step => "Steps",
            Self::Transport => "Transports",
            Self::Format => "Formats",
            Self::General => "Beside them",
        }
    }

    /// The folder of the pages.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Artifact => "artifacts/",
            Self::Step => "steps/",
            Self::Transport => "transports/",
            Self::Format => "formats/",
            Self::General => "",
        }
    }
}

/// One page.
#[derive(Clone, Debug)]
pub struct Page {
    /// What it is about.
    pub kind: Kind,
    /// The key or name.
    pub name: String,
    /// One line.
    pub summary: String,
    /// The rest of the text, in Markdown.
    pub text: String,
    /// How it may be written beside the long form, and the like: sentences.
    pub notes: Vec<String>,
    /// Tables of settings: the main one first, then those of nested mappings.
    pub settings: Vec<Settings>,
    /// YAML that shows it.
    pub example: Option<String>,
}

/// All pages, in the order of the index.
#[must_use]
pub fn pages(registry: Registry) -> Vec<Page> {
    let mut pages = artifacts::pages(registry);
    pages.extend(registry.mediators.iter().map(step));
    pages.extend(registry.transports.iter().map(transport));
    pages.extend(registry.formats.iter().map(format));
    pages.extend(tables::pages());
    pages
}

fn step(spec: &StepSpec) -> Page {
    let (text, tables) = of_schema(spec.schema, "Settings");
    let (summary, text) = summary_and_text(&text);
    let bare = tables
        .first()
        .is_none_or(|table| table.rows.iter().all(|row| !row.required));
    let name = spec.name;
    let mut notes = Vec::new();
    if let Some(key) = spec.shorthand {
        notes.push(format!(
            "`- {name}: VALUE` is short for `- {name}: {{ {key}: VALUE }}`."
        ));
    }
    if bare {
        notes.push(format!("Without settings it is just `- {name}`."));
    }
    if spec.terminal {
        notes.push("It ends the exchange: no step can follow it in its list.".to_owned());
    }
    Page {
        kind: Kind::Step,
        name: name.to_owned(),
        summary,
        text,
        notes,
        settings: tables,
        example: Some(spec.example.trim_end().to_owned()),
    }
}

fn transport(spec: &TransportSpec) -> Page {
    let (summary, text) = summary_and_text(spec.docs);
    let name = spec.name;
    let mut settings = Vec::new();
    if let Some(listener) = &spec.listener {
        settings.extend(of_schema(listener.schema, "As a listener: `settings.listeners.NAME`").1);
    }
    if let Some(entry) = &spec.entry {
        settings.extend(
            of_schema(
                entry.schema,
                &format!("As the entry of a proxy: `from: {{ {name}: ... }}`"),
            )
            .1,
        );
    }
    let mut notes = Vec::new();
    if let Some(sender) = &spec.sender {
        settings.extend(of_schema(sender.schema, &format!("As an endpoint: `{name}: ...`")).1);
        let schemes: Vec<String> = sender
            .schemes
            .iter()
            .map(|scheme| format!("`{scheme}://`"))
            .collect();
        if !schemes.is_empty() {
            notes.push(format!(
                "An endpoint that is just a URL is sent to by it where the URL begins with {}.",
                schemes.join(" or ")
            ));
        }
    }
    Page {
        kind: Kind::Transport,
        name: name.to_owned(),
        summary,
        text,
        notes,
        settings,
        example: None,
    }
}

fn format(spec: &engine::format::FormatSpec) -> Page {
    let (summary, text) = summary_and_text(spec.docs);
    let types: Vec<String> = spec.media_types.iter().map(|name| format!("`{name}`")).collect();
    Page {
        kind: Kind::Format,
        name: spec.name.to_owned(),
        summary,
        text,
        notes: vec![format!("Media types: {}.", types.join(", "))],
        settings: Vec::new(),
        example: None,
    }
}

/// The documentation and the tables of a type.
fn of_schema(schema: fn(&mut SchemaGenerator) -> Schema, title: &str) -> (String, Vec<Settings>) {
    let mut generator = config::schema_generator();
    let root = schema(&mut generator).to_value();
    let definitions = generator.take_definitions(true);
    settings::tables(&root, &definitions, title)
}
