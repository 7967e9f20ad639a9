//! What `env` and `secret` mean: the process environment as it was at load, and a chain of places where secrets
//! are kept. Tests and embedded samples give an environment of their own.

use super::secrets::Secrets;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Variables and secrets, as read at load. `Debug` shows names, never values.
#[derive(Clone, Default)]
pub struct Environment {
    variables: Arc<BTreeMap<String, String>>,
    secrets: Arc<Secrets>,
}

impl Environment {
    /// The environment of the process. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os();
        Self::of(
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// Given variables.
    pub fn of<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            variables: Arc::new(variables),
            secrets: Arc::default(),
        }
    }

    pub(super) fn with_secrets(self, secrets: Secrets) -> Self {
        Self {
            secrets: Arc::new(secrets),
            ..self
        }
    }

    /// The variable's value.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The names of all variables, for suggestions.
    pub fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// The secret's value, from the first place that has it.
    ///
    /// # Errors
    /// If a place has it but cannot be read; the text does not hold the value.
    pub fn secret(&self, name: &str) -> Result<Option<String>, String> {
        self.secrets.get(name, self)
    }

    /// The names of the secrets that can be listed, for suggestions.
    pub fn secret_names(&self) -> Vec<String> {
        self.secrets.names()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.len())
            .finish_non_exhaustive()
    }
}
