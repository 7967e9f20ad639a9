//! Where a message goes: the endpoint's URL, filled in for the exchange.

use super::uri_template::{MissingVariable, UriTemplate};
use bytes::{BufMut, BytesMut};
use engine::exchange::Exchange;
use engine::expression::Template;
use engine::fault::{Fault, FaultCode};
use engine::mediator::Needs;
use engine::message::StartLine;
use engine::transport::CallOptions;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};

/// The URL of an endpoint.
pub(crate) enum Address {
    /// The same for every message.
    Fixed(Base),
    /// With variables in braces.
    Template(UriTemplate, String),
    /// With `${ ... }`. Variables in braces are expanded afterwards, where the values before could not hold any: those were escaped.
    Evaluated(Template, Braces),
}

/// What braces in an evaluated URL are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Braces {
    Variables,
    Data,
}

/// A URL, taken apart.
pub(crate) struct Base {
    scheme: Scheme,
    authority: Authority,
    path: String,
    query: Option<String>,
}

impl Address {
    /// An address that is the same for every message or has variables in braces.
    ///
    /// # Errors
    /// What is wrong with it, for the configuration's author.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let template = UriTemplate::parse(url)?;
        if !template.has_variables() {
            return Base::parse(url).map(Self::Fixed);
        }
        // With something in the place of each variable it has to be a URL.
        let sample = template
            .expand(|_| Some("x".to_owned()))
            .map_err(|missing| missing.0)?;
        let sample = Base::parse(&sample)?;
        Ok(Self::Template(template, label(&sample)))
    }

    /// A label for metrics: scheme, host and port.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Fixed(base) => label(base),
            Self::Template(_, label) => label.clone(),
            Self::Evaluated(..) => "http:dynamic".to_owned(),
        }
    }

    pub(crate) fn needs(&self) -> Needs {
        match self {
            Self::Evaluated(template, _) => template.needs(),
            _ => Needs::Headers,
        }
    }

    /// The URI for one message.
    pub(crate) fn uri(&self, exchange: &Exchange, options: &CallOptions) -> Result<Uri, Fault> {
        let evaluated;
        let base = match self {
            Self::Fixed(base) => base,
            Self::Template(template, _) => {
                let url = template
                    .expand(|name| lookup(name, exchange, options))
                    .map_err(missing)?;
                evaluated = Base::parse(&url).map_err(unusable)?;
                &evaluated
            }
            Self::Evaluated(template, braces) => {
                let mut url = template.render(exchange)?;
                if *braces == Braces::Variables && url.contains('{') {
                    let template = UriTemplate::parse(&url).map_err(unusable)?;
                    url = template
                        .expand(|name| lookup(name, exchange, options))
                        .map_err(missing)?;
                }
                evaluated = Base::parse(&url).map_err(unusable)?;
                &evaluated
            }
        };
        base.below(exchange, options)
    }
}

fn label(base: &Base) -> String {
    let host = base
        .authority
        .as_str()
        .rsplit_once('@')
        .map_or(base.authority.as_str(), |(_, host)| host);
    let port = if base.scheme == Scheme::HTTPS { 443 } else { 80 };
    match base.authority.port_u16() {
        Some(_) => format!("{}://{host}", base.scheme),
        None => format!("{}://{host}:{port}", base.scheme),
    }
}

fn missing(MissingVariable(name): MissingVariable) -> Fault {
    Fault::new(
        FaultCode::Expression,
        "The address could not be evaluated for this message.",
    )
    .with_detail(format!("the variable `{name}` of the URL has no value"))
}

fn unusable(why: String) -> Fault {
    Fault::new(
        FaultCode::Expression,
        "The address could not be evaluated for this message.",
    )
    .with_detail(why)
}

/// The value of a variable: given by the step, else set by an earlier one, else from the client's path or query.
fn lookup(name: &str, exchange: &Exchange, options: &CallOptions) -> Option<String> {
    if let Some((_, value)) = options.parameters.iter().find(|(key, _)| key == name) {
        return Some(value.clone());
    }
    if let Some(model) = exchange.vars.get(name) {
        return model.to_text().ok().map(std::borrow::Cow::into_owned);
    }
    let entry = &exchange.entry;
    entry
        .path_parameter(name)
        .or_else(|| entry.query_parameter(name))
        .map(str::to_owned)
}

/// The method: the step's, else in a pass-through the client's, else the message's. A message with a body is never sent by GET or
/// HEAD unless that was said, since backends ignore bodies there.
pub(super) fn method(exchange: &Exchange, options: &CallOptions) -> Method {
    if let Some(method) = &options.method {
        return method.clone();
    }
    if options.pass_through {
        return exchange.entry.method.clone();
    }
    let has_body = !exchange.message.payload.is_empty();
    match &exchange.message.start {
        StartLine::Request { method, .. } if !(has_body && method.is_safe()) => method.clone(),
        _ if has_body => Method::POST,
        _ => Method::GET,
    }
}

impl Base {
    fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("`{url}` is no URL: {error}"))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(format!("`{url}` is no absolute URL"));
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(format!("`{url}` is neither `http` nor `https`"));
        }
        if authority.as_str().contains('@') {
            return Err("a URL with user and password shows them in logs".to_owned());
        }
        let path_and_query = parts
            .path_and_query
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        let query = path_and_query.query().map(str::to_owned);
        Ok(Self {
            scheme,
            authority,
            path: path_and_query.path().to_owned(),
            query,
        })
    }

    /// This URL, with what the step or the client adds to it.
    fn below(&self, exchange: &Exchange, options: &CallOptions) -> Result<Uri, Fault> {
        let mut text = BytesMut::with_capacity(self.path.len() + 64);
        text.put_slice(self.path.as_bytes());
        let entry = &exchange.entry;
        let (given_path, given_query) = match &options.path {
            Some(path) => path
                .split_once('?')
                .map_or((path.as_str(), None), |(path, query)| (path, Some(query))),
            None if options.pass_through => (entry.path_rest.as_str(), None),
            None => ("", None),
        };
        let client_query = if options.pass_through {
            entry.query.as_deref()
        } else {
            None
        };
        append_path(&mut text, given_path);
        if text.is_empty() {
            text.put_u8(b'/');
        }
        let mut lead = b'?';
        for query in [self.query.as_deref(), given_query, client_query]
            .into_iter()
            .flatten()
        {
            text.put_u8(lead);
            text.put_slice(query.as_bytes());
            lead = b'&';
        }
        let path_and_query =
            PathAndQuery::from_maybe_shared(text.freeze()).map_err(|error| unusable(error.to_string()))?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).map_err(|error| unusable(error.to_string()))
    }
}

/// Appends a path below another; exactly one slash stands between them.
fn append_path(text: &mut BytesMut, path: &str) {
    if path.is_empty() {
        return;
    }
    if text.ends_with(b"/") {
        text.truncate(text.len() - 1);
    }
    if !path.starts_with('/') {
        text.put_u8(b'/');
    }
    text.put_slice(path.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_neither_path_nor_variables() {
        let label = |url| Address::parse(url).map(|address| address.label());
        assert_eq!(
            label("http://a.example/x?y").as_deref(),
            Ok("http://a.example:80")
        );
        assert_eq!(
            label("https://a.example:8443/{id}").as_deref(),
            Ok("https://a.example:8443")
        );
        for bad in ["/x", "ftp://a/", "http://", "http://u:p@h/", "http://h/{", "h:80"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
