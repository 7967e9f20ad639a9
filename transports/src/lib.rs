//! The transports of Mediary: listeners that receive messages and senders that send them on.

pub mod amqp;
pub mod http;
mod local;
mod timer;

use engine::registry::TransportSpec;

/// Every transport, in the order of the docs.
pub static ALL: &[TransportSpec] = &[
    crate::http::SPEC,
    crate::amqp::SPEC,
    crate::timer::SPEC,
    crate::local::SPEC,
];
