//! The transports of Mediary: listeners that receive messages and senders that send them on.

pub mod amqp;
pub mod http;

use engine::registry::TransportSpec;

/// Every transport, in the order of the docs.
pub static ALL: &[TransportSpec] = &[crate::http::SPEC, crate::amqp::SPEC];
