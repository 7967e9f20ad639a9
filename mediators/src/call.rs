//! `call`: sends the message to an endpoint and waits for the reply.

use crate::outgoing::{Outgoing, Own, Settings};
use engine::build::Build;
use engine::config::{Named, RawNode, Spanned, Text};
use engine::exchange::Exchange;
use engine::fault::Fault;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, Sends, StepKind, asynchronous};
use engine::model::Model;
use engine::registry::StepConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use std::sync::Arc;

/// Calls a backend. The reply becomes the message; with `into` its payload goes into a variable and the message stays.
///
/// The message's headers go along, except `authorization`, `cookie` and `proxy-authorization`, which go only where the endpoint
/// says `forward` or `headers` names them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallConfig {
    /// The name of an endpoint, a URL, or an endpoint's definition. A name may be `${ ... }`.
    pub endpoint: RawNode,
    /// The method; default what the endpoint or the client's request says. `GET` and `HEAD` send no body.
    pub method: Option<Spanned<String>>,
    /// A path, with a query where wanted, below the endpoint's address. Inserted values are escaped: one value is one segment.
    pub path: Option<Text>,
    /// The SOAP action.
    pub action: Option<Text>,
    /// Headers to set on the request alone.
    #[serde(default)]
    pub headers: Named<Text>,
    /// Values for the variables of the endpoint's address (`http://host/orders/{id}`).
    #[serde(default)]
    pub params: Named<Text>,
    /// Another body than the current one, a structure that becomes JSON.
    pub payload: Option<RawNode>,
    /// The variable for the reply's payload: `customer` for `vars.customer`.
    pub into: Option<Spanned<String>>,
}

impl StepConfig for CallConfig {
    const NAME: &'static str = "call";
    const EXAMPLE: &'static str = r#"- call: http://localhost:9000/orders
- call:
    endpoint: http://localhost:9000/customers
    method: GET
    path: /${payload.customer_id}
    into: customer"#;
    const SHORTHAND: Option<&'static str> = Some("endpoint");

    fn build(self, cx: &mut Build<'_>) -> Option<StepKind> {
        let outgoing = Outgoing::compile(
            &Settings {
                endpoint: &self.endpoint,
                method: self.method.as_ref(),
                path: self.path.as_ref(),
                action: self.action.as_ref(),
                headers: &self.headers,
                params: &self.params,
                payload: self.payload.as_ref(),
            },
            cx,
        );
        let into = crate::text::optional_variable(self.into.as_ref(), cx);
        Some(asynchronous(Call {
            outgoing: outgoing?,
            into: into?,
        }))
    }
}

struct Call {
    outgoing: Outgoing,
    into: Option<Box<str>>,
}

impl Call {
    fn own(&self) -> Own {
        match self.into {
            Some(_) => Own::Stays,
            None => Own::Replaced,
        }
    }
}

impl AsyncMediator for Call {
    fn needs(&self) -> Needs {
        self.outgoing.needs()
    }

    fn sends(&self) -> Option<Sends<'_>> {
        Some(self.outgoing.sends(self.own()))
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let (endpoint, message, options) = self.outgoing.prepare(exchange, self.own()).await?;
            let reply = endpoint.call(exchange, message, &options).await?;
            match &self.into {
                None => exchange.message = reply,
                Some(name) => {
                    let kept = std::mem::replace(&mut exchange.message, reply);
                    let read = exchange.lift(Needs::Model).await;
                    let model = exchange.model().cloned();
                    exchange.message = kept;
                    read?;
                    let model = model.unwrap_or_else(|| Arc::new(Model::Json(Json::Null)));
                    exchange.vars.insert(name.clone(), model);
                }
            }
            Ok(Flow::Next)
        })
    }
}

#[cfg(test)]
mod tests;
