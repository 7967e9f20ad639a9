//! Helper: What the transports for folders on servers share: everything but what a protocol says on a session.
//!
//! ```text
//!  listener, sender ──▶ RemoteFolder ──▶ Sessions (bounded, reused, tried again on a fresh one) ──▶ Protocol ──▶ server
//!        │ read: a task downloads into a bounded queue, and goes on where it was when the connection breaks
//!        │ write: what the server has not surely got is kept, so that an upload goes on where it was
//! ```

pub(crate) mod content;
pub(crate) mod failure;
pub(crate) mod folder;
mod names;
pub(crate) mod path;
pub(crate) mod protocol;
pub(crate) mod replay;
pub(crate) mod resumes;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod spec;
mod sweep;
