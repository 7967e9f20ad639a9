//! Queues. What exists is used as it is: a queue that somebody else declared otherwise is no error.

use lapin::options::QueueDeclareOptions;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, Error, ErrorKind};

/// A kind of queue to declare.
#[derive(Clone, Copy, Debug)]
pub(super) enum QueueKind {
    /// Replicated, always durable.
    Quorum,
    Classic {
        durable: bool,
        auto_delete: bool,
    },
}

/// What to declare where a queue does not exist.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declare {
    pub(super) kind: QueueKind,
    /// Of several consumers only one receives; the next one follows when it is gone.
    pub(super) single_active: bool,
}

/// Makes sure that there is a queue. The broker closes the channel of a passive declaration that fails, so each has a channel of
/// its own.
pub(super) async fn ensure_queue(
    connection: &Connection,
    queue: &ShortString,
    declare: Option<Declare>,
) -> lapin::Result<()> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let channel = connection.create_channel().await?;
    let found = channel
        .queue_declare(queue.clone(), passive, FieldTable::default())
        .await;
    let (error, declare) = match (found, declare) {
        (Ok(_), _) => return Ok(()),
        (Err(error), None) => return Err(error),
        (Err(error), Some(declare)) => (error, declare),
    };
    if !is_not_found(&error) {
        return Err(error);
    }
    let (options, arguments) = declaration(declare);
    let channel = connection.create_channel().await?;
    channel
        .queue_declare(queue.clone(), options, arguments)
        .await
        .map(drop)
}

fn declaration(declare: Declare) -> (QueueDeclareOptions, FieldTable) {
    let mut arguments = FieldTable::default();
    let mut options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    if declare.single_active {
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    }
    match declare.kind {
        QueueKind::Quorum => {
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            // The count of deliveries is ours to judge: beyond its own limit, which is 20 where none is named, the broker drops the
            // message. -1 is no limit for RabbitMQ 4 and for RabbitMQ 3 one that the first redelivery exceeds.
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(i32::MAX));
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
