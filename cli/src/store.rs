//! `mediary store`: what waits in message stores and what failed for good. Over the management port of a running gateway, or in the
//! files of one that is stopped.

use crate::arguments::{ProjectOptions, StoreAction, StoreOptions};
use crate::client::{self, Outgoing};
use crate::console::{Console, End};
use crate::gateway::control_runtime;
use crate::project::{self, Lasting};
use engine::fault::Fault;
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
    let source = match &options.project {
        None => Source::Gateway(options.url.trim_end_matches('/')),
        Some(path) => match stores(path, console) {
            Some(stores) => Source::Files(stores),
            None => return End::Problems,
        },
    };
    match runtime.block_on(act(&options.action, &source, console)) {
        Ok(end) => end,
        Err(problem) => {
            console.error(problem);
            End::Problems
        }
    }
}

/// Where the stores are.
enum Source<'a> {
    /// In the gateway whose management port has this URL.
    Gateway(&'a str),
    /// In files that nobody else has open.
    Files(Vec<Arc<dyn Store>>),
}

async fn act(action: &StoreAction, source: &Source<'_>, console: &mut Console) -> Result<End, String> {
    let mut after = None;
    loop {
        let answer = match source {
            Source::Gateway(url) => ask(action, after.as_deref(), url).await?,
            Source::Files(stores) => look(action, after.as_deref(), stores).await?,
        };
        let end = show(action, &answer, console);
        // The next page, where there may be one.
        let page = answer["page"].as_array().filter(|page| page.len() >= PAGE_MAX);
        match page.and_then(|page| page.last()) {
            Some(last) => after = last["id"].as_str().map(str::to_owned),
            None => return Ok(end),
        }
    }
}

/// Asks the running gateway.
async fn ask(action: &StoreAction, after: Option<&str>, url: &str) -> Result<Json, String> {
    let (method, mut path) = request(action);
    if let Some(after) = after {
        path = format!("{path}?after={after}");
    }
    let outgoing = Outgoing {
        method,
        path,
        headers: HeaderMap::new(),
        body: None,
    };
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
async fn look(action: &StoreAction, after: Option<&str>, stores: &[Arc<dyn Store>]) -> Result<Json, String> {
    let name = match action {
        StoreAction::List { store: None } => return Ok(overview(stores).await),
        StoreAction::Replay { .. } => {
            return Err("messages are delivered by a running gateway: start it, and use --url".to_owned());
        }
        StoreAction::List { store: Some(store) } => store,
        StoreAction::Show { store, .. } | StoreAction::Purge { store, .. } => store,
    };
    let store = &**find(name, stores)?;
    open(store).await?;
    let text = |fault: Fault| fault.to_string();
    let none = || format!("there is no message of this id in the store `{name}`");
    match action {
        StoreAction::Show { id, .. } => {
            let message = store.get(id).await.map_err(text)?.ok_or_else(none)?;
            Ok(describe::details(store, &message))
        }
        StoreAction::Purge { id: Some(id), .. } => match store.remove(id).await.map_err(text)? {
            true => Ok(json!({ "removed": 1 })),
            false => Err(none()),
        },
        StoreAction::Purge { id: None, .. } => {
            let removed = purge_all(store).await.map_err(text)?;
            Ok(json!({ "removed": removed }))
        }
        StoreAction::List { .. } | StoreAction::Replay { .. } => {
            let page = store.list(after, PAGE_MAX).await.map_err(text)?;
            let lines: Vec<Json> = page
                .iter()
                .map(|message| describe::summary(store, message))
                .collect();
            Ok(json!({ "page": lines }))
        }
    }
}

fn find<'a>(name: &str, stores: &'a [Arc<dyn Store>]) -> Result<&'a Arc<dyn Store>, String> {
    let found = stores.iter().find(|store| &**store.name() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = stores.iter().map(|store| &**store.name()).collect();
        match names.is_empty() {
            true => format!("there is no store `{name}`: the project has none"),
            false => format!("there is no store `{name}`; there are: {}", names.join(", ")),
        }
    })
}

/// Opens a store that messages can be in though no gateway runs.
async fn open(store: &dyn Store) -> Result<(), String> {
    if !store.survives() {
        let name = store.name();
        return Err(format!(
            "store `{name}` keeps its messages in memory: only the gateway that runs has them, ask it with --url"
        ));
    }
    store.open().await.map_err(|fault| {
        let detail = fault.detail().unwrap_or_else(|| fault.to_string());
        match detail.contains("another process") {
            true => format!("{detail}; that is the gateway, ask it with --url"),
            false => detail,
        }
    })
}

/// The stores, each with what is in it or why that cannot be told.
async fn overview(stores: &[Arc<dyn Store>]) -> Json {
    let mut lines = Vec::new();
    for store in stores {
        let mut line = json!({ "name": &**store.name() });
        match open(&**store).await {
            Ok(()) => {
                let fill = store.fill();
                line["messages"] = fill.map(|fill| fill.messages).into();
                line["bytes"] = fill.map(|fill| fill.bytes).into();
            }
            Err(problem) => line["problem"] = problem.into(),
        }
        lines.push(line);
    }
    json!({ "stores": lines })
}

/// Writes an answer for people; every line of a list is one message.
fn show(action: &StoreAction, answer: &Json, console: &mut Console) -> End {
    match action {
        StoreAction::List { store: None } => lines(&answer["stores"], store_line, console),
        StoreAction::List { .. } => lines(&answer["page"], columns, console),
        StoreAction::Show { .. } => console.say(format_args!("{answer:#}")),
        StoreAction::Purge { .. } => console.say(format_args!("{} removed", answer["removed"])),
        StoreAction::Replay { .. } => {
            lines(&answer["messages"], replayed_line, console);
            console.say(format_args!(
                "{} replayed, {} left",
                answer["replayed"], answer["left"]
            ));
            if answer["left"] != json!(0) {
                return End::Problems;
            }
        }
    }
    End::Fine
}

fn lines(list: &Json, line: impl Fn(&Json) -> String, console: &mut Console) {
    for item in list.as_array().into_iter().flatten() {
        console.say(line(item));
    }
}

/// `orders  12 messages  18230 bytes`
fn store_line(store: &Json) -> String {
    let name = store["name"].as_str().unwrap_or_default();
    match (&store["problem"], &store["messages"]) {
        (Json::String(problem), _) => format!("{name}  {problem}"),
        (_, Json::Null) => name.to_owned(),
        (_, messages) => format!("{name}  {messages} messages  {} bytes", store["bytes"]),
    }
}

/// `ID  delivered`, or `ID  left  PROBLEM`
fn replayed_line(message: &Json) -> String {
    let texts = ["id", "outcome", "problem"].map(|key| message[key].as_str());
    texts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// The values of a line that say something, one behind the other.
fn columns(line: &Json) -> String {
    let fault = |name: &str| line["fault"][name].clone();
    let columns = [
        line["id"].clone(),
        line["stored_at"].clone(),
        line["state"].clone(),
        match line["attempts"].as_u64() {
            Some(attempts @ 1..) => format!("attempts {attempts}").into(),
            _ => Json::Null,
        },
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
