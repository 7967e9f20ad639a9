//! The backlogs: how each is made, and when the gateway is done with it.

use crate::message::Form;
use crate::process::run_to_end;
use crate::{Outcome, runtime};
use clap::ValueEnum;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// The queue of the benchmark.
const QUEUE: &str = "mediary-bench";
/// How many publications may be unconfirmed.
const UNCONFIRMED_MAX: usize = 1000;
/// How long the gateway may take to start, and to put the last message away.
const WAIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Where messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Source {
    /// Files in a folder, deleted when they are delivered.
    File,
    /// A durable queue of a broker.
    Amqp,
    /// A durable store: each message is posted, stored, answered with 202, and forwarded.
    Store,
}

impl Source {
    /// The configuration in `bench/peers`.
    pub(super) fn template(self) -> &'static str {
        match self {
            Self::File => "drain-file.yaml",
            Self::Amqp => "drain-amqp.yaml",
            Self::Store => "drain-store.yaml",
        }
    }

    /// Makes the backlog, before the gateway starts.
    pub(super) fn fill(self, folder: &Path, broker: &str, messages: u64, bytes: u64) -> Outcome<()> {
        let message = Form::Json.message(bytes);
        match self {
            Self::File => {
                let inbox = folder.join("data/in");
                std::fs::create_dir_all(&inbox)?;
                for number in 0..messages {
                    std::fs::write(inbox.join(format!("{number:07}.json")), &message)?;
                }
                Ok(())
            }
            Self::Amqp => runtime()?.block_on(publish(broker, messages, message.as_bytes())),
            Self::Store => Ok(()),
        }
    }

    /// Sends what the gateway has to be up for. Returns when that began.
    pub(super) fn send(self, gateway: SocketAddr, messages: u64, bytes: u64) -> Outcome<Option<Instant>> {
        if self != Self::Store {
            return Ok(None);
        }
        wait_until("the gateway does not listen", || {
            Ok(TcpStream::connect(gateway).is_ok())
        })?;
        let command = [
            std::env::current_exe()?.display().to_string(),
            "load".to_owned(),
            format!("http://{gateway}/store"),
            format!("--count={messages}"),
            format!("--bytes={bytes}"),
            "--form=json".to_owned(),
            "--reply-bytes=2".to_owned(),
            "--seconds=300".to_owned(),
        ];
        let begun = Instant::now();
        let report = run_to_end(&command, super::BACKEND_CORE, super::DRAIN_LIMIT)?;
        let report: crate::load::Report = serde_json::from_str(&report)?;
        if report.completed == messages {
            return Ok(Some(begun));
        }
        Err(format!(
            "{} of {messages} were stored: {:?}",
            report.completed, report.first_error
        )
        .into())
    }

    /// Waits until the gateway has put away what it delivered.
    pub(super) fn settled(self, folder: &Path) -> Outcome<()> {
        match self {
            Self::File => wait_until("files were left", || {
                let mut left = std::fs::read_dir(folder.join("data/in"))?.flatten();
                Ok(left.all(|entry| entry.file_name() == ".mediary"))
            }),
            // The broker and the file have it when the backend does, but for the last batch.
            Self::Amqp | Self::Store => Ok(()),
        }
    }
}

fn wait_until(problem: &str, met: impl Fn() -> Outcome<bool>) -> Outcome<()> {
    let deadline = Instant::now() + WAIT;
    while !met()? {
        if Instant::now() > deadline {
            return Err(format!("{problem} within {WAIT:?}").into());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Publishes persistent messages to the emptied queue, all of them confirmed.
async fn publish(broker: &str, messages: u64, message: &[u8]) -> Outcome<()> {
    let connection = Connection::connect(broker, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(QUEUE.into(), durable, FieldTable::default())
        .await?;
    channel
        .queue_purge(QUEUE.into(), QueuePurgeOptions::default())
        .await?;
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into());
    let mut unconfirmed = std::collections::VecDeque::new();
    for _ in 0..messages {
        let confirm = channel
            .basic_publish(
                "".into(),
                QUEUE.into(),
                BasicPublishOptions::default(),
                message,
                properties.clone(),
            )
            .await?;
        unconfirmed.push_back(confirm);
        if unconfirmed.len() > UNCONFIRMED_MAX
            && let Some(oldest) = unconfirmed.pop_front()
        {
            oldest.await?;
        }
    }
    for confirm in unconfirmed {
        confirm.await?;
    }
    Ok(connection.close(200, "done".into()).await?)
}
