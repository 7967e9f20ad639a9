//! One file in parts: cuts it, delivers the parts, some at a time, and notes how far it has come.

use super::checkpoint::{self, Checkpoint};
use super::config::{PartFault, Split};
use super::parts::{Part, Parts, Trouble};
use super::progress::Progress;
use crate::files::folder::{Folder, Phase};
use crate::files::serve::{Taken, Work};
use crate::files::settle::{self, Fate};
use bytes::Bytes;
use engine::fault::{Fault, FaultCode};
use engine::files::{Content, Existing};
use engine::payload::full;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The wait before something is tried again that the store could not do.
const PAUSE: Duration = Duration::from_secs(1);

/// A part on its way.
pub(in crate::files) struct PartWork {
    taken: Arc<Taken>,
    part: Part,
    last: bool,
    media_type: Arc<str>,
}

impl PartWork {
    pub(in crate::files) fn media_type(&self) -> &str {
        &self.media_type
    }

    pub(in crate::files) fn bytes(&self) -> &Bytes {
        &self.part.bytes
    }

    /// What expressions read as `source`: that of the file, and which part of it this is.
    pub(in crate::files) fn source(&self) -> Json {
        let mut source = self.taken.source();
        source["part"] = json!({
            "index": self.part.index,
            "offset": self.part.place.offset,
            "count": self.part.count,
            "last": self.last,
        });
        source
    }
}

/// How a part ended.
enum Ended {
    Settled,
    SetAside,
    Failed(Fault),
    Released,
}

/// A file that is worked on.
struct Run {
    folder: Arc<Folder>,
    split: Arc<Split>,
    taken: Arc<Taken>,
    media_type: Arc<str>,
    size: u64,
    parts: Parts,
    progress: Progress,
    ends: mpsc::Sender<(u64, Ended)>,
    ended: mpsc::Receiver<(u64, Ended)>,
    in_flight: usize,
    /// What becomes of the file, once that is clear. Until then it is done at its end.
    fate: Option<Fate>,
}

impl Folder {
    /// Delivers a file in parts. Says what becomes of it, and whether it has a checkpoint.
    pub(in crate::files) async fn serve_split(
        self: &Arc<Self>,
        taken: &Arc<Taken>,
        split: &Arc<Split>,
    ) -> (Fate, bool) {
        loop {
            match Run::open(self, taken, split).await {
                Ok(run) => return run.run().await,
                Err(fault) if fault.code() == FaultCode::NotFound => return (Fate::Failed(fault), false),
                Err(fault) => {
                    tracing::warn!(listener = %self.settings.artifact, file = %taken.file.path.escape_debug(), %fault, "a file cannot be read");
                }
            }
            if !self.pause().await {
                return (Fate::Release, false);
            }
        }
    }

    /// Waits a moment. `false` where the end has begun.
    async fn pause(&self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => true,
            () = self.reached(Phase::Stopping) => false,
        }
    }

    /// Delivers a part until it is clear what becomes of it.
    async fn serve_part(&self, work: &PartWork, split: &Split) -> Ended {
        match self.serve(&Work::Part(work)).await {
            Fate::Done => Ended::Settled,
            Fate::Release => Ended::Released,
            Fate::Failed(fault) => {
                let (file, part, offset) = (&work.taken.file.path, work.part.index, work.part.place.offset);
                tracing::warn!(listener = %self.settings.artifact, file = %file.escape_debug(), part, offset, %fault, "a part failed");
                match split.on_fault {
                    PartFault::Stop => Ended::Failed(fault),
                    PartFault::SetAside => self.set_aside(work).await,
                }
            }
        }
    }

    /// Writes a part to where failed files go, under a name of its own.
    async fn set_aside(&self, work: &PartWork) -> Ended {
        let mark = format!("part-{}", work.part.index);
        let Some(to) = settle::failed_path(self, &work.taken, &mark) else {
            return Ended::SetAside;
        };
        loop {
            let body = full(work.part.bytes.clone());
            match self.store.write(&to, body, Existing::Replace).await {
                Ok(_) => return Ended::SetAside,
                Err(fault) => {
                    tracing::warn!(listener = %self.settings.artifact, file = %to.escape_debug(), %fault, "a failed part cannot be set aside");
                }
            }
            if !self.pause().await {
                return Ended::Released;
            }
        }
    }
}

impl Run {
    async fn open(folder: &Arc<Folder>, taken: &Arc<Taken>, split: &Arc<Split>) -> Result<Self, Fault> {
        let size = match taken.content() {
            Some(content) => content.len() as u64,
            None => {
                let info = folder.store.info(&taken.claim).await?;
                info.ok_or_else(|| Fault::new(FaultCode::NotFound, "The file is gone."))?
                    .size
            }
        };
        let found = checkpoint::read(&*folder.store, taken, size, split).await?;
        if let Some(Checkpoint { index, .. }) = &found {
            tracing::info!(listener = %folder.settings.artifact, file = %taken.file.path.escape_debug(), part = index, "the file goes on where it was");
        }
        let progress = Progress::new(found.as_ref());
        let from = found.unwrap_or_default();
        let content = content(folder, taken, from.place.offset).await?;
        let of_file = folder.settings.media_type(taken);
        let parts = Parts::new(
            split,
            split.scanner(of_file),
            content,
            size,
            &from.place,
            from.index,
        );
        let (ends, ended) = mpsc::channel(folder.settings.concurrency);
        Ok(Self {
            media_type: split.media_type(of_file).into(),
            folder: Arc::clone(folder),
            split: Arc::clone(split),
            taken: Arc::clone(taken),
            size,
            parts,
            progress,
            ends,
            ended,
            in_flight: 0,
            fate: None,
        })
    }

    async fn run(mut self) -> (Fate, bool) {
        let mut coming = self.cut().await;
        while let Some(part) = coming {
            self.progress.comes(&part);
            if !self.has_room(part.index).await {
                break;
            }
            // Only the look behind it tells whether a part is the last one.
            coming = self.cut().await;
            if matches!(self.fate, Some(Fate::Release)) {
                break;
            }
            let last = coming.is_none() && self.fate.is_none();
            self.begin(part, last);
        }
        while self.in_flight > 0 {
            self.wait_for_end().await;
        }
        let fate = self.fate.take().unwrap_or(Fate::Done);
        // Without a lease somebody else may have come further by now.
        if let (Fate::Release, Some(checkpoint), true) =
            (&fate, self.progress.checkpoint(), self.folder.owner.valid())
        {
            self.write(&checkpoint).await;
        }
        (fate, self.progress.stored)
    }

    /// The next part. `None` at the end of the file, or when it cannot go on: then the file has a fate.
    async fn cut(&mut self) -> Option<Part> {
        loop {
            match self.parts.next().await {
                Ok(part) => return part,
                Err(Trouble::Bad(fault)) => {
                    self.fate.get_or_insert(Fate::Failed(fault));
                    return None;
                }
                Err(Trouble::Unreadable(error)) => {
                    tracing::warn!(listener = %self.folder.settings.artifact, file = %self.taken.file.path.escape_debug(), %error, "reading a file broke off; it goes on");
                }
            }
            loop {
                if !self.folder.pause().await {
                    self.fate = Some(Fate::Release);
                    return None;
                }
                match content(&self.folder, &self.taken, self.parts.position()).await {
                    Ok(content) => break self.parts.reopen(content),
                    Err(fault) if fault.code() == FaultCode::NotFound => {
                        self.fate.get_or_insert(Fate::Failed(fault));
                        return None;
                    }
                    Err(fault) => tracing::debug!(%fault, "a file cannot be read"),
                }
            }
        }
    }

    /// Waits until the part of this number can begin. `false` where no part may begin any more.
    async fn has_room(&mut self, index: u64) -> bool {
        let concurrency = self.folder.settings.concurrency;
        let ahead_max = self.split.checkpoint + concurrency as u64;
        loop {
            while let Ok((index, ended)) = self.ended.try_recv() {
                self.note(index, ended);
            }
            if !self.folder.running() || !self.folder.owner.valid() {
                self.fate.get_or_insert(Fate::Release);
            }
            if self.fate.is_some() {
                return false;
            }
            if let Some(checkpoint) = self.progress.due(self.split.checkpoint)
                && !self.write(&checkpoint).await
            {
                self.folder.pause().await;
                continue;
            }
            if self.in_flight < concurrency && self.progress.ahead(index) < ahead_max {
                return true;
            }
            self.wait_for_end().await;
        }
    }

    fn begin(&mut self, part: Part, last: bool) {
        self.progress.begins();
        self.in_flight += 1;
        let (folder, split, ends) = (
            Arc::clone(&self.folder),
            Arc::clone(&self.split),
            self.ends.clone(),
        );
        let work = PartWork {
            taken: Arc::clone(&self.taken),
            part,
            last,
            media_type: Arc::clone(&self.media_type),
        };
        self.folder.gateway.workers.spawn(async move {
            let ended = tokio::select! {
                ended = folder.serve_part(&work, &split) => ended,
                () = folder.reached(Phase::Halting) => Ended::Released,
            };
            // The run waits for every part it began.
            let _ = ends.send((work.part.index, ended)).await;
        });
    }

    async fn wait_for_end(&mut self) {
        if let Some((index, ended)) = self.ended.recv().await {
            self.note(index, ended);
        }
    }

    fn note(&mut self, index: u64, ended: Ended) {
        self.in_flight -= 1;
        match ended {
            Ended::Settled => self.progress.ends(index),
            Ended::SetAside => {
                self.progress.ends(index);
                self.progress.set_aside += 1;
                if self.progress.set_aside > self.split.set_aside_max {
                    let fault = Fault::new(FaultCode::LimitExceeded, "Too many parts of the file failed.");
                    let detail = format!("more than {}", self.split.set_aside_max);
                    self.fate.get_or_insert(Fate::Failed(fault.with_detail(detail)));
                }
            }
            Ended::Failed(fault) => {
                self.fate.get_or_insert(Fate::Failed(fault));
            }
            // What is put back is worth more than what failed: it fails again.
            Ended::Released => self.fate = Some(Fate::Release),
        }
    }

    async fn write(&mut self, checkpoint: &Checkpoint) -> bool {
        let written = checkpoint::write(
            &*self.folder.store,
            &self.taken,
            self.size,
            &self.split,
            checkpoint,
        )
        .await;
        match written {
            Ok(()) => {
                self.progress.wrote(checkpoint);
                true
            }
            Err(fault) => {
                tracing::warn!(listener = %self.folder.settings.artifact, file = %self.taken.file.path.escape_debug(), %fault, "the checkpoint cannot be written");
                false
            }
        }
    }
}

/// The content of a file from an offset on.
async fn content(folder: &Folder, taken: &Taken, offset: u64) -> Result<Content, Fault> {
    match taken.content() {
        Some(content) => {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            let rest: Content = Box::pin(std::io::Cursor::new(content.slice(from..)));
            Ok(rest)
        }
        None => folder.store.read(&taken.claim, offset).await,
    }
}
