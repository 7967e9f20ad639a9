//! Helper: What the transports of files share, over any [`FileStore`](engine::files::FileStore): the listener on a folder and the sender to one.
//!
//! ```text
//!  list ▶ choose ▶ claim: rename to .mediary/OWNER/claims/PATH ▶ deliver ▶ settle: delete, move, or rename back
//!                           ▲                                      │
//!                           └── an owner whose lease stands still is dead: its claims are renamed back by another
//! ```
//! A rename is the one atomic step that all stores have, so a file is claimed by one. Hidden names (a dot first) are never taken: claims,
//! archives and temporary files live there.

mod body;
mod claims;
mod config;
mod example;
mod folder;
mod listener;
mod media;
pub(crate) mod path;
mod sender;
mod serve;
mod settle;
mod split;

pub(crate) use config::{FolderConfig, SenderConfig, merged_schema, split_settings};
pub(crate) use listener::{Wake, listener};
pub(crate) use path::{NAME_BYTES_MAX, check, cut, numbered};
pub(crate) use sender::sender;
