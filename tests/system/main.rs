//! The system tests: one binary, one module per topic. Run them with `tests/run`, which installs the foreign
//! peers and builds the `mediary` binary first.
#![expect(
    clippy::unwrap_used,
    reason = "a failed step of a test fails the test, helpers included"
)]

mod amqp;
mod amqp_edges;
mod amqp_store;
mod check;
mod docs;
mod drills;
mod faithful;
mod faults;
mod files;
mod fixtures;
mod reload;
mod remote;
mod running;
mod samples;
mod soap_peers;
mod split;
mod steps;
mod stores;
mod streaming;
mod tidy;
