//! `cors`: cross-origin resource sharing (the Fetch standard, section 3.2). Belongs into the `policies` of an API, so that it answers
//! preflights for all routes and marks all replies, faults included.

use engine::build::Build;
use engine::config::{Duration, OneOrMany, Spanned};
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{Flow, Mediator, StepKind, sync};
use engine::message::Message;
use engine::registry::StepConfig;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

/// Tells browsers which other origins may use this API. Answers preflight requests itself with 204, and adds the headers to every
/// reply. An origin that is not allowed gets none of them; it is the browser that refuses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins: `https://app.example`, `https://*.example` for any host below it, `http://localhost:*` for any port, or `*` for all.
    pub origins: OneOrMany<Spanned<String>>,
    /// Methods that a preflight allows.
    #[serde(default = "default_methods")]
    pub methods: Vec<Spanned<String>>,
    /// Request headers that a preflight allows; without them those that it asks for.
    pub headers: Option<Vec<Spanned<String>>>,
    /// Response headers that scripts may read.
    #[serde(default)]
    pub expose: Vec<Spanned<String>>,
    /// Whether requests may carry cookies and credentials. Then `origins` cannot be `*`.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser keeps the answer to a preflight.
    #[serde(default = "default_max_age")]
    pub max_age: Duration,
}

fn default_methods() -> Vec<Spanned<String>> {
    let unplaced = |name: &str| Spanned::new(name.to_owned(), engine::config::Span::default());
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        .map(unplaced)
        .into()
}

fn default_max_age() -> Duration {
    Duration::from_secs(600)
}

impl StepConfig for CorsConfig {
    const NAME: &'static str = "cors";
    const EXAMPLE: &'static str = r#"- cors:
    origins: [https://app.example, "https://*.partner.example"]
    methods: [GET, POST]
    headers: [content-type, authorization]
    expose: [x-request-id]
    credentials: true
    max_age: 10m"#;
    const SHORTHAND: Option<&'static str> = Some("origins");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let any = self.origins.iter().find(|origin| origin.value == "*");
        if let Some(any) = any.filter(|_| self.credentials) {
            let help = Some("name the origins; browsers refuse `*` together with credentials".to_owned());
            cx.error(
                "config.bad_combination",
                any.span,
                "`*` cannot be combined with `credentials`",
                help,
            );
            return None;
        }
        if self.origins.is_empty() {
            cx.error(
                "config.bad_value",
                cx.step_span(),
                "`cors` allows no origin",
                None,
            );
            return None;
        }
        let origins: Vec<_> = self
            .origins
            .iter()
            .map(|origin| Pattern::read(origin, cx))
            .collect();
        let methods = list(
            &self.methods,
            |name| name.parse::<Method>().is_ok() && name.to_ascii_uppercase() == name,
            cx,
        );
        let is_header = |name: &str| HeaderName::try_from(name).is_ok();
        let headers = match &self.headers {
            Some(names) => Some(list(names, is_header, cx)?),
            None => None,
        };
        let expose = list(&self.expose, is_header, cx)?;
        Some(sync(Cors {
            any: any.is_some(),
            origins: origins.into_iter().collect::<Option<_>>()?,
            methods: methods?,
            headers,
            expose: (!self.expose.is_empty()).then_some(expose),
            credentials: self.credentials,
            max_age: HeaderValue::from(self.max_age.get().as_secs()),
        }))
    }
}

/// Names as one header value.
fn list(names: &[Spanned<String>], valid: impl Fn(&str) -> bool, cx: &mut Build<'_>) -> Option<HeaderValue> {
    let mut good = true;
    for name in names.iter().filter(|name| !valid(name)) {
        cx.error(
            "config.bad_value",
            name.span,
            format!("`{}` cannot stand here", name.value),
            None,
        );
        good = false;
    }
    let joined = names
        .iter()
        .map(|name| name.value.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    HeaderValue::try_from(joined).ok().filter(|_| good)
}

/// An origin in which one `*` stands for one or more host labels, or for a port.
struct Pattern {
    before: Box<str>,
    /// What follows the `*`; `None` for an exact origin.
    after: Option<Box<str>>,
}

impl Pattern {
    fn read(origin: &Spanned<String>, cx: &mut Build<'_>) -> Option<Self> {
        let text = origin.value.trim_end_matches('/').to_ascii_lowercase();
        let valid = text == "*" || text == "null" || is_origin(&text);
        if !valid {
            let help = Some("write scheme, host and port, such as `https://app.example`; one `*` may stand for labels or a port".to_owned());
            cx.error(
                "config.bad_value",
                origin.span,
                format!("`{}` is no origin", origin.value),
                help,
            );
            return None;
        }
        Some(match text.split_once('*') {
            Some((before, after)) => Self {
                before: before.into(),
                after: Some(after.into()),
            },
            None => Self {
                before: text.into(),
                after: None,
            },
        })
    }

    fn matches(&self, origin: &str) -> bool {
        let Some(after) = &self.after else {
            return *origin == *self.before;
        };
        let between = origin
            .strip_prefix(&*self.before)
            .and_then(|rest| rest.strip_suffix(&**after));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        between.is_some_and(|between| !between.is_empty() && between.bytes().all(allowed))
    }
}

/// A scheme and an authority, with at most one `*`: a whole label at the front, or the port.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let stars = authority.matches('*').count();
    let star_is_label = authority.starts_with("*.") || authority.ends_with(":*");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:*[]".contains(&byte);
    scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !scheme.is_empty()
        && !authority.is_empty()
        && authority.bytes().all(allowed)
        && (stars == 0 || (stars == 1 && star_is_label))
}

struct Cors {
    any: bool,
    origins: Vec<Pattern>,
    methods: HeaderValue,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
}

impl Cors {
    /// What the reply says about the origin, where it is allowed.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        self.origins
            .iter()
            .any(|pattern| pattern.matches(&text))
            .then(|| origin.clone())
    }

    fn add_preflight(&self, headers: &mut HeaderMap, request: &HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(names) = self.headers.as_ref().or(asked) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
    }
}

impl Mediator for Cors {
    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault> {
        let request = &exchange.message.headers;
        let is_preflight = exchange.entry.method == Method::OPTIONS
            && request.contains_key(header::ORIGIN)
            && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let reply = &mut exchange.reply_headers;
        if !self.any {
            reply.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if is_preflight {
            let varies = "access-control-request-method, access-control-request-headers";
            reply.append(header::VARY, HeaderValue::from_static(varies));
        }
        if let Some(origin) = request
            .get(header::ORIGIN)
            .and_then(|origin| self.allowed(origin))
        {
            reply.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            if self.credentials {
                reply.insert(
                    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
                    HeaderValue::from_static("true"),
                );
            }
            match &self.expose {
                _ if is_preflight => self.add_preflight(reply, request),
                Some(names) => drop(reply.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names.clone())),
                None => {}
            }
        }
        if !is_preflight {
            return Ok(Flow::Next);
        }
        exchange.message = Message::response(StatusCode::NO_CONTENT);
        Ok(Flow::Respond)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{as_method, diagnostics, json, run};
    use engine::mediator::Flow;
    use engine::message::Message;
    use http::{HeaderMap, Method};

    const STEPS: &str = r#"
- cors:
    origins: ["https://app.example", "https://*.partner.example", "http://localhost:*"]
    methods: [GET, PUT]
    expose: [x-id, x-n]
    credentials: true
    max_age: 1m
- set: { headers.x-reached: "1" }"#;

    fn from(origin: &str) -> Message {
        let mut message = json("{}");
        message.headers.insert("origin", origin.parse().unwrap());
        message
    }

    fn text(headers: &HeaderMap, name: &str) -> String {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        values.join(", ")
    }

    #[tokio::test]
    async fn origins_are_matched_exactly() {
        let cases = [
            ("https://app.example", true),
            ("https://a.b.partner.example", true),
            ("http://localhost:3000", true),
            ("https://partner.example", false),
            ("https://evilpartner.example", false),
            ("https://app.example.evil", false),
            ("http://app.example", false),
            ("https://evil/.partner.example", false),
            ("null", false),
        ];
        for (origin, allowed) in cases {
            let outcome = run(STEPS, from(origin)).await;
            let headers = &outcome.exchange.reply_headers;
            assert_eq!(
                text(headers, "access-control-allow-origin"),
                if allowed { origin } else { "" },
                "{origin}"
            );
            assert_eq!(text(headers, "vary"), "origin");
            assert_eq!(headers.contains_key("access-control-allow-credentials"), allowed);
            assert_eq!(
                text(headers, "access-control-expose-headers"),
                if allowed { "x-id, x-n" } else { "" }
            );
            assert!(outcome.exchange.message.headers.contains_key("x-reached"));
        }
    }

    #[tokio::test]
    async fn preflights_are_answered() {
        let mut message = as_method(Method::OPTIONS, from("https://app.example"));
        message
            .headers
            .insert("access-control-request-method", "PUT".parse().unwrap());
        message
            .headers
            .insert("access-control-request-headers", "x-a, x-b".parse().unwrap());
        let outcome = crate::testing::run_as(Method::OPTIONS, STEPS, message).await;
        assert_eq!(*outcome.flow.as_ref().unwrap(), Flow::Respond);
        assert_eq!(outcome.exchange.message.status().unwrap(), 204);
        let headers = &outcome.exchange.reply_headers;
        assert_eq!(text(headers, "access-control-allow-methods"), "GET, PUT");
        assert_eq!(text(headers, "access-control-allow-headers"), "x-a, x-b");
        assert_eq!(text(headers, "access-control-max-age"), "60");
        assert_eq!(
            text(headers, "vary"),
            "origin, access-control-request-method, access-control-request-headers"
        );
        let plain = crate::testing::run_as(Method::OPTIONS, STEPS, json("")).await;
        assert_eq!(
            *plain.flow.as_ref().unwrap(),
            Flow::Next,
            "an OPTIONS request that is no preflight goes on"
        );
    }

    #[tokio::test]
    async fn any_origin_is_a_star() {
        let outcome = run("- cors: '*'", from("https://x.example")).await;
        assert_eq!(
            text(&outcome.exchange.reply_headers, "access-control-allow-origin"),
            "*"
        );
        assert!(!outcome.exchange.reply_headers.contains_key("vary"));
    }

    #[test]
    fn mistakes_are_placed() {
        assert!(diagnostics("- cors: { origins: '*', credentials: true }").contains("cannot be combined"));
        assert!(diagnostics("- cors: app.example").contains("is no origin"));
        assert!(diagnostics("- cors: { origins: 'https://a*b.example' }").contains("is no origin"));
        assert!(
            diagnostics("- cors: { origins: 'https://a.example', methods: [get] }")
                .contains("`get` cannot stand here")
        );
    }
}
