//! The listener on a folder: its settings, compiled, and its life.

use super::config::{Action, FolderConfig, RetryConfig, Sort};
use super::example;
use super::folder::{self, Folder};
use super::split::Split;
use engine::build::Build;
use engine::config::Text;
use engine::expression::{Escape, Template};
use engine::fault::Fault;
use engine::files::FileStore;
use engine::gateway::Gateway;
use engine::mediator::BoxFuture;
use engine::registry::EntryPoint;
use engine::transport::{Listener, RunningListener};
use globset::{GlobBuilder, GlobMatcher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The settings of a listener, ready to run.
pub(crate) struct Settings {
    pub(crate) artifact: Arc<str>,
    pub(crate) pattern: GlobMatcher,
    /// Whether the pattern is about paths rather than names.
    pub(crate) by_path: bool,
    pub(crate) recursive: bool,
    pub(crate) every: Duration,
    pub(crate) sort: Sort,
    pub(crate) minimum_age: Duration,
    pub(crate) stable_for: Duration,
    pub(crate) batch: usize,
    pub(crate) concurrency: usize,
    pub(crate) content_type: Option<String>,
    pub(crate) after: Settlement,
    pub(crate) on_fault: Settlement,
    pub(crate) split: Option<Arc<Split>>,
    pub(crate) retry: RetryConfig,
    pub(crate) lease: Duration,
}

/// What becomes of a file.
pub(crate) enum Settlement {
    Delete,
    /// Into a folder, under the path it has.
    Folder(String),
    /// To a path of its own.
    Path(Template),
    /// To another name in its own folder.
    Name(Template),
}

/// Builds the entry of an artifact that receives the files of `store`'s folder. With `wake` the folder is looked at as soon as something
/// changes in it, beside the polls.
pub(crate) fn listener(
    artifact: &Arc<str>,
    store: Arc<dyn FileStore>,
    config: &FolderConfig,
    wake: Option<Wake>,
    cx: &mut Build<'_>,
) -> Option<EntryPoint> {
    let pattern = GlobBuilder::new(&config.pattern.value)
        .literal_separator(true)
        .build();
    if let Err(error) = &pattern {
        let help = Some("write a pattern such as `*.csv` or `{a,b}-??.xml`".to_owned());
        cx.error(
            "config.bad_value",
            config.pattern.span,
            error.kind().to_string(),
            help,
        );
    }
    let after = settlement(&config.after, cx);
    let on_fault = settlement(&config.on_fault, cx);
    let split = match &config.split {
        None => Some(None),
        Some(setting) => Split::build(setting, cx).map(Arc::new).map(Some),
    };
    let settings = Settings {
        artifact: Arc::clone(artifact),
        pattern: pattern.ok()?.compile_matcher(),
        by_path: config.pattern.value.contains('/'),
        recursive: config.recursive,
        every: config.every.get().max(Duration::from_millis(1)),
        sort: config.sort,
        minimum_age: config.minimum_age.map(Duration::from).unwrap_or_default(),
        stable_for: config.stable_for.map(Duration::from).unwrap_or_default(),
        batch: config.batch,
        concurrency: config.concurrency,
        content_type: config.content_type.clone(),
        after: after?,
        on_fault: on_fault?,
        split: split?,
        retry: config.retry,
        lease: config.lease.get().max(Duration::from_millis(100)),
    };
    let renames = [&config.after, &config.on_fault].map(|action| is_final(action, config, &settings, cx));
    if renames.contains(&false) {
        return None;
    }
    Some(EntryPoint::Listener(Arc::new(FolderListener {
        key: config.key(artifact, &store.key()),
        settings: Arc::new(settings),
        store,
        wake,
    })))
}

fn settlement(action: &Action, cx: &mut Build<'_>) -> Option<Settlement> {
    let text = match action {
        Action::Delete => return Some(Settlement::Delete),
        Action::Rename(text) => return cx.template(text, Escape::None).map(Settlement::Name),
        Action::Move(text) => text,
    };
    let template = cx.template(text, Escape::None)?;
    match template.as_literal() {
        None => Some(Settlement::Path(template)),
        Some(folder) => into_folder(&folder, text, cx).map(Settlement::Folder),
    }
}

/// Whether a renamed file is left alone, as far as that can be known before there is one.
fn is_final(action: &Action, config: &FolderConfig, settings: &Settings, cx: &mut Build<'_>) -> bool {
    let Action::Rename(text) = action else { return true };
    let example = example::of_pattern(&config.pattern.value, &settings.pattern);
    let renamed = example.and_then(|name| example::renamed(text.as_str(), &name));
    let problem = match renamed {
        Some(name) if name.contains('/') => "this leads to another folder: use `move`",
        Some(name) if settings.matches(&name) => "a file with this name would be taken again",
        _ => return true,
    };
    let help =
        Some("write a name that the pattern does not match, such as `.${source.name}.done`".to_owned());
    cx.error("config.bad_value", text.span(), problem, help);
    false
}

fn into_folder(folder: &str, text: &Text, cx: &mut Build<'_>) -> Option<String> {
    let folder = folder.trim_end_matches('/');
    match super::path::check(folder) {
        Ok(()) => Some(folder.to_owned()),
        Err(_) => {
            let help = Some("write a path below the listener's own folder, such as `done`".to_owned());
            cx.error(
                "config.bad_path",
                text.span(),
                "this leads out of the folder",
                help,
            );
            None
        }
    }
}

/// Starts to watch a folder: the notifier is notified when something changed, as long as the guard is held. `None` where it cannot.
pub(crate) type Wake = Box<dyn Fn(&Arc<Notify>) -> Option<Box<dyn Send + Sync>> + Send + Sync>;

struct FolderListener {
    key: String,
    settings: Arc<Settings>,
    store: Arc<dyn FileStore>,
    wake: Option<Wake>,
}

impl Listener for FolderListener {
    fn name(&self) -> &Arc<str> {
        &self.settings.artifact
    }

    fn key(&self) -> String {
        self.key.clone()
    }

    fn bind<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> BoxFuture<'a, Result<Box<dyn RunningListener>, Fault>> {
        Box::pin(async move {
            let (folder, finished) = Folder::new(gateway, &self.settings, &self.store);
            let watching = self.wake.as_ref().and_then(|wake| wake(&folder.wake));
            folder::start(&folder);
            let running: Box<dyn RunningListener> = Box::new(RunningFolder {
                folder,
                finished: tokio::sync::Mutex::new(finished),
                _watching: watching,
            });
            Ok(running)
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct RunningFolder {
    folder: Arc<Folder>,
    finished: tokio::sync::Mutex<folder::Finished>,
    _watching: Option<Box<dyn Send + Sync>>,
}

impl RunningListener for RunningFolder {
    fn url(&self) -> String {
        self.folder.store.url()
    }

    fn drain(&self, grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut finished = self.finished.lock().await;
            self.folder.drain(grace, &mut finished).await;
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
