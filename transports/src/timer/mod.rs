//! The transport `timer`: empty messages by the clock, for `tasks` and for proxies. [`schedule`] says when, [`ticker`] runs it.

mod config;
mod schedule;
mod ticker;

use engine::fault::Fault;
use engine::gateway::Gateway;
use engine::mediator::BoxFuture;
use engine::registry::{EntrySpec, TransportSpec};
use engine::transport::{Delivery, Listener, RunningListener, Settled};
use schemars::SchemaGenerator;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use ticker::{Phase, Plan, Tick};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// First pause before a tick that the gateway could not take is delivered again; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The registration.
pub(crate) const SPEC: TransportSpec = TransportSpec {
    name: "timer",
    docs: "Messages by the clock: at an interval, or by a cron expression in a time zone.\n\n\
           `timer: 10s` and `timer: \"0 2 * * *\"` are short for `every` and `cron`. Each message is empty; `source.scheduled` is when \
           it was due (RFC 3339), `source.tick` counts from 1 since the start, `source.skipped` counts those that were left out because \
           the last run was still going. `tasks` take the same settings as their `schedule`.\n\n\
           Nothing is caught up: what was due while the gateway was stopped does not come later, and after a pause of the machine one \
           message comes at once and then the next one that is due. Every gateway process has timers of its own; two processes with \
           the same project both run. A message that the steps fail on goes to the artifact's `dead_letter` and is not repeated.",
    listener: None,
    entry: Some(EntrySpec {
        schema: SchemaGenerator::subschema_for::<config::TimerConfig>,
        build: config::build,
    }),
    sender: None,
    connection: None,
    store: None,
};

/// A timer of one artifact.
struct Timer {
    artifact: Arc<str>,
    plan: Arc<Plan>,
    /// All settings as text.
    settings: String,
}

impl Listener for Timer {
    fn name(&self) -> &Arc<str> {
        &self.artifact
    }

    fn key(&self) -> String {
        format!("timer {} {}", self.artifact, self.settings)
    }

    fn bind<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> BoxFuture<'a, Result<Box<dyn RunningListener>, Fault>> {
        Box::pin(async move {
            let (phase, watched) = watch::channel(Phase::Running);
            let (alive, ended) = watch::channel(());
            let health = gateway.health.register(&self.artifact);
            let (artifact, plan) = (Arc::clone(&self.artifact), Arc::clone(&self.plan));
            let deliverer = Arc::clone(gateway);
            gateway.workers.spawn(async move {
                health.up();
                let name = Arc::clone(&artifact);
                let run = move |tick| deliver(Arc::clone(&deliverer), Arc::clone(&artifact), tick);
                ticker::run(&plan, &name, jiff::Timestamp::now, watched, run).await;
                drop((alive, health));
            });
            let running: Box<dyn RunningListener> = Box::new(RunningTimer {
                url: format!("timer:{}", self.settings),
                phase,
                ended,
            });
            Ok(running)
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Delivers one tick. While the gateway cannot take it (a reload under way) it is tried again; the run goes on so long, and the ticks
/// meanwhile are skipped.
async fn deliver(gateway: Arc<Gateway>, artifact: Arc<str>, tick: Tick) {
    let mut pause = PAUSE_MIN;
    loop {
        let delivery = Delivery {
            artifact: Arc::clone(&artifact),
            source: json!({
                "scheduled": tick.scheduled.to_string(), "tick": tick.number, "skipped": tick.skipped,
            })
            .into(),
            ..Delivery::default()
        };
        match gateway.deliver(delivery).await {
            Settled::Later(_) => sleep(pause).await,
            // The gateway has logged and counted a fault.
            Settled::Done(_) | Settled::DeadLettered(_) | Settled::Failed(_) => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

struct RunningTimer {
    url: String,
    phase: watch::Sender<Phase>,
    /// Closed when the timer's task has ended.
    ended: watch::Receiver<()>,
}

impl RunningListener for RunningTimer {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn drain(&self, grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.phase.send_replace(Phase::Draining);
            let mut ended = self.ended.clone();
            // Nothing is ever sent: the channel closes.
            if timeout(grace, ended.changed()).await.is_err() {
                self.phase.send_replace(Phase::Stopped);
            }
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[cfg(test)]
mod tests;
