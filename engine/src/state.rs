//! State that outlives a deployment: rate limits, circuit breakers, caches. A new deployment finds the state of the old one under
//! the same key; what no deployment holds any more is gone.

use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// State by key. Keys name the artifact and the settings that the state depends on.
#[derive(Default)]
pub struct SharedState {
    entries: Mutex<HashMap<String, Weak<dyn Any + Send + Sync>>>,
}

impl SharedState {
    /// The state under this key, made now where no deployment holds one of this type. The deployment keeps what it gets.
    pub fn get_or_insert<T: Any + Send + Sync>(
        &self,
        key: impl Into<String>,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let key = key.into();
        let mut entries = self.entries.lock();
        entries.retain(|_, state| state.strong_count() > 0);
        let existing = entries
            .get(&key)
            .and_then(Weak::upgrade)
            .and_then(|state| state.downcast::<T>().ok());
        existing.unwrap_or_else(|| {
            let state = Arc::new(make());
            let erased: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(&state);
            entries.insert(key, Arc::downgrade(&erased));
            state
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lives_as_long_as_somebody_holds_it() {
        let shared = SharedState::default();
        let first = shared.get_or_insert("a", || 1_u32);
        assert_eq!(*shared.get_or_insert("a", || 2_u32), 1);
        drop(first);
        assert_eq!(*shared.get_or_insert("a", || 3_u32), 3);
        assert_eq!(
            *shared.get_or_insert("a", || "other type".to_owned()),
            "other type"
        );
    }
}
