//! `idempotent`: lets a message through once for each key. What was delivered twice has its effect once.
//!
//! ```text
//! key unknown ──▶ steps ──▶ ended well: the key is kept ──▶ acknowledged or answered
//!                   └─────▶ failed: the key is not kept, the message may come again
//! key under way ─▶ waits for the end of the other, then as below or above
//! key known ────▶ a duplicate
//! ```
//! The key is kept after the steps and before the acknowledgement. A crash in between repeats them; the other order would lose them.

mod seen;

use engine::build::Build;
use engine::completion::Completion;
use engine::config::{Duration, Spanned, Steps, Text};
use engine::exchange::Exchange;
use engine::expression::{Expression, Value};
use engine::fault::{Fault, FaultCode};
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::message::{Message, StartLine};
use engine::payload::Payload;
use engine::registry::StepConfig;
use engine::sequence::Sequence;
use engine::store::StoredMessage;
use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use seen::{Entered, Limits, Seen, Turn};
use serde::Deserialize;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Lets a message through once for each key; a message whose key has been seen is a duplicate. The key is kept when the exchange has
/// ended well, and before the message is acknowledged or answered: a message that fails, or is answered with a status of 400 and above,
/// may come again. While one message of a key is under way others of the key wait for its end, at most until their deadline.
///
/// A duplicate ends the exchange, as with `drop`: a queue or folder is done with it, an HTTP client is answered with `202`. With
/// `on_duplicate` its steps run instead, and with `replay` the duplicate gets the reply that the first message got.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdempotentConfig {
    /// What tells messages apart, an expression of at most 1024 bytes: `headers.idempotency_key`, `payload.order.id`. A message without
    /// one is `client.bad_request`.
    pub key: Text,
    /// The store that keeps the keys; nothing else may use it. A `durable` one keeps them over a restart. Without it they are in memory:
    /// a reload keeps them, a restart forgets them, and what is delivered again after it runs again.
    pub store: Option<Spanned<String>>,
    /// The name of a set of keys. Steps with the same `store` and `scope` share their keys; without it the store belongs to one step.
    pub scope: Option<Spanned<String>>,
    /// How long a key is remembered.
    #[serde(default = "default_window")]
    pub window: Duration,
    /// Most keys that are remembered. Beyond it the oldest is forgotten, which the log and the metric `idempotent_keys_forgotten` tell.
    /// Keep it below the `messages_max` of the store.
    #[serde(default = "default_keys")]
    pub keys_max: NonZeroUsize,
    /// Steps that run once for each key. The key is then kept when they have ended well, and the exchange goes on behind them, with a
    /// duplicate too. Without them it holds for all that follows in the exchange.
    pub steps: Option<Steps>,
    /// The steps for a duplicate. Behind them the exchange goes on.
    pub on_duplicate: Option<Steps>,
    /// Keeps the reply with the key and answers duplicates with it, with the header `idempotent-replayed: true`. It needs a `store`.
    #[serde(default)]
    pub replay: bool,
}

fn default_window() -> Duration {
    Duration::from_secs(24 * 60 * 60)
}

fn default_keys() -> NonZeroUsize {
    NonZeroUsize::new(90_000).expect("not zero")
}

/// Longest key in bytes.
const KEY_BYTES_MAX: usize = 1024;
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl StepConfig for IdempotentConfig {
    const NAME: &'static str = "idempotent";
    const EXAMPLE: &'static str = r#"- idempotent: { key: headers.idempotency_key, store: seen, window: 1d, replay: true }
- idempotent: { key: payload.id, steps: [ { log: "once for each id" } ] }"#;
    const SHORTHAND: Option<&'static str> = Some("key");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let key = cx.expression(&self.key);
        let steps = cx.optional_steps(self.steps.as_ref(), "steps");
        let on_duplicate = cx.optional_steps(self.on_duplicate.as_ref(), "on_duplicate");
        let good = self.check(cx);
        let seen = self.seen(cx)?;
        cx.on_start(Arc::clone(&seen) as _);
        good.then_some(())?;
        Some(asynchronous(Idempotent {
            key: key?,
            seen,
            limits: Limits {
                window: self.window.get(),
                keys_max: self.keys_max.get(),
            },
            steps,
            on_duplicate,
            replay: self.replay,
            forgotten: cx.metrics.idempotent_keys_forgotten.clone(),
        }))
    }
}

impl IdempotentConfig {
    fn check(&self, cx: &mut Build<'_>) -> bool {
        let problem = if self.replay && self.store.is_none() {
            "`replay` needs a `store` that keeps the replies"
        } else if self.replay && (self.steps.is_some() || self.on_duplicate.is_some()) {
            "`replay` answers a duplicate, so it goes without `steps` and `on_duplicate`"
        } else if self.scope.is_some() && self.store.is_none() {
            "`scope` names a set of keys in a `store`"
        } else {
            return true;
        };
        cx.error("config.bad_combination", cx.step_span(), problem, None);
        false
    }

    /// The keys. Those in a store are found again wherever the step stands after a reload.
    fn seen(&self, cx: &mut Build<'_>) -> Option<Arc<Seen>> {
        let path = cx.path().to_owned();
        let Some(name) = &self.store else {
            return Some(
                cx.state
                    .get_or_insert(format!("idempotent {path}"), Seen::in_memory),
            );
        };
        let scope = self.scope.as_ref().map(|scope| scope.value.as_str());
        let owner = match scope {
            Some(_) => "idempotent".to_owned(),
            None => format!("idempotent {path}"),
        };
        let store = cx.state_store(name, &owner)?;
        let scope = scope.unwrap_or_default();
        let key = format!("idempotent {} {scope}", store.identity());
        Some(cx.state.get_or_insert(key, || Seen::in_store(store, scope)))
    }
}

struct Idempotent {
    key: Expression,
    seen: Arc<Seen>,
    limits: Limits,
    steps: Option<Sequence>,
    on_duplicate: Option<Sequence>,
    replay: bool,
    forgotten: engine::observe::Counter,
}

impl AsyncMediator for Idempotent {
    fn needs(&self) -> Needs {
        self.key.needs()
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let key = self.key(exchange)?;
            let root = exchange.completions.exchange();
            match self.seen.enter(&key, root, self.limits.window).await? {
                Entered::Duplicate => self.duplicate(&key, exchange).await,
                Entered::First(turn) => self.first(turn, exchange).await,
            }
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        let children = [("steps", &self.steps), ("on_duplicate", &self.on_duplicate)];
        let some = children
            .into_iter()
            .filter_map(|(key, steps)| Some((key, steps.as_ref()?)));
        some.map(|(key, steps)| (key.to_owned(), steps)).collect()
    }
}

impl Idempotent {
    fn key(&self, exchange: &Exchange) -> Result<String, Fault> {
        let refuse = |message: &str| Err(Fault::new(FaultCode::BadRequest, message));
        let key = match self.key.evaluate_optional(exchange)? {
            Value::Undefined => String::new(),
            value => value.into_text()?,
        };
        match key.len() {
            0 => refuse("The message has no key that tells it from others."),
            length if length > KEY_BYTES_MAX => refuse("The key of the message is longer than 1024 bytes."),
            _ => Ok(key),
        }
    }

    async fn first(&self, turn: Turn, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let kept = Kept {
            turn,
            limits: self.limits,
            replay: self.replay,
            forgotten: self.forgotten.clone(),
        };
        let Some(steps) = &self.steps else {
            exchange.completions.add(kept);
            return Ok(Flow::Next);
        };
        let flow = steps.run(exchange).await?;
        let status = exchange.message.status();
        let refused = status.is_some_and(|status| status.is_client_error() || status.is_server_error());
        if !refused || flow == Flow::Drop {
            kept.keep(exchange).await?;
        }
        Ok(flow)
    }

    async fn duplicate(&self, key: &str, exchange: &mut Exchange) -> Result<Flow, Fault> {
        tracing::debug!(id = %exchange.entry.id, key, "a duplicate");
        if let Some(steps) = &self.on_duplicate {
            return steps.run(exchange).await;
        }
        if self.steps.is_some() {
            return Ok(Flow::Next);
        }
        let reply = match self.replay {
            true => self.seen.stored(key).await?,
            false => None,
        };
        let Some(reply) = reply.filter(|reply| matches!(reply.start, StartLine::Response { .. })) else {
            return Ok(Flow::Drop);
        };
        exchange.message = reply.to_message();
        let headers = &mut exchange.message.headers;
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(Flow::Respond)
    }
}

/// The key of a message that is under way, to be kept once it has ended well.
struct Kept {
    turn: Turn,
    limits: Limits,
    replay: bool,
    forgotten: engine::observe::Counter,
}

impl Completion for Kept {
    fn complete<'a>(self: Box<Self>, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.keep(exchange).await })
    }
}

impl Kept {
    async fn keep(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        let record = match self.replay {
            true => {
                let formats = Arc::clone(&exchange.deployment.formats);
                exchange.message.format(&formats)?;
                exchange.copy_message().await?
            }
            false => Message {
                payload: Payload::bytes(self.turn.key().to_owned()),
                ..Message::default()
            },
        };
        let record = StoredMessage::new(record, &exchange.entry.id, None);
        let forgotten = self.turn.keep(record, self.limits).await?;
        self.forgotten.inc_by(forgotten);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
