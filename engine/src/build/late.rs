//! What only the whole project shows: names that must have a counterpart, stores that are used for two things, and what steps do when
//! the deployment begins to serve.

use super::Build;
use crate::config::{Diagnostic, Span, Spanned, suggestion};
use crate::deployment::Startup;
use crate::store::Store;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

type Check = Box<dyn FnOnce(&mut Build<'_>)>;

/// What is gathered while artifacts are built.
#[derive(Default)]
pub(crate) struct Late {
    notes: HashMap<TypeId, Box<dyn Any>>,
    checks: Vec<Check>,
    store_uses: HashMap<String, (Option<String>, Span)>,
    pub(crate) startups: Vec<Arc<dyn Startup>>,
    pub(crate) followed: bool,
}

impl Build<'_> {
    /// The notes of this type that extensions have taken in this build.
    pub fn notes<T: Any + Default>(&mut self) -> &mut T {
        let notes = self.late.notes.entry(TypeId::of::<T>());
        let notes = notes.or_insert_with(|| Box::new(T::default()));
        notes.downcast_mut().expect("notes are kept under their own type")
    }

    /// Has something checked when everything is built.
    pub fn at_end(&mut self, check: impl FnOnce(&mut Build<'_>) + 'static) {
        self.late.checks.push(Box::new(check));
    }

    pub(crate) fn run_checks(&mut self) {
        for check in std::mem::take(&mut self.late.checks) {
            check(self);
        }
    }

    /// Whether something follows the list of steps that is being built: the `to` of its artifact.
    #[must_use]
    pub fn followed(&self) -> bool {
        self.late.followed
    }

    /// Has something done when the deployment begins to serve.
    pub fn on_start(&mut self, startup: Arc<dyn Startup>) {
        self.late.startups.push(startup);
    }

    /// The message store of this name; otherwise a problem is reported.
    pub fn store(&mut self, name: &Spanned<String>) -> Option<Arc<dyn Store>> {
        let store = self.find_store(name)?;
        self.use_store(name, None).then_some(store)
    }

    /// The message store of this name, to keep the state of a step in. Only steps of the same `owner` may share it, and nothing else may
    /// use it: a processor would take the state for messages.
    pub fn state_store(&mut self, name: &Spanned<String>, owner: &str) -> Option<Arc<dyn Store>> {
        let store = self.find_store(name)?;
        if !store.addressable() {
            let problem = format!("store `{}` cannot keep the state of a step", name.value);
            let help = Some("its messages cannot be looked up; use a `durable` store".to_owned());
            self.error("config.bad_value", name.span, problem, help);
            return None;
        }
        self.use_store(name, Some(owner)).then_some(store)
    }

    fn find_store(&mut self, name: &Spanned<String>) -> Option<Arc<dyn Store>> {
        let found = self.stores.get(name.value.as_str()).cloned();
        if found.is_none() {
            let help = suggestion(&name.value, self.stores.keys().map(|name| &**name));
            let problem = format!("there is no store `{}`", name.value);
            self.error("config.unknown_reference", name.span, problem, help);
        }
        found.flatten()
    }

    /// Notes what a store is used for, and says whether that goes together with its other uses.
    fn use_store(&mut self, name: &Spanned<String>, owner: Option<&str>) -> bool {
        let uses = self.late.store_uses.entry(name.value.clone());
        let (first, span) = uses.or_insert_with(|| (owner.map(str::to_owned), name.span));
        if first.as_deref() == owner {
            return true;
        }
        let problem = format!(
            "store `{}` keeps the state of a step and cannot be used for anything else",
            name.value
        );
        let diagnostic = Diagnostic::error("config.bad_combination", name.span, problem)
            .secondary(*span, "it is used here as well")
            .help("give the step a store of its own");
        self.diagnostics.push(diagnostic);
        false
    }
}
