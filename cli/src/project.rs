//! Loading and building a project, as every command does it.

use crate::arguments::ProjectOptions;
use crate::console::{Console, count};
use engine::build::{self, Environment as BuildEnvironment};
use engine::config::{self, Diagnostics, Environment, LoadOptions, Project, Severity, Style};
use engine::deployment::Deployment;
use engine::observe::Metrics;
use engine::state::SharedState;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// A project with everything found wrong with it so far.
pub struct Loaded {
    /// The tree and its sources.
    pub project: Project,
    /// The problems.
    pub diagnostics: Diagnostics,
}

/// What outlives deployments.
#[derive(Clone, Default)]
pub struct Lasting {
    /// Rate limits, breakers and the like.
    pub state: Arc<SharedState>,
    /// Metrics of the process.
    pub metrics: Arc<Metrics>,
}

/// Loads a project with the environment of the process.
#[must_use]
pub fn load(options: &ProjectOptions) -> Loaded {
    load_with(&options.path, &options.set, Environment::of_process())
}

/// The environment of the process with variables laid over it.
#[must_use]
pub fn environment_with(variables: impl IntoIterator<Item = (String, String)>) -> Environment {
    let of_process = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Environment::of(of_process.chain(variables))
}

/// Loads a project with another environment.
#[must_use]
pub fn load_with(path: &Path, set: &[String], environment: Environment) -> Loaded {
    let mut diagnostics = Diagnostics::new();
    let options = LoadOptions {
        set: set.to_vec(),
        environment,
    };
    let project = config::load_project(path, &options, &mut diagnostics);
    Loaded { project, diagnostics }
}

impl Loaded {
    /// Builds the deployment. `None` where there are errors; then the diagnostics say which.
    pub fn build(&mut self, lasting: &Lasting) -> Option<Deployment> {
        let environment = BuildEnvironment {
            registry: crate::registry(),
            state: &lasting.state,
            metrics: &lasting.metrics,
        };
        let deployment = build::build(&self.project, &environment, &mut self.diagnostics);
        deployment.filter(|_| !self.diagnostics.has_errors())
    }

    /// Writes all problems to standard error, in the order of the files, and how many there are.
    pub fn report(&self, console: &mut Console) {
        let text = render(&self.diagnostics, &self.project.sources);
        if !text.is_empty() {
            console.complain(text);
            console.complain(self.summary());
        }
    }

    /// `3 problems in 2 files`.
    #[must_use]
    pub fn summary(&self) -> String {
        let problems = self.diagnostics.iter().count() + self.diagnostics.left_out();
        let files: BTreeSet<&str> = self
            .diagnostics
            .iter()
            .map(|problem| self.project.sources.name(problem.primary.source))
            .collect();
        let noun = match self.diagnostics.iter().all(|it| it.severity == Severity::Warning) {
            true => count(problems, "warning", "warnings"),
            false => count(problems, "problem", "problems"),
        };
        format!("{noun} in {}", count(files.len(), "file", "files"))
    }
}

/// The problems in the order of the files, an empty line between them.
#[must_use]
pub fn render(diagnostics: &Diagnostics, sources: &config::Sources) -> String {
    let mut sorted = diagnostics.clone();
    sorted.sort();
    let rendered: Vec<String> = sorted
        .iter()
        .map(|diagnostic| config::render(diagnostic, sources, Style::Colour) + "\n")
        .collect();
    rendered.join("\n")
}
