//! When and which unfinished files of dead writers are deleted, wherever a folder is.
//!
//! How old such a file is can only be told by the clock of the disk that it is on. So it is compared with one that was just written beside
//! it, and no two clocks are.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How much older than a new one an unfinished file is that nobody goes on with. A writer gives up after seconds without progress.
const AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a folder is looked through.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Most folders that are looked through within an interval.
const FOLDERS_MAX: usize = 256;

/// When the folders below a folder were last looked through.
#[derive(Debug, Default)]
pub(crate) struct Sweeps(Mutex<HashMap<String, Instant>>);

impl Sweeps {
    /// Whether it is time to look through a folder, which then counts as done.
    pub(crate) fn due(&self, folder: &str) -> bool {
        let mut swept = self.0.lock();
        swept.retain(|_, at| at.elapsed() < INTERVAL);
        if swept.len() >= FOLDERS_MAX || swept.contains_key(folder) {
            return false;
        }
        swept.insert(folder.to_owned(), Instant::now());
        true
    }
}

/// Whether a file is so much older than one that was just written that nobody writes it any more; both in milliseconds since 1970.
pub(crate) fn outdated(modified: i64, now: i64) -> bool {
    let age = i64::try_from(AGE.as_millis()).unwrap_or(i64::MAX);
    now.saturating_sub(modified) > age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_looked_through_once_in_a_while() {
        let sweeps = Sweeps::default();
        assert!(sweeps.due("a"));
        assert!(!sweeps.due("a"));
        for number in 1..FOLDERS_MAX {
            assert!(sweeps.due(&number.to_string()));
        }
        assert!(!sweeps.due("b"), "the number is limited");
    }
}
