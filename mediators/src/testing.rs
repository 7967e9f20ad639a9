//! Helper: what the tests of all mediators share: a project around some steps, messages, and a backend that echoes.

use engine::exchange::{Entry, Exchange};
use engine::fault::Fault;
use engine::message::{Message, StartLine};
use engine::registry::Registry;
use engine::testing::{self, Outcome};
use http::Method;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Mediators of this crate, with the formats and a sender for tests.
pub(crate) static REGISTRY: Registry = Registry {
    mediators: crate::ALL,
    transports: backend::ALL,
    formats: builders_formatters::ALL,
};

/// The sequences that examples refer to.
const EXAMPLE_SEQUENCES: &str =
    "  audit: [ { log: audit } ]\n  notify: { params: { who: null }, steps: [ { log: notify } ] }\n";

/// The stores that examples refer to. Building them opens nothing.
const EXAMPLE_STORES: &str = "stores:\n  orders: { memory: {} }\n  seen: { durable: { path: seen.redb } }\n  blobs: { durable: { path: blobs.redb } }\n  parts: { durable: { path: parts.redb } }\n";

/// The project that an example is checked in.
pub(crate) fn example_project(example: &str) -> String {
    project(example) + EXAMPLE_SEQUENCES + EXAMPLE_STORES
}

/// A project whose sequence `main` has these steps.
pub(crate) fn project(steps: &str) -> String {
    let steps: String = steps
        .trim_matches('\n')
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    format!("sequences:\n  main:\n{steps}")
}

pub(crate) fn deployment(yaml: &str) -> Result<engine::deployment::Deployment, String> {
    testing::deployment(REGISTRY, yaml)
}

/// The problems of these steps, as people read them. The first step is in line 3.
pub(crate) fn diagnostics(steps: &str) -> String {
    deployment(&project(steps))
        .err()
        .expect("the steps have a mistake")
}

pub(crate) async fn run(steps: &str, message: Message) -> Outcome {
    testing::run(REGISTRY, &project(steps), message).await
}

/// As [`run`], for a request that came with another method than `POST`.
pub(crate) async fn run_as(method: Method, steps: &str, message: Message) -> Outcome {
    let deployment = deployment(&project(steps)).unwrap_or_else(|text| panic!("{text}"));
    let mut entry = Entry::default();
    (entry.method, entry.path) = (method, "/test".to_owned());
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut exchange = Exchange::new(message, Arc::new(entry), Arc::new(deployment), deadline);
    let sequence = exchange.deployment.sequences["main"].steps.clone();
    let flow = sequence.run(&mut exchange).await;
    Outcome { flow, exchange }
}

/// The message as a request with this method.
pub(crate) fn as_method(method: Method, mut message: Message) -> Message {
    message.start = StartLine::Request {
        method,
        uri: "/test?q=1".parse().unwrap(),
    };
    message
}

/// The body after the steps.
pub(crate) async fn text_of(steps: &str, message: Message) -> String {
    run(steps, message).await.text()
}

/// The fault the steps end with.
pub(crate) async fn fault(steps: &str, message: Message) -> Fault {
    run(steps, message)
        .await
        .flow
        .expect_err("the steps should have failed")
}

pub(crate) fn json(body: &str) -> Message {
    testing::post("application/json", body.to_owned())
}

pub(crate) fn xml(body: &str) -> Message {
    testing::post("application/xml", body.to_owned())
}

/// What the steps write to the log.
pub(crate) fn captured(steps: &str, message: impl FnOnce() -> Message) -> String {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || Sink(Arc::clone(&sink)))
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    tracing::subscriber::with_default(subscriber, || runtime.block_on(run(steps, message())));
    String::from_utf8(lines.lock().unwrap().clone()).unwrap()
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

mod folder;

/// A sender for `test://NAME`: `echo` answers with what it was sent, `cookie` with headers of a reply, `down` cannot be reached.
mod backend {
    use engine::build::Build;
    use engine::config::{Node, Text};
    use engine::exchange::Exchange;
    use engine::fault::{Fault, FaultCode};
    use engine::mediator::BoxFuture;
    use engine::message::{Message, StartLine};
    use engine::payload::Payload;
    use engine::registry::{SenderSpec, TransportSpec};
    use engine::transport::{CallOptions, SendContext, SendError, Sender};
    use http::{Method, StatusCode, Uri};
    use serde_json::{Map, Value as Json, json};
    use std::sync::Arc;

    pub(crate) static ALL: &[TransportSpec] = &[TEST, FILE];

    /// `file://...`, a folder in memory.
    const FILE: TransportSpec = TransportSpec {
        name: "file",
        docs: "",
        listener: None,
        entry: None,
        connection: None,
        store: None,
        sender: Some(SenderSpec {
            schemes: &["file"],
            schema: |_| schemars::json_schema!({}),
            build: super::folder::build,
        }),
    };

    const TEST: TransportSpec = TransportSpec {
        name: "test",
        docs: "",
        listener: None,
        entry: None,
        connection: None,
        store: None,
        sender: Some(SenderSpec {
            schemes: &["test", "http"],
            schema: |_| schemars::json_schema!({}),
            build,
        }),
    };

    fn build(node: &Node, _: &mut Build<'_>) -> Option<Arc<dyn Sender>> {
        let name = Text::from_node(node)?.as_str().split("://").nth(1)?.to_owned();
        Some(Arc::new(Backend(name)))
    }

    struct Backend(String);

    impl Sender for Backend {
        fn address(&self, _: &Exchange, options: &CallOptions) -> Result<StartLine, Fault> {
            let path = options.path.as_deref().unwrap_or("/");
            let action = options.action.as_deref().unwrap_or_default();
            let uri: Uri = format!(
                "test://{}{path}",
                if action.is_empty() { "none" } else { "action" }
            )
            .parse()
            .unwrap();
            Ok(StartLine::Request {
                method: options.method.clone().unwrap_or(Method::TRACE),
                uri,
            })
        }

        fn send<'a>(
            &'a self,
            mut message: Message,
            _: &'a SendContext,
        ) -> BoxFuture<'a, Result<Message, SendError>> {
            Box::pin(async move {
                if self.0 == "down" {
                    return Err(Fault::new(FaultCode::Connect, "The backend cannot be reached.").into());
                }
                message.payload.buffer(1 << 20).await?;
                let mut reply = Message::response(StatusCode::OK);
                reply.set_content_type("application/json");
                if self.0 == "cookie" {
                    reply.headers.insert("set-cookie", "a=b".parse().unwrap());
                    reply.headers.insert("etag", "x".parse().unwrap());
                    reply.headers.insert("x-kept", "yes".parse().unwrap());
                }
                reply.payload = Payload::bytes(echo(&message).to_string());
                Ok(reply)
            })
        }

        fn label(&self) -> &str {
            "test://backend"
        }
    }

    fn echo(message: &Message) -> Json {
        let StartLine::Request { method, uri } = &message.start else {
            return Json::Null;
        };
        let body = message
            .payload
            .as_bytes()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let headers: Map<String, Json> = message
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
            .collect();
        let path = uri.path_and_query().map(ToString::to_string);
        json!({ "method": method.as_str(), "path": path, "body": body.unwrap_or_default(), "headers": headers })
    }
}
