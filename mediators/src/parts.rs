//! Helper: what steps that run others on several messages share: `foreach`, `split`, `clone` and `scatter_gather`. All parts of an exchange
//! run on its own task, some at a time, so that nothing goes on in the background when it ends.

use engine::exchange::Exchange;
use engine::expression::Value;
use engine::fault::{Fault, FaultCode};
use engine::mediator::Flow;
use engine::message::{Message, StartLine};
use engine::model::Model;
use engine::payload::Payload;
use engine::sequence::Sequence;
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use serde_json::Value as Json;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Most parts of one message.
pub(crate) const PARTS_MAX: usize = 100_000;

/// Most parts at once.
pub(crate) const PARALLEL_MAX: usize = 1000;

/// A part after its steps.
pub(crate) struct Ended {
    /// Its number, from 0.
    pub(crate) index: usize,
    /// The exchange it ran in.
    pub(crate) exchange: Exchange,
    /// How its steps ended.
    pub(crate) outcome: Result<Flow, Fault>,
}

/// Runs `steps` on every exchange, `parallel` at a time, and yields them in order.
pub(crate) fn run(
    steps: &Sequence,
    exchanges: impl IntoIterator<Item = Exchange, IntoIter: Send>,
    parallel: usize,
) -> impl Stream<Item = Ended> + Send {
    let runs = exchanges
        .into_iter()
        .enumerate()
        .map(move |(index, mut exchange)| async move {
            let outcome = steps.run(&mut exchange).await;
            Ended {
                index,
                exchange,
                outcome,
            }
        });
    stream::iter(runs).buffered(parallel.clamp(1, PARALLEL_MAX))
}

/// The items of a list, no more than there may be.
pub(crate) fn items(value: Value) -> Result<Vec<Value>, Fault> {
    let items = match value {
        Value::Model(model) if matches!(*model, Model::Rows(_)) => match Value::Model(model).to_json() {
            Json::Object(mut members) => Value::Json(members.remove("rows").unwrap_or_default()).into_items(),
            other => Value::Json(other).into_items(),
        },
        other => other.into_items(),
    };
    if items.len() > PARTS_MAX {
        let message = format!("The message has more than {PARTS_MAX} parts.");
        return Err(Fault::new(FaultCode::LimitExceeded, message));
    }
    Ok(items)
}

/// An exchange over one part: the headers of the whole message, the part as its payload. An XML element becomes a document.
pub(crate) fn part(exchange: &Exchange, model: Arc<Model>) -> Exchange {
    let mut headers = exchange.message.headers.clone();
    headers.remove(http::header::CONTENT_ENCODING);
    let start: StartLine = exchange.message.start.clone();
    let mut message = Message {
        start,
        headers,
        payload: Payload::default(),
    };
    crate::place::set_model(&mut message, model, None);
    exchange.fork(message)
}

/// The model of a part. Unlike a variable, an element stays XML even without children.
pub(crate) fn part_model(value: Value) -> Arc<Model> {
    match value {
        Value::Nodes(model, nodes) => match (&*model, &nodes[..]) {
            (Model::Xml(document), [node]) => Arc::new(Model::Xml(document.extract(*node))),
            _ => Value::Nodes(Arc::clone(&model), nodes).into_model(),
        },
        other => other.into_model(),
    }
}

/// The setting `parallel`, checked by its type.
pub(crate) fn parallel(setting: Option<NonZeroUsize>) -> usize {
    setting.map_or(1, NonZeroUsize::get).min(PARALLEL_MAX)
}
