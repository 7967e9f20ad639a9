//! Waiting: for a condition that a test polls, and for a future where it polls without `await`.

use std::time::{Duration, Instant};

/// Between two looks at a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until `done`, and panics with what is waited for where that takes longer than `limit`.
#[track_caller]
pub fn eventually_within(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(
            started.elapsed() < limit,
            "{what} did not happen within {limit:?}"
        );
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Waits for something where a test polls without `await`. The test's runtime has to have several threads.
#[expect(
    clippy::disallowed_methods,
    reason = "it panics on the runtimes of the data plane, which tests do not run on"
)]
pub fn wait_for<F: Future>(wanted: F) -> F::Output {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(wanted))
}
