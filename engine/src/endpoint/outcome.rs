//! How an attempt ended, as retry, failover and circuit breaker look at it.

use super::trigger::{Failure, status_of};
use crate::fault::{Fault, FaultCode};
use crate::message::Message;
use http::{StatusCode, header};
use std::time::{Duration, SystemTime};

/// The end of an attempt.
pub(super) struct Outcome {
    pub(super) result: Result<Message, Fault>,
    /// Sending the message again does no harm: the method is idempotent, or nothing of the message was sent.
    pub(super) repeatable: bool,
}

impl Outcome {
    /// Failed before anything was sent.
    pub(super) fn unsent(fault: Fault) -> Self {
        Self {
            result: Err(fault),
            repeatable: true,
        }
    }

    /// The backend's status, also where a fault stands for its reply.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match &self.result {
            Ok(reply) => reply.status(),
            Err(fault) => status_of(fault),
        }
    }

    /// The kind of failure where there is no reply.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.result.as_ref().err().and_then(Failure::of)
    }

    /// Whether no backend was there to be tried.
    pub(super) fn refused(&self) -> bool {
        self.failure() == Some(Failure::CircuitOpen)
    }

    /// Whether this says something about the backend's health. The client's faults and the gateway's own do not.
    pub(super) fn tells_health(&self) -> bool {
        let no_fault_of_ours = |fault: &Fault| {
            Failure::of(fault).is_some()
                || matches!(fault.code(), FaultCode::BackendStatus | FaultCode::SoapFault)
        };
        self.result.as_ref().err().is_none_or(no_fault_of_ours)
    }

    /// How long the backend asked to be left alone: `Retry-After` of 429 and 503 (RFC 9110 section 10.2.3).
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let reply = self.result.as_ref().ok()?;
        let asks = matches!(
            reply.status()?,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let value = reply
            .headers
            .get(header::RETRY_AFTER)
            .filter(|_| asks)?
            .to_str()
            .ok()?;
        parse_retry_after(value.trim(), SystemTime::now())
    }
}

fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?;
    let date = SystemTime::from(date.timestamp());
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_retry_after() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let parse = |value| parse_retry_after(value, now);
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            parse("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(7))
        );
        assert_eq!(parse("Sun, 06 Nov 1988 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("-1"), None);
    }
}
