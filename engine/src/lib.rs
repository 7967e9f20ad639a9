//! The mediation engine: messages, sequences of mediators, endpoints, the configuration language and immutable deployments.
//!
//! The engine names no concrete mediator, transport or format; those are registered by the leaf crates. Start reading at
//! [`exchange`] and [`sequence`], or at `docs/life-of-a-message.md`.

pub mod artifact;
pub mod build;
pub mod completion;
pub mod config;
pub mod deployment;
pub mod encoding;
pub mod endpoint;
pub mod exchange;
pub mod expression;
pub mod facts;
pub mod fault;
pub mod files;
pub mod format;
pub mod gateway;
pub mod mediator;
pub mod message;
pub mod model;
pub mod observe;
pub mod payload;
pub mod registry;
pub mod route;
pub mod sequence;
pub mod settings;
pub mod state;
pub mod store;
pub mod testing;
pub mod transport;
pub mod workers;
pub mod wsdl;
