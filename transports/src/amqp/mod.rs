//! AMQP 0-9-1, as RabbitMQ speaks it: consumers with acknowledgement after the exchange, publishers with confirms.
//!
//! ```text
//!  queue ──▶ consumer ──▶ Gateway::deliver ──▶ ack            Sender::send ──▶ link ──▶ channels ──▶ exchange
//!              │  failed: published again, counted              (one connection         (one message in flight
//!              └─ for good: QUEUE.dead                            for all senders)        on each until confirmed)
//! ```
//! A consumer has a connection of its own, so that a broker that holds back publishers does not hold back acknowledgements.
//! Connections are made again for ever by us, not by the library: what was unacknowledged comes again, what was
//! unconfirmed is published again. So a message can be seen twice and is never lost.

mod broker;
mod channels;
mod config;
mod connect;
mod consumer;
mod mapping;
mod sender;
mod store;
mod topology;

use engine::registry::{ConnectionSpec, EntrySpec, SenderSpec, StoreSpec, TransportSpec};
use schemars::SchemaGenerator;

/// The registration of AMQP.
pub(crate) const SPEC: TransportSpec = TransportSpec {
    name: "amqp",
    docs: "AMQP 0-9-1: queues and exchanges of RabbitMQ.\n\n\
           A connection stands under `connections`; a proxy receives from a queue \
           (`from: { amqp: { connection: rabbit, queue: orders } }`); an endpoint publishes to an exchange with confirms \
           (`amqp: { connection: rabbit, routing_key: orders }`), and waits for a reply where it says `reply`.",
    listener: None,
    entry: Some(EntrySpec {
        schema: SchemaGenerator::subschema_for::<config::ConsumerConfig>,
        build: config::build_consumer,
    }),
    sender: Some(SenderSpec {
        schemes: &[],
        schema: SchemaGenerator::subschema_for::<config::SenderConfig>,
        build: config::build_sender,
    }),
    connection: Some(ConnectionSpec {
        schema: SchemaGenerator::subschema_for::<config::ConnectionConfig>,
        build: config::build_connection,
    }),
    store: Some(StoreSpec {
        schema: SchemaGenerator::subschema_for::<config::StoreConfig>,
        build: config::build_store,
    }),
};
