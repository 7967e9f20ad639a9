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
           `local://orders`). `call` waits for the reply, `send` until the message has been served; both get the fault where the other \
           artifact fails. For `send` a message that became a dead letter there is kept, and so no fault. A full queue is the fault \
           `gateway.overloaded`; nothing was sent then, and `retry` and `failover` may try again. A name that no artifact receives from is \
           a mistake of the project. Several artifacts that receive from one name take turns. Artifacts that send to each other in a \
           circle end at their deadlines.\n\n\
           The queue is memory, but as the sender waits nothing is lost with it: after a crash a message comes again from where the sender \
           had it. With `wait: false` `send` goes on as soon as the queue has taken the message. What the queue holds is then served at \
           the end of the process, or when a reload removes the artifact, within the grace time; a crash loses it. A message that must \
           survive belongs in a store.\n\n\
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
