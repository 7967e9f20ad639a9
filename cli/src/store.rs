//! `mediary store`: what waits in message stores and what failed for good. Over the management port of a running gateway, or in the
//! files of one that is stopped.

use crate::arguments::{ProjectOptions, StoreAction, StoreOptions};
use crate::client::{self, Outgoing};
use crate::console::{Console, End};
use crate::gateway::control_runtime;
use crate::project::{self, Lasting};
use engine::gateway::purge_all;
use engine::store::{Store, describe};
use http::{HeaderMap, Method};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;

/// Most messages of one page.
const PAGE_MAX: usize = 500;

/// Runs the command.
pub fn run(options: &StoreOptions, console: &mut Console) -> End {
    let runtime = match control_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            console.error(format_args!("threads cannot be started: {error}"));
            return End::Problems;
        }
    };
    let outcome = match &options.project {
        None => runtime.block_on(ask(options)),
        Some(path) => {
            let Some(stores) = stores(path, console) else {
                return End::Problems;
            };
            runtime.block_on(look(&options.action, &stores))
        }
    };
    match outcome {
        Ok(answer) => {
            show(&options.action, &answer, console);
            End::Fine
        }
        Err(problem) => {
            console.error(problem);
            End::Problems
        }
    }
}

/// Asks the running gateway.
async fn ask(options: &StoreOptions) -> Result<Json, String> {
    let (method, path) = request(&options.action);
    let outgoing = Outgoing {
        method,
        path,
        headers: HeaderMap::new(),
        body: None,
    };
    let url = options.url.trim_end_matches('/');
    let reply = client::send(url, outgoing).await.map_err(|problem| {
        format!("{problem}; for a gateway that is stopped, name its project with --project")
    })?;
    let body: Json = serde_json::from_slice(&reply.body).unwrap_or_default();
    match reply.status.is_success() {
        true => Ok(body),
        false => Err(body["error"]
            .as_str()
            .map_or_else(|| format!("the gateway answered {}", reply.status), str::to_owned)),
    }
}

fn request(action: &StoreAction) -> (Method, String) {
    let query = |id: &Option<String>| {
        let pairs = id.as_ref().map(|id| ("id", id));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        if query.is_empty() {
            query
        } else {
            format!("?{query}")
        }
    };
    match action {
        StoreAction::List { store: None } => (Method::GET, "/stores".to_owned()),
        StoreAction::List { store: Some(store) } => (Method::GET, format!("/stores/{store}")),
        StoreAction::Show { store, id } => (Method::GET, format!("/stores/{store}/{id}")),
        StoreAction::Replay { store, id } => (Method::POST, format!("/stores/{store}/replay{}", query(id))),
        StoreAction::Purge { store, id } => (Method::DELETE, format!("/stores/{store}{}", query(id))),
    }
}

/// The stores of a project that is not running.
fn stores(path: &Path, console: &mut Console) -> Option<Vec<Arc<dyn Store>>> {
    let mut loaded = project::load(&ProjectOptions {
        path: path.to_owned(),
        set: Vec::new(),
    });
    let deployment = loaded.build(&Lasting::default());
    loaded.report(console);
    Some(deployment?.stores.into_values().collect())
}

/// Looks into the stores directly.
async fn look(action: &StoreAction, stores: &[Arc<dyn Store>]) -> Result<Json, String> {
    let find = |name: &str| stores.iter().find(|store| &**store.name() == name);
    let name = match action {
        StoreAction::List { store: None } => {
            let lines: Vec<Json> = stores
                .iter()
                .map(|store| json!({ "name": &**store.name() }))
                .collect();
            return Ok(json!({ "stores": lines }));
        }
        StoreAction::Replay { .. } => {
            return Err("messages are delivered by a running gateway: start it, and use --url".to_owned());
        }
        StoreAction::List { store: Some(store) } => store,
        StoreAction::Show { store, .. } | StoreAction::Purge { store, .. } => store,
    };
    let store = find(name).ok_or_else(|| format!("there is no store `{name}`"))?;
    let describe_fault = |fault: engine::fault::Fault| fault.to_string();
    store.open().await.map_err(describe_fault)?;
    match action {
        StoreAction::Show { id, .. } => {
            let message = store.get(id).await.map_err(describe_fault)?;
            let message = message.ok_or("there is no such message")?;
            Ok(describe::details(&**store, &message))
        }
        StoreAction::Purge { id: Some(id), .. } => match store.remove(id).await.map_err(describe_fault)? {
            true => Ok(json!({ "removed": 1 })),
            false => Err("there is no such message".to_owned()),
        },
        StoreAction::Purge { id: None, .. } => {
            let removed = purge_all(&**store).await.map_err(describe_fault)?;
            Ok(json!({ "removed": removed }))
        }
        StoreAction::List { .. } | StoreAction::Replay { .. } => {
            let page = store.list(None, PAGE_MAX).await.map_err(describe_fault)?;
            let lines: Vec<Json> = page
                .iter()
                .map(|message| describe::summary(&**store, message))
                .collect();
            let messages = store.fill().map(|fill| fill.messages);
            Ok(json!({ "messages": messages, "page": lines }))
        }
    }
}

/// Writes an answer for people; every line of a list is one message.
fn show(action: &StoreAction, answer: &Json, console: &mut Console) {
    match action {
        StoreAction::List { .. } => {
            let page = answer["page"].as_array().or_else(|| answer["stores"].as_array());
            for line in page.into_iter().flatten() {
                console.say(columns(line));
            }
        }
        StoreAction::Purge { .. } => console.say(format_args!("{} removed", answer["removed"])),
        StoreAction::Show { .. } | StoreAction::Replay { .. } => console.say(format_args!("{answer:#}")),
    }
}

/// The values of a line that say something, one behind the other.
fn columns(line: &Json) -> String {
    let fault = |name: &str| line["fault"][name].clone();
    let columns = [
        line["name"].clone(),
        line["id"].clone(),
        line["stored_at"].clone(),
        line["state"].clone(),
        line["messages"].clone(),
        line["key"].clone(),
        line["artifact"].clone(),
        fault("code"),
        match fault("detail") {
            Json::Null => fault("message"),
            detail => detail,
        },
    ];
    let text = |value: Json| match value {
        Json::Null => None,
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    columns
        .into_iter()
        .filter_map(text)
        .collect::<Vec<_>>()
        .join("  ")
}
