//! A bounded queue with a name, shared by those who send to it and those who receive, over reloads.

use engine::deployment::Deployment;
use engine::fault::{Fault, FaultCode};
use engine::gateway::Gateway;
use engine::message::Message;
use engine::transport::SendError;
use parking_lot::Mutex;
use serde_json::Value as Json;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use tokio::sync::{Notify, oneshot};

/// What a caller waits for.
pub(super) type Reply = oneshot::Sender<Result<Message, Fault>>;

/// A message in the queue.
pub(super) struct Parcel {
    pub(super) message: Message,
    pub(super) id: Arc<str>,
    pub(super) traceparent: Option<String>,
    pub(super) source: Json,
    /// Whether the sender only wants to know that the message is kept or dealt with.
    pub(super) one_way: bool,
    /// Who waits for the end; nobody where the sender has gone on.
    pub(super) reply: Option<Reply>,
    /// The deployment that serves it, even if a reload comes before its turn.
    pub(super) deployment: Option<Arc<Deployment>>,
}

/// The queue.
pub(super) struct Channel {
    pub(super) name: Arc<str>,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Parcel>,
    /// Those who receive, each with the most messages that it lets wait.
    receivers: Vec<Receiver>,
    next: u64,
}

struct Receiver {
    id: u64,
    capacity: usize,
    gateway: Weak<Gateway>,
}

impl Channel {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            state: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// Opens the queue for a receiver. Where there are several, the newest one's capacity counts.
    pub(super) fn open(&self, capacity: usize, gateway: &Arc<Gateway>) -> u64 {
        let mut state = self.state.lock();
        state.next += 1;
        let id = state.next;
        state.receivers.push(Receiver {
            id,
            capacity,
            gateway: Arc::downgrade(gateway),
        });
        id
    }

    /// A receiver that takes no more. Says whether another one is left for what is queued.
    pub(super) fn close(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        state.receivers.retain(|receiver| receiver.id != id);
        !state.receivers.is_empty()
    }

    /// Whether somebody receives and there is room; asked before work is put into a message.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.admits(&self.state.lock()).map(drop)
    }

    fn admits<'a>(&self, state: &'a State) -> Result<&'a Receiver, Fault> {
        let Some(receiver) = state.receivers.last() else {
            let detail = format!("nothing receives from `local://{}`", self.name);
            return Err(Fault::new(FaultCode::Connect, "The backend cannot be reached.").with_detail(detail));
        };
        if state.queue.len() >= receiver.capacity {
            let detail = format!("{} messages wait in `local://{}`", state.queue.len(), self.name);
            return Err(Fault::new(FaultCode::Overloaded, "The queue is full.").with_detail(detail));
        }
        Ok(receiver)
    }

    /// Puts a message in, or gives it back.
    pub(super) fn put(&self, mut parcel: Parcel) -> Result<(), SendError> {
        let mut state = self.state.lock();
        let gateway = match self.admits(&state) {
            Ok(receiver) => receiver.gateway.upgrade(),
            Err(fault) => {
                return Err(SendError {
                    fault,
                    unsent: Some(Box::new(parcel.message)),
                });
            }
        };
        parcel.deployment = gateway.map(|gateway| gateway.deployment());
        state.queue.push_back(parcel);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// The next message; waits for one. Callers who have gone meanwhile are passed over. Cancelling it loses nothing.
    pub(super) async fn take(&self) -> Parcel {
        loop {
            if let Some(parcel) = self.try_take() {
                return parcel;
            }
            self.filled.notified().await;
        }
    }

    pub(super) fn try_take(&self) -> Option<Parcel> {
        let mut state = self.state.lock();
        let gone = |parcel: &Parcel| parcel.reply.as_ref().is_some_and(Reply::is_closed);
        let parcel = loop {
            let parcel = state.queue.pop_front()?;
            if !gone(&parcel) {
                break parcel;
            }
        };
        let more = !state.queue.is_empty();
        drop(state);
        if more {
            // One permit is kept at most: who takes hands it on.
            self.filled.notify_one();
        }
        Some(parcel)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().queue.is_empty()
    }
}
