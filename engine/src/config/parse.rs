//! YAML text to [`Node`]. The events come from granit-parser, which gives exact byte spans; here they become a
//! tree, and whatever of YAML a configuration is better off without is refused with a position: duplicate keys,
//! merge keys, tags, keys that are not text, more than one document. Anchors and aliases work, within a budget.

use super::node::{Key, Scalar, ScalarStyle};
use super::yaml_error;
use super::{Diagnostic, Node, NodeValue, SourceId, Sources, Span};
use granit_parser::{Event, Parser, ScalarStyle as YamlStyle, StructureStyle};
use std::collections::HashMap;
use std::sync::Arc;

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 8 << 20;
/// Values in one file, each alias counted as all it stands for.
pub const NODES_MAX: usize = 500_000;
/// How deeply collections may be nested, aliases included.
pub const DEPTH_MAX: usize = 100;

/// Parses a file's text. The tree is missing after a syntax error; other problems leave a tree without the
/// offending entry.
pub fn parse(sources: &mut Sources, name: &str, text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    let source = sources.add(name, text);
    parse_source(sources, source, 0)
}

/// Parses a source already added, from byte `base` on.
pub(super) fn parse_source(
    sources: &Sources,
    source: SourceId,
    base: usize,
) -> (Option<Node>, Vec<Diagnostic>) {
    let file = sources.shared(source);
    if file.len() > FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes, more than the {FILE_BYTES_MAX} allowed",
            file.len()
        );
        return (
            None,
            vec![Diagnostic::error(
                "config.too_large",
                Span::new(source, 0, 0),
                message,
            )],
        );
    }
    let text = file.get(base..).unwrap_or_default();
    let builder = Builder::new(source, base, Arc::clone(&file));
    builder.run(text)
}

struct Builder {
    source: SourceId,
    base: usize,
    file: Arc<str>,
    diagnostics: Vec<Diagnostic>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Option<Built>>,
    nodes: usize,
    root: Option<Node>,
}

/// A collection being built.
struct Frame {
    start: Span,
    anchor: usize,
    block: bool,
    nodes: usize,
    depth: usize,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<(Key, Node)>,
        first_uses: HashMap<Arc<str>, Span>,
        pending: Pending,
    },
}

/// The key whose value comes next.
enum Pending {
    None,
    Key(Key),
    /// Refused and reported: its value is dropped.
    Refused,
}

/// A finished node, how many nodes it holds, and how deep it is.
#[derive(Clone)]
struct Built {
    node: Node,
    nodes: usize,
    depth: usize,
}

/// Building cannot go on; the reason is in the diagnostics.
struct Stop;

impl Builder {
    fn new(source: SourceId, base: usize, file: Arc<str>) -> Self {
        Self {
            source,
            base,
            file,
            diagnostics: Vec::new(),
            stack: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            root: None,
        }
    }

    fn run(mut self, text: &str) -> (Option<Node>, Vec<Diagnostic>) {
        let mut options = granit_parser::options! { emit_unresolved_aliases: true };
        options.set_emit_comments(false);
        for next in Parser::new_from_str_with_options(text, options) {
            let outcome = match next {
                Ok((event, span)) => self.event(event, span),
                Err(error) => {
                    let at = error.marker().byte_offset().unwrap_or(0) + self.base;
                    self.diagnostics
                        .push(yaml_error::explain(&error, self.source, &self.file, at));
                    Err(Stop)
                }
            };
            if outcome.is_err() {
                return (None, self.diagnostics);
            }
        }
        let nothing = Node::null(Span::new(self.source, self.base, self.base));
        (Some(self.root.unwrap_or(nothing)), self.diagnostics)
    }

    fn event(&mut self, event: Event<'_>, at: granit_parser::Span) -> Result<(), Stop> {
        let range = at.byte_range().unwrap_or(0..0);
        let span = Span::new(self.source, range.start + self.base, range.end + self.base);
        if let Some(tag) = at.tag_span().and_then(|tag| tag.byte_range()) {
            self.refuse_tag(Span::new(self.source, tag.start + self.base, tag.end + self.base));
        }
        match event {
            Event::DocumentStart(..) if self.root.is_some() => self.refuse_second_document(span),
            Event::Scalar(text, style, anchor, _) => self.scalar(&text, style, anchor, span),
            Event::SequenceStart(style, anchor, _) => {
                self.open(span, anchor, style, Kind::Sequence(Vec::new()))
            }
            Event::MappingStart(style, anchor, _) => {
                let (entries, first_uses) = (Vec::new(), HashMap::new());
                self.open(
                    span,
                    anchor,
                    style,
                    Kind::Mapping {
                        entries,
                        first_uses,
                        pending: Pending::None,
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::UnresolvedAlias(name) => self.refuse_alias(&name, span),
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, style: YamlStyle, anchor: usize, span: Span) -> Result<(), Stop> {
        let style = match style {
            YamlStyle::Plain => ScalarStyle::Plain,
            YamlStyle::SingleQuoted => ScalarStyle::SingleQuoted,
            YamlStyle::DoubleQuoted => ScalarStyle::DoubleQuoted,
            YamlStyle::Literal | YamlStyle::Folded => ScalarStyle::Block,
        };
        let file = Some(Arc::clone(&self.file));
        let scalar = Scalar {
            text: text.into(),
            style,
            file,
            substituted: None,
        };
        let node = Node {
            span,
            value: NodeValue::Scalar(scalar),
        };
        self.finish(
            Built {
                node,
                nodes: 1,
                depth: 0,
            },
            anchor,
        )
    }

    fn open(&mut self, start: Span, anchor: usize, style: StructureStyle, kind: Kind) -> Result<(), Stop> {
        self.check_depth(start, 1)?;
        if anchor != 0 {
            self.anchors.insert(anchor, None);
        }
        let block = style == StructureStyle::Block;
        self.stack.push(Frame {
            start,
            anchor,
            block,
            nodes: 1,
            depth: 1,
            kind,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Stop> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let span = frame.span(end);
        let value = match frame.kind {
            Kind::Sequence(items) => NodeValue::Sequence(items.into()),
            Kind::Mapping { entries, .. } => NodeValue::Mapping(entries.into()),
        };
        let built = Built {
            node: Node { span, value },
            nodes: frame.nodes,
            depth: frame.depth,
        };
        self.finish(built, frame.anchor)
    }

    /// A node is complete: it becomes the root, an item, a key or a value.
    fn finish(&mut self, built: Built, anchor: usize) -> Result<(), Stop> {
        self.count(built.node.span, 1)?;
        let mut built = built;
        let in_key_position = matches!(
            self.stack.last().map(|frame| &frame.kind),
            Some(Kind::Mapping {
                pending: Pending::None,
                ..
            })
        );
        if in_key_position {
            let key = self.key(&built.node);
            if anchor != 0 {
                self.anchors.insert(anchor, Some(built));
            }
            self.set_pending(key);
            return Ok(());
        }
        built.node = plain_null(built.node);
        if anchor != 0 {
            self.anchors.insert(anchor, Some(built.clone()));
        }
        self.attach(built);
        Ok(())
    }

    fn attach(&mut self, built: Built) {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(built.node);
            return;
        };
        frame.nodes += built.nodes;
        frame.depth = frame.depth.max(built.depth + 1);
        match &mut frame.kind {
            Kind::Sequence(items) => items.push(built.node),
            Kind::Mapping { entries, pending, .. } => {
                if let Pending::Key(key) = std::mem::replace(pending, Pending::None) {
                    let node = place_empty(built.node, key.span);
                    entries.push((key, node));
                }
            }
        }
    }

    fn set_pending(&mut self, key: Option<Key>) {
        if let Some(Frame {
            kind: Kind::Mapping { pending, .. },
            ..
        }) = self.stack.last_mut()
        {
            *pending = key.map_or(Pending::Refused, Pending::Key);
        }
    }

    /// The key, unless it is refused.
    fn key(&mut self, node: &Node) -> Option<Key> {
        let Some(scalar) = node.as_scalar() else {
            let help = "a key that begins with `{` or `[` needs quotes";
            self.diagnostics.push(
                Diagnostic::error(
                    "config.key_not_text",
                    node.span,
                    "a key must be text, not a collection",
                )
                .help(help),
            );
            return None;
        };
        if scalar.text.is_empty() || (!scalar.quoted() && &*scalar.text == "~") {
            self.diagnostics.push(Diagnostic::error(
                "config.key_empty",
                node.span,
                "the key is empty",
            ));
            return None;
        }
        if &*scalar.text == "<<" && !scalar.quoted() {
            self.refuse_merge_key(node.span);
            return None;
        }
        let key = Key {
            text: Arc::clone(&scalar.text),
            span: node.span,
        };
        self.first_use(key)
    }

    fn first_use(&mut self, key: Key) -> Option<Key> {
        let Some(Frame {
            kind: Kind::Mapping { first_uses, .. },
            ..
        }) = self.stack.last_mut()
        else {
            return Some(key);
        };
        let Some(first) = first_uses.insert(Arc::clone(&key.text), key.span) else {
            return Some(key);
        };
        first_uses.insert(Arc::clone(&key.text), first);
        let message = format!("the key `{}` occurs twice", key.text);
        self.diagnostics.push(
            Diagnostic::error("config.duplicate_key", key.span, message)
                .label("again here")
                .secondary(first, "first used here")
                .help("a key may occur once in a mapping; merge the two or rename one"),
        );
        None
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(Some(built)) = self.anchors.get(&anchor).cloned() else {
            self.diagnostics.push(Diagnostic::error(
                "config.alias",
                span,
                "an alias cannot stand inside the value it refers to",
            ));
            return self.finish_refused(span);
        };
        self.check_depth(span, built.depth)?;
        self.count(span, built.nodes)?;
        self.finish(built, 0)
    }

    fn finish_refused(&mut self, span: Span) -> Result<(), Stop> {
        self.finish(
            Built {
                node: Node::refused(span),
                nodes: 1,
                depth: 0,
            },
            0,
        )
    }

    fn check_depth(&mut self, span: Span, more: usize) -> Result<(), Stop> {
        if self.stack.len() + more <= DEPTH_MAX {
            return Ok(());
        }
        let message = format!("nested more than {DEPTH_MAX} levels deep");
        self.diagnostics
            .push(Diagnostic::error("config.too_deep", span, message));
        Err(Stop)
    }

    fn count(&mut self, span: Span, more: usize) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let message =
            format!("the file has more than {NODES_MAX} values, aliases counted as what they stand for");
        self.diagnostics
            .push(Diagnostic::error("config.too_large", span, message));
        Err(Stop)
    }

    fn refuse_tag(&mut self, span: Span) {
        self.diagnostics.push(
            Diagnostic::error("config.yaml_tag", span, "YAML tags are not used here")
                .help("put a value in quotes to make it text; leave the tag out otherwise"),
        );
    }

    fn refuse_merge_key(&mut self, span: Span) {
        self.diagnostics.push(
            Diagnostic::error("config.merge_key", span, "YAML merge keys are not supported")
                .help("write the keys out, or share a whole value with `&name` and `*name`"),
        );
    }

    fn refuse_alias(&mut self, name: &str, span: Span) -> Result<(), Stop> {
        self.diagnostics.push(
            Diagnostic::error(
                "config.alias",
                span,
                format!("nothing before this is marked `&{name}`"),
            )
            .help("a text that begins with `*` needs quotes"),
        );
        self.finish_refused(span)
    }

    fn refuse_second_document(&mut self, span: Span) -> Result<(), Stop> {
        self.diagnostics.push(
            Diagnostic::error(
                "config.second_document",
                span,
                "a file holds one YAML document, this begins another",
            )
            .help("put it into a file of its own in the same folder, or remove the `---`"),
        );
        Err(Stop)
    }
}

impl Frame {
    /// A flow collection ends with its bracket, a block collection with its last value.
    fn span(&self, end: Span) -> Span {
        if !self.block {
            return self.start.to(end);
        }
        let last = match &self.kind {
            Kind::Sequence(items) => items.last().map(|node| node.span),
            Kind::Mapping { entries, .. } => entries.last().map(|(key, node)| key.span.to(node.span)),
        };
        last.filter(|last| last.end >= self.start.start)
            .map_or(self.start, |last| self.start.to(last))
    }
}

/// An unquoted scalar that means nothing is nothing.
fn plain_null(node: Node) -> Node {
    let nothing = node.as_scalar().is_some_and(|scalar| {
        !scalar.quoted()
            && !scalar.substituted()
            && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL")
    });
    if nothing { Node::null(node.span) } else { node }
}

/// A value that is not there is shown at its key.
fn place_empty(node: Node, key: Span) -> Node {
    if node.is_null() && node.span.start == node.span.end {
        Node { span: key, ..node }
    } else {
        node
    }
}
