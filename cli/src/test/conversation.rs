//! The requests of a test, one after the other. What is kept of a reply goes into later requests, and a request is repeated until
//! what is expected of it holds, where that takes time: a file, a queue or a store is in between.

use super::definition::{Expect, TestStep};
use super::expect::{Comparison, Failure};
use super::{body, deliver, mocks, runner};
use crate::client::{self, Outgoing, Received};
use crate::gateway::Served;
use engine::config::{Sources, Text};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value as Json;
use std::time::{Duration, Instant};
use xml::xpath::Namespaces;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// One request with its reply, and what does not hold of it.
pub struct Exchanged {
    /// The reply, or why there was none.
    pub received: Result<Received, String>,
    /// What does not hold.
    pub failures: Vec<Failure>,
}

/// The requests of one test to one gateway.
pub struct Conversation<'a> {
    served: &'a Served,
    sources: &'a Sources,
    namespaces: &'a Namespaces,
    kept: Vec<(String, String)>,
}

impl<'a> Conversation<'a> {
    /// A conversation that has kept nothing yet.
    #[must_use]
    pub fn new(served: &'a Served, sources: &'a Sources, namespaces: &'a Namespaces) -> Self {
        let kept = Vec::new();
        Self {
            served,
            sources,
            namespaces,
            kept,
        }
    }

    /// Sends a request and compares the reply; again and again, where the test gives time. Only what is safe is sent again, otherwise
    /// it is just the calls that may come later. `calls` checks what mocks got.
    pub async fn exchange(
        &mut self,
        step: &TestStep,
        mut calls: impl FnMut(&Expect, &mut Comparison<'_>),
    ) -> Exchanged {
        let within = step.expect.as_ref().and_then(|expect| expect.within);
        let deadline = Instant::now() + within.map(engine::config::Duration::get).unwrap_or_default();
        let methods = step.send.methods();
        let safe = !methods.is_empty()
            && methods
                .iter()
                .all(|(method, _)| matches!(*method, "GET" | "HEAD"));
        let mut received = self.request(step).await;
        loop {
            let failures = self.failures(step, &received, &mut calls);
            if failures.is_empty() || Instant::now() >= deadline {
                let mut exchanged = Exchanged { received, failures };
                self.keep(step, &mut exchanged);
                return exchanged;
            }
            tokio::time::sleep(PAUSE).await;
            if safe {
                received = self.request(step).await;
            }
        }
    }

    fn failures(
        &self,
        step: &TestStep,
        received: &Result<Received, String>,
        calls: &mut impl FnMut(&Expect, &mut Comparison<'_>),
    ) -> Vec<Failure> {
        let mut comparison = Comparison {
            sources: self.sources,
            namespaces: self.namespaces,
            failures: Vec::new(),
        };
        match (received, &step.expect) {
            (Err(problem), _) => {
                let methods = step.send.methods();
                let span = methods.first().map(|(_, path)| path.span());
                let span = span.or_else(|| step.send.to.as_ref().map(|to| to.span));
                let failure = Failure::at(span.unwrap_or_default(), problem);
                comparison.failures.push(failure);
            }
            (Ok(received), Some(expect)) => comparison.message(expect, received),
            (Ok(_), None) => {}
        }
        let nothing = Expect::default();
        calls(step.expect.as_ref().unwrap_or(&nothing), &mut comparison);
        comparison.failures
    }

    async fn request(&self, step: &TestStep) -> Result<Received, String> {
        let send = &step.send;
        if let Some(to) = &send.to {
            return deliver::deliver(self.served, &to.value, send, self.sources).await;
        }
        let url = match &send.listener {
            Some(name) => self
                .served
                .url(name)
                .ok_or_else(|| format!("there is no listener `{}`", name.value))?,
            None => runner::default_url(self.served).ok_or("no listener speaks plain HTTP")?,
        };
        let methods = send.methods();
        let Some((method, path)) = methods.first() else {
            return Err("the request has no method".to_owned());
        };
        let body = body::load(send.content(), self.sources).map_err(|problem| problem.message)?;
        let outgoing = Outgoing {
            method: method.parse().unwrap_or(Method::GET),
            path: self.filled(path.as_str()),
            headers: self.headers(mocks::headers(&send.headers, &body)?),
            body: body.bytes.map(|bytes| match std::str::from_utf8(&bytes) {
                Ok(text) if !self.kept.is_empty() => self.filled(text).into(),
                _ => bytes,
            }),
        };
        client::send(url, outgoing).await
    }

    /// A text with what was kept in place of its names.
    fn filled(&self, text: &str) -> String {
        let fill = |text: String, (name, value): &(String, String)| {
            let place = format!("${{{name}}}");
            if text.contains(&place) {
                text.replace(&place, value)
            } else {
                text
            }
        };
        self.kept.iter().fold(text.to_owned(), fill)
    }

    fn headers(&self, mut headers: HeaderMap) -> HeaderMap {
        for value in headers.values_mut() {
            let filled = value.to_str().ok().map(|text| self.filled(text));
            if let Some(filled) = filled.and_then(|text| HeaderValue::try_from(text).ok()) {
                *value = filled;
            }
        }
        headers
    }

    fn keep(&mut self, step: &TestStep, exchanged: &mut Exchanged) {
        let Ok(received) = &exchanged.received else {
            return;
        };
        for (name, _, from) in step.keep.iter() {
            match part(received, from) {
                Ok(value) => {
                    self.kept.retain(|(kept, _)| kept != name);
                    self.kept.push((name.to_owned(), value));
                }
                Err(problem) => exchanged.failures.push(Failure::at(from.span(), problem)),
            }
        }
    }
}

/// The value of a header, or what a JSONPath selects in the body.
fn part(received: &Received, from: &Text) -> Result<String, String> {
    let from = from.as_str();
    if !from.starts_with('$') {
        let value = received.headers.get(from).and_then(|value| value.to_str().ok());
        return value
            .map(str::to_owned)
            .ok_or_else(|| format!("the reply has no header `{from}`"));
    }
    let path = serde_json_path::JsonPath::parse(from).map_err(|error| error.to_string())?;
    let body: Json =
        serde_json::from_slice(&received.body).map_err(|error| format!("the body is not JSON: {error}"))?;
    match path.query(&body).all()[..] {
        [Json::String(text)] => Ok(text.clone()),
        [one] => Ok(one.to_string()),
        _ => Err("this is not one value of the body".to_owned()),
    }
}
