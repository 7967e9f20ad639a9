//! The receiving side of a store: one consumer, as long as somebody takes messages. It ends when nobody does, so that messages are not
//! kept from others.

use super::held::Arrival;
use super::{Shared, State};
use crate::amqp::broker::Backoff;
use crate::amqp::consumer::session::say_goodbye;
use crate::amqp::topology::ensure_queue;
use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How often it is looked whether anybody takes messages.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Receives over one connection after the other until nobody takes messages any more.
pub(super) async fn receive_while_taken(shared: Arc<Shared>) {
    let mut backoff = Backoff::default();
    while let Err(problem) = session(&shared, &mut backoff).await {
        shared.state.send_replace(State::Down(problem));
        sleep(backoff.next()).await;
        if shared.retires() {
            return;
        }
    }
}

async fn session(shared: &Shared, backoff: &mut Backoff) -> Result<(), String> {
    let connection = shared.broker.connect(&shared.settings.queue_label()).await?;
    let ended = receive(shared, &connection, backoff).await;
    shared.held.withdraw();
    say_goodbye(&connection).await;
    ended
}

async fn receive(shared: &Shared, connection: &Connection, backoff: &mut Backoff) -> Result<(), String> {
    let queue = &shared.settings.queue;
    let told = |error: lapin::Error| format!("queue `{queue}`: {error}");
    ensure_queue(connection, queue, shared.settings.declare)
        .await
        .map_err(told)?;
    let (channel, mut consumer) = open(shared, connection).await.map_err(told)?;
    shared.held.begin(channel.clone());
    shared.state.send_replace(State::Up);
    backoff.reset();
    let ended = hold(shared, &channel, &mut consumer).await;
    // While the channel is still there, so that what was acknowledged is.
    say_goodbye(connection).await;
    ended
}

/// Takes in what comes, until nobody takes it any more.
async fn hold(shared: &Shared, channel: &Channel, consumer: &mut Consumer) -> Result<(), String> {
    let queue = &shared.settings.queue;
    let mut later = Later::default();
    let mut look = Instant::now() + LOOK_EVERY;
    loop {
        let wake = later.next().map_or(look, |next| next.min(look));
        tokio::select! {
            delivery = consumer.next() => match delivery {
                Some(Ok(delivery)) => arrive(shared, Box::new(delivery), &mut later, channel),
                Some(Err(error)) => return Err(format!("queue `{queue}`: {error}")),
                None => return Err(format!("queue `{queue}`: the broker cancelled the consumer")),
            },
            () = sleep_until(wake) => {
                while let Some(delivery) = later.due() {
                    arrive(shared, delivery, &mut later, channel);
                }
                if look <= Instant::now() {
                    if shared.retires() {
                        return Ok(());
                    }
                    look = Instant::now() + LOOK_EVERY;
                }
            }
        }
    }
}

async fn open(shared: &Shared, connection: &Connection) -> lapin::Result<(Channel, Consumer)> {
    let channel = connection.create_channel().await?;
    let prefetch = shared.settings.prefetch;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let queue = shared.settings.queue.clone();
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default());
    let consumer = consumer.await?;
    Ok((channel, consumer))
}

fn arrive(shared: &Shared, delivery: Box<Delivery>, later: &mut Later, channel: &Channel) {
    let tag = delivery.delivery_tag;
    match shared.held.arrive(delivery) {
        Arrival::Held => {}
        Arrival::Later(pause, delivery) => later.put(pause, delivery),
        Arrival::Known => {
            tracing::debug!(queue = %shared.settings.queue, tag, "a message came again that is known");
            // It is queued at the first poll; that it cannot be sent shows as the end of the consumer.
            let _ = channel.basic_ack(tag, BasicAckOptions::default()).now_or_never();
        }
    }
}

/// Deliveries whose pause is not over, at most as many as the broker sends ahead.
#[derive(Default)]
struct Later(BTreeMap<(Instant, u64), Box<Delivery>>);

impl Later {
    fn put(&mut self, pause: Duration, delivery: Box<Delivery>) {
        let at = Instant::now() + pause;
        self.0.insert((at, delivery.delivery_tag), delivery);
    }

    fn next(&self) -> Option<Instant> {
        self.0.keys().next().map(|(at, _)| *at)
    }

    fn due(&mut self) -> Option<Box<Delivery>> {
        let due = self.next().is_some_and(|at| at <= Instant::now());
        due.then(|| self.0.pop_first())
            .flatten()
            .map(|(_, delivery)| delivery)
    }
}
