//! Mediators, the steps of a sequence. The one extension concept: filters, transformations, policies and calls are all mediators.

use crate::endpoint::EndpointRef;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::sequence::Sequence;
use std::future::Future;
use std::pin::Pin;

/// A future that borrows and may be sent to another thread. Written by hand so that the allocation is visible.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How much of the payload a step reads. The executor lifts the payload to it before the step runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Headers and entry facts only: the payload stays as it is, a stream goes on streaming.
    #[default]
    Headers,
    /// The bytes, complete and in memory.
    Bytes,
    /// The parsed model.
    Model,
}

/// What happens after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on with the next step.
    Next,
    /// End the exchange and reply with the current message.
    Respond,
    /// End the exchange without a reply body.
    Drop,
}

/// A step that only computes.
pub trait Mediator: Send + Sync {
    /// How much of the payload it reads.
    fn needs(&self) -> Needs {
        Needs::Headers
    }

    /// Does its work on the exchange.
    ///
    /// # Errors
    /// A fault, which the executor completes with the step's position.
    fn mediate(&self, exchange: &mut Exchange) -> Result<Flow, Fault>;
}

/// A step that does I/O, waits, or holds child steps.
pub trait AsyncMediator: Send + Sync {
    /// How much of the payload it reads itself; its children say for themselves.
    fn needs(&self) -> Needs {
        Needs::Headers
    }

    /// Does its work on the exchange.
    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>>;

    /// Its child sequences with their YAML keys (`then`, `cases.A`), for `explain` and coverage.
    fn children(&self) -> Vec<(String, &Sequence)> {
        Vec::new()
    }

    /// The named sequence that it runs, where it runs one, for `explain`.
    fn named_sequence(&self) -> Option<&str> {
        None
    }

    /// Where it sends to, if it sends, for `explain`.
    fn sends(&self) -> Option<Sends<'_>> {
        None
    }
}

/// What a step sends, as far as it can be told before there is a message.
pub struct Sends<'a> {
    /// Where to.
    pub endpoint: &'a EndpointRef,
    /// Whether it sends the body of the exchange's own message, rather than one that it makes.
    pub own_body: bool,
    /// Whether the reply becomes the message, rather than that the message stays.
    pub replaces: bool,
}

/// What a step's configuration builds.
pub enum StepKind {
    /// A computing step.
    Sync(Box<dyn Mediator>),
    /// A waiting step.
    Async(Box<dyn AsyncMediator>),
}

impl StepKind {
    /// How much of the payload the step reads.
    #[must_use]
    pub fn needs(&self) -> Needs {
        match self {
            Self::Sync(mediator) => mediator.needs(),
            Self::Async(mediator) => mediator.needs(),
        }
    }

    /// The step's child sequences.
    #[must_use]
    pub fn children(&self) -> Vec<(String, &Sequence)> {
        match self {
            Self::Sync(_) => Vec::new(),
            Self::Async(mediator) => mediator.children(),
        }
    }

    /// The named sequence that the step runs.
    #[must_use]
    pub fn named_sequence(&self) -> Option<&str> {
        match self {
            Self::Sync(_) => None,
            Self::Async(mediator) => mediator.named_sequence(),
        }
    }

    /// Where the step sends to.
    #[must_use]
    pub fn sends(&self) -> Option<Sends<'_>> {
        match self {
            Self::Sync(_) => None,
            Self::Async(mediator) => mediator.sends(),
        }
    }
}

/// Wraps a computing mediator.
pub fn sync(mediator: impl Mediator + 'static) -> StepKind {
    StepKind::Sync(Box::new(mediator))
}

/// Wraps a waiting mediator.
pub fn asynchronous(mediator: impl AsyncMediator + 'static) -> StepKind {
    StepKind::Async(Box::new(mediator))
}
