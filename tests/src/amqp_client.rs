//! The foreign AMQP client, pika, as values: what `clients/amqp.py` is told and what it prints.

use crate::server::{TestServer, python, python_path, script_command};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

const SCRIPT: &str = "clients/amqp.py";

/// An AMQP client; each call is a connection of its own. A call that fails panics with what pika said.
#[derive(Debug, Clone)]
pub struct AmqpClient {
    url: String,
    authority: Option<PathBuf>,
}

/// A message to publish: persistent, unless a property says otherwise.
#[derive(Debug, Clone, Default)]
pub struct AmqpMessage {
    body: Vec<u8>,
    headers: serde_json::Map<String, Value>,
    properties: serde_json::Map<String, Value>,
}

/// What became of published messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// How many the broker confirmed (`basic.ack`).
    pub confirmed: u64,
    /// How many it refused (`basic.nack`).
    pub refused: u64,
    /// The reply texts of those that came back because no queue took them; they are confirmed as well.
    pub returned: Vec<String>,
}

/// A message that was consumed.
#[derive(Debug, Clone, PartialEq)]
pub struct AmqpReceived {
    /// The body.
    pub body: Vec<u8>,
    /// The header table, as an object.
    pub headers: Value,
    /// The other properties that were set, by pika's names: `content_type`, `correlation_id`, `reply_to`,
    /// `delivery_mode`, `message_id` and so on.
    pub properties: Value,
    /// Whether the broker says that it delivered the message before.
    pub redelivered: bool,
    /// The exchange that it was published to.
    pub exchange: String,
    /// The routing key that it was published with.
    pub key: String,
}

impl AmqpClient {
    /// For an `amqp` URL, or an `amqps` one with the authority to trust.
    pub fn new(url: &str, authority: Option<&Path>) -> Self {
        Self {
            url: url.to_owned(),
            authority: authority.map(Path::to_owned),
        }
    }

    /// Declares a durable queue.
    #[track_caller]
    pub fn declare(&self, queue: &str) {
        self.run(&["declare", queue]);
    }

    /// Declares a durable queue with arguments such as `x-dead-letter-exchange`.
    #[track_caller]
    pub fn declare_with(&self, queue: &str, arguments: &Value) {
        self.run(&["declare", queue, "--arguments", &arguments.to_string()]);
    }

    /// Declares a durable queue and a durable exchange of a type (`direct`, `topic`, `fanout`, `headers`), bound
    /// by a key.
    #[track_caller]
    pub fn bind(&self, queue: &str, exchange: &str, kind: &str, key: &str) {
        self.run(&[
            "declare",
            queue,
            "--exchange",
            exchange,
            "--type",
            kind,
            "--key",
            key,
        ]);
    }

    /// Publishes messages to a queue and awaits the confirms.
    #[track_caller]
    pub fn publish(&self, queue: &str, messages: &[AmqpMessage]) -> Published {
        self.publish_to("", queue, messages)
    }

    /// Publishes messages, `mandatory`, to an exchange with a routing key and awaits the confirms.
    #[track_caller]
    pub fn publish_to(&self, exchange: &str, key: &str, messages: &[AmqpMessage]) -> Published {
        let file = NamedTempFile::new().expect("a temporary file");
        let lines: Vec<_> = messages.iter().map(AmqpMessage::line).collect();
        std::fs::write(file.path(), lines.concat()).expect("a file of the test");
        let path = file.path().display().to_string();
        let mut arguments = vec!["publish", "--mandatory", "--messages", &path];
        arguments.extend(["--exchange", exchange, "--key", key]);
        published(&self.json(&arguments))
    }

    /// Publishes `count` persistent messages to a queue, with the bodies `PREFIX0`, `PREFIX1` and so on filled
    /// up to `bytes` with dots. 10,000 take 1 to 3 s.
    #[track_caller]
    pub fn publish_many(&self, queue: &str, prefix: &str, count: usize, bytes: usize) -> Published {
        let (count, bytes) = (count.to_string(), bytes.to_string());
        let mut arguments = vec!["publish", "--mandatory", "--key", queue, "--prefix", prefix];
        arguments.extend(["--count", &count, "--size", &bytes]);
        published(&self.json(&arguments))
    }

    /// Consumes and acknowledges up to `count` messages; fewer when the time is up. The limit is at most
    /// 50 s.
    #[track_caller]
    pub fn consume(&self, queue: &str, count: usize, limit: Duration) -> Vec<AmqpReceived> {
        let (count, limit) = (count.to_string(), limit.as_secs_f64().to_string());
        let output = self.run(&["consume", queue, "--count", &count, "--timeout", &limit]);
        output.lines().map(AmqpReceived::parse).collect()
    }

    /// How many messages are ready in a queue.
    #[track_caller]
    pub fn depth(&self, queue: &str) -> u64 {
        number(&self.json(&["depth", queue])["messages"])
    }

    /// How many consumers a queue has.
    #[track_caller]
    pub fn consumers(&self, queue: &str) -> u64 {
        number(&self.json(&["depth", queue])["consumers"])
    }

    /// Sends a request to a queue with `reply_to` and a correlation id and waits up to 10 s for its reply.
    #[track_caller]
    pub fn call(&self, queue: &str, body: &str) -> AmqpReceived {
        AmqpReceived::parse(&self.run(&["call", queue, body]))
    }

    /// Answers the requests of a queue, which it declares, with the prefix and their body, until it is dropped.
    #[track_caller]
    pub fn serve(&self, queue: &str, prefix: &str) -> TestServer {
        let arguments = self.arguments(&["serve", queue, "--prefix", prefix]);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        TestServer::announced(script_command(python_path(), SCRIPT, &arguments))
    }

    /// Whether a connection is accepted: false for a wrong account, or when the broker is away.
    #[track_caller]
    pub fn can_connect(&self, queue: &str) -> bool {
        python(SCRIPT, &to_str(&self.arguments(&["depth", queue]))).code == Some(0)
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("not JSON: {error}\n{output}"))
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        python(SCRIPT, &to_str(&self.arguments(arguments)))
            .expect_success()
            .stdout
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let mut all = vec!["--url".to_owned(), self.url.clone()];
        if let Some(authority) = &self.authority {
            all.extend(["--ca".to_owned(), authority.display().to_string()]);
        }
        all.extend(arguments.iter().map(ToString::to_string));
        all
    }
}

fn to_str(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

impl AmqpMessage {
    /// A message with this body.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// Adds an entry to the header table.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.headers.insert(name.to_owned(), value.into());
        self
    }

    /// Sets a property by pika's name, such as `content_type` or `message_id`.
    pub fn property(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.properties.insert(name.to_owned(), value.into());
        self
    }

    fn line(&self) -> String {
        let hex: String = self.body.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = json!({ "hex": hex, "headers": self.headers, "properties": self.properties });
        format!("{line}\n")
    }
}

impl AmqpReceived {
    #[track_caller]
    fn parse(line: &str) -> Self {
        let mut value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON: {error}\n{line}"));
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let body = match value["hex"].as_str() {
            Some(hex) => bytes_of(hex),
            None => text("body").into_bytes(),
        };
        Self {
            body,
            redelivered: value["redelivered"] == true,
            exchange: text("exchange"),
            key: text("key"),
            headers: value["headers"].take(),
            properties: value["properties"].take(),
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The bytes of pairs of hexadecimal digits.
fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.chunks(2).map(|pair| match pair {
        [Some(high), Some(low)] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    pairs
        .collect::<Option<_>>()
        .expect("the script prints pairs of digits")
}

#[track_caller]
fn published(result: &Value) -> Published {
    let returned = result["returned"].as_array().expect("a list of texts");
    Published {
        confirmed: number(&result["confirmed"]),
        refused: number(&result["refused"]),
        returned: returned
            .iter()
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect(),
    }
}

#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}
