//! The setting `split`: what the parts of a file are, and what becomes of those that fail.

use super::elements::{Elements, Name};
use super::items::Items;
use super::lines::Lines;
use super::rows::Rows;
use super::scan::Scan;
use crate::files::media;
use engine::build::Build;
use engine::config::{Node, RawNode, Size, Spanned};
use mime::Mime;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Deref;

/// `split: rows`, or a mapping with more.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct SplitSetting(RawNode);

impl Deref for SplitSetting {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl JsonSchema for SplitSetting {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "split".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<Into>();
        let whole = generator.subschema_for::<SplitConfig>();
        json_schema!({ "anyOf": [word, whole] })
    }
}

/// Delivers a file in parts, without ever holding all of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SplitConfig {
    /// What a part is. Each part is a small document of the same format as the file.
    pub into: Into,
    /// For `elements`: their name, as `order` in any namespace or as `o:order` with a prefix of the project's `namespaces`.
    pub name: Option<Spanned<String>>,
    /// For `items`: the keys that lead to the array, as `data.orders`. By default the document is the array.
    pub at: Option<Spanned<String>>,
    /// So many lines, rows or items are one message; at most, since a message is no longer than `part_max`. Items become an array then.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub group: usize,
    /// The longest part, and the longest message. A file with a longer part goes to the listener's `on_fault` when it comes there.
    #[serde(default = "part_max")]
    pub part_max: Size,
    /// What happens when a part failed for good. A part that is kept as a dead letter has not failed: the file goes on.
    #[serde(default)]
    pub on_fault: PartFault,
    /// With `set_aside` the most parts of a file that may fail; one more stops it.
    #[serde(default = "thousand")]
    pub set_aside_max: u64,
    /// After so many parts it is noted how far the file has come. So many, and `concurrency` more, can come twice after a crash.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub checkpoint: u64,
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Into {
    /// A line, without its line break; blank lines are left out. For newline-delimited JSON too.
    Lines,
    /// A row of comma-separated values, with the header row before it. Line breaks in quoted cells end no row.
    Rows,
    /// An XML element with this `name`, with the namespaces that are in scope declared on it.
    Elements,
    /// An item of a JSON array.
    Items,
}

/// What happens when a part failed for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PartFault {
    /// The file stops there and goes to the listener's `on_fault`.
    #[default]
    Stop,
    /// The part goes to the listener's `on_fault` as a file of its own, `orders-part-17.csv`, and the file goes on.
    SetAside,
}

fn one() -> usize {
    1
}

fn thousand() -> u64 {
    1000
}

fn part_max() -> Size {
    Size::from_kib(1024)
}

/// The setting, ready to run.
pub(crate) struct Split {
    pub(super) into: Into,
    name: Option<Name>,
    at: Vec<String>,
    pub(super) group: usize,
    pub(super) part_max: usize,
    pub(super) on_fault: PartFault,
    pub(super) set_aside_max: u64,
    pub(super) checkpoint: u64,
}

impl Split {
    /// Checks the setting.
    pub(crate) fn build(setting: &Node, cx: &mut Build<'_>) -> Option<Self> {
        let config: SplitConfig = cx.read_with_shorthand(setting, "into")?;
        let wrong = |cx: &mut Build<'_>, span, message: &str, help: &str| {
            cx.error("config.bad_value", span, message, Some(help.to_owned()));
            None
        };
        let name = match (config.into, &config.name) {
            (Into::Elements, Some(name)) => Some(element(name, cx)?),
            (Into::Elements, None) => {
                return wrong(
                    cx,
                    setting.span,
                    "`elements` need a `name`",
                    "write `split: { into: elements, name: order }`",
                );
            }
            (_, Some(name)) => return wrong(cx, name.span, "only `elements` have a `name`", "leave it out"),
            _ => None,
        };
        let at = match (config.into, &config.at) {
            (Into::Items, Some(at)) if at.value.split('.').any(str::is_empty) => {
                return wrong(
                    cx,
                    at.span,
                    "this is no list of keys",
                    "write keys with dots between, as `data.orders`",
                );
            }
            (Into::Items, Some(at)) => at.value.split('.').map(str::to_owned).collect(),
            (_, Some(at)) => return wrong(cx, at.span, "only `items` are `at` some key", "leave it out"),
            _ => Vec::new(),
        };
        if config.into == Into::Elements && config.group > 1 {
            return wrong(cx, setting.span, "elements come one by one", "leave out `group`");
        }
        Some(Self {
            into: config.into,
            name,
            at,
            group: config.group,
            part_max: config.part_max.as_usize().max(1),
            on_fault: config.on_fault,
            set_aside_max: config.set_aside_max,
            checkpoint: config.checkpoint,
        })
    }

    #[cfg(test)]
    pub(super) fn of(into: Into, name: Option<Name>, at: &[&str], group: usize, part_max: usize) -> Self {
        Self {
            into,
            name,
            at: at.iter().map(|key| (*key).to_owned()).collect(),
            group,
            part_max,
            on_fault: PartFault::Stop,
            set_aside_max: 1000,
            checkpoint: 1000,
        }
    }

    /// The scanner for a file of this media type.
    pub(super) fn scanner(&self, media_type: &str) -> Box<dyn Scan> {
        match self.into {
            Into::Lines => Box::<Lines>::default(),
            Into::Rows => {
                let (delimiter, has_header) = csv_parameters(&self.media_type(media_type));
                Box::new(Rows::new(delimiter, has_header))
            }
            Into::Elements => {
                let any = || Name {
                    namespace: None,
                    local: String::new(),
                };
                Box::new(Elements::new(self.name.clone().unwrap_or_else(any)))
            }
            Into::Items => Box::new(Items::new(&self.at, self.group > 1)),
        }
    }

    /// The media type of a part of a file of this media type.
    pub(super) fn media_type(&self, of_file: &str) -> String {
        let unknown = of_file == media::BINARY;
        let essence = of_file.split(';').next().unwrap_or_default().trim();
        match self.into {
            Into::Lines if essence == "application/x-ndjson" && self.group == 1 => "application/json",
            Into::Rows if unknown => "text/csv",
            Into::Rows if essence == "text/tab-separated-values" => "text/csv; delimiter=tab",
            Into::Elements if unknown => "application/xml",
            Into::Items if unknown => "application/json",
            _ => of_file,
        }
        .to_owned()
    }
}

/// The name of an element; its prefix has to be known.
fn element(name: &Spanned<String>, cx: &mut Build<'_>) -> Option<Name> {
    let (prefix, local) = match name.value.split_once(':') {
        Some((prefix, local)) => (Some(prefix), local),
        None => (None, name.value.as_str()),
    };
    let is_name = |text: &str| {
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "<>/:'\"&=".contains(c))
    };
    if !is_name(local) || prefix.is_some_and(|prefix| !is_name(prefix)) {
        cx.error(
            "config.bad_value",
            name.span,
            "this is no name of an element",
            None,
        );
        return None;
    }
    let namespace = match prefix {
        None => None,
        Some(prefix) => match cx.namespaces().lookup(prefix) {
            Some(namespace) => Some(namespace.to_owned()),
            None => {
                let help = Some(format!("add `{prefix}` to `namespaces`"));
                cx.error(
                    "config.unknown_prefix",
                    name.span,
                    "this prefix stands for no namespace",
                    help,
                );
                return None;
            }
        },
    };
    Some(Name {
        namespace,
        local: local.to_owned(),
    })
}

/// The delimiter, and whether there is a header row (RFC 4180 section 3; `delimiter` is ours, as in the CSV format).
fn csv_parameters(media_type: &str) -> (u8, bool) {
    let Ok(media) = media_type.parse::<Mime>() else {
        return (b',', true);
    };
    let delimiter = match media
        .get_param("delimiter")
        .map(|given| given.as_str().as_bytes().to_vec())
        .as_deref()
    {
        Some(b"tab") => b'\t',
        Some([one]) if one.is_ascii() && !matches!(one, b'"' | b'\r' | b'\n') => *one,
        _ => b',',
    };
    let absent = media
        .get_param("header")
        .is_some_and(|header| header.as_str() == "absent");
    (delimiter, !absent)
}
