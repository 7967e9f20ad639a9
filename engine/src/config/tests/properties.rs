//! Whatever the input, nothing panics; whatever tree is written, the same is read.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Text made of the pieces that YAML and templates are made of.
fn yaml_like() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "b: ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "\t",
        "'",
        "\"",
        "|",
        ">-",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ": ",
        "#",
        "&x ",
        "*x",
        "!t ",
        "<<: ",
        "? ",
        "---\n",
        "...",
        "\r\n",
        "é",
        "🎵",
        "\\",
        "\\u00e9",
        "${",
        "${env.PORT}",
        "${secret.odd}",
        "$",
        "endpoints:\n  e:\n    ",
        "http: x",
        "timeout: 3",
        "steps:\n      - ",
        "proxies: ",
        "%YAML 1.2\n",
        "\u{feff}",
        "~",
        "0x1",
        "1.5",
        "null",
        "settings: { secrets: ",
    ];
    vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
}

/// Everything that can be done with a text.
fn exercise(yaml: &str) {
    let (gateway, project, diagnostics) = load_with(&[("m", yaml), ("n", yaml)], &[yaml]);
    render_all(&diagnostics, &project.sources, Style::Colour);
    diagnostics.to_json(&project.sources);
    drop(format!("{gateway:?} {:?}", project.root));
    every_span(&project.root, &project.sources);
}

fn every_span(node: &Node, sources: &Sources) {
    sources.slice(node.span);
    node.to_json();
    if let Some(text) = node.as_str() {
        for at in 0..=text.len() + 1 {
            sources.slice(node.span_within(at..at + 1));
        }
    }
    node.items().iter().for_each(|item| every_span(item, sources));
    node.entries()
        .iter()
        .for_each(|(_, value)| every_span(value, sources));
}

/// A tree and the styles it is to be written in.
#[derive(Debug, Clone)]
enum Tree {
    Null,
    Plain(String),
    Single(String),
    Double(String),
    Literal(String),
    Flow(Vec<Tree>),
    Block(Vec<Tree>),
    Mapping(Vec<(String, Tree)>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        "[a-zé][a-z0-9é]{0,6}( [a-z0-9:é]{1,4}x)?"
            .prop_filter("not null", |it| it != "null")
            .prop_map(Tree::Plain),
        "[ -~é🎵]{0,12}".prop_map(Tree::Single),
        any::<String>().prop_map(Tree::Double),
        "[a-z${}#:'\"é]([ a-z${}#:'\"é]{0,8}[a-z])?(\n{1,2} ?[a-z${}#:'\"é]{1,8}){0,3}\n"
            .prop_map(Tree::Literal),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let keys = prop::collection::btree_map("[a-zé][a-z0-9_.-]{0,8}", inner.clone(), 1..5);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Tree::Flow),
            vec(inner, 1..4).prop_map(Tree::Block),
            keys.prop_map(|entries| Tree::Mapping(entries.into_iter().collect())),
        ]
    })
}

impl Tree {
    fn node(&self) -> Node {
        let scalar = |text: &str, style| Node::scalar(Span::default(), text, style);
        match self {
            Tree::Null => Node::null(Span::default()),
            Tree::Plain(text) => scalar(text, ScalarStyle::Plain),
            Tree::Single(text) | Tree::Double(text) | Tree::Literal(text) => {
                scalar(text, ScalarStyle::DoubleQuoted)
            }
            Tree::Flow(items) | Tree::Block(items) => {
                Node::sequence(Span::default(), items.iter().map(Tree::node).collect::<Vec<_>>())
            }
            Tree::Mapping(entries) => {
                let key = |text: &str| Key {
                    text: text.into(),
                    span: Span::default(),
                };
                let entries = entries.iter().map(|(name, tree)| (key(name), tree.node()));
                Node::mapping(Span::default(), entries.collect::<Vec<_>>())
            }
        }
    }

    /// Within brackets, where blocks cannot stand.
    fn flow(&self) -> String {
        match self {
            Tree::Null => "null".to_owned(),
            Tree::Plain(text) => text.clone(),
            Tree::Single(text) => format!("'{}'", text.replace('\'', "''")),
            Tree::Double(text) | Tree::Literal(text) => double_quoted(text),
            Tree::Flow(items) | Tree::Block(items) => {
                format!(
                    "[{}]",
                    items.iter().map(Tree::flow).collect::<Vec<_>>().join(", ")
                )
            }
            Tree::Mapping(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, tree)| format!("\"{key}\": {}", tree.flow()));
                format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// After `key:` or `-`.
    fn block(&self, indent: usize, newline: &str) -> String {
        let pad = " ".repeat(indent);
        match self {
            Tree::Literal(text) => {
                let lines = text.lines().map(|line| {
                    if line.is_empty() {
                        String::new()
                    } else {
                        format!("{pad}{line}")
                    }
                });
                format!(" |{newline}{}{newline}", lines.collect::<Vec<_>>().join(newline))
            }
            Tree::Block(items) => {
                let items = items
                    .iter()
                    .map(|item| format!("{pad}-{}", item.block(indent + 2, newline)));
                format!("{newline}{}", items.collect::<String>())
            }
            Tree::Mapping(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, tree)| format!("{pad}\"{key}\":{}", tree.block(indent + 2, newline)));
                format!("{newline}{}", entries.collect::<String>())
            }
            _ => format!(" {} # é{newline}", self.flow()),
        }
    }
}

fn double_quoted(text: &str) -> String {
    let escape = |letter: char| match letter {
        '"' | '\\' => format!("\\{letter}"),
        ' '..='~' | 'é' | '🎵' => letter.to_string(),
        _ => format!("\\U{:08x}", u32::from(letter)),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

/// Every letter of every scalar is found where it is written.
fn letters_are_where_they_are_written(node: &Node, sources: &Sources) {
    for (at, letter) in node.as_str().unwrap_or_default().char_indices() {
        let written = sources.slice(node.span_within(at..at + letter.len_utf8()));
        let escaped = format!("\\U{:08x}", u32::from(letter));
        let fits = written == letter.to_string() || written == escaped || letter.is_whitespace();
        assert!(
            fits || matches!(written, "''" | "\\\"" | "\\\\"),
            "{letter:?} at {at} of {node:?} is written {written:?}"
        );
    }
    node.items()
        .iter()
        .for_each(|item| letters_are_where_they_are_written(item, sources));
    node.entries()
        .iter()
        .for_each(|(_, value)| letters_are_where_they_are_written(value, sources));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_on_yaml_like_text(text in yaml_like()) {
        exercise(&text);
    }

    #[test]
    fn nothing_panics_on_any_text(text in any::<String>()) {
        exercise(&text);
    }

    #[test]
    fn nothing_panics_on_any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.yaml");
        std::fs::write(&path, bytes).unwrap();
        let mut diagnostics = Diagnostics::new();
        let project = load_project(&path, &LoadOptions::default(), &mut diagnostics);
        render_all(&diagnostics, &project.sources, Style::Plain);
    }

    #[test]
    fn leaves_and_placeholders_never_panic(text in any::<String>(), odd in "[0-9a-zé/${}'\"|.]{0,20}") {
        for text in [text, odd] {
            let results = (Duration::parse(&text).is_ok(), Size::parse(&text).is_ok(), Rate::parse(&text).is_ok());
            prop_assert!(results.0 as u8 + results.1 as u8 + results.2 as u8 <= 1);
            placeholders(&text);
        }
    }

    #[test]
    fn trees_survive_writing_and_reading(tree in tree(), windows in any::<bool>()) {
        let newline = if windows { "\r\n" } else { "\n" };
        let yaml = format!("root:{}", tree.block(2, newline));
        let mut sources = Sources::default();
        let (node, problems) = parse(&mut sources, "m", &yaml);
        prop_assert!(problems.is_empty(), "{yaml}\n{problems:?}");
        let node = node.unwrap();
        let root = node.get("root").unwrap();
        prop_assert_eq!(root, &tree.node(), "{}", yaml);
        letters_are_where_they_are_written(root, &sources);
    }
}
