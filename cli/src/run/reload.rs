//! Serving until the end, with reloads on the way. A reload is built beside the threads that serve; one with
//! errors changes nothing but a counter.

use super::Signals;
use super::watch::Watch;
use crate::arguments::ProjectOptions;
use crate::project::{self, Lasting, Loaded};
use engine::deployment::Deployment;
use engine::gateway::Gateway;
use std::io::Write;
use std::sync::Arc;

/// Serves a project and replaces its deployment.
pub(super) struct Reloader {
    project: ProjectOptions,
    lasting: Lasting,
    gateway: Arc<Gateway>,
    watch: Option<Watch>,
}

impl Reloader {
    pub(super) fn new(
        project: ProjectOptions,
        lasting: Lasting,
        gateway: Arc<Gateway>,
        watch: Option<Watch>,
    ) -> Self {
        Self {
            project,
            lasting,
            gateway,
            watch,
        }
    }

    /// Serves until SIGTERM or SIGINT; reloads on SIGHUP and on changes.
    pub(super) async fn until_the_end(&mut self, signals: &mut Signals) {
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
                _ = signals.hangup.recv() => {}
                () = changed(self.watch.as_mut()) => {}
            }
            self.reload().await;
        }
    }

    /// Lets what is in flight finish; a second signal ends it at once.
    pub(super) async fn drain(&self, signals: &mut Signals) {
        tracing::info!("draining");
        tokio::select! {
            () = self.gateway.drain() => tracing::info!("ended"),
            () = signals.end() => tracing::warn!("ended before everything was answered"),
        }
    }

    async fn reload(&self) {
        let (project, lasting) = (self.project.clone(), self.lasting.clone());
        let building = tokio::task::spawn_blocking(move || {
            let mut loaded = project::load(&project);
            let deployment = loaded.build(&lasting);
            (loaded, deployment)
        });
        let refused = match building.await {
            Ok((_, Some(deployment))) => self.swap(deployment).await.err(),
            Ok((refused, None)) => {
                print(&refused);
                Some(refused.summary())
            }
            Err(error) => Some(format!("the build ended abnormally: {error}")),
        };
        if let Some(reason) = refused {
            self.lasting.metrics.reloads_refused.inc();
            tracing::error!(reason, "the reload is refused; the old deployment serves on");
        }
    }

    async fn swap(&self, deployment: Deployment) -> Result<(), String> {
        let version = deployment.version;
        self.gateway
            .reload(deployment)
            .await
            .map_err(|fault| fault.to_string())?;
        tracing::info!(version, "reloaded");
        Ok(())
    }
}

/// Diagnostics are for people, and go beside the log.
fn print(refused: &Loaded) {
    let text = project::render(&refused.diagnostics, &refused.project.sources);
    let _ = writeln!(anstream::stderr(), "{text}");
}

async fn changed(watch: Option<&mut Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
