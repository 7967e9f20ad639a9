//! A project on other ports than its own. What it says about its own ports has to follow: the backend of a sample is
//! a listener of the same project, and its endpoints name the port that is written there. Tests also leave the servers alone whose
//! queues and folders the project listens to: a test must not take messages that are not its own.

use super::redirect;
use super::suite::names;
use crate::gateway::{self, Served};
use crate::project::{self, Lasting, Loaded};
use engine::config::{self, Node, Project};
use engine::deployment::Deployment;
use engine::workers::Workers;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the listeners on servers may take to be up, and the pause between two looks.
const UP_TIME: Duration = Duration::from_secs(10);
const UP_PAUSE: Duration = Duration::from_millis(20);
/// The port of the listener `http` where none is configured.
const DEFAULT_PORT: u16 = 8290;

/// The problems of a project as people read them.
#[must_use]
pub fn problems(loaded: &Loaded) -> String {
    project::render(&loaded.diagnostics, &loaded.project.sources)
}

/// Listeners with the ports that the project gives them.
#[must_use]
pub fn ports(project: &Project) -> Vec<(String, u16)> {
    let port = |name: &str| {
        let listener = project.root.get("settings")?.get("listeners")?.get(name)?;
        listener.get("port")?.as_str()?.parse().ok()
    };
    let with_port = |name: String| {
        let port = port(&name).unwrap_or(DEFAULT_PORT);
        (name, port)
    };
    listener_names(project).into_iter().map(with_port).collect()
}

fn listener_names(project: &Project) -> Vec<String> {
    let settings = project.root.get("settings");
    let names = settings
        .map(|settings| names(settings, "listeners"))
        .unwrap_or_default();
    if names.is_empty() {
        vec!["http".to_owned()]
    } else {
        names
    }
}

/// Gives every listener a free port.
pub fn free_ports(loaded: &mut Loaded) {
    let mut keys: Vec<String> = listener_names(&loaded.project)
        .iter()
        .map(|name| format!("settings.listeners.\"{name}\".port=0"))
        .collect();
    keys.push("settings.management.port=0".to_owned());
    for key in keys {
        let project = &mut loaded.project;
        project.root =
            config::apply_override(&project.root, &mut project.sources, &key, &mut loaded.diagnostics);
    }
}

/// What becomes of listeners on queues and folders of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// They receive.
    Used,
    /// They are not opened.
    LeftAlone,
}

/// Builds and serves a project. Loopback addresses in it that name a `written` port of one of its listeners follow
/// that listener to the port which it really has.
///
/// # Errors
/// Why it cannot be built or bound.
pub async fn serve(
    mut loaded: Loaded,
    written: &[(String, u16)],
    lasting: &Lasting,
    workers: &Arc<Workers>,
    servers: Servers,
) -> Result<Served, String> {
    let deployment = build(&mut loaded, lasting, servers)?;
    let served = gateway::serve(deployment, lasting, workers, None)
        .await
        .map_err(|fault| fault.to_string())?;
    let moved: Vec<(u16, u16)> = written
        .iter()
        .filter_map(|(name, port)| Some((*port, served.url(name)?.rsplit(':').next()?.parse().ok()?)))
        .collect();
    let root = redirect::own_ports(&loaded.project.root, &moved);
    if root != loaded.project.root {
        loaded.project.root = root;
        let deployment = build(&mut loaded, lasting, servers)?;
        served
            .gateway
            .reload(deployment)
            .await
            .map_err(|fault| fault.to_string())?;
    }
    if servers == Servers::Used
        && let Err(problem) = listeners_up(&served).await
    {
        served.gateway.drain().await;
        return Err(problem);
    }
    Ok(served)
}

/// Waits until all listeners are up: the queues that they declare are there then.
async fn listeners_up(served: &Served) -> Result<(), String> {
    let deadline = Instant::now() + UP_TIME;
    loop {
        match served.gateway.health.problems().first() {
            None => return Ok(()),
            Some((name, problem)) if Instant::now() >= deadline => {
                return Err(format!("`{name}` cannot receive: {problem}"));
            }
            Some(_) => tokio::time::sleep(UP_PAUSE).await,
        }
    }
}

fn build(loaded: &mut Loaded, lasting: &Lasting, servers: Servers) -> Result<Deployment, String> {
    let mut deployment = loaded.build(lasting).ok_or_else(|| problems(loaded))?;
    if servers == Servers::LeftAlone {
        let remote = on_servers(&loaded.project.root);
        let is_remote = |name: &str| remote.iter().any(|artifact| artifact == name);
        deployment
            .listeners
            .retain(|listener| !is_remote(listener.name()));
    }
    Ok(deployment)
}

/// The proxies that receive by a transport with connections, that is, from a server.
fn on_servers(root: &Node) -> Vec<String> {
    let proxies = root.get("proxies").map(Node::entries).unwrap_or_default();
    let remote = |proxy: &Node| {
        let entries = proxy.get("from").map(Node::entries).unwrap_or_default();
        let kind = entries.first().map(|(kind, _)| &*kind.text);
        kind.and_then(|kind| crate::registry().transport(kind))
            .is_some_and(|transport| transport.connection.is_some())
    };
    let remote = proxies.iter().filter(|(_, proxy)| remote(proxy));
    remote.map(|(name, _)| format!("proxies.{}", name.text)).collect()
}
