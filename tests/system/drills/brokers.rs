//! RabbitMQ is killed and started again while Mediary publishes to it, and while it consumes.

use super::ledger::Ledger;
use super::load::{CLIENTS, Load};
use super::pickup::Stage;
use super::servers::put;
use super::sources::{Queue, Source, amqp_connection, declare};
use super::{Drill, LIMIT, Outcome, Round, note};
use mediary_tests::{AmqpClient, Gateway, RabbitMq};
use std::time::Duration;

/// For one go of the foreign consumer.
const CONSUME_LIMIT: Duration = Duration::from_secs(20);
/// Most messages that it takes in one go.
const CONSUME_MAX: usize = 5_000;
/// Deliveries in work when the broker is killed: the prefetch of the consumer.
const IN_WORK: usize = 64;

pub(super) static PUBLISH: Drill = Drill {
    name: "RabbitMQ killed, HTTP to AMQP",
    messages: (1_000, 10_000),
    bytes: 1_000,
    duplicates: "A message whose confirm was lost with the connection is published again: at most those under way (here of 64 clients).",
    run: |round| {
        let rabbit = RabbitMq::own();
        published(round, &rabbit)
    },
};

pub(super) static CONSUME: Drill = Drill {
    name: "RabbitMQ killed, AMQP to HTTP",
    messages: (1_000, 10_000),
    bytes: 1_000,
    duplicates: "Messages in work when the broker dies come again, as their acknowledgements reach nobody: at most `prefetch: 64`.",
    run: |round| {
        let rabbit = RabbitMq::own();
        let vhost = rabbit.vhost();
        let queue = Queue::new(&vhost);
        let point = round.middle();
        queue.fill(round.messages, round.bytes);
        rabbit.wait_for_quorum_queues();
        let stage = Stage::of(round, &queue, 1);
        stage.wait_for(point);
        rabbit.kill();
        rabbit.start();
        // A queue that is being recovered looks empty, until it has a consumer.
        stage.wait_for_log("the listener is up", 2);
        stage.finish(IN_WORK)
    },
};

fn published(round: &mut Round, rabbit: &RabbitMq) -> Outcome {
    let vhost = rabbit.vhost();
    let client = vhost.client();
    declare(&client, "out");
    rabbit.wait_for_quorum_queues();
    let endpoint = "{ amqp: { connection: rabbit, routing_key: out }, timeout: 10s }";
    let gateway = Gateway::start(put(&amqp_connection(&vhost), endpoint), &[]);
    let mut load = Load::start(format!("{}/in", gateway.url("http")), round.messages, round.bytes);
    let point = round.middle();
    assert!(
        load.reaches(LIMIT, |load| load.accepted() >= point),
        "{}",
        gateway.log()
    );
    rabbit.kill();
    rabbit.start();
    load.ends(LIMIT);
    let (ledger, accepted) = (Ledger::new(round.bytes), load.numbers());
    empty(&client, "out", &ledger);
    let outcome = Outcome {
        refused: load.refused(),
        duplicates_max: CLIENTS,
        ..Outcome::of(&accepted, &ledger)
    };
    if !outcome.is_good(round.messages) {
        let missing = ledger.missing(&accepted);
        let (refusals, log) = (load.refusals(), gateway.log());
        note(&format!(
            "missing: {missing:?}, refused: {refusals:?}\n{log}\n--- and\n{}",
            rabbit.log()
        ));
    }
    outcome
}

/// Takes everything out of a queue.
fn empty(client: &AmqpClient, queue: &str, ledger: &Ledger) {
    while client.depth(queue) > 0 {
        let count = usize::try_from(client.depth(queue)).unwrap();
        for message in client.consume(queue, count.min(CONSUME_MAX), CONSUME_LIMIT) {
            ledger.enter(&message.body);
        }
    }
}

#[test]
fn rabbitmq_killed_under_publish() {
    super::run(&PUBLISH);
}

#[test]
fn rabbitmq_killed_under_consume() {
    super::run(&CONSUME);
}
