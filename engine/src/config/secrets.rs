//! Where secrets come from: variables with a prefix, a file, a directory with one file per secret as Kubernetes
//! and Docker mount them. A secrets file never becomes a source of diagnostics, since those show source lines.

use super::{Diagnostic, Diagnostics, Environment, Node, Sources, Spanned, parse};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where `${secret.NAME}` is looked up: the first place that has it counts, in the order of these keys.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretSettings {
    /// Prefix of environment variables: with `APP_` the secret `db.password` is `APP_DB_PASSWORD`.
    /// The default is `MEDIARY_SECRET_`.
    pub env_prefix: Option<String>,
    /// A YAML file (nested keys are joined by dots) or a `.properties` file.
    pub file: Option<Spanned<String>>,
    /// A directory with one file per secret, named like it; a newline at the end is dropped.
    pub directory: Option<Spanned<String>>,
}

/// The default of [`SecretSettings::env_prefix`].
const ENV_PREFIX: &str = "MEDIARY_SECRET_";
/// The largest file of a secrets directory, in bytes.
const SECRET_BYTES_MAX: u64 = 1 << 20;

/// The chain of places.
#[derive(Default)]
pub(super) struct Secrets {
    env_prefix: Option<String>,
    file: BTreeMap<String, String>,
    directory: Option<PathBuf>,
}

impl Secrets {
    /// Opens the places that the settings name. Relative paths start at the file that holds the settings.
    pub(super) fn open(settings: SecretSettings, sources: &Sources, diagnostics: &mut Diagnostics) -> Self {
        let path = |it: &Spanned<String>| sources.folder(it.span.source).join(&it.value);
        let mut secrets = Self {
            env_prefix: settings.env_prefix,
            ..Self::default()
        };
        if let Some(file) = &settings.file {
            match read_file(&path(file)) {
                Ok(entries) => secrets.file = entries,
                Err(reason) => diagnostics.push(unreadable(file, &reason)),
            }
        }
        if let Some(directory) = &settings.directory {
            match std::fs::read_dir(path(directory)) {
                Ok(_) => secrets.directory = Some(path(directory)),
                Err(error) => diagnostics.push(unreadable(directory, &error.to_string())),
            }
        }
        secrets
    }

    /// The secret, from the first place that has it.
    pub(super) fn get(&self, name: &str, environment: &Environment) -> Result<Option<String>, String> {
        let prefix = self.env_prefix.as_deref().unwrap_or(ENV_PREFIX);
        let variable = [
            format!("{prefix}{name}"),
            format!("{prefix}{}", variable_name(name)),
        ];
        if let Some(value) = variable.iter().find_map(|name| environment.variable(name)) {
            return Ok(Some(value.to_owned()));
        }
        if let Some(value) = self.file.get(name) {
            return Ok(Some(value.clone()));
        }
        self.directory
            .as_deref()
            .map_or(Ok(None), |directory| read_secret(directory, name))
    }

    /// The names in file and directory.
    pub(super) fn names(&self) -> Vec<String> {
        let listed = self
            .directory
            .as_ref()
            .and_then(|directory| std::fs::read_dir(directory).ok());
        let files = listed
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        self.file
            .keys()
            .cloned()
            .chain(files.filter(|name| !name.starts_with('.')))
            .collect()
    }
}

fn unreadable(place: &Spanned<String>, reason: &str) -> Diagnostic {
    Diagnostic::error(
        "config.secrets",
        place.span,
        format!("the secrets in `{}` cannot be read: {reason}", place.value),
    )
}

/// `db.password` as `DB_PASSWORD`.
fn variable_name(name: &str) -> String {
    let letters = name.chars().map(|letter| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    });
    letters.collect::<String>().to_ascii_uppercase()
}

fn read_secret(directory: &Path, name: &str) -> Result<Option<String>, String> {
    let plain = !name.starts_with('.') && !name.contains(['/', '\\']);
    let path = directory.join(name);
    let Some(metadata) = std::fs::metadata(&path).ok().filter(|_| plain) else {
        return Ok(None);
    };
    if !metadata.is_file() || metadata.len() > SECRET_BYTES_MAX {
        return Err(format!(
            "{} is no file of at most {SECRET_BYTES_MAX} bytes",
            path.display()
        ));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

fn read_file(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    match path
        .extension()
        .is_some_and(|extension| extension == "properties")
    {
        true => Ok(properties(&text)),
        false => yaml(&text),
    }
}

/// `name=value` or `name: value` lines; `#` and `!` begin comments.
fn properties(text: &str) -> BTreeMap<String, String> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', '!']));
    let entries = lines.filter_map(|line| line.split_once(['=', ':']));
    entries
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Positions are told, lines are not.
fn yaml(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut sources = Sources::default();
    let (node, problems) = parse(&mut sources, "", text);
    if let Some(problem) = problems.first() {
        let position = sources.position(problem.primary);
        return Err(format!(
            "line {}, column {}: not valid YAML",
            position.line, position.column
        ));
    }
    let mut entries = BTreeMap::new();
    flatten(
        &node.unwrap_or(Node::null(super::Span::default())),
        "",
        &mut entries,
    );
    Ok(entries)
}

fn flatten(node: &Node, prefix: &str, entries: &mut BTreeMap<String, String>) {
    for (key, value) in node.entries() {
        let name = format!("{prefix}{}", key.text);
        flatten(value, &format!("{name}."), entries);
        entries.extend(value.as_str().map(|text| (name, text.to_owned())));
    }
}
