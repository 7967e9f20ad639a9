//! Helper: how many at once, for each key.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Keys above which those that nobody uses are forgotten. Keys in use are as many as exchanges in flight at most.
const KEYS_MAX: usize = 10_000;

/// Semaphores by key.
pub(crate) struct Slots {
    count: usize,
    by_key: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            count: count.min(Semaphore::MAX_PERMITS),
            by_key: Mutex::default(),
        }
    }

    /// The semaphore of a key.
    pub(crate) fn of(&self, key: &str) -> Arc<Semaphore> {
        let mut by_key = self.by_key.lock();
        if let Some(found) = by_key.get(key) {
            return Arc::clone(found);
        }
        if by_key.len() >= KEYS_MAX {
            by_key.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let semaphore = Arc::new(Semaphore::new(self.count));
        by_key.insert(key.into(), Arc::clone(&semaphore));
        semaphore
    }
}
