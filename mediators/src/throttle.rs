//! `throttle`: limits the rate of messages and how many are on their way at once.
//!
//! The rate is kept by the generic cell rate algorithm (ITU-T I.371): one point in time per key, no timer, no window that ends for all
//! at once. The state outlives a reload that leaves step and rate as they are.

mod limiter;

use crate::slots::Slots;
use engine::build::Build;
use engine::config::{Duration, Rate, Steps, Text};
use engine::exchange::Exchange;
use engine::expression::Expression;
use engine::fault::{Fault, FaultCode};
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::registry::StepConfig;
use engine::sequence::Sequence;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use limiter::{Decision, Limiter};
use schemars::JsonSchema;
use serde::Deserialize;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time;
use tokio::time::Instant;

/// Lets through so many messages per time, and so many at once. What is too much is `client.too_many_requests` with `Retry-After`;
/// with a `queue` it waits first. Replies tell the limit in `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThrottleConfig {
    /// How many per how long: `100/s`, `1000/m`.
    pub rate: Option<Rate>,
    /// How many may come at once when nothing came for a while; default the rate's count.
    pub burst: Option<NonZeroU32>,
    /// Whom the limits hold for, an expression such as `principal.id`, `headers.x_api_key` or `request.remote_address`. Without it, and
    /// for those where it is absent, they hold for all together.
    pub key: Option<Text>,
    /// How many at once. Until the exchange has ended, or the `steps` where there are some.
    pub concurrency: Option<NonZeroUsize>,
    /// How many may wait, and how long.
    pub queue: Option<QueueConfig>,
    /// Steps that `concurrency` holds for.
    pub steps: Option<Steps>,
}

/// What waits instead of being refused.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// How many may wait.
    pub length: NonZeroUsize,
    /// How long each may wait.
    pub wait: Duration,
}

impl StepConfig for ThrottleConfig {
    const NAME: &'static str = "throttle";
    const EXAMPLE: &'static str = r#"- throttle: 100/s
- throttle: { rate: 1000/m, burst: 50, key: headers.x_api_key, queue: { length: 20, wait: 500ms } }
- throttle: { concurrency: 8, steps: [ { log: one of eight } ] }"#;
    const SHORTHAND: Option<&'static str> = Some("rate");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let key = cx.optional_expression(self.key.as_ref());
        let steps = cx.optional_steps(self.steps.as_ref(), "steps");
        if self.rate.is_none() && self.concurrency.is_none() {
            let help = Some("give it `rate`, `concurrency`, or both".to_owned());
            cx.error(
                "config.bad_combination",
                cx.step_span(),
                "`throttle` limits nothing",
                help,
            );
            return None;
        }
        let path = cx.path().to_owned();
        let rate = self.rate.map(|rate| {
            let burst = self.burst.unwrap_or(rate.count).get();
            let name = format!("throttle {path} {rate} {burst}");
            cx.state
                .get_or_insert(name, || Limiter::new(rate.count.get(), rate.per.get(), burst))
        });
        let concurrency = self.concurrency.map(|count| {
            let name = format!("throttle {path} concurrency {count}");
            cx.state.get_or_insert(name, || Slots::new(count.get()))
        });
        let waiting = cx
            .state
            .get_or_insert(format!("throttle {path} queue"), AtomicUsize::default);
        Some(asynchronous(Throttle {
            rate,
            concurrency,
            key: key?,
            queue: self.queue,
            waiting,
            steps,
        }))
    }
}

struct Throttle {
    rate: Option<Arc<Limiter>>,
    concurrency: Option<Arc<Slots>>,
    key: Option<Expression>,
    queue: Option<QueueConfig>,
    waiting: Arc<AtomicUsize>,
    steps: Option<Sequence>,
}

impl AsyncMediator for Throttle {
    fn needs(&self) -> Needs {
        self.key.as_ref().map(Expression::needs).unwrap_or_default()
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let key = match &self.key {
                Some(key) => key.evaluate_optional(exchange)?.into_text()?,
                None => String::new(),
            };
            if let Some(limiter) = &self.rate {
                self.pass(limiter, &key, exchange).await?;
            }
            let permit = match &self.concurrency {
                Some(slots) => Some(self.enter(slots, &key, exchange).await?),
                None => None,
            };
            match &self.steps {
                Some(steps) => steps.run(exchange).await,
                None => {
                    exchange.guards.extend(permit.map(|permit| Box::new(permit) as _));
                    Ok(Flow::Next)
                }
            }
        })
    }

    fn children(&self) -> Vec<(String, &Sequence)> {
        self.steps
            .iter()
            .map(|steps| ("steps".to_owned(), steps))
            .collect()
    }
}

impl Throttle {
    async fn pass(&self, limiter: &Limiter, key: &str, exchange: &mut Exchange) -> Result<(), Fault> {
        let place = self.place_in_queue();
        let patience = place
            .as_ref()
            .map_or(time::Duration::ZERO, |_| self.patience(exchange));
        match limiter.decide(key, Instant::now(), patience) {
            Decision::Pass {
                wait,
                remaining,
                reset,
            } => {
                tell(&mut exchange.reply_headers, limiter, remaining, reset);
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                Ok(())
            }
            Decision::Refuse { retry_after, reset } => {
                let mut headers = HeaderMap::new();
                tell(&mut headers, limiter, 0, reset);
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(retry_after)));
                Err(refusal("The rate limit is exceeded.").with_headers(headers))
            }
        }
    }

    async fn enter(
        &self,
        slots: &Slots,
        key: &str,
        exchange: &Exchange,
    ) -> Result<tokio::sync::OwnedSemaphorePermit, Fault> {
        let semaphore = slots.of(key);
        if let Ok(permit) = Arc::clone(&semaphore).try_acquire_owned() {
            return Ok(permit);
        }
        let place = self.place_in_queue();
        let patience = place
            .as_ref()
            .map_or(time::Duration::ZERO, |_| self.patience(exchange));
        match tokio::time::timeout(patience, semaphore.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                let mut headers = HeaderMap::new();
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                Err(refusal("Too many requests are being processed at once.").with_headers(headers))
            }
        }
    }

    fn patience(&self, exchange: &Exchange) -> time::Duration {
        self.queue.map_or(time::Duration::ZERO, |queue| {
            queue.wait.get().min(exchange.time_left())
        })
    }

    /// A place in the queue, where there is one and it is not full.
    fn place_in_queue(&self) -> Option<Place> {
        let queue = self.queue?;
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.waiting));
        (before < queue.length.get()).then_some(place)
    }
}

/// A place in the queue, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn refusal(message: &str) -> Fault {
    Fault::new(FaultCode::TooManyRequests, message)
}

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// The headers of draft-ietf-httpapi-ratelimit-headers-03. Where several limits hold, the one with the least left is told (section 5).
fn tell(headers: &mut HeaderMap, limiter: &Limiter, remaining: u32, reset: time::Duration) {
    let told: Option<u32> = headers
        .get(REMAINING)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if told.is_some_and(|told| told <= remaining) {
        return;
    }
    headers.insert(LIMIT, HeaderValue::from(limiter.burst()));
    headers.insert(REMAINING, HeaderValue::from(remaining));
    headers.insert(RESET, HeaderValue::from(seconds(reset)));
}

/// Whole seconds, rounded up: who waits so long does not come too early.
fn seconds(duration: time::Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
