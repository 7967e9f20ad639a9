//! A message that may have to be sent more than once. It is moved out for the last attempt that can follow and shared before;
//! a body still streaming is buffered only where it would otherwise be lost to the next attempt.

use super::headers::Rendered;
use super::run::{Again, Call};
use crate::exchange::deadline_passed;
use crate::fault::Fault;
use crate::message::{Message, StartLine};
use crate::payload::PayloadState;

/// The message on its way through the layers of an endpoint.
pub(super) struct Parcel {
    pub(super) message: Message,
    /// Whether the payload is still here.
    present: bool,
    /// The start line, where it was evaluated beforehand.
    start: Option<StartLine>,
    /// Whether the endpoint's own headers are set already.
    pub(super) dressed: bool,
    /// Whether the payload is another one than the layer above gave.
    rewritten: bool,
}

impl Parcel {
    pub(super) fn new(message: Message) -> Self {
        Self {
            message,
            present: true,
            start: None,
            dressed: false,
            rewritten: false,
        }
    }

    /// A message for one address whose start line and headers are known.
    pub(super) fn prepared(mut message: Message, start: StartLine, headers: Rendered) -> Self {
        headers.apply(&mut message.headers);
        Self {
            start: Some(start),
            dressed: true,
            ..Self::new(message)
        }
    }

    /// Whether there is a payload to be sent (again).
    pub(super) fn present(&self) -> bool {
        self.present
    }

    /// The start line evaluated beforehand.
    pub(super) fn start(&self) -> Option<StartLine> {
        self.start.clone()
    }

    /// A parcel for one layer, whose headers may be changed without the layer above seeing it.
    pub(super) fn derive(&mut self, again: Again) -> Self {
        let headers = self.headers(again);
        let payload = self.message.payload.take();
        self.present = false;
        let message = Message {
            start: self.message.start.clone(),
            headers,
            payload,
        };
        Self {
            start: self.start.clone(),
            ..Self::new(message)
        }
    }

    /// As [`Parcel::derive`], but the payload stays here too, as the layer is about to rewrite its own.
    pub(super) async fn derive_rewritable(&mut self, call: &Call<'_>, again: Again) -> Result<Self, Fault> {
        self.buffer(call).await?;
        let kept = if again == Again::Never {
            None
        } else {
            self.message.payload.share()
        };
        let mut own = self.derive(again);
        own.rewritten = true;
        if let Some(payload) = kept {
            self.message.payload = payload;
            self.present = true;
        }
        Ok(own)
    }

    /// Takes back what a layer has not sent.
    pub(super) fn give_back(&mut self, mut own: Self) {
        if !self.present && own.present && !own.rewritten {
            self.return_payload(&mut own.message);
        }
    }

    /// Takes back the payload of a message that was not sent.
    pub(super) fn return_payload(&mut self, message: &mut Message) {
        if !self.present {
            self.message.payload = message.payload.take();
            self.present = true;
        }
    }

    /// The message to send now, with its payload as bytes or a stream. Stays here too where it has to go out again.
    pub(super) async fn take(
        &mut self,
        call: &Call<'_>,
        again: Again,
        idempotent: bool,
    ) -> Result<Message, Fault> {
        self.message.format(&call.exchange.deployment.formats)?;
        let headers = self.headers(again);
        if again == Again::Any || (again == Again::Safe && idempotent) {
            self.buffer(call).await?;
            let payload = self.message.payload.share().unwrap_or_default();
            return Ok(Message {
                start: StartLine::Event,
                headers,
                payload,
            });
        }
        self.present = false;
        Ok(Message {
            start: StartLine::Event,
            headers,
            payload: self.message.payload.take(),
        })
    }

    /// Reads a stream to its end, within the limits of the exchange.
    pub(super) async fn buffer(&mut self, call: &Call<'_>) -> Result<(), Fault> {
        if self.message.payload.state() != PayloadState::Stream {
            return Ok(());
        }
        let limit = call.exchange.deployment.settings.limits.body_bytes;
        let buffered =
            tokio::time::timeout_at(call.exchange.deadline, self.message.payload.buffer(limit)).await;
        buffered.unwrap_or_else(|_| Err(deadline_passed()))
    }

    fn headers(&mut self, again: Again) -> http::HeaderMap {
        if again == Again::Never {
            std::mem::take(&mut self.message.headers)
        } else {
            self.message.headers.clone()
        }
    }
}
