//! The configuration of a listener is changed and reloaded with SIGHUP while it is in the middle of its messages.

use super::pickup::Stage;
use super::sources::{Folder, Queue, Source};
use super::{Drill, Outcome, Round};
use mediary_tests::{RabbitMq, Sshd};

/// How often in one round.
const RELOADS: usize = 4;
/// The largest prefetch of the configurations.
const PREFETCH_MAX: usize = 64 + RELOADS;

pub(super) static FILES: Drill = Drill {
    name: "Reload, files to HTTP",
    messages: (1_000, 10_000),
    bytes: 1_000,
    duplicates: "None: the old listener finishes the files that it has and puts back what it has not begun.",
    run: |round| reloaded(round, &Folder::local(), 0),
};

pub(super) static QUEUE: Drill = Drill {
    name: "Reload, AMQP to HTTP",
    messages: (1_000, 10_000),
    bytes: 1_000,
    duplicates: "Few: the old consumer finishes what it works on, acknowledges it in one go and gives the rest back. RabbitMQ may forget acknowledgements for a quorum queue that come right before a connection closes: at most `prefetch: 64` for each of the four reloads.",
    run: |round| {
        let vhost = RabbitMq::shared().vhost();
        reloaded(round, &Queue::new(&vhost), RELOADS * PREFETCH_MAX)
    },
};

pub(super) static SFTP: Drill = Drill {
    name: "Reload, SFTP to HTTP",
    messages: (500, 2_000),
    bytes: 1_000,
    duplicates: "None, as with local files.",
    run: |round| {
        let server = Sshd::start_new();
        reloaded(round, &Folder::sftp(&server), 0)
    },
};

fn reloaded(round: &mut Round, source: &dyn Source, duplicates_max: usize) -> Outcome {
    let points = round.middles(RELOADS);
    let stage = Stage::start(round, source);
    for (variant, point) in (1..).zip(points) {
        stage.wait_for(point);
        stage.reload(variant);
    }
    stage.wait_for(stage.round.messages);
    let last = RELOADS.to_string();
    assert!(
        stage.variants_seen().contains(&last),
        "nothing came by the last configuration"
    );
    stage.finish(duplicates_max)
}

#[test]
fn reloaded_in_the_middle_of_files() {
    super::run(&FILES);
}

#[test]
fn reloaded_in_the_middle_of_a_queue() {
    super::run(&QUEUE);
}

#[test]
fn reloaded_in_the_middle_of_sftp() {
    super::run(&SFTP);
}
