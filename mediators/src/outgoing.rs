//! Helper: what `call` and `send` share: which endpoint, with which method, path and headers, and which of the message's headers go along.

use crate::text::{Headers, needs_of, optional_structure, optional_template};
use engine::build::Build;
use engine::config::{Named, RawNode, Spanned, Text};
use engine::endpoint::{Endpoint, EndpointRef};
use engine::exchange::Exchange;
use engine::expression::{Escape, Structure, Template};
use engine::fault::Fault;
use engine::mediator::{Needs, Sends};
use engine::message::{Message, StartLine};
use engine::model::Model;
use engine::payload::Payload;
use engine::transport::CallOptions;
use http::{HeaderMap, HeaderName, Method, header};
use std::sync::Arc;

/// The settings that both steps have.
pub(crate) struct Settings<'a> {
    pub(crate) endpoint: &'a RawNode,
    pub(crate) method: Option<&'a Spanned<String>>,
    pub(crate) path: Option<&'a Text>,
    pub(crate) action: Option<&'a Text>,
    pub(crate) headers: &'a Named<Text>,
    pub(crate) params: &'a Named<Text>,
    pub(crate) payload: Option<&'a RawNode>,
}

/// The same, compiled.
pub(crate) struct Outgoing {
    endpoint: EndpointRef,
    method: Option<Method>,
    path: Option<Template>,
    action: Option<Template>,
    headers: Headers,
    params: Vec<(String, Template)>,
    payload: Option<Structure>,
}

/// What becomes of the exchange's own message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    /// It is replaced by the reply.
    Replaced,
    /// It stays.
    Stays,
}

impl Outgoing {
    pub(crate) fn compile(settings: &Settings<'_>, cx: &mut Build<'_>) -> Option<Self> {
        let endpoint = cx.endpoint(settings.endpoint);
        let method = settings.method.map(|method| read_method(method, cx));
        let path = optional_template(settings.path, Escape::Url, cx);
        let action = optional_template(settings.action, Escape::None, cx);
        let headers = Headers::compile(settings.headers, cx);
        let params: Vec<_> = settings
            .params
            .iter()
            .map(|(name, _, text)| Some((name.to_owned(), cx.template(text, Escape::None)?)))
            .collect();
        let payload = optional_structure(settings.payload, cx);
        Some(Self {
            endpoint: endpoint?,
            method: match method {
                Some(method) => Some(method?),
                None => None,
            },
            path: path?,
            action: action?,
            headers: headers?,
            params: params.into_iter().collect::<Option<_>>()?,
            payload: payload?,
        })
    }

    /// How much of the payload the settings read; sending itself streams.
    pub(crate) fn needs(&self) -> Needs {
        let params = self
            .params
            .iter()
            .map(|(_, template)| template.needs())
            .max()
            .unwrap_or_default();
        [
            self.endpoint.needs(),
            needs_of(self.path.as_ref(), Template::needs),
            needs_of(self.action.as_ref(), Template::needs),
            needs_of(self.payload.as_ref(), Structure::needs),
            self.headers.needs(),
            params,
        ]
        .into_iter()
        .max()
        .unwrap_or_default()
    }

    /// What `explain` tells of it.
    pub(crate) fn sends(&self, own: Own) -> Sends<'_> {
        Sends {
            endpoint: &self.endpoint,
            own_body: self.payload.is_none(),
            replaces: own == Own::Replaced,
        }
    }

    /// The endpoint, the message to send and how. What can be shared of the exchange's own message stays there, so that a `catch`
    /// still has it; a stream can be sent only once and is moved, unless the message has to stay.
    pub(crate) async fn prepare(
        &self,
        exchange: &mut Exchange,
        own: Own,
    ) -> Result<(Arc<Endpoint>, Message, CallOptions), Fault> {
        let endpoint = self.endpoint.resolve(exchange)?;
        exchange.lift(endpoint.needs()).await?;
        let headers = self.headers.evaluate(exchange)?;
        let payload = self
            .payload
            .as_ref()
            .map(|payload| payload.evaluate(exchange))
            .transpose()?;
        let mut message = self.message(exchange, own, payload.map(Model::Json)).await?;
        let mut options = CallOptions {
            action: self
                .action
                .as_ref()
                .map(|action| action.render(exchange))
                .transpose()?,
            path: self.path(exchange)?,
            pass_through: false,
            ..CallOptions::default()
        };
        for (name, template) in &self.params {
            options
                .parameters
                .push((name.clone(), template.render(exchange)?));
        }
        options.method = Some(self.method(&message));
        strip(&mut message, endpoint.forward());
        for (name, value) in headers {
            if let Some(name) = name {
                message.headers.insert(name, value);
            }
        }
        message.format(&exchange.deployment.formats)?;
        Ok((endpoint, message, options))
    }

    async fn message(
        &self,
        exchange: &mut Exchange,
        own: Own,
        payload: Option<Model>,
    ) -> Result<Message, Fault> {
        let bodiless = payload.is_none() && matches!(self.method, Some(Method::GET | Method::HEAD));
        let mut message = Message {
            start: exchange.message.start.clone(),
            headers: exchange.message.headers.clone(),
            payload: Payload::default(),
        };
        if let Some(payload) = payload {
            message.headers.remove(header::CONTENT_ENCODING);
            crate::place::set_model(&mut message, Arc::new(payload), None);
        } else if bodiless {
            message.headers.remove(header::CONTENT_TYPE);
            message.headers.remove(header::CONTENT_ENCODING);
        } else {
            if own == Own::Stays {
                exchange.lift(Needs::Bytes).await?;
            }
            let formats = Arc::clone(&exchange.deployment.formats);
            exchange.message.format(&formats)?;
            message.headers.clone_from(&exchange.message.headers);
            let payload = &mut exchange.message.payload;
            message.payload = payload.share().unwrap_or_else(|| payload.take());
        }
        Ok(message)
    }

    /// The method given here, else that of the message as a request. A body is never sent by a method that has none.
    fn method(&self, message: &Message) -> Method {
        let has_body = !message.payload.is_empty();
        match (&self.method, &message.start) {
            (Some(method), _) => method.clone(),
            (None, StartLine::Request { method, .. }) if !(has_body && method.is_safe()) => method.clone(),
            _ if has_body => Method::POST,
            _ => Method::GET,
        }
    }

    /// The path given here, else what `url_rewrite` made of the client's.
    fn path(&self, exchange: &Exchange) -> Result<Option<String>, Fault> {
        let entry = &exchange.entry;
        match &self.path {
            Some(path) => path.render(exchange).map(Some),
            None if entry.rewritten => Ok(Some(match &entry.query {
                Some(query) => format!("{}?{query}", entry.path_rest),
                None => entry.path_rest.clone(),
            })),
            None => Ok(None),
        }
    }
}

fn read_method(method: &Spanned<String>, cx: &mut Build<'_>) -> Option<Method> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let is_upper = !method.value.contains(|letter: char| letter.is_ascii_lowercase());
    if let Some(method) = method.value.parse().ok().filter(|_| is_upper) {
        return Some(method);
    }
    let help = engine::config::suggestion(&method.value, known);
    cx.error(
        "config.bad_value",
        method.span,
        format!("`{}` is no method", method.value),
        help,
    );
    None
}

/// What clients tell the gateway about themselves and not the backend.
const CLIENT_ONLY: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// What only replies carry, where the reply of one backend goes to the next.
const REPLY_ONLY: [HeaderName; 17] = [
    header::ACCEPT_RANGES,
    header::AGE,
    header::ALLOW,
    header::ALT_SVC,
    header::CONTENT_SECURITY_POLICY,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::PROXY_AUTHENTICATE,
    header::RETRY_AFTER,
    header::SERVER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::VARY,
    header::WWW_AUTHENTICATE,
];

fn strip(message: &mut Message, forward: &[HeaderName]) {
    let headers: &mut HeaderMap = &mut message.headers;
    for name in CLIENT_ONLY.iter().filter(|name| !forward.contains(name)) {
        headers.remove(name);
    }
    if matches!(message.start, StartLine::Response { .. }) {
        for name in REPLY_ONLY {
            headers.remove(name);
        }
    }
}
