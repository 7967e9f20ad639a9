//! The transports of Mediary: listeners that receive messages and senders that send them on.

pub mod amqp;
pub mod file;
pub(crate) mod files;
pub mod ftp;
pub mod http;
mod local;
pub(crate) mod remote;
pub mod sftp;
mod timer;

use engine::registry::TransportSpec;

/// Every transport, in the order of the docs.
pub static ALL: &[TransportSpec] = &[
    crate::http::SPEC,
    crate::file::SPEC,
    crate::ftp::SPEC,
    crate::sftp::SPEC,
    crate::amqp::SPEC,
    crate::timer::SPEC,
    crate::local::SPEC,
];
