//! Tests of the client: a gateway before a backend that says exactly what a test tells it.

mod addresses;
mod exchanges;
mod faults;
mod http2;
mod streams;
