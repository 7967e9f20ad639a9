//! A project on other ports than its own. What it says about its own ports has to follow: the backend of a sample is
//! a listener of the same project, and its endpoints name the port that is written there.

use super::redirect;
use super::suite::names;
use crate::gateway::{self, Served};
use crate::project::{self, Lasting, Loaded};
use engine::config::{self, Project};
use engine::workers::Workers;
use std::sync::Arc;

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
) -> Result<Served, String> {
    let deployment = loaded.build(lasting).ok_or_else(|| problems(&loaded))?;
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
        let deployment = loaded.build(lasting).ok_or_else(|| problems(&loaded))?;
        served
            .gateway
            .reload(deployment)
            .await
            .map_err(|fault| fault.to_string())?;
    }
    Ok(served)
}
