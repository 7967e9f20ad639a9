//! What a consumer needs at the broker: its queue, the queue's bindings and a place for dead letters.

use super::{OnFault, Settings};
use crate::amqp::topology::{Declare, QueueKind, ensure_queue};
use lapin::options::QueueBindOptions;
use lapin::types::FieldTable;
use lapin::{Connection, Error};

/// Makes sure that there are a queue, its bindings and a place for dead letters.
pub(super) async fn ensure(connection: &Connection, settings: &Settings) -> Result<(), String> {
    let told = |error: Error| format!("queue `{}`: {error}", settings.queue);
    let single_active = false;
    let declare = settings.declare.map(|kind| Declare { kind, single_active });
    ensure_queue(connection, &settings.queue, declare)
        .await
        .map_err(told)?;
    if settings.on_fault == OnFault::DeadLetter {
        let queue = &settings.dead_letter_queue;
        let kind = QueueKind::Classic {
            durable: true,
            auto_delete: false,
        };
        ensure_queue(connection, queue, Some(Declare { kind, single_active }))
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
