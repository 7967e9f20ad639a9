//! The body of a message: bytes that are not parsed before a step needs them, beside the model they parse to.
//!
//! ```text
//!            buffer()              parse()                model_mut()
//!   Stream ───────────▶ Bytes ───────────▶ Bytes+Model ───────────▶ Model (bytes are stale)
//!                         ▲                                             │
//!                         └──────────────── format() ───────────────────┘
//! ```
//! Streams and unmodified bytes leave exactly as they came. Only these functions move between the states.

use crate::fault::{Fault, FaultCode};
use crate::model::Model;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::sync::Arc;

/// A body on the wire: frames of bytes and at most one of trailers. An error is a fault with its origin.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Fault>;

/// The payload in one of its states.
#[derive(Default)]
pub struct Payload(State);

#[derive(Default)]
enum State {
    #[default]
    Empty,
    // The mutex is never locked (only `get_mut`): it makes the payload `Sync`, as messages are shared for reading.
    Stream(Mutex<Body>),
    Bytes(Bytes),
    Parsed(Bytes, Arc<Model>),
    Changed(Arc<Model>),
}

/// The names of the states, for tests, `explain` and the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadState {
    /// No body.
    Empty,
    /// Bytes still arriving.
    Stream,
    /// All bytes in memory, not parsed.
    Bytes,
    /// Parsed, and the original bytes still valid.
    Parsed,
    /// The model was built or changed: bytes have to be made by a formatter.
    Changed,
}

impl Payload {
    /// A body that arrives while it is read. An empty stream of known size is `Empty`.
    #[must_use]
    pub fn stream(body: Body) -> Self {
        if body.is_end_stream() {
            Self::default()
        } else {
            Self(State::Stream(Mutex::new(body)))
        }
    }

    /// A body that is complete.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::default()
        } else {
            Self(State::Bytes(bytes))
        }
    }

    /// A body given by its model.
    #[must_use]
    pub fn model(model: impl Into<Arc<Model>>) -> Self {
        Self(State::Changed(model.into()))
    }

    /// Bytes that were just written from `model`, which stays readable.
    #[must_use]
    pub(crate) fn formatted(bytes: Bytes, model: Arc<Model>) -> Self {
        Self(State::Parsed(bytes, model))
    }

    /// The state it is in.
    #[must_use]
    pub fn state(&self) -> PayloadState {
        match self.0 {
            State::Empty => PayloadState::Empty,
            State::Stream(_) => PayloadState::Stream,
            State::Bytes(_) => PayloadState::Bytes,
            State::Parsed(..) => PayloadState::Parsed,
            State::Changed(_) => PayloadState::Changed,
        }
    }

    /// Whether there is no body at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, State::Empty)
    }

    /// Reads a stream to its end, at most `limit_bytes`. The only function that buffers; trailers are dropped.
    ///
    /// # Errors
    /// `client.body_too_large` past the limit, or the fault the stream ended with. The rest of the stream is discarded.
    pub async fn buffer(&mut self, limit_bytes: u64) -> Result<(), Fault> {
        if let State::Stream(body) = &mut self.0 {
            let bytes = collect(body.get_mut(), limit_bytes).await;
            self.0 = State::Empty;
            *self = Self::bytes(bytes?);
        }
        Ok(())
    }

    /// The bytes, where they are in memory and valid.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            State::Bytes(bytes) | State::Parsed(bytes, _) => Some(bytes),
            _ => None,
        }
    }

    /// The model, where it has been parsed or built.
    #[must_use]
    pub fn as_model(&self) -> Option<&Arc<Model>> {
        match &self.0 {
            State::Parsed(_, model) | State::Changed(model) => Some(model),
            _ => None,
        }
    }

    /// Parses buffered bytes once with `build` and keeps both. Does nothing in any other state.
    ///
    /// # Errors
    /// What `build` fails with; the bytes stay.
    pub fn parse(&mut self, build: impl FnOnce(&Bytes) -> Result<Model, Fault>) -> Result<(), Fault> {
        if let State::Bytes(bytes) = &self.0 {
            let model = build(bytes)?;
            self.0 = State::Parsed(bytes.clone(), Arc::new(model));
        }
        Ok(())
    }

    /// The model for changing, where there is one. The bytes become stale; a model shared with someone else is copied first.
    pub fn model_mut(&mut self) -> Option<&mut Model> {
        if let State::Parsed(_, model) = &mut self.0 {
            self.0 = State::Changed(Arc::clone(model));
        }
        match &mut self.0 {
            State::Changed(model) => Some(Arc::make_mut(model)),
            _ => None,
        }
    }

    /// Takes the payload out and leaves none.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// A second payload with the same content: bytes and models are shared. `None` for a stream, which can be read only once.
    #[must_use]
    pub fn share(&self) -> Option<Self> {
        let state = match &self.0 {
            State::Empty => State::Empty,
            State::Stream(_) => return None,
            State::Bytes(bytes) => State::Bytes(bytes.clone()),
            State::Parsed(bytes, model) => State::Parsed(bytes.clone(), Arc::clone(model)),
            State::Changed(model) => State::Changed(Arc::clone(model)),
        };
        Some(Self(state))
    }

    /// The body to send: the stream itself or the bytes. [`Message::format`](crate::message::Message::format) comes first;
    /// a changed model that was not formatted is an empty body.
    #[must_use]
    pub fn into_body(self) -> Body {
        match self.0 {
            State::Empty | State::Changed(_) => full(Bytes::new()),
            State::Stream(body) => body.into_inner(),
            State::Bytes(bytes) | State::Parsed(bytes, _) => full(bytes),
        }
    }
}

/// A body of bytes that are at hand.
#[must_use]
pub fn full(bytes: Bytes) -> Body {
    http_body_util::Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

async fn collect(body: &mut Body, limit_bytes: u64) -> Result<Bytes, Fault> {
    let too_large = || {
        Fault::new(
            FaultCode::BodyTooLarge,
            format!("The body exceeds {limit_bytes} bytes."),
        )
    };
    if body.size_hint().lower() > limit_bytes {
        return Err(too_large());
    }
    let Some(mut first) = next_data(body).await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = next_data(body).await? else {
        return if first.len() as u64 > limit_bytes {
            Err(too_large())
        } else {
            Ok(std::mem::take(&mut first))
        };
    };
    let expected = body.size_hint().exact().unwrap_or(0).min(limit_bytes);
    let mut all =
        BytesMut::with_capacity(first.len() + second.len() + usize::try_from(expected).unwrap_or(0));
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    while let Some(data) = next_data(body).await? {
        if (all.len() + data.len()) as u64 > limit_bytes {
            return Err(too_large());
        }
        all.extend_from_slice(&data);
    }
    if all.len() as u64 > limit_bytes {
        Err(too_large())
    } else {
        Ok(all.freeze())
    }
}

async fn next_data(body: &mut Body) -> Result<Option<Bytes>, Fault> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({:?})", self.state())
    }
}

#[cfg(test)]
mod tests;
