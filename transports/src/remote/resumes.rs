//! How often, and after which pauses, a transfer goes on whose connection broke.

use std::time::Duration;

/// How often it goes on without having got any further in between.
const COUNT_MAX: u32 = 7;
/// The pause before the first time; each is twice the one before. Together some six seconds, time for a server to restart.
const PAUSE: Duration = Duration::from_millis(50);

/// The attempts of one transfer since it last got further.
#[derive(Debug, Default)]
pub(crate) struct Resumes {
    count: u32,
}

impl Resumes {
    /// The transfer got further: the next break is a first one.
    pub(crate) fn advanced(&mut self) {
        self.count = 0;
    }

    /// Waits before the next attempt. `false`, at once, where there were enough.
    pub(crate) async fn wait(&mut self) -> bool {
        if self.count == COUNT_MAX {
            return false;
        }
        tokio::time::sleep(PAUSE * 2_u32.pow(self.count)).await;
        self.count += 1;
        true
    }
}
