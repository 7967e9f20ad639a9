//! One attempt at one address.

use super::Waiting;
use super::outcome::Outcome;
use super::parcel::Parcel;
use super::run::{Call, Frame};
use crate::fault::{Fault, FaultCode};
use crate::message::{Message, StartLine};
use crate::observe::BackendMetrics;
use crate::transport::{SendContext, SendError, Sender};
use std::sync::Arc;
use std::time::Duration;

/// An address.
pub(super) struct Address {
    pub(super) sender: Arc<dyn Sender>,
}

impl Address {
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        parcel: &mut Parcel,
        frame: Frame,
        timeout: Option<Duration>,
        metrics: &BackendMetrics,
    ) -> Outcome {
        let (message, idempotent) = match self.prepare(call, parcel, frame).await {
            Ok(prepared) => prepared,
            Err(fault) => {
                return Outcome {
                    result: Err(fault),
                    repeatable: false,
                };
            }
        };
        // The time for buffering the client's body is not the backend's.
        let context = SendContext {
            deadline: frame.within(timeout).deadline,
            exchange_deadline: call.exchange.deadline,
            id: call.exchange.entry.id.as_str().into(),
            one_way: call.waiting == Waiting::ForDelivery,
        };
        let _in_flight = InFlight::new(metrics);
        let sent = self.sender.send(message, &context);
        match tokio::time::timeout_at(context.deadline, sent).await {
            Err(_) => {
                metrics.failed.inc();
                Outcome {
                    result: Err(self.timeout()),
                    repeatable: idempotent,
                }
            }
            Ok(Ok(reply)) => {
                metrics.answered.inc();
                Outcome {
                    result: Ok(reply),
                    repeatable: idempotent,
                }
            }
            Ok(Err(SendError { fault, unsent })) => {
                metrics.failed.inc();
                let repeatable = idempotent || unsent.is_some();
                if let Some(mut message) = unsent {
                    parcel.return_payload(&mut message);
                }
                Outcome {
                    result: Err(fault),
                    repeatable,
                }
            }
        }
    }

    async fn prepare(
        &self,
        call: &Call<'_>,
        parcel: &mut Parcel,
        frame: Frame,
    ) -> Result<(Message, bool), Fault> {
        let start = match parcel.start() {
            Some(start) => start,
            None => self.sender.address(call.exchange, call.options)?,
        };
        let idempotent = matches!(&start, StartLine::Request { method, .. } if method.is_idempotent());
        let mut message = parcel.take(call, frame.again, idempotent).await?;
        message.start = start;
        Ok((message, idempotent))
    }

    fn timeout(&self) -> Fault {
        Fault::new(FaultCode::Timeout, "The backend did not answer in time.")
            .with_detail(format!("no reply from {} in time", self.sender.label()))
    }
}

/// Counts an attempt as in flight until it is dropped.
struct InFlight<'a>(&'a BackendMetrics);

impl<'a> InFlight<'a> {
    fn new(metrics: &'a BackendMetrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}
