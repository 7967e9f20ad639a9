//! One file, or one part of it: delivered, and delivered again while that makes sense.

use super::body;
use super::folder::{Folder, Phase};
use super::listener::Settings;
use super::media;
use super::path;
use super::settle::Fate;
use super::split::PartWork;
use bytes::Bytes;
use engine::facts::Facts;
use engine::fault::{Fault, FaultCode};
use engine::files::FileInfo;
use engine::message::Message;
use engine::payload::Payload;
use engine::transport::{Delivery, Settled};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

/// A file that is claimed.
pub(super) struct Taken {
    pub(super) file: FileInfo,
    /// Where it is now.
    pub(super) claim: String,
    /// Its content, where it was small enough to be read at once.
    content: Option<Bytes>,
}

impl Taken {
    pub(super) fn new(file: FileInfo, claim: String, content: Option<Bytes>) -> Self {
        Self { file, claim, content }
    }

    /// Its content, where it was small enough to be read at once.
    pub(super) fn content(&self) -> Option<&Bytes> {
        self.content.as_ref()
    }

    /// What expressions read as `source`.
    pub(super) fn source(&self) -> Json {
        let path = &self.file.path;
        let size = self
            .content
            .as_ref()
            .map_or(self.file.size, |content| content.len() as u64);
        json!({
            "name": path::name(path),
            "path": path,
            "folder": path::parent(path),
            "size": size,
            "modified": self.file.modified_text(),
        })
    }
}

/// What is delivered.
pub(super) enum Work<'a> {
    /// A whole file.
    File(&'a Arc<Taken>),
    /// A part of one.
    Part(&'a PartWork),
}

impl Settings {
    /// The media type of a file.
    pub(super) fn media_type(&self, taken: &Taken) -> &str {
        let by_name = || media::of_name(path::name(&taken.file.path));
        self.content_type.as_deref().unwrap_or_else(by_name)
    }
}

impl Folder {
    /// Delivers something until it is clear what becomes of it.
    pub(super) async fn serve(&self, work: &Work<'_>) -> Fate {
        let retry = self.settings.retry;
        let longest = retry.backoff_max.get().max(Duration::from_millis(1));
        let mut pause = retry.backoff.get().min(longest);
        let mut attempt: u32 = 1;
        loop {
            if !self.owner.valid() {
                return Fate::Release;
            }
            let again = retry.attempts == 0 || attempt < retry.attempts;
            match self.deliver(work, again).await {
                Settled::Done(_) | Settled::DeadLettered(_) => return Fate::Done,
                Settled::Failed(fault) if again && fault.worth_redelivery() => {
                    attempt = attempt.saturating_add(1);
                }
                Settled::Failed(fault) => return Fate::Failed(fault),
                Settled::Later(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.reached(Phase::Stopping) => return Fate::Release,
            }
            pause = (pause * 2).min(longest);
        }
    }

    async fn deliver(&self, work: &Work<'_>, redelivers: bool) -> Settled {
        let (message, source) = match work {
            Work::File(taken) => {
                let file = Arc::clone(taken);
                (self.message(taken).await, Facts::when_read(move || file.source()))
            }
            Work::Part(part) => (Ok(part_message(part)), part.source().into()),
        };
        let message = match message {
            Ok(message) => message,
            Err(fault) if fault.code() == FaultCode::NotFound => return Settled::Failed(fault),
            Err(fault) => return Settled::Later(fault),
        };
        let delivery = Delivery {
            artifact: self.settings.artifact.clone(),
            message,
            source,
            redelivers,
            ..Delivery::default()
        };
        self.gateway.deliver(delivery).await
    }

    async fn message(&self, taken: &Taken) -> Result<Message, Fault> {
        let mut message = Message::default();
        message.set_content_type(self.settings.media_type(taken));
        message.payload = match &taken.content {
            Some(content) => Payload::bytes(content.clone()),
            None => {
                // The size may have changed until the claim was made.
                let Some(now) = self.store.info(&taken.claim).await? else {
                    return Err(Fault::new(FaultCode::NotFound, "The file is gone."));
                };
                match now.size {
                    0 => Payload::default(),
                    size => body::payload(self.store.read(&taken.claim, 0).await?, size),
                }
            }
        };
        Ok(message)
    }
}

fn part_message(part: &PartWork) -> Message {
    let mut message = Message::default();
    message.set_content_type(part.media_type());
    message.payload = Payload::bytes(part.bytes().clone());
    message
}
