//! One test at a time: a gateway of its own on free ports of this machine, its mocks, its requests. Nothing is left
//! over for the next test, so that the order of tests cannot matter.

use super::coverage::Coverage;
use super::definition::{Expect, SendConfig, TestCase};
use super::expect::{Comparison, Failure};
use super::mocks::{self, RecordedCall, RunningMock};
use super::suite::{Calls, read_calls};
use super::{body, deliver, local, redirect};
use crate::client::{self, Outgoing, Received};
use crate::console::indented;
use crate::gateway::Served;
use crate::project::{self, Lasting, Loaded};
use engine::config::{self, Project, Sources, Style};
use engine::workers::Workers;
use http::Method;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xml::xpath::Namespaces;

/// What became of a test.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The test's name.
    pub name: String,
    /// File and line.
    pub place: String,
    /// What did not hold, one sentence each; none where the test passed.
    pub messages: Vec<String>,
    /// The same as people read it, with places and differences.
    pub text: String,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Whether everything held.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.messages.is_empty()
    }

    /// The first message, and how many more there are.
    #[must_use]
    pub fn headline(&self) -> String {
        match &self.messages[..] {
            [] => String::new(),
            [only] => only.clone(),
            [first, more @ ..] => format!("{first} (and {} more)", more.len()),
        }
    }
}

/// Runs tests of one project.
pub struct Runner {
    /// Where the project is.
    pub path: PathBuf,
    /// `--set` of the command line.
    pub set: Vec<String>,
    /// The texts of the tests.
    pub sources: Sources,
    /// The threads that serve.
    pub workers: Arc<Workers>,
    /// What ran so far.
    pub coverage: Coverage,
}

impl Runner {
    /// Runs a test.
    pub async fn run(&mut self, test: &TestCase) -> Outcome {
        let started = Instant::now();
        let (messages, text) = match self.attempt(test).await {
            Ok(failures) => {
                let messages = failures
                    .iter()
                    .map(|failure| failure.diagnostic.message.clone())
                    .collect();
                (messages, self.render(&failures))
            }
            Err(problem) => (
                vec!["the project cannot be started for this test".to_owned()],
                problem,
            ),
        };
        let at = self.sources.position(test.name.span);
        Outcome {
            name: test.name.value.clone(),
            place: format!("{}:{}", self.sources.name(test.name.span.source), at.line),
            messages,
            text,
            took: started.elapsed(),
        }
    }

    fn render(&self, failures: &[Failure]) -> String {
        let render = |failure: &Failure| {
            let text = config::render(&failure.diagnostic, &self.sources, Style::Colour);
            match &failure.detail {
                Some(detail) => format!("{text}\n\n{}\n", indented(detail, "    ")),
                None => text + "\n",
            }
        };
        failures.iter().map(render).collect::<Vec<_>>().join("\n")
    }

    async fn attempt(&mut self, test: &TestCase) -> Result<Vec<Failure>, String> {
        let mocks = mocks::start(test, &self.sources).await?;
        let lasting = Lasting::default();
        let mut project = self.project(test, &mocks)?;
        let namespaces = namespaces(&project.project);
        let configured = local::ports(&project.project);
        local::free_ports(&mut project);
        let servers = if test.live {
            local::Servers::Used
        } else {
            local::Servers::LeftAlone
        };
        let served = local::serve(project, &configured, &lasting, &self.workers, servers).await?;
        let mut comparison = Comparison {
            sources: &self.sources,
            namespaces: &namespaces,
            failures: Vec::new(),
        };
        for (send, expect) in test.exchanges() {
            exchange(&served, send, expect, &mocks, &mut comparison).await;
        }
        let failures = comparison.failures;
        self.coverage.add(&served.gateway.deployment());
        drop(mocks);
        served.gateway.drain().await;
        Ok(failures)
    }

    /// The project as this test sees it: its variables and values, free ports, mocks in place of endpoints.
    fn project(&self, test: &TestCase, mocks: &[RunningMock]) -> Result<Loaded, String> {
        let mut set = vec![DRAIN_TIME.to_owned()];
        set.extend(self.set.iter().cloned());
        set.extend(test.set.iter().map(|text| text.as_str().to_owned()));
        let mut loaded = project::load_with(&self.path, &set, project::environment_with(test.variables()));
        if loaded.diagnostics.has_errors() {
            return Err(local::problems(&loaded));
        }
        for mock in mocks {
            loaded.project.root = redirect::endpoint(&loaded.project.root, &mock.name, mock.address);
        }
        Ok(loaded)
    }
}

/// What is still in flight at the end of a test, such as a call that was told to hang, gets no more time than this.
const DRAIN_TIME: &str = "settings.shutdown_grace=50ms";

fn namespaces(project: &Project) -> Namespaces {
    let node = project
        .root
        .get("settings")
        .and_then(|settings| settings.get("namespaces"));
    let entries = node.map(config::Node::entries).unwrap_or_default();
    entries
        .iter()
        .filter_map(|(prefix, name)| Some((prefix.text.to_string(), name.as_str()?.to_owned())))
        .collect()
}

async fn exchange(
    served: &Served,
    send: &SendConfig,
    expect: Option<&Expect>,
    mocks: &[RunningMock],
    comparison: &mut Comparison<'_>,
) {
    let span = send
        .methods()
        .first()
        .map(|(_, path)| path.span())
        .or_else(|| send.to.as_ref().map(|to| to.span))
        .unwrap_or_default();
    match request(served, send, comparison.sources).await {
        Err(problem) => comparison.failures.push(Failure::at(span, problem)),
        Ok(received) => {
            if let Some(expect) = expect {
                comparison.message(expect, &received);
            }
        }
    }
    let calls: Vec<(&str, Vec<RecordedCall>)> = mocks
        .iter()
        .map(|mock| (mock.name.as_str(), mock.take_calls()))
        .collect();
    let Some(expect) = expect else { return };
    for (name, span, wanted) in expect.calls.iter() {
        let got = calls
            .iter()
            .find(|(mock, _)| *mock == name)
            .map(|(_, calls)| &calls[..])
            .unwrap_or_default();
        let (wanted, problems) = read_calls(wanted);
        comparison
            .failures
            .extend(problems.into_iter().map(|diagnostic| Failure {
                diagnostic,
                detail: None,
            }));
        if let Some(wanted) = wanted {
            compare_calls(name, span, &wanted, got, comparison);
        }
    }
}

/// Sends the request of a test.
///
/// # Errors
/// Why there was no reply.
pub async fn request(served: &Served, send: &SendConfig, sources: &Sources) -> Result<Received, String> {
    if let Some(to) = &send.to {
        return deliver::deliver(served, &to.value, send, sources).await;
    }
    let url = match &send.listener {
        Some(name) => served
            .url(name)
            .ok_or_else(|| format!("there is no listener `{}`", name.value))?,
        None => default_url(served).ok_or("no listener speaks plain HTTP")?,
    };
    let methods = send.methods();
    let Some((method, path)) = methods.first() else {
        return Err("the request has no method".to_owned());
    };
    let body = body::load(send.content(), sources).map_err(|problem| problem.message)?;
    let outgoing = Outgoing {
        method: method.parse().unwrap_or(Method::GET),
        path: path.as_str().to_owned(),
        headers: mocks::headers(&send.headers, &body)?,
        body: body.bytes,
    };
    client::send(url, outgoing).await
}

/// The listener that requests go to unless they name another one: `http` if it is there and without TLS, else the
/// first one without TLS; never the management port.
#[must_use]
pub fn default_url(served: &Served) -> Option<&str> {
    let mut plain = served.listeners.iter().filter(|listener| {
        &*listener.name != engine::gateway::MANAGEMENT && listener.url.starts_with("http://")
    });
    let named = plain.clone().find(|listener| &*listener.name == "http");
    let listener = named.or_else(|| plain.next())?;
    served.url(&listener.name)
}

fn compare_calls(
    name: &str,
    span: config::Span,
    wanted: &Calls,
    got: &[RecordedCall],
    comparison: &mut Comparison<'_>,
) {
    let count = match wanted {
        Calls::Count(count) => *count,
        Calls::Each(calls) => calls.len(),
    };
    if count != got.len() {
        let mut failure = Failure::at(
            span,
            format!("`{name}` was called {} times, not {count}", got.len()),
        );
        let calls: Vec<String> = got
            .iter()
            .map(|call| format!("{} {}", call.method, call.path))
            .collect();
        failure.detail = Some(calls.join("\n")).filter(|calls| !calls.is_empty());
        comparison.failures.push(failure);
    }
    let Calls::Each(wanted) = wanted else { return };
    for ((_, wanted), got) in wanted.iter().zip(got) {
        if let Some(method) = wanted
            .method
            .as_ref()
            .filter(|method| method.as_str() != got.method.as_str())
        {
            comparison.failures.push(Failure::at(
                method.span(),
                format!("the method of the call is {}", got.method),
            ));
        }
        if let Some(path) = wanted
            .path
            .as_ref()
            .filter(|path| !same_path(path.as_str(), &got.path))
        {
            comparison.failures.push(Failure::at(
                path.span(),
                format!("the path of the call is `{}`", got.path),
            ));
        }
        comparison.message(&wanted.clone().into_expect(), &got.message);
    }
}

fn same_path(wanted: &str, got: &str) -> bool {
    match wanted.contains('?') {
        true => wanted == got,
        false => got.split('?').next() == Some(wanted),
    }
}
