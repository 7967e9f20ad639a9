//! The tests of a project, read and checked before any of them runs.

use super::body;
use super::definition::{Call, Content, Expect, Mock, SendConfig, TestCase};
use crate::arguments::ProjectOptions;
use crate::project::{self, Loaded};
use engine::config::{self, Diagnostic, Diagnostics, Node, NodeValue, RawNode, Sources, Text, suggestion};
use http::{HeaderName, HeaderValue};
use std::path::Path;

/// Loads a project with its tests. Variables that a test brings are known to the project from the start, so that what
/// is reported are problems of the project and not of the machine.
#[must_use]
pub fn load(options: &ProjectOptions) -> (Loaded, Vec<TestCase>) {
    let mut loaded = project::load(options);
    let tests = read(&mut loaded);
    let variables: Vec<(String, String)> = tests.iter().flat_map(TestCase::variables).collect();
    if variables.is_empty() {
        return (loaded, tests);
    }
    let environment = project::environment_with(variables);
    let mut loaded = project::load_with(&options.path, &options.set, environment);
    let tests = read(&mut loaded);
    (loaded, tests)
}

/// Reads all test files of a project; their problems join those of the project.
pub fn read(loaded: &mut Loaded) -> Vec<TestCase> {
    let mut tests = Vec::new();
    for path in loaded.project.tests.clone() {
        tests.extend(read_file(
            &path,
            &mut loaded.project.sources,
            &mut loaded.diagnostics,
        ));
    }
    let endpoints = names(&loaded.project.root, "endpoints");
    for test in &tests {
        Check {
            endpoints: &endpoints,
            sources: &loaded.project.sources,
            diagnostics: &mut loaded.diagnostics,
        }
        .test(test);
    }
    tests
}

fn read_file(path: &Path, sources: &mut Sources, diagnostics: &mut Diagnostics) -> Vec<TestCase> {
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let source = sources.add(name.as_str(), "");
            let span = config::Span::new(source, 0, 0);
            diagnostics.push(Diagnostic::error(
                "config.unreadable",
                span,
                format!("`{name}` cannot be read: {error}"),
            ));
            return Vec::new();
        }
    };
    let (tree, problems) = config::parse(sources, &name, &text);
    diagnostics.extend(problems);
    match tree.filter(|tree| !tree.is_null()) {
        Some(tree) => config::read(&tree, diagnostics).unwrap_or_default(),
        None => Vec::new(),
    }
}

/// The names under a top-level key.
pub(super) fn names(root: &Node, key: &str) -> Vec<String> {
    let entries = root.get(key).map(Node::entries).unwrap_or_default();
    entries.iter().map(|(name, _)| name.text.to_string()).collect()
}

struct Check<'a> {
    endpoints: &'a [String],
    sources: &'a Sources,
    diagnostics: &'a mut Diagnostics,
}

impl Check<'_> {
    fn error(&mut self, code: &'static str, span: config::Span, message: String, help: Option<String>) {
        self.diagnostics
            .push(Diagnostic::error(code, span, message).maybe_help(help));
    }

    fn test(&mut self, test: &TestCase) {
        let exchanges = test.exchanges();
        if exchanges.is_empty() || (test.send.is_some() && !test.steps.is_empty()) {
            let help =
                Some("give it either `send:` with `expect:`, or a list of both under `steps:`".to_owned());
            let message = format!("the test `{}` needs one way to send", test.name.value);
            self.error("config.missing_key", test.name.span, message, help);
        }
        for (name, span, mock) in test.mocks.iter() {
            if !self.endpoints.iter().any(|endpoint| endpoint == name) {
                let help = suggestion(name, self.endpoints.iter().map(String::as_str));
                self.error(
                    "config.unknown_reference",
                    span,
                    format!("there is no endpoint `{name}`"),
                    help,
                );
            }
            self.mock(mock);
        }
        for step in &exchanges {
            self.send(&step.send, test);
            if let Some(expect) = &step.expect {
                self.expect(expect, test);
            }
        }
    }

    fn send(&mut self, send: &SendConfig, test: &TestCase) {
        match send.methods()[..] {
            [] if send.to.is_some() => {}
            [(_, path)] if send.to.is_some() => {
                let message = "a message goes either to an artifact or, with a method, to a path".to_owned();
                self.error("config.one_key", path.span(), message, None);
            }
            [(_, path)] if path.as_str().starts_with(['/', '$']) => {}
            [(_, path)] => {
                let help = Some(format!("write `/{}`", path.as_str()));
                self.error(
                    "config.bad_path",
                    path.span(),
                    "the path does not begin with `/`".to_owned(),
                    help,
                );
            }
            [] => {
                let help = Some(
                    "such as `send: { GET: /path }`, or `send: { to: PROXY }` for what has no path"
                        .to_owned(),
                );
                self.error(
                    "config.missing_key",
                    test.name.span,
                    "a request needs a method".to_owned(),
                    help,
                );
            }
            [_, (name, path), ..] => {
                let message = format!("a request has one method, and `{name}` is another one");
                self.error("config.one_key", path.span(), message, None);
            }
        }
        self.content(send.content());
        self.headers(
            send.headers
                .iter()
                .flat_map(|(name, span, values)| values.iter().map(move |value| (name, span, value))),
        );
    }

    fn mock(&mut self, mock: &Mock) {
        for reply in mock.reply.iter().chain(&mock.replies) {
            self.content(reply.content());
            self.headers(
                reply
                    .headers
                    .iter()
                    .flat_map(|(name, span, values)| values.iter().map(move |value| (name, span, value))),
            );
        }
    }

    fn headers<'b>(&mut self, headers: impl Iterator<Item = (&'b str, config::Span, &'b Text)>) {
        for (name, span, value) in headers {
            if HeaderName::try_from(name).is_err() {
                self.error(
                    "config.bad_value",
                    span,
                    format!("`{name}` is no header name"),
                    None,
                );
            }
            if HeaderValue::from_str(value.as_str()).is_err() {
                self.error(
                    "config.bad_value",
                    value.span(),
                    "this is no header value".to_owned(),
                    None,
                );
            }
        }
    }

    fn content(&mut self, content: Content<'_>) {
        if let [_, second, ..] = content.spans()[..] {
            self.error(
                "config.one_key",
                second,
                "a message has one body".to_owned(),
                None,
            );
        }
        if let Err(problem) = body::load(content, self.sources) {
            self.diagnostics.push(*problem);
        }
    }

    fn expect(&mut self, expect: &Expect, test: &TestCase) {
        for text in [&expect.xml, &expect.text, &expect.body].into_iter().flatten() {
            if let Err(problem) = body::text_or_file(text, self.sources) {
                self.diagnostics.push(*problem);
            }
        }
        for (name, span, calls) in expect.calls.iter() {
            if test.mocks.get(name).is_none() {
                let help = Some(format!(
                    "calls are known where the endpoint is mocked: add `mocks: {{ {name}: {{}} }}`"
                ));
                self.error(
                    "config.unknown_reference",
                    span,
                    format!("`{name}` is not mocked here"),
                    help,
                );
            }
            let (_, problems) = read_calls(calls);
            self.diagnostics.extend(problems);
        }
    }
}

/// What a test expects of the calls to one mock.
pub(super) enum Calls {
    /// Their number.
    Count(usize),
    /// What each of them was.
    Each(Vec<(config::Span, Call)>),
}

pub(super) fn read_calls(node: &RawNode) -> (Option<Calls>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let calls = match &node.value {
        NodeValue::Sequence(items) => {
            let read = |item: &Node| Some((item.span, config::read::<Call>(item, &mut diagnostics)?));
            Some(Calls::Each(items.iter().filter_map(read).collect()))
        }
        NodeValue::Mapping(_) => {
            let call = config::read::<Call>(node, &mut diagnostics);
            call.map(|call| Calls::Each(vec![(node.span, call)]))
        }
        _ => config::read::<usize>(node, &mut diagnostics).map(Calls::Count),
    };
    (calls, diagnostics)
}
