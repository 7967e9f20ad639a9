//! Expectations against what came. Every one that does not hold is a diagnostic at its own place in the test file.

use super::definition::{Expect, Pattern};
use super::{body, diff, json, xml};
use crate::client::Received;
use ::xml::xpath::{Namespaces, XPath};
use engine::config::{self, Diagnostic, Diagnostics, Node, NodeValue, RawNode, Sources, Span, Text};
use http::{HeaderMap, HeaderName};
use serde_json::Value as Json;

/// An expectation that does not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What, and where it was expected.
    pub diagnostic: Diagnostic,
    /// What came, or how it differs.
    pub detail: Option<String>,
}

impl Failure {
    /// A failure at a place.
    pub fn at(span: Span, message: impl Into<String>) -> Self {
        Self {
            diagnostic: Diagnostic::error("test.failed", span, message),
            detail: None,
        }
    }

    fn label(mut self, label: impl Into<String>) -> Self {
        self.diagnostic = self.diagnostic.label(label);
        self
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Compares messages with expectations.
pub struct Comparison<'a> {
    /// The test's texts.
    pub sources: &'a Sources,
    /// Prefixes for XPath.
    pub namespaces: &'a Namespaces,
    /// What did not hold.
    pub failures: Vec<Failure>,
}

impl Comparison<'_> {
    /// Checks everything but the calls.
    pub fn message(&mut self, expect: &Expect, received: &Received) {
        let before = self.failures.len();
        self.status(expect, received);
        self.parts(expect, received);
        // The body is shown once.
        if let [first, rest @ ..] = &mut self.failures[before..]
            && rest.iter().any(|failure| failure.detail.is_some())
        {
            first.detail = None;
        }
    }

    fn parts(&mut self, expect: &Expect, received: &Received) {
        self.headers(expect, &received.headers);
        if let Some(json) = &expect.json {
            self.json(json, expect.exact, received);
        }
        if let Some(xml) = &expect.xml {
            self.xml(xml, received);
        }
        if let Some(text) = &expect.text {
            self.text(text, received);
        }
        if let Some(body) = &expect.body {
            self.body(body, received);
        }
        for text in expect.contains.iter() {
            if !received.text().contains(text.as_str()) {
                let failure = Failure::at(text.span(), "the body does not contain this");
                self.failures
                    .push(failure.detail(diff::excerpt(&received.text())));
            }
        }
        if !expect.xpath.is_empty() {
            self.xpath(expect, received);
        }
        if !expect.jsonpath.is_empty() {
            self.jsonpath(expect, received);
        }
        if let Some(code) = &expect.fault {
            self.fault(code, received);
        }
    }

    fn status(&mut self, expect: &Expect, received: &Received) {
        let status = received.status.as_u16().to_string();
        let fits = |wanted: &Text| match wanted.as_str().strip_suffix("xx") {
            Some(class) => status.starts_with(class),
            None => wanted.as_str() == status,
        };
        let Some(first) = expect.status.first() else {
            return;
        };
        if !expect.status.iter().any(fits) {
            let failure =
                Failure::at(first.span(), "the status is another one").label(format!("it is {status}"));
            self.failures
                .push(failure.detail(diff::excerpt(&pretty(received))));
        }
    }

    fn headers(&mut self, expect: &Expect, headers: &HeaderMap) {
        for (name, span, wanted) in expect.headers.iter() {
            let Ok(header) = HeaderName::try_from(name) else {
                self.failures
                    .push(Failure::at(span, format!("`{name}` is no header name")));
                continue;
            };
            let values = headers.get_all(&header).iter();
            let values: Vec<String> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            match (&wanted.value, &values[..]) {
                (NodeValue::Null, []) => {}
                (NodeValue::Null, _) => {
                    let failure = Failure::at(span, format!("the header `{name}` must be absent"));
                    self.failures
                        .push(failure.label(format!("it is `{}`", values.join(", "))));
                }
                (_, []) => self
                    .failures
                    .push(Failure::at(span, format!("the header `{name}` is missing"))),
                (NodeValue::Sequence(items), _) => {
                    let items: Vec<&str> = items.iter().filter_map(Node::as_str).collect();
                    if items != values {
                        let failure = Failure::at(wanted.span, format!("the header `{name}` is another one"));
                        self.failures
                            .push(failure.label(format!("it is `{}`", values.join("`, `"))));
                    }
                }
                _ => self.text_value(wanted, &values.join(", "), &format!("the header `{name}`")),
            }
        }
    }

    /// A value as text: exactly, or by a pattern.
    fn text_value(&mut self, wanted: &RawNode, actual: &str, what: &str) {
        if let NodeValue::Mapping(_) = wanted.value {
            return self.pattern(wanted, actual, what);
        }
        if wanted.as_str() != Some(actual) {
            let failure =
                Failure::at(wanted.span, format!("{what} is another one")).label(format!("it is `{actual}`"));
            self.failures.push(failure);
        }
    }

    fn pattern(&mut self, wanted: &RawNode, actual: &str, what: &str) {
        let mut problems = Diagnostics::new();
        let pattern = config::read::<Pattern>(wanted, &mut problems).unwrap_or_default();
        self.failures
            .extend(problems.into_iter().map(|diagnostic| Failure {
                diagnostic,
                detail: None,
            }));
        if let Some(text) = pattern.contains.filter(|text| !actual.contains(text.as_str())) {
            let failure = Failure::at(text.span(), format!("{what} does not contain this"));
            self.failures.push(failure.label(format!("it is `{actual}`")));
        }
        let Some(text) = pattern.matches else { return };
        match regex::Regex::new(text.as_str()) {
            Ok(regex) if regex.is_match(actual) => {}
            Ok(_) => {
                let failure = Failure::at(text.span(), format!("{what} does not match"));
                self.failures.push(failure.label(format!("it is `{actual}`")));
            }
            Err(error) => self.failures.push(Failure::at(
                text.span(),
                format!("this is no regular expression: {error}"),
            )),
        }
    }

    fn json(&mut self, wanted: &RawNode, exact: bool, received: &Received) {
        let from_file = wanted
            .as_str()
            .filter(|text| text.starts_with("file:"))
            .and_then(|_| Text::from_node(wanted));
        let Some(actual) = self.json_body(wanted.span, received) else {
            return;
        };
        let found = match from_file {
            None => json::differences(wanted, &actual, exact),
            Some(text) => match self.json_file(&text) {
                Ok(expected) if json::equal(&expected, &actual, exact) => Vec::new(),
                Ok(expected) => {
                    let detail = diff::lines(&format!("{expected:#}"), &format!("{actual:#}"));
                    vec![Failure::at(wanted.span, "the JSON body is another one").detail(detail)]
                }
                Err(failure) => vec![*failure],
            },
        };
        let count = found.len();
        self.failures.extend(found);
        if let Some(last) = self
            .failures
            .last_mut()
            .filter(|last| count > 0 && last.detail.is_none())
        {
            last.detail = Some(format!("the body:\n{}", diff::excerpt(&format!("{actual:#}"))));
        }
    }

    fn json_file(&self, text: &Text) -> Result<Json, Box<Failure>> {
        let (bytes, _) = self.expected(text)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Box::new(Failure::at(text.span(), format!("the file is not JSON: {error}"))))
    }

    fn expected(&self, text: &Text) -> Result<(bytes::Bytes, Option<String>), Box<Failure>> {
        body::text_or_file(text, self.sources).map_err(|diagnostic| {
            Box::new(Failure {
                diagnostic: *diagnostic,
                detail: None,
            })
        })
    }

    fn json_body(&mut self, span: Span, received: &Received) -> Option<Json> {
        match serde_json::from_slice(&received.body) {
            Ok(json) => Some(json),
            Err(error) => {
                let failure = Failure::at(span, format!("the body is not JSON: {error}"));
                self.failures
                    .push(failure.detail(diff::excerpt(&received.text())));
                None
            }
        }
    }

    fn xml(&mut self, wanted: &Text, received: &Received) {
        let expected = self.expected(wanted).and_then(|(bytes, _)| {
            xml::canonical(&String::from_utf8_lossy(&bytes)).map_err(|error| {
                let message = format!("what is expected is not XML: {error}");
                Box::new(Failure::at(wanted.span(), message))
            })
        });
        let actual = xml::canonical(&received.text());
        match (expected, actual) {
            (Ok(expected), Ok(actual)) if expected == actual => {}
            (Ok(expected), Ok(actual)) => {
                let failure = Failure::at(wanted.span(), "the XML body is another one");
                self.failures
                    .push(failure.detail(diff::lines(&expected, &actual)));
            }
            (Err(failure), _) => self.failures.push(*failure),
            (_, Err(error)) => {
                let failure = Failure::at(wanted.span(), format!("the body is not XML: {error}"));
                self.failures
                    .push(failure.detail(diff::excerpt(&received.text())));
            }
        }
    }

    fn text(&mut self, wanted: &Text, received: &Received) {
        match self.expected(wanted) {
            Err(failure) => self.failures.push(*failure),
            Ok((bytes, _)) => {
                let (expected, actual) = (String::from_utf8_lossy(&bytes), received.text());
                let (expected, actual) = (unix(&expected), unix(&actual));
                if expected.trim_end() != actual.trim_end() {
                    let failure = Failure::at(wanted.span(), "the text is another one");
                    self.failures
                        .push(failure.detail(diff::lines(&expected, &actual)));
                }
            }
        }
    }

    fn body(&mut self, wanted: &Text, received: &Received) {
        match self.expected(wanted) {
            Err(failure) => self.failures.push(*failure),
            Ok((bytes, _)) if bytes == received.body => {}
            Ok((bytes, _)) => {
                let message = format!(
                    "the body is another one: {} bytes expected, {} came",
                    bytes.len(),
                    received.body.len()
                );
                let detail = diff::lines(&String::from_utf8_lossy(&bytes), &received.text());
                self.failures
                    .push(Failure::at(wanted.span(), message).detail(detail));
            }
        }
    }

    fn xpath(&mut self, expect: &Expect, received: &Received) {
        let document = match ::xml::Document::parse(received.body.clone(), &::xml::Limits::default()) {
            Ok(document) => document,
            Err(error) => {
                let span = expect
                    .xpath
                    .iter()
                    .next()
                    .map(|(_, span, _)| span)
                    .unwrap_or_default();
                let failure = Failure::at(span, format!("the body is not XML: {error}"));
                return self
                    .failures
                    .push(failure.detail(diff::excerpt(&received.text())));
            }
        };
        for (text, span, wanted) in expect.xpath.iter() {
            let value = XPath::compile(text, self.namespaces)
                .and_then(|path| path.evaluate(&document, document.document_node(), &()));
            match value {
                Err(error) => self.failures.push(Failure::at(span, error.to_string())),
                Ok(value) => {
                    let absent = value.nodes().is_some_and(<[_]>::is_empty);
                    match (wanted.is_null(), absent) {
                        (true, true) => {}
                        (true, false) => self.failures.push(Failure::at(span, "this must be absent")),
                        (false, true) => self.failures.push(Failure::at(span, "nothing is selected")),
                        (false, false) => self.text_value(wanted, &value.string(&document), "the value"),
                    }
                }
            }
        }
    }

    fn jsonpath(&mut self, expect: &Expect, received: &Received) {
        let span = expect
            .jsonpath
            .iter()
            .next()
            .map(|(_, span, _)| span)
            .unwrap_or_default();
        let Some(body) = self.json_body(span, received) else {
            return;
        };
        for (text, span, wanted) in expect.jsonpath.iter() {
            let path = match serde_json_path::JsonPath::parse(text) {
                Ok(path) => path,
                Err(error) => {
                    self.failures.push(Failure::at(span, error.to_string()));
                    continue;
                }
            };
            let found = path.query(&body).all();
            match (&found[..], &wanted.value) {
                ([], NodeValue::Null) => {}
                ([], NodeValue::Sequence(items)) if items.is_empty() => {}
                ([], _) => self.failures.push(Failure::at(span, "nothing is selected")),
                ([one], NodeValue::Mapping(_)) if is_pattern(wanted) => {
                    let text = one.as_str().map_or_else(|| one.to_string(), str::to_owned);
                    self.pattern(wanted, &text, "the value");
                }
                ([one], NodeValue::Sequence(_)) if !one.is_array() => {
                    self.failures.extend(json::differences(
                        wanted,
                        &Json::Array(vec![(*one).clone()]),
                        false,
                    ));
                }
                ([one], _) => self.failures.extend(json::differences(wanted, one, false)),
                (several, _) => {
                    let several = Json::Array(several.iter().map(|it| (*it).clone()).collect());
                    self.failures.extend(json::differences(wanted, &several, false));
                }
            }
        }
    }

    fn fault(&mut self, wanted: &Text, received: &Received) {
        let code = fault_code(received);
        if code.as_deref() != Some(wanted.as_str()) {
            let label = code.map_or_else(
                || "the reply tells of none".to_owned(),
                |code| format!("it is `{code}`"),
            );
            let failure = Failure::at(wanted.span(), "the fault is another one").label(label);
            self.failures
                .push(failure.detail(diff::excerpt(&pretty(received))));
        }
    }
}

/// Text with line breaks as in the YAML file: CSV, for one, has others.
fn unix(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// `{ contains: ... }` and `{ matches: ... }`, rather than an object that is expected.
fn is_pattern(node: &Node) -> bool {
    node.entries()
        .iter()
        .all(|(key, _)| matches!(&*key.text, "contains" | "matches"))
}

/// The stable code of the fault that a reply tells of: in a problem document, its XML form, or the detail of a SOAP
/// fault; in plain text what stands before the colon.
fn fault_code(received: &Received) -> Option<String> {
    if let Ok(json) = serde_json::from_slice::<Json>(&received.body) {
        return json.get("code")?.as_str().map(str::to_owned);
    }
    let text = received.text();
    let Ok(document) = ::xml::Document::parse_str(&text) else {
        return text
            .split([':', ' ', '\n'])
            .find(|word| word.contains('.'))
            .map(str::to_owned);
    };
    let codes = document.descendants(document.document_node()).filter(|id| {
        let name = document.name(*id);
        name.is_some_and(|name| name.local == "code" && document.is_element(*id))
    });
    codes
        .map(|id| document.string_value(id).into_owned())
        .find(|code| code.contains('.'))
}

/// A body as people read it: JSON indented, anything else as it is.
#[must_use]
pub fn pretty(received: &Received) -> String {
    match serde_json::from_slice::<Json>(&received.body) {
        Ok(json) => format!("{json:#}"),
        Err(_) => received.text().into_owned(),
    }
}
