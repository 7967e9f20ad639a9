//! FTP, plain and over TLS: folders on FTP servers (RFC 959, 2228, 2428, 3659, 4217).
//!
//! Always passive mode, with the control connection's host for the data connections. Data connections take up the TLS session of
//! their control connection, as strict servers demand.

mod files;
mod listing;
mod session;
mod settings;
mod transfer;

use engine::registry::TransportSpec;

/// The registration of FTP.
pub(crate) const SPEC: TransportSpec = crate::remote::spec::spec::<session::Opener>(
    "ftp",
    "Files on FTP servers, plain or over TLS.\n\n\
     A connection (`connections: { partner: { ftp: { host: ..., tls: explicit } } }`) is named by listeners \
     (`from: { ftp: { connection: partner, folder: in } }`) and endpoints (`ftp: { connection: partner, folder: out }`). Always \
     passive mode.\n\n\
     Delivery is at least once, as with local files. FTP has no rename that refuses to overwrite: `existing: refuse` and `number` \
     look before they write, so two writers that meet in that moment may replace each other's file. Appending is not tried again.",
    settings::CONNECTION,
);
