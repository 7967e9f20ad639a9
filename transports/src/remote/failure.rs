//! A failed operation on a server: the fault, and whether the session can be used on.

use engine::fault::{Fault, FaultCode};

/// What went wrong, and what it means for the session.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The fault to raise.
    pub(crate) fault: Fault,
    /// The session is of no use any more; another one may succeed.
    pub(crate) broken: bool,
}

impl Failure {
    /// The connection broke.
    pub(crate) fn lost(detail: impl Into<String>) -> Self {
        let fault = Fault::new(
            FaultCode::ConnectionLost,
            "The connection to the file server broke.",
        );
        Self {
            fault: fault.with_detail(detail),
            broken: true,
        }
    }

    /// The server refused the operation; the session goes on.
    pub(crate) fn refused(detail: impl Into<String>) -> Self {
        let fault = Fault::new(FaultCode::BackendStatus, "The file server refused the operation.");
        Self {
            fault: fault.with_detail(detail),
            broken: false,
        }
    }

    /// Whether another session may get further.
    pub(crate) fn may_pass(&self) -> bool {
        self.broken || is_away(&self.fault)
    }
}

/// Whether a fault says that the server could not be asked, or did not answer.
pub(crate) fn is_away(fault: &Fault) -> bool {
    matches!(
        fault.code(),
        FaultCode::Connect | FaultCode::ConnectionLost | FaultCode::Timeout
    )
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, broken: false }
    }
}

/// The server cannot be reached, or does not let us in.
pub(crate) fn unreachable(message: &str, detail: impl Into<String>) -> Fault {
    Fault::new(FaultCode::Connect, message).with_detail(detail)
}

/// An operation took too long.
pub(crate) fn timeout() -> Fault {
    Fault::new(FaultCode::Timeout, "The file server did not answer in time.")
}

/// There is no such file.
pub(crate) fn not_found() -> Fault {
    Fault::new(FaultCode::NotFound, "There is no such file.")
}

/// There is a file of this name already.
pub(crate) fn exists() -> Fault {
    Fault::new(FaultCode::Conflict, "There is a file of this name already.")
}
