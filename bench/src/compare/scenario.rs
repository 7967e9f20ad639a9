//! A scenario: the message, the path, and how each contestant is configured and started. Files of
//! `bench/scenarios` hold them, so that a further gateway needs no code.

use crate::Outcome;
use crate::message::Form;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A file of `bench/scenarios`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// Short name, also of the result files.
    pub(super) id: String,
    /// One line for people.
    pub(super) title: String,
    /// The path that all contestants serve.
    pub(super) path: String,
    /// Arguments of `mediary-bench load`: form, size, headers.
    pub(super) load: Vec<String>,
    /// Arguments of `mediary-bench echo`.
    #[serde(default)]
    pub(super) backend: Vec<String>,
    /// The contestant that the others are divided by.
    pub(super) baseline: String,
    pub(super) contestants: Vec<Contestant>,
}

/// One gateway.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contestant {
    pub(super) name: String,
    /// Its configuration, relative to `bench`; placeholders are filled in.
    template: PathBuf,
    /// Program and arguments, which stay in the foreground; placeholders are filled in.
    command: Vec<String>,
}

/// What the placeholders stand for.
pub(super) struct Places<'a> {
    /// `@FOLDER@`: a fresh folder, which holds the configuration.
    pub(super) folder: &'a Path,
    /// `@PORT@`: where the contestant listens, on 127.0.0.1.
    pub(super) address: SocketAddr,
    /// `@BACKEND@`: address and port of the backend.
    pub(super) backend: SocketAddr,
    /// `@MEDIARY@`: the path of the `mediary` binary.
    pub(super) mediary: &'a Path,
}

impl Scenario {
    /// Reads a scenario by name or path.
    pub(super) fn load(bench: &Path, name: &str) -> Outcome<Self> {
        let named = bench.join("scenarios").join(format!("{name}.json"));
        let path = if named.is_file() {
            named
        } else {
            PathBuf::from(name)
        };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            format!(
                "{}: {error} (run from the root of the repository)",
                path.display()
            )
        })?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    /// The contestants with these names, all of them when there are none.
    pub(super) fn selected(&self, names: &[String]) -> Outcome<Vec<&Contestant>> {
        if let Some(unknown) = names
            .iter()
            .find(|name| self.contestants.iter().all(|known| known.name != **name))
        {
            return Err(format!("{unknown}: no such contestant in {}", self.id).into());
        }
        let wanted = |contestant: &&Contestant| names.is_empty() || names.contains(&contestant.name);
        Ok(self.contestants.iter().filter(wanted).collect())
    }

    /// A whole request with the scenario's smallest message and the further headers of its load.
    pub(super) fn first_request(&self, address: SocketAddr, connection: &str) -> String {
        let form = match self.load_value("--form") {
            Some("json") => Form::Json,
            Some("none") => Form::None,
            _ => Form::Soap,
        };
        let method = if form == Form::None { "GET" } else { "POST" };
        let text = form.message(0);
        let mut request = format!("{method} {} HTTP/1.1\r\nHost: {address}\r\n", self.path);
        if let Some(content_type) = form.content_type() {
            request.push_str(&format!(
                "Content-Type: {content_type}\r\nContent-Length: {}\r\n",
                text.len()
            ));
        }
        for pair in self.load.windows(2).filter(|pair| pair[0] == "--header") {
            request.push_str(&format!("{}\r\n", pair[1]));
        }
        request + &format!("Connection: {connection}\r\n\r\n{text}")
    }

    fn load_value(&self, flag: &str) -> Option<&str> {
        self.load
            .windows(2)
            .find(|pair| pair[0] == flag)
            .map(|pair| pair[1].as_str())
    }
}

impl Contestant {
    /// Writes the configuration and returns the command.
    pub(super) fn prepare(&self, bench: &Path, places: &Places<'_>) -> Outcome<Vec<String>> {
        let source = bench.join(&self.template);
        let template =
            std::fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        let name = source.file_name().ok_or("a template is a file")?;
        std::fs::write(places.folder.join(name), places.fill(&template))?;
        Ok(self.command.iter().map(|part| places.fill(part)).collect())
    }
}

impl Places<'_> {
    fn fill(&self, text: &str) -> String {
        text.replace("@FOLDER@", &self.folder.display().to_string())
            .replace("@PORT@", &self.address.port().to_string())
            .replace("@BACKEND@", &self.backend.to_string())
            .replace("@MEDIARY@", &self.mediary.display().to_string())
    }
}
