//! The management port's way into message stores.
//!
//! ```text
//! GET    /stores                      all stores, and how full they are
//! GET    /stores/NAME?after=ID&max=N  a page of messages
//! GET    /stores/NAME/ID              one message with headers, body, fault and history
//! POST   /stores/NAME/replay[?id=ID]  delivers dead letters again: what succeeds leaves the store, what fails stays as it is. Other
//!                                     messages are due at once
//! DELETE /stores/NAME[?id=ID]         removes one message, or all that nobody is processing
//! ```

use super::{Gateway, deliver};
use crate::exchange::Entry;
use crate::fault::Fault;
use crate::message::{Message, StartLine};
use crate::payload::Payload;
use crate::route::{Resolution, Route};
use crate::store::{DeadLetter, Settlement, Stage, Store, StoredMessage, describe};
use crate::transport::{Delivery, Inbound};
use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Most messages of one page, and of one replay.
const PAGE_MAX: usize = 500;

/// The path below `/stores`, where that is what is asked for.
pub(super) fn path_of(inbound: &Inbound) -> Option<&str> {
    let StartLine::Request { uri, .. } = &inbound.message.start else {
        return None;
    };
    let rest = uri.path().strip_prefix("/stores")?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_matches('/'))
}

impl Gateway {
    /// Answers a request below `/stores`.
    pub(super) async fn manage_stores(self: &Arc<Self>, path: &str, inbound: &Inbound) -> Message {
        let StartLine::Request { method, uri } = &inbound.message.start else {
            return reply(StatusCode::BAD_REQUEST, &json!({ "error": "this is no request" }));
        };
        let query = uri.query().unwrap_or_default().as_bytes();
        let query: HashMap<String, String> = form_urlencoded::parse(query).into_owned().collect();
        let deployment = self.deployment();
        if path.is_empty() && *method == Method::GET {
            let stores: Vec<Json> = deployment.stores.values().map(|store| line(&**store)).collect();
            return reply(StatusCode::OK, &json!({ "stores": stores }));
        }
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        let Some(store) = deployment.stores.get(name) else {
            return reply(
                StatusCode::NOT_FOUND,
                &json!({ "error": format!("there is no store `{name}`") }),
            );
        };
        let id = query.get("id").map(String::as_str);
        let answer = match (method.as_str(), rest) {
            ("GET", "") => page(&**store, &query).await,
            ("GET", id) => show(&**store, id).await,
            ("POST", "replay") => self.replay(store, id).await,
            ("DELETE", "") => purge(&**store, id).await,
            _ => Ok(None),
        };
        match answer {
            Ok(Some(json)) => reply(StatusCode::OK, &json),
            Ok(None) => reply(
                StatusCode::NOT_FOUND,
                &json!({ "error": format!("there is no message of this id in the store `{name}`") }),
            ),
            Err(fault) => reply(fault.status(), &json!({ "error": fault.to_string() })),
        }
    }

    /// Delivers again. Each message is told with what became of it.
    async fn replay(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        id: Option<&str>,
    ) -> Result<Option<Json>, Fault> {
        let messages = match id {
            None => store.list(None, PAGE_MAX).await?,
            Some(id) => match store.get(id).await? {
                Some(message) => vec![message],
                None => return Ok(None),
            },
        };
        let (mut told, mut left) = (Vec::new(), 0);
        for message in messages {
            let id = message.id.clone();
            let outcome = self.replay_one(store, message).await?;
            left += usize::from(outcome.is_err());
            told.push(match outcome {
                Ok(done) => json!({ "id": id, "outcome": done }),
                Err(problem) => json!({ "id": id, "outcome": "left", "problem": problem }),
            });
        }
        Ok(Some(
            json!({ "replayed": told.len() - left, "left": left, "messages": told }),
        ))
    }

    /// The store that a processor took the letter's message from remembers that it failed. Whoever asks there for its state shall know.
    fn tell_origin(&self, letter: &StoredMessage) {
        let Some(source) = letter.source.as_deref() else {
            return;
        };
        let (store, id) = (source["store"].as_str(), source["id"].as_str());
        if let (Some(store), Some(id)) = (store, id)
            && let Some(store) = self.deployment().stores.get(store)
        {
            store.delivered_after_all(id);
        }
    }

    /// What became of it, or why it stays in the store.
    async fn replay_one(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        message: StoredMessage,
    ) -> Result<Result<&'static str, String>, Fault> {
        let id = message.id.clone();
        let waiting = store.state(&id).is_none_or(|state| state.stage == Stage::Waiting);
        if !waiting {
            return Ok(Err("it is being processed".to_owned()));
        }
        let Some(dead) = &message.dead else {
            let pause = Duration::ZERO;
            store
                .settle(
                    &id,
                    Settlement::Retry {
                        pause,
                        counted: false,
                    },
                )
                .await?;
            return Ok(Ok("due"));
        };
        let (route, request, entry) = match self.way_back(&message, dead) {
            Ok(way) => way,
            Err(problem) => return Ok(Err(problem)),
        };
        tracing::info!(store = %store.name(), letter = id, artifact = dead.artifact, "a dead letter is delivered again");
        if let Err(fault) = self.again(&route, request, entry).await {
            return Ok(Err(fault.to_string()));
        }
        self.tell_origin(&message);
        match store.remove(&id).await? {
            true => Ok(Ok("delivered")),
            false => Ok(Ok("delivered, and removed by somebody else meanwhile")),
        }
    }

    /// The route that a dead letter failed in, with the message and the facts it had; or why there is none.
    fn way_back(
        &self,
        letter: &StoredMessage,
        dead: &DeadLetter,
    ) -> Result<(Arc<Route>, Message, Entry), String> {
        let deployment = self.deployment();
        let gone = || format!("there is no `{}` now that would take it", dead.artifact);
        let Some(port) = &dead.port else {
            let artifact: Arc<str> = dead.artifact.as_str().into();
            let route = deployment.entries.get(&artifact).ok_or_else(gone)?;
            let delivery = Delivery {
                artifact,
                id: letter.correlation_id.clone(),
                source: letter.source.clone().map(Into::into).unwrap_or_default(),
                message: letter.clone().into_request(),
                traceparent: None,
                redelivers: false,
            };
            let (message, entry) = deliver::split(delivery, route);
            return Ok((Arc::clone(route), message, entry));
        };
        let StartLine::Request { method, uri } = &letter.start else {
            return Err("it is no request".to_owned());
        };
        let listener: Arc<str> = port.listener.as_str().into();
        let found = deployment
            .routes
            .resolve(&listener, uri.path(), &letter.headers, &port.host, method);
        let Resolution::Found {
            route,
            parameters,
            rest,
        } = found
        else {
            return Err(format!(
                "nothing serves {method} {} on `{listener}` now",
                uri.path()
            ));
        };
        if *route.artifact.name != *dead.artifact {
            return Err(gone());
        }
        let entry = Entry {
            id: letter.correlation_id.clone(),
            artifact: Arc::clone(&route.artifact.name),
            route: Arc::clone(&route.template),
            listener,
            scheme: if port.secure { "https" } else { "http" },
            host: port.host.clone(),
            method: method.clone(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            path_parameters: parameters,
            path_rest: rest,
            ..Entry::default()
        };
        Ok((Arc::clone(route), letter.to_message(), entry))
    }
}

fn line(store: &dyn Store) -> Json {
    let fill = store.fill();
    json!({
        "name": &**store.name(),
        "messages": fill.map(|fill| fill.messages),
        "bytes": fill.map(|fill| fill.bytes),
    })
}

async fn page(store: &dyn Store, query: &HashMap<String, String>) -> Result<Option<Json>, Fault> {
    let max = query.get("max").and_then(|max| max.parse().ok());
    let max = max.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let after = query.get("after").map(String::as_str);
    let messages = store.list(after, max).await?;
    let lines: Vec<Json> = messages
        .iter()
        .map(|message| describe::summary(store, message))
        .collect();
    let mut page = line(store);
    page["page"] = lines.into();
    Ok(Some(page))
}

async fn show(store: &dyn Store, id: &str) -> Result<Option<Json>, Fault> {
    let message = store.get(id).await?;
    Ok(message.map(|message| describe::details(store, &message)))
}

/// Removes one message, or all that nobody is processing.
async fn purge(store: &dyn Store, id: Option<&str>) -> Result<Option<Json>, Fault> {
    if let Some(id) = id {
        let removed = store.remove(id).await?;
        return Ok(removed.then(|| json!({ "removed": 1 })));
    }
    Ok(Some(json!({ "removed": purge_all(store).await? })))
}

/// Removes all messages that nobody is processing, and says how many.
///
/// # Errors
/// `gateway.store` where the store cannot remove them.
pub async fn purge_all(store: &dyn Store) -> Result<usize, Fault> {
    let (mut removed, mut after) = (0, None::<String>);
    loop {
        let page = store.list(after.as_deref(), PAGE_MAX).await?;
        if page.is_empty() {
            return Ok(removed);
        }
        let busy = |message: &&StoredMessage| {
            let state = store.state(&message.id);
            state.is_some_and(|state| state.stage == Stage::Processing)
        };
        let (stay, go): (Vec<&StoredMessage>, Vec<&StoredMessage>) = page.iter().partition(busy);
        after = stay.last().map(|message| message.id.clone()).or(after);
        let all = join_all(go.iter().map(|message| store.remove(&message.id))).await;
        for one in all {
            removed += usize::from(one?);
        }
    }
}

fn reply(status: StatusCode, body: &Json) -> Message {
    let mut message = Message::response(status);
    message.set_content_type("application/json");
    message.payload = Payload::bytes(format!("{body}\n"));
    message
}
