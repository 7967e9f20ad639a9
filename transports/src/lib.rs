//! The transports of Mediary: listeners that receive messages and senders that send them on.

pub mod file;
pub(crate) mod files;
pub mod ftp;
pub mod http;
mod remote;
pub mod sftp;

use engine::registry::TransportSpec;

/// Every transport, in the order of the docs.
pub static ALL: &[TransportSpec] = &[
    crate::http::SPEC,
    crate::file::SPEC,
    crate::ftp::SPEC,
    crate::sftp::SPEC,
];
