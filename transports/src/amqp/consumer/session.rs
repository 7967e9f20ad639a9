//! One connection of a consumer, from connecting to its end. Messages are processed within one task: their futures are
//! polled here, so that a message costs no task of its own and crosses no thread.

use super::acks::{Acks, Order, Verdict};
use super::settle::Deliverer;
use super::{Shared, bindings};
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Time for saying good-bye to the broker.
const CLOSING_TIME: Duration = Duration::from_secs(1);

/// How long an acknowledgement may wait for one before it.
const LATE: Duration = Duration::from_millis(10);

/// Receives until the listener is drained. Calls `up` when the broker sends messages.
///
/// # Errors
/// Why the connection cannot be made or has ended.
pub(super) async fn run(shared: &Shared, up: impl FnMut()) -> Result<(), String> {
    let connection = tokio::select! {
        _ = shared.drained() => return Ok(()),
        connection = shared.broker.connect(&shared.name) => connection?,
    };
    let ended = receive(shared, &connection, up).await;
    say_goodbye(&connection).await;
    ended
}

async fn receive(shared: &Shared, connection: &Connection, mut up: impl FnMut()) -> Result<(), String> {
    bindings::ensure(connection, &shared.settings).await?;
    let (channel, mut consumer) = open(shared, connection)
        .await
        .map_err(|error| error.to_string())?;
    up();
    let deliverer = Deliverer::new(shared, connection);
    let ended = deliver(&deliverer, &channel, &mut consumer).await;
    // While the channels are still there: a channel that is closed at the same time as its connection takes the acknowledgements
    // with it that are not yet on their way.
    say_goodbye(connection).await;
    ended
}

/// Ends a connection. What was not acknowledged goes back into the queue with it.
pub(in crate::amqp) async fn say_goodbye(connection: &Connection) {
    let _ = timeout(CLOSING_TIME, connection.close(200, "".into())).await;
}

async fn deliver(
    deliverer: &Deliverer<'_>,
    channel: &Channel,
    consumer: &mut Consumer,
) -> Result<(), String> {
    let shared = deliverer.shared;
    let mut in_flight = FuturesUnordered::new();
    let mut teller = Teller::new(channel, shared.settings.prefetch);
    let mut drained = std::pin::pin!(shared.drained());
    let mut late = std::pin::pin!(sleep(LATE));
    let deadline = loop {
        tokio::select! {
            biased;
            deadline = &mut drained => break deadline,
            Some((tag, verdict)) = in_flight.next() => {
                let waiting = teller.waits();
                teller.settle(tag, verdict, &mut in_flight);
                if !waiting && teller.waits() {
                    late.as_mut().reset(Instant::now() + LATE);
                }
            }
            delivery = consumer.next() => match delivery {
                Some(Ok(delivery)) => in_flight.push(deliverer.deliver(delivery)),
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("the broker cancelled the consumer".to_owned()),
            },
            () = &mut late, if teller.waits() => teller.tell_rest(),
        }
    };
    let cancel = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
    let _ = timeout_at(deadline.max(Instant::now() + CLOSING_TIME), cancel).await;
    // They are told together, in one acknowledgement. Of many that come after the cancellation RabbitMQ keeps some back for a quorum
    // queue and forgets them when the connection closes right then: their messages would be delivered again.
    while let Ok(Some((tag, verdict))) = timeout_at(deadline, in_flight.next()).await {
        teller.acks.settle(tag, verdict);
    }
    teller.tell_rest();
    Ok(())
}

async fn open(shared: &Shared, connection: &Connection) -> lapin::Result<(Channel, Consumer)> {
    let settings = &shared.settings;
    let channel = connection.create_channel().await?;
    channel
        .basic_qos(settings.prefetch, BasicQosOptions::default())
        .await?;
    let options = BasicConsumeOptions::default();
    let consumer = channel
        .basic_consume(settings.queue.clone(), "".into(), options, FieldTable::default())
        .await?;
    Ok((channel, consumer))
}

/// Tells the broker what is settled.
struct Teller<'a> {
    acks: Acks,
    channel: &'a Channel,
    /// How many acknowledgements may wait for one before them, so that the broker has always something to send.
    waiting_max: usize,
}

impl<'a> Teller<'a> {
    fn new(channel: &'a Channel, prefetch: u16) -> Self {
        Self {
            acks: Acks::default(),
            channel,
            waiting_max: usize::from(prefetch / 4),
        }
    }

    /// Notes this settled delivery and all others that are settled by now.
    fn settle<F: Future<Output = (u64, Verdict)>>(
        &mut self,
        tag: u64,
        verdict: Verdict,
        in_flight: &mut FuturesUnordered<F>,
    ) {
        self.acks.settle(tag, verdict);
        while let Some(Some((tag, verdict))) = in_flight.next().now_or_never() {
            self.acks.settle(tag, verdict);
        }
        let orders = match self.acks.untold() > self.waiting_max {
            true => self.acks.rest(),
            false => self.acks.orders(),
        };
        self.tell(orders);
    }

    /// Whether acknowledgements wait for one before them.
    fn waits(&self) -> bool {
        self.acks.untold() > 0
    }

    fn tell_rest(&mut self) {
        let orders = self.acks.rest();
        self.tell(orders);
    }

    fn tell(&self, orders: Vec<Order>) {
        for order in orders {
            tell(order, self.channel);
        }
    }
}

/// Hands a frame to the connection. It is queued at the first poll; that it cannot be sent shows as the end of the consumer.
fn tell(order: Order, channel: &Channel) {
    let _ = match order {
        Order::Ack { tag, multiple } => channel
            .basic_ack(tag, BasicAckOptions { multiple })
            .now_or_never(),
        Order::Nack { tag, requeue } => channel
            .basic_nack(
                tag,
                BasicNackOptions {
                    requeue,
                    multiple: false,
                },
            )
            .now_or_never(),
    };
}
