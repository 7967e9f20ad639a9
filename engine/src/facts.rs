//! Facts about where a message comes from. Those of most messages are never read, so they are made when somebody does.

use serde_json::Value as Json;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// What the root `source` of expressions reads: a JSON object, or nothing.
#[derive(Clone, Default)]
pub struct Facts(Inner);

#[derive(Clone, Default)]
enum Inner {
    #[default]
    None,
    Known(Arc<Json>),
    WhenRead(Arc<LazyLock<Arc<Json>, Make>>),
}

type Make = Box<dyn FnOnce() -> Arc<Json> + Send>;

impl Facts {
    /// Facts that are made at first use, once for all clones.
    pub fn when_read(make: impl FnOnce() -> Json + Send + 'static) -> Self {
        let make: Make = Box::new(move || Arc::new(make()));
        Self(Inner::WhenRead(Arc::new(LazyLock::new(make))))
    }

    /// The facts, where there are any.
    #[must_use]
    pub fn get(&self) -> Option<&Json> {
        match &self.0 {
            Inner::None => None,
            Inner::Known(facts) => Some(facts),
            Inner::WhenRead(facts) => Some(facts),
        }
    }

    /// The facts to keep.
    #[must_use]
    pub fn shared(&self) -> Option<Arc<Json>> {
        match &self.0 {
            Inner::None => None,
            Inner::Known(facts) => Some(Arc::clone(facts)),
            Inner::WhenRead(facts) => Some(Arc::clone(facts)),
        }
    }
}

impl From<Json> for Facts {
    /// `null` is no facts.
    fn from(facts: Json) -> Self {
        match facts {
            Json::Null => Self::default(),
            facts => Arc::new(facts).into(),
        }
    }
}

impl From<Arc<Json>> for Facts {
    fn from(facts: Arc<Json>) -> Self {
        Self(Inner::Known(facts))
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::None => f.write_str("none"),
            Inner::Known(facts) => write!(f, "{facts}"),
            Inner::WhenRead(_) => f.write_str("made when read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn facts_are_made_once_and_only_when_they_are_read() {
        let made = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&made);
        let facts = Facts::when_read(move || count.fetch_add(1, Ordering::Relaxed).into());
        let copy = facts.clone();
        assert_eq!(made.load(Ordering::Relaxed), 0);
        assert_eq!((facts.get(), copy.get()), (Some(&0.into()), Some(&0.into())));
        assert_eq!(copy.shared(), Some(Arc::new(0.into())));
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert_eq!(Facts::from(Json::Null).get(), None);
    }
}
