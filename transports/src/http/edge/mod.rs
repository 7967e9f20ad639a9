//! What is checked and settled before a request is routed: its head, target, framing, where it came from, and its ids.
//! Whatever two HTTP implementations could understand differently is refused here, once, so that nothing behind has to ask again.

pub(crate) mod forwarded;
pub(crate) mod framing;
pub(crate) mod hop;
pub(crate) mod ids;
pub(crate) mod path;
pub(crate) mod request_head;
pub(crate) mod target;
pub(crate) mod trust;

use engine::fault::{Fault, FaultCode};

/// A request that cannot be understood in one way only.
pub(crate) fn bad_request(why: impl Into<String>) -> Fault {
    Fault::new(FaultCode::BadRequest, why)
}
