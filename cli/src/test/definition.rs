//! The format of `*.test.yaml` files. They are read like definitions are: a typo is a diagnostic with its place.

use engine::config::{Duration, Named, OneOrMany, RawNode, Span, Spanned, Text};
use schemars::JsonSchema;
use serde::Deserialize;

/// One test. It starts at a real listener, or at the artifact that a queue or a folder would deliver to, and ends at a real endpoint, or at a
/// mock with the endpoint's name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestCase {
    /// What the test shows, in a few words.
    pub name: Spanned<String>,
    /// Environment variables that the project sees in this test.
    #[serde(default)]
    pub env: Named<Text>,
    /// Values laid over the project in this test, as `--set` does: `settings.limits.body=1KiB`.
    #[serde(default)]
    pub set: OneOrMany<Text>,
    /// Endpoints that are replaced by a server which answers as it is told and remembers what it was asked.
    #[serde(default)]
    pub mocks: Named<Mock>,
    /// Whether it works with the real servers of the project's `connections`, which `mediary test --live` does. In other tests
    /// nothing is received from them.
    #[serde(default)]
    pub live: bool,
    /// The request.
    pub send: Option<SendConfig>,
    /// What has to come back.
    pub expect: Option<Expect>,
    /// Several requests in order, instead of one. State such as rate limits and breakers lasts from one to the next.
    #[serde(default)]
    pub steps: Vec<TestStep>,
}

/// One request of several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestStep {
    /// The request.
    pub send: SendConfig,
    /// What has to come back. `calls` counts from this request on.
    pub expect: Option<Expect>,
    /// What later requests need of the reply, by a name that they write as `${name}` in paths, headers and bodies: the name of a
    /// header, or a JSONPath such as `$.id`.
    #[serde(default)]
    pub keep: Named<Text>,
}

/// A request: exactly one method with its path, or `to` an artifact without one, and at most one body.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendConfig {
    /// Path and query of a GET.
    #[serde(rename = "GET")]
    pub get: Option<Text>,
    /// Path and query of a POST.
    #[serde(rename = "POST")]
    pub post: Option<Text>,
    /// Path and query of a PUT.
    #[serde(rename = "PUT")]
    pub put: Option<Text>,
    /// Path and query of a PATCH.
    #[serde(rename = "PATCH")]
    pub patch: Option<Text>,
    /// Path and query of a DELETE.
    #[serde(rename = "DELETE")]
    pub delete: Option<Text>,
    /// Path and query of a HEAD.
    #[serde(rename = "HEAD")]
    pub head: Option<Text>,
    /// Path and query of an OPTIONS.
    #[serde(rename = "OPTIONS")]
    pub options: Option<Text>,
    /// Instead of a method: the proxy or task (`tasks.NAME`) that gets the message as its queue, folder or schedule would deliver it,
    /// for the last time. What becomes of it is the reply; a fault has the status that an HTTP client would see.
    pub to: Option<Spanned<String>>,
    /// With `to`: what expressions read as `source`, such as `{ name: orders.csv }`.
    pub source: Option<RawNode>,
    /// The listener it goes to; without it `http`, or else the first one without TLS.
    pub listener: Option<Spanned<String>>,
    /// Headers. A list sends the header several times.
    pub headers: Named<OneOrMany<Text>>,
    /// The body as it is, or `file:PATH`.
    pub body: Option<Text>,
    /// A JSON body, written as YAML.
    pub json: Option<RawNode>,
    /// An XML body.
    pub xml: Option<Text>,
    /// A text body.
    pub text: Option<Text>,
    /// The fields of a form, sent as `application/x-www-form-urlencoded`.
    pub form: Option<Named<Text>>,
    /// The file that is the body, relative to the test.
    pub file: Option<Text>,
    /// The media type where it is not the usual one of the body.
    pub content_type: Option<Text>,
}

/// What replaces an endpoint.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mock {
    /// The reply to every call.
    pub reply: Option<Reply>,
    /// Replies in order, one for each call; the last one is repeated.
    pub replies: Vec<Reply>,
    /// A backend that fails every call.
    pub fault: Option<MockFault>,
}

/// A mock's reply: at most one body.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reply {
    /// The status; 200 without it.
    pub status: Option<u16>,
    /// Headers. A list sends the header several times.
    pub headers: Named<OneOrMany<Text>>,
    /// The body as it is, or `file:PATH`.
    pub body: Option<Text>,
    /// A JSON body, written as YAML.
    pub json: Option<RawNode>,
    /// An XML body.
    pub xml: Option<Text>,
    /// A text body.
    pub text: Option<Text>,
    /// The file that is the body, relative to the test.
    pub file: Option<Text>,
    /// The media type where it is not the usual one of the body.
    pub content_type: Option<Text>,
    /// How long the mock waits before it replies.
    pub delay: Option<Duration>,
    /// A failure instead of this reply.
    pub fault: Option<ReplyFault>,
}

/// How a backend can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MockFault {
    /// Connections are refused.
    Refuse,
    /// The request is read, then the connection is closed without a reply.
    Close,
    /// The request is read, and no reply ever comes.
    Timeout,
}

/// How a single call can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplyFault {
    /// The request is read, then the connection is closed without a reply.
    Close,
    /// The request is read, and no reply ever comes.
    Timeout,
}

/// What has to come back. What is not named is not checked.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The status, a class such as `2xx`, or a list of those that are fine.
    pub status: OneOrMany<Text>,
    /// Headers: a value, `null` for one that must be absent, or `{ contains: TEXT }` or `{ matches: REGEX }`.
    pub headers: Named<RawNode>,
    /// The JSON body. Of a mapping the keys named here have to be there; lists have to be complete.
    pub json: Option<RawNode>,
    /// Whether mappings in `json` may have no other keys.
    pub exact: bool,
    /// The XML body, or `file:PATH`. Prefixes, the order of attributes and blanks between elements do not count.
    pub xml: Option<Text>,
    /// The body as text, or `file:PATH`. Blanks at the end and the kind of line breaks do not count.
    pub text: Option<Text>,
    /// The body byte for byte, or `file:PATH`.
    pub body: Option<Text>,
    /// Texts that the body contains.
    pub contains: OneOrMany<Text>,
    /// XPath expressions on the XML body, with their values as text; `settings.namespaces` are bound.
    pub xpath: Named<RawNode>,
    /// JSONPath expressions on the JSON body, with their values. One match is a value, several are a list.
    pub jsonpath: Named<RawNode>,
    /// The code of the fault that the reply tells of, such as `backend.timeout`.
    pub fault: Option<Text>,
    /// The calls that mocks got: their number, or what each of them was, in order.
    pub calls: Named<RawNode>,
    /// How long it may take until all of this holds. Until then a GET or HEAD is sent again; after other requests only calls are
    /// waited for.
    pub within: Option<Duration>,
}

/// A call that a mock got. What is not named is not checked.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    /// The method.
    pub method: Option<Text>,
    /// Path and query; without `?` in it the query is not checked.
    pub path: Option<Text>,
    /// Headers: a value, `null` for one that must be absent, or `{ contains: TEXT }` or `{ matches: REGEX }`.
    pub headers: Named<RawNode>,
    /// The JSON body. Of a mapping the keys named here have to be there; lists have to be complete.
    pub json: Option<RawNode>,
    /// Whether mappings in `json` may have no other keys.
    pub exact: bool,
    /// The XML body, or `file:PATH`.
    pub xml: Option<Text>,
    /// The body as text, or `file:PATH`.
    pub text: Option<Text>,
    /// The body byte for byte, or `file:PATH`.
    pub body: Option<Text>,
    /// Texts that the body contains.
    pub contains: OneOrMany<Text>,
    /// XPath expressions on the XML body, with their values as text.
    pub xpath: Named<RawNode>,
    /// JSONPath expressions on the JSON body, with their values.
    pub jsonpath: Named<RawNode>,
}

/// A text with a part of it, as headers, XPath and JSONPath may expect.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pattern {
    /// A text that the value contains.
    pub contains: Option<Text>,
    /// A regular expression that is found in the value.
    pub matches: Option<Text>,
}

impl TestCase {
    /// The environment variables that it brings.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.env
            .iter()
            .map(|(name, _, value)| (name.to_owned(), value.as_str().to_owned()))
    }

    /// Its requests in order.
    #[must_use]
    pub fn exchanges(&self) -> Vec<TestStep> {
        let first = self.send.iter().map(|send| TestStep {
            send: send.clone(),
            expect: self.expect.clone(),
            keep: Named::default(),
        });
        first.chain(self.steps.iter().cloned()).collect()
    }
}

impl SendConfig {
    /// The methods given, with their paths.
    #[must_use]
    pub fn methods(&self) -> Vec<(&'static str, &Text)> {
        let all = [
            ("GET", &self.get),
            ("POST", &self.post),
            ("PUT", &self.put),
            ("PATCH", &self.patch),
            ("DELETE", &self.delete),
            ("HEAD", &self.head),
            ("OPTIONS", &self.options),
        ];
        all.into_iter()
            .filter_map(|(name, path)| Some((name, path.as_ref()?)))
            .collect()
    }

    /// Its body, in whatever form it is given.
    #[must_use]
    pub fn content(&self) -> Content<'_> {
        Content {
            body: self.body.as_ref(),
            json: self.json.as_ref(),
            xml: self.xml.as_ref(),
            text: self.text.as_ref(),
            form: self.form.as_ref(),
            file: self.file.as_ref(),
            content_type: self.content_type.as_ref(),
        }
    }
}

impl Reply {
    /// Its body, in whatever form it is given.
    #[must_use]
    pub fn content(&self) -> Content<'_> {
        Content {
            body: self.body.as_ref(),
            json: self.json.as_ref(),
            xml: self.xml.as_ref(),
            text: self.text.as_ref(),
            form: None,
            file: self.file.as_ref(),
            content_type: self.content_type.as_ref(),
        }
    }
}

impl Call {
    /// What is expected of the request as a message.
    #[must_use]
    pub fn into_expect(self) -> Expect {
        Expect {
            headers: self.headers,
            json: self.json,
            exact: self.exact,
            xml: self.xml,
            text: self.text,
            body: self.body,
            contains: self.contains,
            xpath: self.xpath,
            jsonpath: self.jsonpath,
            ..Expect::default()
        }
    }
}

/// A body to send, in whatever form it is given.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// As it is, or `file:PATH`.
    pub body: Option<&'a Text>,
    /// JSON.
    pub json: Option<&'a RawNode>,
    /// XML.
    pub xml: Option<&'a Text>,
    /// Text.
    pub text: Option<&'a Text>,
    /// A form.
    pub form: Option<&'a Named<Text>>,
    /// A file.
    pub file: Option<&'a Text>,
    /// The media type.
    pub content_type: Option<&'a Text>,
}

impl Content<'_> {
    /// The places of the forms given.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let texts = [self.body, self.xml, self.text, self.file];
        let texts = texts.into_iter().flatten().map(Text::span);
        let json = self.json.map(|json| json.span);
        let form = self
            .form
            .and_then(|form| form.iter().next())
            .map(|(_, span, _)| span);
        texts.chain(json).chain(form).collect()
    }
}
