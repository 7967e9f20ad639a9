//! A project from its files, or from texts in memory: parsed, merged, overridden and substituted, ready to be
//! read into types.

use super::secrets::{SecretSettings, Secrets};
use super::{Diagnostic, Diagnostics, Environment, Node, Sources, Span, folder, merge, overrides, parse};
use super::{read, substitute};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What goes into a project besides its files.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `--set` arguments, in their order.
    pub set: Vec<String>,
    /// The variables that `${env.NAME}` sees.
    pub environment: Environment,
}

/// A project as one tree.
#[derive(Debug)]
pub struct Project {
    /// Names and texts, for positions and diagnostics.
    pub sources: Sources,
    /// The merged and substituted tree: a mapping, or nothing.
    pub root: Node,
    /// The folder, or the folder of the only file.
    pub folder: PathBuf,
    /// The files that were read, to be watched for changes.
    pub files: Vec<PathBuf>,
    /// `*.test.yaml` files.
    pub tests: Vec<PathBuf>,
    /// The real paths of the folders in which definitions are looked for; none where the project is a file.
    folders: HashSet<PathBuf>,
    /// Variables and secrets, for expressions that name `env` or `secret` themselves.
    pub environment: Environment,
    /// Whether every file could be read. If not, names may seem undefined that are not.
    pub complete: bool,
}

/// Loads a file, or every `*.yaml` and `*.yml` below a folder. Tests (`*.test.yaml`), hidden files, folders called `data`, API
/// descriptions (files that begin with `openapi`, `swagger` or `asyncapi`) and the secrets file are left out.
pub fn load_project(path: &Path, options: &LoadOptions, diagnostics: &mut Diagnostics) -> Project {
    let found = folder::find(path);
    let mut loader = Loader::new(diagnostics);
    for (path, reason) in &found.problems {
        loader.unreadable(path, reason);
    }
    if found.definitions.is_empty() && found.problems.is_empty() {
        loader.unreadable(path, "there is no `*.yaml` file in this folder");
    }
    found.definitions.iter().for_each(|path| loader.file(path));
    let folder = if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(Path::new(""))
    };
    let project = loader.finish(folder, options);
    Project {
        tests: found.tests,
        folders: found.folders,
        ..project
    }
}

impl Project {
    /// Whether a file that is written to a folder, or to one below it, may become a definition of this project.
    #[must_use]
    pub fn reads_definitions_in(&self, folder: &Path) -> bool {
        folder::is_read(&self.folders, folder)
    }
}

/// Loads texts by name, as embedded samples and tests have them. Relative file references start at `folder`.
pub fn load_texts<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    folder: &Path,
    options: &LoadOptions,
    diagnostics: &mut Diagnostics,
) -> Project {
    let mut loader = Loader::new(diagnostics);
    for (name, text) in texts {
        loader.text(name, text, folder);
    }
    loader.finish(folder, options)
}

/// Top-level keys of files that live beside definitions without being any.
const FOREIGN: [&str; 3] = ["openapi", "swagger", "asyncapi"];

struct Loader<'a> {
    sources: Sources,
    trees: Vec<Node>,
    files: Vec<PathBuf>,
    complete: bool,
    /// Of each file, held back until it is known that the file is not the secrets file.
    problems: Vec<Diagnostic>,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Loader<'a> {
    fn new(diagnostics: &'a mut Diagnostics) -> Self {
        let (sources, trees, files) = Default::default();
        Self {
            sources,
            trees,
            files,
            complete: true,
            problems: Vec::new(),
            diagnostics,
        }
    }

    fn file(&mut self, path: &Path) {
        let too_large = std::fs::metadata(path).is_ok_and(|it| it.len() > parse::FILE_BYTES_MAX as u64);
        if too_large {
            let reason = format!("it has more than {} bytes", parse::FILE_BYTES_MAX);
            return self.unreadable(path, &reason);
        }
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return self.unreadable(path, &error.to_string()),
        };
        self.files.push(path.to_owned());
        match String::from_utf8(bytes) {
            Ok(text) => self.text(
                &path.display().to_string(),
                &text,
                path.parent().unwrap_or(Path::new("")),
            ),
            Err(error) => self.not_utf8(path, &error),
        }
    }

    fn text(&mut self, name: &str, text: &str, folder: &Path) {
        let source = self.sources.add_in(name, text, folder);
        let (tree, problems) = parse::parse_source(&self.sources, source, 0);
        self.complete &= tree.is_some();
        self.problems.extend(problems);
        self.trees
            .extend(tree.filter(|tree| FOREIGN.iter().all(|key| tree.get(key).is_none())));
    }

    fn unreadable(&mut self, path: &Path, reason: &str) {
        let source = self.sources.add(path.display().to_string(), "");
        let message = format!("`{}` cannot be read: {reason}", path.display());
        self.diagnostics.push(Diagnostic::error(
            "config.unreadable",
            Span::new(source, 0, 0),
            message,
        ));
        self.complete = false;
    }

    fn not_utf8(&mut self, path: &Path, error: &std::string::FromUtf8Error) {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        let source = self.sources.add(path.display().to_string(), &*text);
        let span = Span::new(source, at, at + '\u{fffd}'.len_utf8());
        let help = "save the file in UTF-8";
        self.problems
            .push(Diagnostic::error("config.not_utf8", span, "this is not UTF-8").help(help));
        self.complete = false;
    }

    fn finish(mut self, folder: &Path, options: &LoadOptions) -> Project {
        self.leave_out_secrets_files();
        self.diagnostics.extend(std::mem::take(&mut self.problems));
        let mut root = merge::merge(std::mem::take(&mut self.trees), self.diagnostics);
        for argument in &options.set {
            root = overrides::apply_override(&root, &mut self.sources, argument, self.diagnostics);
        }
        let environment = self.environment(&root, options);
        let root = substitute::substitute(&root, &environment, self.diagnostics);
        Project {
            sources: self.sources,
            root,
            folder: folder.to_owned(),
            files: self.files,
            tests: Vec::new(),
            folders: HashSet::new(),
            environment,
            complete: self.complete,
        }
    }

    /// A secrets file below the project folder is no definition, and its lines must not be shown.
    fn leave_out_secrets_files(&mut self) {
        let named = self.trees.iter().filter_map(|tree| {
            let file = tree.get("settings")?.get("secrets")?.get("file")?;
            self.sources
                .folder(file.span.source)
                .join(file.as_str()?)
                .canonicalize()
                .ok()
        });
        let named: Vec<PathBuf> = named.collect();
        let is_secret = |span: Span| {
            let path = Path::new(self.sources.name(span.source)).canonicalize();
            path.is_ok_and(|path| named.contains(&path))
        };
        if !named.is_empty() {
            self.trees.retain(|tree| !is_secret(tree.span));
            self.problems.retain(|problem| !is_secret(problem.primary));
        }
    }

    /// The secret settings may name variables, but not secrets. They are read again with everything else, which
    /// is when their own problems are reported.
    fn environment(&mut self, root: &Node, options: &LoadOptions) -> Environment {
        let settings = root.get("settings").and_then(|settings| settings.get("secrets"));
        let Some(settings) = settings else {
            return options.environment.clone();
        };
        let mut reported_later = Diagnostics::new();
        let settings = substitute::substitute(settings, &options.environment, &mut reported_later);
        let settings = read::<SecretSettings>(&settings, &mut reported_later).unwrap_or_default();
        let secrets = Secrets::open(settings, &self.sources, self.diagnostics);
        options.environment.clone().with_secrets(secrets)
    }
}
