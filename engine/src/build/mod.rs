//! From a project to a deployment. Building is synchronous and opens nothing: every problem becomes a diagnostic, and only a
//! project without errors becomes a deployment.

mod late;
mod lint;
mod resources;
mod steps;

pub use resources::Resource;
pub(crate) use resources::read as read_file;

use crate::artifact::{self, ProjectConfig};
use crate::config::{self, Diagnostic, Diagnostics, Node, Project, Span, Text};
use crate::deployment::Deployment;
use crate::endpoint::{Endpoint, EndpointRef};
use crate::expression::{CompileError, Escape, Expression, Scope, Structure, Template};
use crate::format::Formats;
use crate::mediator::Needs;
use crate::observe::Metrics;
use crate::registry::Registry;
use crate::sequence::StepPosition;
use crate::state::SharedState;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a build starts from beside the project.
pub struct Environment<'a> {
    /// What configurations can name.
    pub registry: Registry,
    /// State that outlives deployments.
    pub state: &'a SharedState,
    /// Metrics of the process.
    pub metrics: &'a Metrics,
}

/// A build under way. Extension code reads its configuration through it.
pub struct Build<'a> {
    /// What configurations can name.
    pub registry: Registry,
    /// State that outlives deployments.
    pub state: &'a SharedState,
    /// Metrics of the process.
    pub metrics: &'a Metrics,
    /// Every problem found so far.
    pub diagnostics: &'a mut Diagnostics,
    pub(crate) project: &'a Project,
    pub(crate) scope: Scope,
    pub(crate) names: Names,
    pub(crate) path: String,
    pub(crate) step: Span,
    pub(crate) original: Option<Needs>,
    pub(crate) listener_names: Vec<Arc<str>>,
    pub(crate) endpoints: IndexMap<Arc<str>, Arc<Endpoint>>,
    pub(crate) endpoints_open: Vec<Arc<str>>,
    pub(crate) endpoint_nodes: IndexMap<Arc<str>, Node>,
    pub(crate) resources: IndexMap<Arc<str>, artifact::ResourceConfig>,
    /// `None` for one with a problem, which has been reported.
    pub(crate) connections: IndexMap<Arc<str>, Option<Arc<dyn std::any::Any + Send + Sync>>>,
    pub(crate) stores: IndexMap<Arc<str>, Option<Arc<dyn crate::store::Store>>>,
    pub(crate) late: late::Late,
}

/// Names that references are checked against.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) endpoints: Vec<Arc<str>>,
    /// Sequences with their parameters and whether each has a default.
    pub(crate) sequences: IndexMap<Arc<str>, IndexMap<String, bool>>,
}

/// Builds a deployment.
pub fn build(
    project: &Project,
    environment: &Environment<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Deployment> {
    static VERSION: AtomicU64 = AtomicU64::new(0);
    let config: ProjectConfig = config::read(&project.root, diagnostics)?;
    let mut cx = Build {
        registry: environment.registry,
        state: environment.state,
        metrics: environment.metrics,
        diagnostics,
        project,
        scope: Scope::default(),
        names: Names::default(),
        path: String::new(),
        step: Span::default(),
        original: None,
        listener_names: Vec::new(),
        endpoints: IndexMap::new(),
        endpoints_open: Vec::new(),
        endpoint_nodes: IndexMap::new(),
        resources: IndexMap::new(),
        connections: IndexMap::new(),
        stores: IndexMap::new(),
        late: late::Late::default(),
    };
    let mut deployment = artifact::build(config, &mut cx)?;
    if diagnostics.has_errors() {
        return None;
    }
    deployment.version = VERSION.fetch_add(1, Ordering::Relaxed) + 1;
    deployment.formats = Arc::new(Formats::new(environment.registry.formats));
    Some(deployment)
}

impl Build<'_> {
    /// Reads a configuration type; its problems are reported.
    pub fn read<T: DeserializeOwned + JsonSchema + 'static>(&mut self, node: &Node) -> Option<T> {
        if node.is_null() {
            return config::read(&Node::mapping(node.span, Vec::new()), self.diagnostics);
        }
        config::read(node, self.diagnostics)
    }

    /// Reads a configuration type whose main setting may be given alone.
    pub fn read_with_shorthand<T: DeserializeOwned + JsonSchema + 'static>(
        &mut self,
        node: &Node,
        key: &str,
    ) -> Option<T> {
        self.read(&config::expand_shorthand(node, key))
    }

    /// Reports a problem. While a file of the project cannot be read, names that seem unknown may be in it, and are not reported.
    pub fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        if code == "config.unknown_reference" && !self.project.complete {
            return;
        }
        self.diagnostics
            .push(Diagnostic::error(code, span, message).maybe_help(help));
    }

    /// Where a span stands, for faults and logs.
    #[must_use]
    pub fn position(&self, span: Span) -> StepPosition {
        let at = self.project.sources.position(span);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        StepPosition {
            file: self.project.sources.name(span.source).into(),
            line: count(at.line),
            column: count(at.column),
        }
    }

    /// Checks that messages may be kept in a folder, or come from there: what others can put into it must not become configuration.
    pub fn check_data_folder(&mut self, folder: &Path, span: Span) -> bool {
        let exposed = self.project.reads_definitions_in(folder);
        if exposed {
            let help = format!(
                "every `*.yaml` in it is read as a part of the project; take a folder below `{}`, or one outside of the project",
                config::DATA
            );
            let message = "files of this folder could become configuration";
            self.error("config.exposed_folder", span, message, Some(help));
        }
        !exposed
    }

    /// The folder that relative paths of this source start from.
    #[must_use]
    pub fn folder(&self, span: Span) -> &Path {
        self.project.sources.folder(span.source)
    }

    /// The path of what is being built: `apis.quotes.GET /{symbol}[1]`. A key for shared state.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where the name of the step being built stands, for problems that no single setting has.
    #[must_use]
    pub fn step_span(&self) -> Span {
        self.step
    }

    /// Prefixes of `settings.namespaces`, for XPath.
    #[must_use]
    pub fn namespaces(&self) -> &xml::xpath::Namespaces {
        &self.scope.namespaces
    }

    /// Names of all network listeners.
    #[must_use]
    pub fn listener_names(&self) -> &[Arc<str>] {
        &self.listener_names
    }

    /// Compiles a bare expression.
    pub fn expression(&mut self, text: &Text) -> Option<Expression> {
        match Expression::compile(text.as_str(), &self.scope) {
            Ok(expression) => {
                self.note_original(expression.needs_original());
                let place = self.position(text.span()).to_string();
                Some(expression.at(place))
            }
            Err(errors) => {
                self.compile_errors(text, 0, errors);
                None
            }
        }
    }

    /// Compiles an optional expression: absent is fine, wrong is not.
    pub fn optional_expression(&mut self, text: Option<&Text>) -> Option<Option<Expression>> {
        text.map_or(Some(None), |text| self.expression(text).map(Some))
    }

    /// Compiles a text in which `${ ... }` is evaluated.
    pub fn template(&mut self, text: &Text, escape: Escape) -> Option<Template> {
        let mut template: Option<Template> = None;
        let mut failed = false;
        for segment in text.segments() {
            let part = match segment {
                config::Segment::Data { text, .. } => Template::literal(&text),
                config::Segment::Template { text: source, start } => {
                    match Template::compile(&source, &self.scope, escape) {
                        Ok(part) => part,
                        Err(errors) => {
                            self.compile_errors(text, start, errors);
                            failed = true;
                            continue;
                        }
                    }
                }
            };
            match &mut template {
                Some(template) => template.append(part),
                None => template = Some(part),
            }
        }
        if failed {
            return None;
        }
        let template = template.unwrap_or_else(|| Template::literal(""));
        self.note_original(template.needs_original());
        let place: Arc<str> = self.position(text.span()).to_string().into();
        Some(template.at(&place))
    }

    /// Compiles the text of a file or an inline resource as a template; its problems are reported at `span`.
    pub fn template_file(&mut self, source: &str, span: Span, escape: Escape) -> Option<Template> {
        match Template::compile(source, &self.scope, escape) {
            Ok(template) => {
                self.note_original(template.needs_original());
                let place: Arc<str> = self.position(span).to_string().into();
                Some(template.at(&place))
            }
            Err(errors) => {
                for error in errors {
                    let line = source[..error.range.start.min(source.len())]
                        .matches('\n')
                        .count()
                        + 1;
                    self.error(
                        "config.bad_expression",
                        span,
                        format!("line {line} of the template: {}", error.message),
                        error.help,
                    );
                }
                None
            }
        }
    }

    /// Compiles a YAML structure whose string leaves may hold `${ ... }`.
    pub fn structure(&mut self, node: &Node) -> Option<Structure> {
        Structure::compile(node, self)
    }

    /// Says that a step reads the message as it arrived, so that it is kept.
    pub fn reads_original(&mut self, needs: Needs) {
        self.note_original(Some(needs));
    }

    fn note_original(&mut self, needs: Option<Needs>) {
        self.original = self.original.max(needs);
    }

    fn compile_errors(&mut self, text: &Text, start: usize, errors: Vec<CompileError>) {
        for error in errors {
            let span = text.span_within(error.range.start + start..error.range.end + start);
            self.error("config.bad_expression", span, error.message, error.help);
        }
    }

    /// The endpoint that a node names or defines: a name, a URL, `${ expression }` or a definition in place.
    pub fn endpoint(&mut self, node: &Node) -> Option<EndpointRef> {
        crate::endpoint::reference(node, self)
    }

    /// The shared connection of this name, where it is one of type `T`; otherwise a problem is reported.
    pub fn connection<T: std::any::Any + Send + Sync>(
        &mut self,
        name: &config::Spanned<String>,
    ) -> Option<Arc<T>> {
        let (message, help) = match self.connections.get(name.value.as_str()).cloned() {
            Some(connection) => match connection?.downcast::<T>() {
                Ok(connection) => return Some(connection),
                Err(_) => (
                    format!("connection `{}` is of another transport", name.value),
                    None,
                ),
            },
            None => {
                let help = config::suggestion(&name.value, self.connections.keys().map(|name| &**name));
                (format!("there is no connection `{}`", name.value), help)
            }
        };
        self.error("config.unknown_reference", name.span, message, help);
        None
    }

    /// Checks that a named sequence exists and which of its parameters are given.
    pub fn check_sequence(&mut self, name: &str, span: Span, given: &[(&str, Span)]) -> bool {
        let Some(parameters) = self.names.sequences.get(name).cloned() else {
            let help = config::suggestion(name, self.names.sequences.keys().map(|name| &**name));
            self.error(
                "config.unknown_reference",
                span,
                format!("there is no sequence `{name}`"),
                help,
            );
            return false;
        };
        let mut good = true;
        for (argument, at) in given
            .iter()
            .filter(|(argument, _)| !parameters.contains_key(*argument))
        {
            let help = config::suggestion(argument, parameters.keys().map(String::as_str));
            self.error(
                "config.unknown_parameter",
                *at,
                format!("sequence `{name}` has no parameter `{argument}`"),
                help,
            );
            good = false;
        }
        let missing = |(parameter, has_default): &(&String, &bool)| {
            !**has_default && !given.iter().any(|(argument, _)| argument == parameter)
        };
        for (parameter, _) in parameters.iter().filter(missing) {
            let help = Some(format!("give it in `with: {{ {parameter}: ... }}`"));
            self.error(
                "config.missing_parameter",
                span,
                format!("sequence `{name}` needs the parameter `{parameter}`"),
                help,
            );
            good = false;
        }
        good
    }
}
