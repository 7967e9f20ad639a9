//! SFTP: folders on SSH servers (SSH File Transfer Protocol version 3, draft-ietf-secsh-filexfer-02, with the extensions of
//! OpenSSH where the server has them).

mod connection;
mod host_key;
mod session;
mod settings;
mod spec;
mod store;
mod transfer;

pub use connection::SftpConnection;
pub(crate) use spec::SPEC;
