//! `mediary run`: serves a project until it is told to end. Standard output says where it listens and when it is
//! ready; everything else goes to standard error.

pub mod logging;
mod reload;
mod timeline;
mod watch;

use crate::arguments::RunOptions;
use crate::console::{Console, End};
use crate::gateway::{self, Served};
use crate::project::{self, Lasting};
use engine::workers::Workers;
use reload::Reloader;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use watch::Watch;

/// Runs the command.
pub fn run(options: &RunOptions, console: &mut Console) -> End {
    if let Err(problem) = logging::start(&options.log) {
        console.error(problem);
        return End::Usage;
    }
    let lasting = Lasting::default();
    let mut loaded = project::load(&options.project);
    let deployment = loaded.build(&lasting);
    loaded.report(console);
    let Some(deployment) = deployment else {
        return End::Problems;
    };
    let started = gateway::control_runtime()
        .and_then(|runtime| Ok((runtime, Workers::start(deployment.settings.workers)?)));
    match started {
        Ok((runtime, workers)) => {
            let project = (loaded, deployment);
            runtime.block_on(serve(options, project, &lasting, &workers, console))
        }
        Err(error) => {
            console.error(format_args!("threads cannot be started: {error}"));
            End::Problems
        }
    }
}

async fn serve(
    options: &RunOptions,
    (loaded, deployment): (project::Loaded, engine::deployment::Deployment),
    lasting: &Lasting,
    workers: &Arc<Workers>,
    console: &mut Console,
) -> End {
    let trace = options.trace.then(timeline::printer);
    let version = deployment.version;
    // Signals are caught before anybody can know that the gateway is up.
    let signals = Signals::catch();
    let served = match gateway::serve(deployment, lasting, workers, trace).await {
        Ok(served) => served,
        Err(fault) => {
            console.error(fault);
            return End::Problems;
        }
    };
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(error) => {
            console.error(format_args!("signals cannot be caught: {error}"));
            return End::Problems;
        }
    };
    let watch = options.watch.then(|| Watch::start(&loaded.project));
    announce(&served, console);
    tracing::info!(version, "serving");
    let mut reloader = Reloader::new(options.project.clone(), lasting.clone(), served.gateway, watch);
    reloader.until_the_end(&mut signals).await;
    reloader.drain(&mut signals).await;
    End::Fine
}

/// A contract: tests and scripts read these lines.
fn announce(served: &Served, console: &mut Console) {
    for listener in &served.listeners {
        console.say(format_args!("listening {} {}", listener.name, listener.url));
    }
    console.say("ready");
}

/// What the operating system asks for.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
