//! Tests of the server through raw sockets.

mod basics;
mod hostile;
mod lifecycle;
