//! What steps leave to be done once an exchange has ended well: keep the key of a message, remove what was redeemed. It is done before the
//! message is acknowledged or answered, so that a crash in between repeats the exchange and loses nothing.
//!
//! What a sequence has left is forgotten where the sequence fails, also if the fault is caught; branches of an exchange (`split`, `clone`)
//! are part of the sequence that they came from.

use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::mediator::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;

/// Something to do once the exchange has ended well. Dropped undone where it has not.
pub trait Completion: Send {
    /// Does it. The message of the exchange is the reply that will leave.
    ///
    /// # Errors
    /// Why it cannot be done: the exchange then fails with it.
    fn complete<'a>(self: Box<Self>, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<(), Fault>>;
}

type List = Arc<Mutex<Vec<Left>>>;

enum Left {
    One(Box<dyn Completion>),
    /// What a branch has left.
    Branch(List),
}

/// What the steps of an exchange, or of one branch of it, have left to be done.
pub struct Completions {
    list: List,
    /// That of the whole exchange, shared by all branches.
    root: List,
}

impl Default for Completions {
    fn default() -> Self {
        let list = List::default();
        let root = Arc::clone(&list);
        Self { list, root }
    }
}

impl Completions {
    /// Adds one.
    pub fn add(&self, completion: impl Completion + 'static) {
        self.list.lock().push(Left::One(Box::new(completion)));
    }

    /// Tells this exchange with its branches from every other one that is under way.
    #[must_use]
    pub fn exchange(&self) -> usize {
        Arc::as_ptr(&self.root).addr()
    }

    /// Those of a new branch.
    pub(crate) fn branch(&self) -> Self {
        let list = List::default();
        self.list.lock().push(Left::Branch(Arc::clone(&list)));
        let root = Arc::clone(&self.root);
        Self { list, root }
    }

    /// Forgets what is added from now on, unless it is told that all went well.
    pub(crate) fn watch(&self) -> Watch {
        let list = Arc::clone(&self.list);
        let length = Some(list.lock().len());
        Watch { list, length }
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.lock().is_empty()
    }

    /// Forgets all: the exchange has failed.
    pub(crate) fn clear(&self) {
        drop(take(&self.list));
    }
}

/// Takes all out, branches in their place.
fn take(list: &List) -> Vec<Box<dyn Completion>> {
    let left = std::mem::take(&mut *list.lock());
    let each = left.into_iter().flat_map(|left| match left {
        Left::One(completion) => vec![completion],
        Left::Branch(list) => take(&list),
    });
    each.collect()
}

/// Watches over a sequence: when it fails, or is broken off, what it has left is forgotten.
pub(crate) struct Watch {
    list: List,
    length: Option<usize>,
}

impl Watch {
    pub(crate) fn went_well(mut self) {
        self.length = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(length) = self.length else { return };
        let mut list = self.list.lock();
        let kept = length.min(list.len());
        let forgotten = list.split_off(kept);
        drop(list);
        drop(forgotten);
    }
}

impl Exchange {
    /// Does what steps have left to be done, in the order in which they asked for it.
    ///
    /// # Errors
    /// The first one's. The others are not done.
    pub async fn complete(&mut self) -> Result<(), Fault> {
        for completion in take(&self.completions.list) {
            completion.complete(self).await?;
        }
        Ok(())
    }
}
