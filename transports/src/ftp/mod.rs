//! FTP, plain and over TLS: folders on FTP servers (RFC 959, 2228, 2428, 3659, 4217).
//!
//! Always passive mode, with the control connection's host for the data connections. Data connections take up the TLS session of
//! their control connection, as strict servers demand.

mod connection;
mod listing;
mod session;
mod settings;
mod spec;
mod store;
mod transfer;

pub use connection::FtpConnection;
pub(crate) use spec::SPEC;
