//! What can go wrong with a message, as data: who is to blame, whether a retry makes sense, and what the client may know.
//!
//! One table, [`FaultCode::ALL`], gives every code its stable name, HTTP status, SOAP codes and the number
//! WSO2 users know. Only the edge renders a fault; until then it travels as the `Err` of a step.

use http::{HeaderMap, StatusCode};
use serde_json::Value as Json;
use std::error::Error;
use std::fmt;

/// Who caused a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The client sent something that cannot be accepted.
    Client,
    /// A backend failed or refused.
    Backend,
    /// Mediary itself, its configuration or its limits.
    Gateway,
}

/// One row of the fault table.
#[derive(Debug)]
pub struct FaultRow {
    /// The code itself.
    pub code: FaultCode,
    /// Stable name, as it appears in `fault.code`, `catch.on` and problem documents.
    pub name: &'static str,
    /// HTTP status the edge answers with when no step changed it.
    pub status: u16,
    /// Who is to blame.
    pub origin: Origin,
    /// Whether the same request may succeed when tried again unchanged.
    pub retryable: bool,
    /// The nearest WSO2 / Synapse error number, 0 where there is none.
    pub wso2: u32,
    /// Short human title (RFC 9457 `title`).
    pub title: &'static str,
}

macro_rules! fault_codes {
    ($($variant:ident $name:literal $status:literal $origin:ident $retryable:literal $wso2:literal $title:literal;)*) => {
        /// Every kind of fault. The name of each is a promise to users.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the table below documents each by its title")]
        pub enum FaultCode { $($variant),* }

        impl FaultCode {
            /// The table, in the order of the documentation.
            pub const ALL: &'static [FaultRow] = &[$(FaultRow {
                code: FaultCode::$variant, name: $name, status: $status, origin: Origin::$origin,
                retryable: $retryable, wso2: $wso2, title: $title,
            }),*];
        }
    };
}

fault_codes! {
    BadRequest "client.bad_request" 400 Client false 0 "The request is malformed";
    MalformedBody "client.malformed_body" 400 Client false 601000 "The body cannot be parsed";
    Validation "client.validation" 400 Client false 0 "The message is not valid";
    Unauthorized "client.unauthorized" 401 Client false 0 "Authentication is required";
    Forbidden "client.forbidden" 403 Client false 0 "Access is denied";
    NotFound "client.not_found" 404 Client false 0 "No such resource";
    MethodNotAllowed "client.method_not_allowed" 405 Client false 0 "The method is not allowed here";
    NotAcceptable "client.not_acceptable" 406 Client false 0 "No acceptable representation";
    ClientTimeout "client.timeout" 408 Client true 101504 "The request did not arrive in time";
    Conflict "client.conflict" 409 Client false 0 "The request conflicts with the current state";
    BodyTooLarge "client.body_too_large" 413 Client false 0 "The body is too large";
    UnsupportedMediaType "client.unsupported_media_type" 415 Client false 0 "The media type is not supported";
    ExpectationFailed "client.expectation_failed" 417 Client false 0 "The expectation cannot be met";
    TooManyRequests "client.too_many_requests" 429 Client true 900800 "Too many requests";
    HeadersTooLarge "client.headers_too_large" 431 Client false 0 "The header section is too large";
    Disconnected "client.disconnected" 499 Client false 101505 "The client went away";
    Connect "backend.connect" 502 Backend true 101503 "The backend cannot be reached";
    ConnectionLost "backend.connection_lost" 502 Backend true 101505 "The backend closed the connection before it answered";
    IncompleteBody "backend.incomplete_body" 502 Backend true 101505 "The backend's reply broke off";
    BadReply "backend.bad_reply" 502 Backend false 101506 "The backend's reply cannot be understood";
    ReplyTooLarge "backend.reply_too_large" 502 Backend false 0 "The backend's reply is too large";
    BackendStatus "backend.status" 502 Backend false 0 "The backend answered with an error";
    SoapFault "backend.soap_fault" 502 Backend false 0 "The backend answered with a SOAP fault";
    Timeout "backend.timeout" 504 Backend true 101504 "The backend did not answer in time";
    CircuitOpen "backend.circuit_open" 503 Backend true 303001 "The backend is suspended after failures";
    Unroutable "backend.unroutable" 502 Backend true 0 "The broker has no queue for the message";
    NoEndpoint "backend.unavailable" 503 Backend true 303100 "No backend is available";
    Expression "gateway.expression" 500 Gateway false 0 "An expression could not be evaluated";
    Transformation "gateway.transformation" 500 Gateway false 601001 "The message could not be transformed";
    Thrown "gateway.thrown" 500 Gateway false 0 "The mediation raised a fault";
    Store "gateway.store" 503 Gateway true 0 "The message cannot be stored";
    StoredAlready "gateway.stored_already" 409 Gateway false 0 "A message of this id is in the store already";
    OutOfSequence "gateway.out_of_sequence" 409 Gateway false 0 "The message came after its turn";
    Unserved "gateway.unserved" 503 Gateway true 0 "Nothing serves this message now";
    Overloaded "gateway.overloaded" 503 Gateway true 0 "The gateway is at its limit";
    Draining "gateway.draining" 503 Gateway true 0 "The gateway is shutting down";
    Deadline "gateway.deadline" 504 Gateway true 101504 "The exchange took longer than its deadline";
    LimitExceeded "gateway.limit" 500 Gateway false 0 "A limit of the gateway was exceeded";
    Internal "gateway.internal" 500 Gateway false 0 "Internal error";
}

impl FaultCode {
    /// The table row of this code.
    #[must_use]
    pub fn row(self) -> &'static FaultRow {
        &Self::ALL[self as usize]
    }

    /// The stable name, such as `backend.timeout`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The code with this stable name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.name == name).map(|row| row.code)
    }
}

/// A failure on its way to a `catch`, an `on_fault` or the edge. One pointer wide.
pub struct Fault(Box<FaultData>);

struct FaultData {
    code: FaultCode,
    custom_code: Option<Box<str>>,
    message: String,
    detail: Option<String>,
    status: Option<StatusCode>,
    headers: HeaderMap,
    details: Option<Json>,
    step: Option<Box<str>>,
    rendered: Option<Box<crate::message::Message>>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault whose `message` the client may read. It must not tell internals (addresses, paths, stack traces).
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self(Box::new(FaultData {
            code,
            custom_code: None,
            message: message.into(),
            detail: None,
            status: None,
            headers: HeaderMap::new(),
            details: None,
            step: None,
            rendered: None,
            source: None,
        }))
    }

    /// `gateway.internal`: the client learns nothing, the log gets `detail`.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(FaultCode::Internal, "The gateway could not process the message.").with_detail(detail)
    }

    /// The same fault once more, to be raised again where this one is still being looked at. Causes are kept as text.
    #[must_use]
    pub fn again(&self) -> Self {
        let data = &self.0;
        Self(Box::new(FaultData {
            code: data.code,
            custom_code: data.custom_code.clone(),
            message: data.message.clone(),
            detail: self.detail(),
            status: data.status,
            headers: data.headers.clone(),
            details: data.details.clone(),
            step: data.step.clone(),
            rendered: None,
            source: None,
        }))
    }

    /// Adds what only the log may show.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Says in the detail what it is about: a backend, a file.
    #[must_use]
    pub fn with_subject(mut self, subject: &str) -> Self {
        let detail = self.0.detail.take();
        self.0.detail =
            Some(detail.map_or_else(|| subject.to_owned(), |detail| format!("{subject}: {detail}")));
        self
    }

    /// Replaces the table's HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Replaces the stable name by one of the project's own (`throw: { code: ... }`).
    #[must_use]
    pub fn with_custom_code(mut self, code: impl Into<Box<str>>) -> Self {
        self.0.custom_code = Some(code.into());
        self
    }

    /// Adds machine-readable details that the client may see, such as validation violations.
    #[must_use]
    pub fn with_details(mut self, details: Json) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Adds response headers, such as `Retry-After` or `Allow`.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.0.headers.extend(headers);
        self
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Keeps the backend's reply that this fault stands for, so that a `catch` can look at it.
    #[must_use]
    pub fn with_reply(mut self, reply: crate::message::Message) -> Self {
        self.0.rendered = Some(Box::new(reply));
        self
    }

    /// Names the step that failed, unless an inner step has been named already.
    pub fn at_step(&mut self, step: &str) {
        if self.0.step.is_none() {
            self.0.step = Some(step.into());
        }
    }

    /// The kind of fault.
    #[must_use]
    pub fn code(&self) -> FaultCode {
        self.0.code
    }

    /// The stable name: the project's own where it set one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0
            .custom_code
            .as_deref()
            .unwrap_or_else(|| self.0.code.name())
    }

    /// What the client may read.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What only the log may show, with the chain of causes.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        let mut text = self.0.detail.clone().unwrap_or_default();
        let mut cause: Option<&(dyn Error + 'static)> = self.0.source.as_deref().map(|source| source as _);
        while let Some(error) = cause {
            let causes = error.to_string();
            // Some errors already tell their cause.
            if !text.contains(&causes) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&causes);
            }
            cause = error.source();
        }
        (!text.is_empty()).then_some(text)
    }

    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        let table =
            || StatusCode::from_u16(self.0.code.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.0.status.unwrap_or_else(table)
    }

    /// Response headers that belong to this fault.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Machine-readable details for the client.
    #[must_use]
    pub fn details(&self) -> Option<&Json> {
        self.0.details.as_ref()
    }

    /// The step that failed: artifact and position in the YAML.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        self.0.step.as_deref()
    }

    /// Whether the same request may succeed when tried again unchanged.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.0.code.row().retryable
    }

    /// Whether delivering the same message again later makes sense: what a listener or processor asks before it does. A project that
    /// raises a fault of its own says so by the status.
    #[must_use]
    pub fn worth_redelivery(&self) -> bool {
        match self.code() {
            FaultCode::BackendStatus => {
                let status = self.backend_status();
                status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
            }
            FaultCode::Thrown => matches!(self.status().as_u16(), 429 | 502..=504),
            _ => self.retryable(),
        }
    }

    /// What the backend answered with: `fault_on` keeps it in the details, as the client of the gateway sees a 502.
    fn backend_status(&self) -> StatusCode {
        let told = self.details().and_then(|details| details.get("status")?.as_u64());
        let told = told.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
        told.unwrap_or_else(|| self.status())
    }

    /// Who is to blame. What the project itself raises with a 4xx is the client's matter.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self.code() {
            FaultCode::Thrown if self.status().is_client_error() => Origin::Client,
            code => code.row().origin,
        }
    }

    /// Takes the backend's reply that this fault stands for.
    pub fn take_reply(&mut self) -> Option<crate::message::Message> {
        self.0.rendered.take().map(|reply| *reply)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("code", &self.name())
            .field("message", &self.0.message)
            .field("detail", &self.detail())
            .field("step", &self.0.step)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.0.message)?;
        self.detail().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

impl Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum_and_names_are_unique() {
        for (index, row) in FaultCode::ALL.iter().enumerate() {
            assert_eq!(row.code as usize, index);
            assert_eq!(FaultCode::by_name(row.name), Some(row.code));
            assert!(StatusCode::from_u16(row.status).is_ok());
        }
    }

    #[test]
    fn the_first_step_named_is_kept() {
        let mut fault = Fault::new(FaultCode::Timeout, "slow");
        fault.at_step("inner");
        fault.at_step("outer");
        assert_eq!(fault.step(), Some("inner"));
        assert_eq!(std::mem::size_of::<Fault>(), 8);
    }

    #[test]
    fn what_a_backend_refused_is_not_delivered_again() {
        let answered = |status: u16| {
            let fault = Fault::new(FaultCode::BackendStatus, "No.");
            fault.with_details(serde_json::json!({ "status": status }))
        };
        assert!(!answered(404).worth_redelivery(), "whatever the client sees");
        assert!(answered(503).worth_redelivery());
        assert!(answered(429).again().worth_redelivery());
        let seen = Fault::new(FaultCode::BackendStatus, "No.").with_status(StatusCode::CONFLICT);
        assert!(!seen.worth_redelivery());
    }

    #[test]
    fn what_a_project_raises_is_delivered_again_where_its_status_says_so() {
        let again = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            Fault::new(FaultCode::Thrown, "No.")
                .with_status(status)
                .worth_redelivery()
        };
        assert_eq!(
            [400, 409, 429, 500, 501, 502, 503, 504, 505].map(again),
            [false, false, true, false, false, true, true, true, false]
        );
    }

    #[test]
    fn what_a_project_raises_with_a_4xx_is_the_clients_matter() {
        let thrown = |status| Fault::new(FaultCode::Thrown, "No.").with_status(status);
        assert_eq!(thrown(StatusCode::NOT_FOUND).origin(), Origin::Client);
        assert_eq!(thrown(StatusCode::BAD_GATEWAY).origin(), Origin::Gateway);
        let refused = Fault::new(FaultCode::BackendStatus, "No.").with_status(StatusCode::NOT_FOUND);
        assert_eq!(refused.origin(), Origin::Backend);
    }
}
