//! Queues and bindings. What exists is used as it is: a queue that somebody else declared otherwise is no error.

use super::{OnFault, QueueKind, Settings};
use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, Error, ErrorKind};

/// Makes sure that there are a queue, its bindings and a place for dead letters.
pub(super) async fn ensure(connection: &Connection, settings: &Settings) -> Result<(), String> {
    let told = |error: Error| format!("queue `{}`: {error}", settings.queue);
    ensure_queue(connection, &settings.queue, settings.declare)
        .await
        .map_err(told)?;
    if settings.on_fault == OnFault::DeadLetter {
        let queue = &settings.dead_letter_queue;
        let durable = QueueKind::Classic {
            durable: true,
            auto_delete: false,
        };
        ensure_queue(connection, queue, Some(durable))
            .await
            .map_err(|error| format!("dead-letter queue `{queue}`: {error}"))?;
    }
    if settings.bind.is_empty() {
        return Ok(());
    }
    let channel = connection.create_channel().await.map_err(told)?;
    for binding in &settings.bind {
        let (queue, exchange, key) = (
            settings.queue.clone(),
            binding.exchange.clone(),
            binding.key.clone(),
        );
        let options = QueueBindOptions::default();
        channel
            .queue_bind(queue, exchange, key, options, FieldTable::default())
            .await
            .map_err(|error| format!("binding to exchange `{}`: {error}", binding.exchange))?;
    }
    Ok(())
}

/// The broker closes the channel of a passive declaration that fails, so each has a channel of its own.
async fn ensure_queue(
    connection: &Connection,
    queue: &ShortString,
    kind: Option<QueueKind>,
) -> lapin::Result<()> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let channel = connection.create_channel().await?;
    let found = channel
        .queue_declare(queue.clone(), passive, FieldTable::default())
        .await;
    let (error, kind) = match (found, kind) {
        (Ok(_), _) => return Ok(()),
        (Err(error), None) => return Err(error),
        (Err(error), Some(kind)) => (error, kind),
    };
    if !is_not_found(&error) {
        return Err(error);
    }
    let (options, arguments) = declaration(kind);
    let channel = connection.create_channel().await?;
    channel
        .queue_declare(queue.clone(), options, arguments)
        .await
        .map(drop)
}

fn declaration(kind: QueueKind) -> (QueueDeclareOptions, FieldTable) {
    let mut arguments = FieldTable::default();
    let mut options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    match kind {
        QueueKind::Quorum => {
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            // The count of deliveries is ours to judge: beyond its own limit the broker would drop the message.
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(-1));
        }
        QueueKind::Classic { durable, auto_delete } => {
            options.durable = durable;
            options.auto_delete = auto_delete;
        }
    }
    (options, arguments)
}

fn is_not_found(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(problem) => {
            matches!(problem.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
        }
        _ => false,
    }
}
