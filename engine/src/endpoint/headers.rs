//! Headers that an endpoint adds to each request.

use crate::exchange::Exchange;
use crate::expression::Template;
use crate::fault::{Fault, FaultCode};
use crate::mediator::Needs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

/// Headers and where their values come from.
#[derive(Default)]
pub(super) struct Headers(pub(super) Vec<(HeaderName, Source)>);

/// Where a value comes from.
pub(super) enum Source {
    /// Known at load.
    Fixed(HeaderValue),
    /// Evaluated per message, with a scheme before it (`Bearer `).
    Text(&'static str, Template),
    /// `Basic` credentials (RFC 7617).
    Basic(Template, Template),
}

impl Source {
    /// A header's value, made at load where nothing has to be evaluated. `None` where it can be no header's value.
    pub(super) fn text(prefix: &'static str, template: Template) -> Option<Self> {
        match template.as_literal() {
            Some(text) => value(&format!("{prefix}{text}"), !prefix.is_empty()).map(Self::Fixed),
            None => Some(Self::Text(prefix, template)),
        }
    }

    /// The value of `Authorization` for a user, made at load where possible.
    pub(super) fn basic(user: Template, password: Template) -> Option<Self> {
        match (user.as_literal(), password.as_literal()) {
            (Some(user), Some(password)) => basic(&user, &password).map(Self::Fixed),
            _ => Some(Self::Basic(user, password)),
        }
    }

    fn value(&self, exchange: &Exchange) -> Result<Option<HeaderValue>, Fault> {
        Ok(match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Text(prefix, template) => value(
                &format!("{prefix}{}", template.render(exchange)?),
                !prefix.is_empty(),
            ),
            Self::Basic(user, password) => basic(&user.render(exchange)?, &password.render(exchange)?),
        })
    }

    fn needs(&self) -> Needs {
        match self {
            Self::Fixed(_) => Needs::Headers,
            Self::Text(_, template) => template.needs(),
            Self::Basic(user, password) => user.needs().max(password.needs()),
        }
    }
}

fn value(text: &str, sensitive: bool) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(sensitive);
    Some(value)
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    // RFC 7617 section 2: a user name with a colon cannot be told from the password.
    let encode = || STANDARD.encode(format!("{user}:{password}"));
    (!user.contains(':'))
        .then(encode)
        .and_then(|encoded| value(&format!("Basic {encoded}"), true))
}

impl Headers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn needs(&self) -> Needs {
        self.0
            .iter()
            .map(|(_, source)| source.needs())
            .max()
            .unwrap_or_default()
    }

    /// The values for this exchange.
    pub(super) fn render(&self, exchange: &Exchange) -> Result<Rendered, Fault> {
        let render = |(name, source): &(HeaderName, Source)| match source.value(exchange)? {
            Some(value) => Ok((name.clone(), value)),
            None => Err(
                Fault::new(FaultCode::Expression, "A header's value cannot be sent.").with_detail(format!(
                    "the value of `{name}` has characters that no header can hold"
                )),
            ),
        };
        self.0.iter().map(render).collect::<Result<_, _>>().map(Rendered)
    }
}

/// Headers with their values for one message.
pub(super) struct Rendered(SmallVec<[(HeaderName, HeaderValue); 2]>);

impl Rendered {
    /// Sets them; what the message had under these names is replaced.
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        for (name, value) in self.0 {
            headers.insert(name, value);
        }
    }
}
