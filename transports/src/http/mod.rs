//! HTTP/1.1 and HTTP/2, both sides, over TCP and TLS.
//!
//! ```text
//!  socket ──▶ server ──▶ edge checks ──▶ Gateway::handle ──▶ client ──▶ backend
//!               │   (path, framing, trust, ids)                │
//!               └────────────── wire: read, decode, write ─────┘
//! ```
//! HTTP/1.1 is read and written by [`wire`], which both sides share: a gateway has to be stricter than a general
//! library at its front, has to know at its back exactly what was sent when a connection breaks, and wants idle
//! connections without buffers. A message crosses no task and no thread on its way. HTTP/2 is hyper's.

pub mod client;
mod config;
pub(crate) mod edge;
pub mod server;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tls;
pub(crate) mod wire;

pub(crate) use config::SPEC;
