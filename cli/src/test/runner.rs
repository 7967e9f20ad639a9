//! One test at a time: a gateway of its own on free ports of this machine, its mocks, its requests. Nothing is left
//! over for the next test, so that the order of tests cannot matter.

use super::conversation::Conversation;
use super::coverage::Coverage;
use super::definition::{Expect, TestCase};
use super::expect::{Comparison, Failure};
use super::mocks::{self, RecordedCall, RunningMock};
use super::sandbox::Sandbox;
use super::suite::{Calls, read_calls};
use super::{local, redirect};
use crate::console::indented;
use crate::gateway::Served;
use crate::project::{self, Lasting, Loaded};
use engine::config::{self, Project, Sources, Style};
use engine::workers::Workers;
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
        let mut sandbox = Sandbox::new()?;
        let mut project = self.project(test, &mocks)?;
        project.project.root = sandbox.hold(&project.project.root, &project.project.sources)?;
        let namespaces = namespaces(&project.project);
        let configured = local::ports(&project.project);
        local::free_ports(&mut project);
        let servers = match test.live {
            true => local::Servers::Used,
            false => local::Servers::LeftAlone,
        };
        let served = local::serve(project, &configured, &lasting, &self.workers, servers).await?;
        let mut conversation = Conversation::new(&served, &self.sources, &namespaces);
        let mut failures = Vec::new();
        for step in test.exchanges() {
            let mut calls = CallsOf::new(&mocks);
            let exchanged = conversation
                .exchange(&step, |expect, comparison| calls.compare(expect, comparison))
                .await;
            failures.extend(exchanged.failures);
        }
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

/// The calls that mocks got since those that the request before saw.
struct CallsOf<'a> {
    mocks: &'a [RunningMock],
    got: Vec<Vec<RecordedCall>>,
}

impl<'a> CallsOf<'a> {
    fn new(mocks: &'a [RunningMock]) -> Self {
        Self {
            mocks,
            got: mocks.iter().map(|_| Vec::new()).collect(),
        }
    }

    fn compare(&mut self, expect: &Expect, comparison: &mut Comparison<'_>) {
        for (mock, got) in self.mocks.iter().zip(&mut self.got) {
            got.extend(mock.take_calls());
        }
        for (name, span, wanted) in expect.calls.iter() {
            let mut mocks = self.mocks.iter().zip(&self.got);
            let got = mocks.find(|(mock, _)| mock.name == name);
            let got = got.map(|(_, calls)| &calls[..]).unwrap_or_default();
            let (wanted, problems) = read_calls(wanted);
            let failures = problems.into_iter().map(|diagnostic| Failure {
                diagnostic,
                detail: None,
            });
            comparison.failures.extend(failures);
            if let Some(wanted) = wanted {
                compare_calls(name, span, &wanted, got, comparison);
            }
        }
    }
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
