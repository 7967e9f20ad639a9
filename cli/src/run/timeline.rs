//! `--trace`: each exchange as a timeline of its steps, on standard error.
//!
//! ```text
//! POST /orders -> 200 in 3.1 ms  apis.orders  01990f...
//!   0.0 ms  log                       0.1 ms
//!   0.1 ms  filter                    2.9 ms
//!   0.2 ms    call                    2.7 ms  status 200, payload replaced
//! ```

use crate::console::{BAD, FAINT, STRONG, paint};
use engine::exchange::Entry;
use engine::gateway::TraceSink;
use engine::message::Message;
use engine::observe::TraceEvent;
use std::io::Write;
use std::time::Duration;

/// Prints every trace. One write for each, so that those of two threads do not mix.
pub(super) fn printer() -> TraceSink {
    Box::new(|entry, trace, message| {
        let text = timeline(entry, &trace.events(), message);
        let _ = anstream::stderr().write_all(text.as_bytes());
    })
}

fn timeline(entry: &Entry, events: &[TraceEvent], message: &Message) -> String {
    let status = message
        .status()
        .map_or_else(|| "-".to_owned(), |status| status.as_u16().to_string());
    let ended = events
        .iter()
        .map(|event| event.at + event.took)
        .max()
        .unwrap_or_default();
    let head = paint(STRONG, format!("{} {} -> {status}", entry.method, entry.path));
    let facts = paint(
        FAINT,
        format!("in {}  {}  {}", milliseconds(ended), entry.artifact, entry.id),
    );
    let mut text = format!("{head} {facts}\n");
    for event in events {
        text.push_str(&line(event));
    }
    text
}

fn line(event: &TraceEvent) -> String {
    let name = format!("{}{}", "  ".repeat(event.depth), event.mediator);
    let mut line = format!(
        "  {:>9}  {name:<28} {:>9}",
        milliseconds(event.at),
        milliseconds(event.took)
    );
    let ended_well = matches!(event.outcome.as_str(), "next" | "respond" | "drop");
    if ended_well && !event.changes.is_empty() {
        line.push_str(&format!("  {}", changes(&event.changes)));
    }
    match event.outcome.as_str() {
        "next" => {}
        ending @ ("respond" | "drop") => line.push_str(&format!("  {}", paint(STRONG, ending))),
        "" => line.push_str(&format!("  {}", paint(BAD, "did not end"))),
        fault => line.push_str(&format!("  {}", paint(BAD, fault))),
    }
    line + "\n"
}

/// A reply brings many headers with it; the first changes tell enough.
fn changes(changes: &[String]) -> String {
    const SHOWN_MAX: usize = 6;
    let shown = changes[..changes.len().min(SHOWN_MAX)].join(", ");
    match changes.len().checked_sub(SHOWN_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_timeline_shows_depth_time_changes_and_outcome() {
        let event = |mediator, depth, at, took, changes: &[&str], outcome: &str| TraceEvent {
            step: Arc::from("apis.a.GET /[0]"),
            mediator,
            depth,
            at: Duration::from_millis(at),
            took: Duration::from_millis(took),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
            outcome: outcome.to_owned(),
        };
        let events = [
            event("filter", 0, 0, 9, &[], "backend.timeout: slow"),
            event("set", 1, 1, 2, &["headers.x set"], "next"),
            event("respond", 1, 3, 1, &[], "respond"),
        ];
        let mut entry = Entry::default();
        "id-1".clone_into(&mut entry.id);
        "/a".clone_into(&mut entry.path);
        entry.artifact = "apis.a".into();
        let message = Message::response(http::StatusCode::OK);
        let text = anstream::adapter::strip_str(&timeline(&entry, &events, &message)).to_string();
        insta::assert_snapshot!(text, @r"
        GET /a -> 200 in 9.0 ms  apis.a  id-1
             0.0 ms  filter                          9.0 ms  backend.timeout: slow
             1.0 ms    set                           2.0 ms  headers.x set
             3.0 ms    respond                       1.0 ms  respond
        ");
    }
}
