//! Two Mediary processes share a source: each message is taken by one of them.

use super::pickup::Stage;
use super::sources::{Folder, Queue, Source};
use super::{Drill, Outcome, Round};
use mediary_tests::RabbitMq;

pub(super) static FOLDER: Drill = Drill {
    name: "Two Mediary processes on one folder",
    messages: (1_000, 10_000),
    bytes: 1_000,
    duplicates: "None: a file is claimed by a rename, which succeeds once.",
    run: |round| both(round, &Folder::local()),
};

pub(super) static QUEUE: Drill = Drill {
    name: "Two Mediary processes on one queue",
    messages: (1_000, 10_000),
    bytes: 1_000,
    duplicates: "None: RabbitMQ gives a message to one consumer.",
    run: |round| {
        let vhost = RabbitMq::shared().vhost();
        both(round, &Queue::new(&vhost))
    },
};

fn both(round: &mut Round, source: &dyn Source) -> Outcome {
    let stage = Stage::of(round, source, 2);
    source.fill(stage.round.messages, stage.round.bytes);
    stage.wait_for(stage.round.messages);
    assert_eq!(stage.variants_seen().len(), 2, "one process did everything");
    stage.finish(0)
}

#[test]
fn two_processes_on_one_folder() {
    super::run(&FOLDER);
}

#[test]
fn two_processes_on_one_queue() {
    super::run(&QUEUE);
}
