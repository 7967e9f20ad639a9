//! The transport `local`: between artifacts of one process, through a bounded queue with a name. [`channel`] is the queue, [`sender`] puts
//! messages in, [`listener`] delivers them. A queue and not a direct call, so that a loop of artifacts is bounded by it and not by the stack.

mod channel;
mod config;
mod listener;
mod sender;

#[cfg(test)]
mod tests;

use engine::registry::{EntrySpec, SenderSpec, TransportSpec};
use schemars::SchemaGenerator;

/// The scheme of the URLs.
const SCHEME: &str = "local";

/// The registration.
pub(crate) const SPEC: TransportSpec = TransportSpec {
    name: "local",
    docs: "Between artifacts of one process, without a network.\n\n\
           A proxy receives what is sent to a name (`from: { local: orders }`); an endpoint sends to it (`local: orders`, \
           `local://orders`). `call` waits for the reply and gets the fault where the other artifact fails; `send` goes on as soon as the \
           queue has taken the message. A full queue is the fault `gateway.overloaded`, a name that nobody receives from \
           `backend.connect`; in both cases nothing was sent, and `retry` and `failover` may try again. Several artifacts that receive from \
           one name take turns. Artifacts that send to each other in a circle end at their deadlines.\n\n\
           The queue is memory. At the end of the process what it holds is still delivered within the grace time; in a crash it is lost. \
           A message that must survive belongs in a store. A message of `send` whose steps fail goes to the receiving artifact's \
           `dead_letter`; without one it is lost, and the log says so.\n\n\
           Headers and body come as they were sent, the correlation id goes on. `source.name` is the name, `source.method`, `source.path` and \
           `source.query` are those of the step that sent, `source.one_way` says whether nobody waits.",
    listener: None,
    entry: Some(EntrySpec {
        schema: SchemaGenerator::subschema_for::<config::LocalEntryConfig>,
        build: config::entry,
    }),
    sender: Some(SenderSpec {
        schemes: &[SCHEME],
        schema: SchemaGenerator::subschema_for::<config::LocalSenderConfig>,
        build: config::sender,
    }),
    connection: None,
    store: None,
};
