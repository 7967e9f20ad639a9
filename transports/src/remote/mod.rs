//! Helper: What the transports for folders on servers share: names, sessions, contents and uploads that survive a broken connection.
//!
//! ```text
//!  FileStore of ftp, sftp ──▶ Sessions (bounded, reused, tried again on a fresh one) ──▶ library ──▶ server
//!        │ read: a task downloads into a bounded queue, and goes on where it was when the connection breaks
//!        │ write: what the server has not surely got is kept, so that an upload goes on where it was
//! ```

pub(crate) mod content;
pub(crate) mod failure;
pub(crate) mod path;
pub(crate) mod replay;
pub(crate) mod sessions;
