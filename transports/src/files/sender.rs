//! The sender: a message becomes a file.

use super::config::{ExistingConfig, SenderConfig};
use super::{media, path};
use engine::build::Build;
use engine::exchange::Exchange;
use engine::expression::{Escape, Template};
use engine::fault::{Fault, FaultCode};
use engine::files::FileStore;
use engine::mediator::{BoxFuture, Needs};
use engine::message::{Message, StartLine};
use engine::payload::Payload;
use engine::transport::{CallOptions, SendContext, SendError, Sender};
use http::{Method, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::json;
use std::sync::Arc;

/// Everything but the unreserved characters of RFC 3986 section 2.3 and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Builds a sender that writes to `store`.
pub(crate) fn sender(
    store: Arc<dyn FileStore>,
    config: &SenderConfig,
    cx: &mut Build<'_>,
) -> Option<Arc<dyn Sender>> {
    let name = match &config.name {
        Some(name) => Some(cx.template(name, Escape::None)?),
        None => None,
    };
    if let (Some(literal), Some(text)) = (name.as_ref().and_then(Template::as_literal), &config.name)
        && let Err(fault) = path::check(&literal)
    {
        cx.error("config.bad_path", text.span(), fault.message(), None);
        return None;
    }
    Some(Arc::new(FolderSender {
        label: store.url(),
        store,
        name,
        existing: config.existing,
    }))
}

struct FolderSender {
    store: Arc<dyn FileStore>,
    name: Option<Template>,
    existing: ExistingConfig,
    label: String,
}

impl FolderSender {
    fn name(&self, exchange: &Exchange, options: &CallOptions) -> Result<String, Fault> {
        if let Some(path) = &options.path {
            return decode(path.split('?').next().unwrap_or_default());
        }
        match &self.name {
            Some(name) => name.render(exchange),
            None => {
                let extension = media::extension(exchange.message.content_type());
                Ok(format!("{}.{extension}", uuid::Uuid::now_v7()))
            }
        }
    }
}

/// The path that a step gives: what it inserts is escaped, so that one value stays one name.
fn decode(encoded: &str) -> Result<String, Fault> {
    let name = |name: &str| {
        let decoded = percent_decode_str(name).decode_utf8().ok();
        decoded
            .filter(|decoded| !decoded.contains('/'))
            .map(std::borrow::Cow::into_owned)
            .ok_or_else(|| Fault::new(FaultCode::BadRequest, "The file's name leads out of the folder."))
    };
    let names: Result<Vec<String>, Fault> = encoded.trim_start_matches('/').split('/').map(name).collect();
    names.map(|names| names.join("/"))
}

impl Sender for FolderSender {
    fn needs(&self) -> Needs {
        self.name.as_ref().map(Template::needs).unwrap_or_default()
    }

    fn address(&self, exchange: &Exchange, options: &CallOptions) -> Result<StartLine, Fault> {
        let name = self.name(exchange, options)?;
        path::check(&name)?;
        let uri = format!("/{}", utf8_percent_encode(&name, PATH));
        // Only a replaced file is the same after a second attempt.
        let method = match self.existing {
            ExistingConfig::Replace => Method::PUT,
            _ => Method::POST,
        };
        let uri: Uri = uri
            .parse()
            .map_err(|_| Fault::new(FaultCode::BadRequest, "The file's name is too long."))?;
        Ok(StartLine::Request { method, uri })
    }

    fn send<'a>(&'a self, message: Message, _: &'a SendContext) -> BoxFuture<'a, Result<Message, SendError>> {
        Box::pin(async move {
            let StartLine::Request { uri, .. } = &message.start else {
                return Err(Fault::internal("a file needs an address").into());
            };
            let name = percent_decode_str(uri.path().trim_start_matches('/'))
                .decode_utf8()
                .map_err(|_| Fault::internal("an address that is no UTF-8"))?
                .into_owned();
            let body = message.payload.into_body();
            let written = self.store.write(&name, body, self.existing.into()).await?;
            let mut reply = Message::response(StatusCode::OK);
            reply.set_content_type("application/json");
            reply.payload =
                Payload::bytes(json!({ "name": path::name(&written), "path": written }).to_string());
            Ok(reply)
        })
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn files(&self) -> Option<Arc<dyn FileStore>> {
        Some(Arc::clone(&self.store))
    }
}
