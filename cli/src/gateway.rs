//! A project as a running gateway, as `run`, `test` and `samples run` start it.

use crate::project::Lasting;
use engine::deployment::Deployment;
use engine::fault::Fault;
use engine::gateway::{BoundListener, Gateway, TraceSink};
use engine::workers::Workers;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// The runtime of the control plane: signals, reloads, tests. Messages never run on it.
///
/// # Errors
/// Where the system refuses one.
pub fn control_runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A gateway that serves.
pub struct Served {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Its listeners, with the ports that were really bound.
    pub listeners: Vec<BoundListener>,
}

/// Starts a gateway and binds its listeners.
///
/// # Errors
/// Why a listener cannot be bound, or threads cannot be had.
pub async fn serve(
    deployment: Deployment,
    lasting: &Lasting,
    workers: &Arc<Workers>,
    trace: Option<TraceSink>,
) -> Result<Served, Fault> {
    let gateway = Gateway::new(
        deployment,
        Arc::clone(&lasting.state),
        Arc::clone(&lasting.metrics),
        Arc::clone(workers),
        trace,
    );
    let listeners = gateway.bind().await?;
    Ok(Served { gateway, listeners })
}

impl Served {
    /// The URL of a listener, without a slash at the end.
    #[must_use]
    pub fn url(&self, name: &str) -> Option<&str> {
        let listener = self.listeners.iter().find(|listener| &*listener.name == name)?;
        Some(listener.url.trim_end_matches('/'))
    }
}
