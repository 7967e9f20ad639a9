//! SFTP: folders on SSH servers (SSH File Transfer Protocol version 3, draft-ietf-secsh-filexfer-02, with the extensions of
//! OpenSSH where the server has them).

mod files;
mod host_key;
mod session;
mod settings;
mod transfer;

use engine::registry::TransportSpec;

/// The registration of SFTP.
pub(crate) const SPEC: TransportSpec = crate::remote::spec::spec::<session::Opener>(
    "sftp",
    "Files on SSH servers.\n\n\
     A connection (`connections: { partner: { sftp: { host: ..., key: id_ed25519, host_key: \"ssh-ed25519 ...\" } } }`) is named by \
     listeners (`from: { sftp: { connection: partner, folder: in } }`) and endpoints (`sftp: { connection: partner, folder: out }`). \
     The server's key is always verified.\n\n\
     Delivery is at least once, as with local files. Appending is not tried again.",
    settings::CONNECTION,
);
