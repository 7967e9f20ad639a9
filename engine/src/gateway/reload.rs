//! Binding listeners, swapping deployments, draining, and the management port.

use super::{Gateway, MANAGEMENT};
use crate::deployment::Deployment;
use crate::fault::Fault;
use crate::message::{Message, StartLine};
use crate::payload::Payload;
use crate::transport::{Inbound, RunningListener};
use futures_util::future::join_all;
use http::StatusCode;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A listener that receives, by name.
pub struct BoundListener {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where it can be reached.
    pub url: String,
}

impl Gateway {
    /// Binds the listeners of the current deployment. The first start.
    ///
    /// # Errors
    /// The first listener that cannot be bound.
    pub async fn bind(self: &Arc<Self>) -> Result<Vec<BoundListener>, Fault> {
        let deployment = self.deployment();
        let (opened, _) = self.open(&deployment).await?;
        self.listeners.lock().extend(opened);
        self.start_steps(&deployment);
        let running = self.listeners.lock();
        let bound = |listener: &Arc<dyn crate::transport::Listener>| {
            let url = running
                .get(&listener.key())
                .map(|running| running.url())
                .unwrap_or_default();
            BoundListener {
                name: Arc::clone(listener.name()),
                url,
            }
        };
        Ok(deployment.listeners.iter().map(bound).collect())
    }

    /// Replaces the deployment: binds what is new, swaps, then drains what is no longer wanted. On an error the old one keeps serving
    /// and nothing has changed.
    ///
    /// # Errors
    /// The first listener that cannot be bound or reconfigured.
    pub async fn reload(self: &Arc<Self>, deployment: Deployment) -> Result<(), Fault> {
        let (opened, kept) = self.open(&deployment).await?;
        for (running, listener) in kept {
            running.reconfigure(&*listener)?;
        }
        let grace = deployment.settings.shutdown_grace;
        let wanted: Vec<String> = deployment
            .listeners
            .iter()
            .map(|listener| listener.key())
            .collect();
        self.metrics.deployed(deployment.version);
        let deployment = Arc::new(deployment);
        self.deployment.store(Arc::clone(&deployment));
        self.start_steps(&deployment);
        let mut stale = Vec::new();
        {
            let mut listeners = self.listeners.lock();
            listeners.extend(opened);
            let gone: Vec<String> = listeners
                .keys()
                .filter(|key| !wanted.contains(key))
                .cloned()
                .collect();
            stale.extend(gone.iter().filter_map(|key| listeners.remove(key)));
        }
        for listener in stale {
            self.workers.spawn(async move { listener.drain(grace).await });
        }
        Ok(())
    }

    fn start_steps(self: &Arc<Self>, deployment: &Deployment) {
        for startup in &deployment.startups {
            Arc::clone(startup).start(self);
        }
    }

    async fn open(
        self: &Arc<Self>,
        deployment: &Deployment,
    ) -> Result<
        (
            HashMap<String, Arc<dyn RunningListener>>,
            Vec<(Arc<dyn RunningListener>, Arc<dyn crate::transport::Listener>)>,
        ),
        Fault,
    > {
        for store in deployment.stores.values() {
            store.open().await?;
        }
        let mut opened: HashMap<String, Arc<dyn RunningListener>> = HashMap::new();
        let mut kept = Vec::new();
        for listener in &deployment.listeners {
            let running = self.listeners.lock().get(&listener.key()).cloned();
            match running {
                Some(running) => kept.push((running, Arc::clone(listener))),
                None => match listener.bind(self).await {
                    Ok(bound) => drop(opened.insert(listener.key(), Arc::from(bound))),
                    Err(fault) => {
                        join_all(opened.values().map(|listener| listener.drain(Duration::ZERO))).await;
                        return Err(fault);
                    }
                },
            }
        }
        Ok((opened, kept))
    }

    /// Stops accepting, waits for what is in flight within the grace time, and closes everything. The management port stays until the end,
    /// so that readiness can be seen to be off.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        let grace = self.deployment().settings.shutdown_grace;
        let management = self
            .deployment()
            .listeners
            .iter()
            .find(|listener| &**listener.name() == MANAGEMENT)
            .map(|listener| listener.key());
        let mut listeners = std::mem::take(&mut *self.listeners.lock());
        let management = management.and_then(|key| listeners.remove(&key));
        join_all(listeners.values().map(|listener| listener.drain(grace))).await;
        if let Some(management) = management {
            management.drain(Duration::ZERO).await;
        }
    }

    pub(super) fn manage(&self, inbound: &Inbound) -> Message {
        let path = match &inbound.message.start {
            StartLine::Request { uri, .. } => uri.path(),
            _ => "",
        };
        match path {
            "/health/live" => text(StatusCode::OK, "text/plain; charset=utf-8", "live\n".to_owned()),
            "/health/ready" if self.draining() => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain; charset=utf-8",
                "draining\n".to_owned(),
            ),
            "/health/ready" => text(StatusCode::OK, "text/plain; charset=utf-8", "ready\n".to_owned()),
            "/health" => {
                let (media_type, body) = ("application/json", self.health.report(self.draining()));
                text(StatusCode::OK, media_type, body)
            }
            "/metrics" => {
                let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                text(StatusCode::OK, media_type, self.metrics.encode())
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "not found\n".to_owned(),
            ),
        }
    }
}

fn text(status: StatusCode, media_type: &str, body: String) -> Message {
    let mut message = Message::response(status);
    message.set_content_type(media_type);
    message.payload = Payload::bytes(body);
    message
}
