//! Mediary is killed with SIGKILL in the middle of messages that it picks up, and started again.

use super::pickup::Stage;
use super::sources::{Folder, Queue, Source};
use super::{Drill, Outcome, Round};
use mediary_tests::{RabbitMq, Sshd};

/// Files in work, and those whose new place was not written yet.
const FILES_MAX: usize = 16 + 64 + 256;
/// The prefetch of the consumer.
const QUEUE_MAX: usize = 64;

pub(super) static FILES: Drill = Drill {
    name: "Mediary killed, files to HTTP",
    messages: (1_000, 10_000),
    bytes: 1_000,
    duplicates: "Files that the backend had and that were not moved to `.done` yet are delivered again: those in work (`concurrency: 16`) and those that wait to be moved.",
    run: |round| {
        let folder = Folder::local();
        killed(round, &folder, FILES_MAX)
    },
};

pub(super) static QUEUE: Drill = Drill {
    name: "Mediary killed, AMQP to HTTP",
    messages: (1_000, 10_000),
    bytes: 1_000,
    duplicates: "RabbitMQ delivers again what was not acknowledged: at most `prefetch: 64` messages.",
    run: |round| {
        let vhost = RabbitMq::shared().vhost();
        killed(round, &Queue::new(&vhost), QUEUE_MAX)
    },
};

pub(super) static SFTP: Drill = Drill {
    name: "Mediary killed, SFTP to HTTP",
    messages: (500, 10_000),
    bytes: 1_000,
    duplicates: "As with local files. The lease (here 3s) has to run out first.",
    run: |round| {
        let server = Sshd::start_new();
        let folder = Folder::sftp(&server).lease("3s");
        killed(round, &folder, FILES_MAX)
    },
};

fn killed(round: &mut Round, source: &dyn Source, duplicates_max: usize) -> Outcome {
    let point = round.middle();
    let mut stage = Stage::start(round, source);
    stage.wait_for(point);
    stage.kill_and_restart();
    stage.finish(duplicates_max)
}

#[test]
fn killed_in_the_middle_of_files() {
    super::run(&FILES);
}

#[test]
fn killed_in_the_middle_of_a_queue() {
    super::run(&QUEUE);
}

#[test]
fn killed_in_the_middle_of_sftp() {
    super::run(&SFTP);
}
