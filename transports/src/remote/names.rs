//! Names as a server lists them. Nothing is asked of a server by a name that leads elsewhere or is no text.

use super::path::is_unfinished;
use super::protocol::Protocol;
use parking_lot::Mutex;
use std::collections::HashSet;

/// Most names that are remembered, so that each is told once.
const TOLD_MAX: usize = 1000;

/// The names that were left out of the listings of a folder.
#[derive(Debug, Default)]
pub(super) struct Names {
    told: Mutex<HashSet<String>>,
}

impl Names {
    /// Whether a name is one that can be told and used, and is no unfinished upload.
    pub(super) fn listed<P: Protocol>(&self, name: &str) -> bool {
        let usable = !name.contains(['/', char::REPLACEMENT_CHARACTER]) && P::check(name).is_ok();
        if !usable && !matches!(name, "" | "." | "..") {
            self.tell(name);
        }
        usable && !is_unfinished(name)
    }

    fn tell(&self, name: &str) {
        let mut told = self.told.lock();
        if told.len() < TOLD_MAX && told.insert(name.to_owned()) {
            let name = name.escape_debug().to_string();
            tracing::warn!(
                name,
                "a file stays on the server: its name is no text, or none that can be said to the server"
            );
        }
    }
}
