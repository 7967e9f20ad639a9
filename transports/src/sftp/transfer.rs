//! Uploads and downloads with several requests under way, which go on where they were when their connection breaks.

use super::session::{Opener, Session, failure, is_missing};
use crate::remote::content::{CHUNK_BYTES, Feed, channel};
use crate::remote::failure::{Failure, not_found};
use crate::remote::replay::Replay;
use crate::remote::resumes::Resumes;
use crate::remote::sessions::{Lease, Sessions};
use bytes::Bytes;
use engine::fault::Fault;
use engine::files::Content;
use engine::mediator::BoxFuture;
use engine::payload::Body;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use http_body_util::BodyExt;
use russh_sftp::client::error::Error;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use std::sync::Arc;

/// Requests under way at once.
const REQUESTS: usize = 16;
/// How much of an upload is kept to be sent again: more than what is under way.
const KEEP_BYTES: u64 = (2 * REQUESTS * CHUNK_BYTES) as u64;

/// An open file. It is closed when this is dropped, unless [`Open::close`] did.
struct Open {
    session: Arc<Session>,
    handle: Option<String>,
}

impl Open {
    async fn new(session: &Arc<Session>, path: &str, flags: OpenFlags) -> Result<Self, Error> {
        let handle = session
            .raw
            .open(path, flags, FileAttributes::empty())
            .await?
            .handle;
        Ok(Self {
            session: Arc::clone(session),
            handle: Some(handle),
        })
    }

    fn handle(&self) -> String {
        self.handle.clone().unwrap_or_default()
    }

    async fn close(mut self) -> Result<(), Failure> {
        match self.handle.take() {
            Some(handle) => self.session.raw.close(handle).await.map(drop).map_err(failure),
            None => Ok(()),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let (Some(handle), Ok(runtime)) = (self.handle.take(), tokio::runtime::Handle::try_current()) {
            let session = Arc::clone(&self.session);
            // A session that broke has closed its files.
            runtime.spawn(async move { session.raw.close(handle).await.map(drop) });
        }
    }
}

/// Starts a download of a file at its real path.
pub(super) async fn download(
    sessions: &Arc<Sessions<Opener>>,
    session: &Arc<Session>,
    path: String,
    offset: u64,
) -> Result<Content, Failure> {
    let (open, size) = open_to_read(session, &path).await?;
    let download = Download {
        sessions: Arc::clone(sessions),
        path,
        offset,
        size,
        resumes: Resumes::default(),
    };
    let (feed, content) = channel();
    tokio::spawn(download.run(open, feed));
    Ok(content)
}

/// Opens a file and looks how long it is. What is appended later is not read: it belongs to the next look.
async fn open_to_read(session: &Arc<Session>, path: &str) -> Result<(Open, u64), Failure> {
    let open = Open::new(session, path, OpenFlags::READ).await;
    let open = open.map_err(|error| {
        if is_missing(&error) {
            not_found().into()
        } else {
            failure(error)
        }
    })?;
    let attributes = session.raw.fstat(open.handle()).await.map_err(failure)?.attrs;
    if attributes.file_type().is_dir() {
        return Err(not_found().with_detail("it is a folder").into());
    }
    Ok((open, attributes.size.unwrap_or(u64::MAX)))
}

struct Download {
    sessions: Arc<Sessions<Opener>>,
    path: String,
    offset: u64,
    size: u64,
    resumes: Resumes,
}

impl Download {
    async fn run(mut self, mut open: Open, feed: Feed) {
        loop {
            match self.copy(&open, &feed).await {
                Ok(()) => return,
                Err(failure) if !failure.broken => return feed.fail(failure.fault).await,
                Err(failure) => match self.resume(failure).await {
                    Ok(opened) => open = opened,
                    Err(fault) => return feed.fail(fault).await,
                },
            }
        }
    }

    /// Reads to the end, several chunks at once. An answer that is shorter than asked makes it ask anew from there.
    async fn copy(&mut self, open: &Open, feed: &Feed) -> Result<(), Failure> {
        let handle = open.handle();
        let raw = &open.session.raw;
        let mut answers = FuturesOrdered::new();
        let mut asked = self.offset;
        while self.offset < self.size {
            while answers.len() < REQUESTS && asked < self.size {
                let count = (self.size - asked).min(CHUNK_BYTES as u64);
                answers.push_back(raw.read(handle.clone(), asked, u32::try_from(count).unwrap_or(u32::MAX)));
                asked += count;
            }
            let wanted = (self.size - self.offset).min(CHUNK_BYTES as u64);
            let data = match answers.next().await {
                Some(Ok(answer)) => answer.data,
                Some(Err(error)) if is_end(&error) => return Ok(()),
                Some(Err(error)) => return Err(failure(error)),
                None => return Ok(()),
            };
            let count = data.len() as u64;
            self.offset += count;
            self.resumes.advanced();
            if count < wanted {
                answers = FuturesOrdered::new();
                asked = self.offset;
            }
            if count == 0 || !feed.push(Bytes::from(data)).await {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn resume(&mut self, mut failure: Failure) -> Result<Open, Fault> {
        while self.resumes.wait().await {
            match self.reopen().await {
                Ok(open) => return Ok(open),
                Err(again) if again.may_pass() => failure = again,
                Err(refused) => return Err(refused.fault),
            }
        }
        Err(failure.fault)
    }

    async fn reopen(&self) -> Result<Open, Failure> {
        let lease = self.sessions.fresh().await?;
        let (open, _) = open_to_read(&lease.session, &self.path).await?;
        lease.give_back();
        Ok(open)
    }
}

fn is_end(error: &Error) -> bool {
    matches!(error, Error::Status(status) if status.status_code == StatusCode::Eof)
}

/// An upload under one name.
pub(super) struct Upload {
    sessions: Arc<Sessions<Opener>>,
    path: String,
    append: bool,
    replay: Replay,
    /// What the server has surely got.
    confirmed: u64,
    resumes: Resumes,
    /// Given back before another one is asked for.
    lease: Option<Lease<Opener>>,
    file: Open,
    answers: FuturesOrdered<BoxFuture<'static, (u64, Result<(), Error>)>>,
}

impl Upload {
    /// Opens the file at its real path.
    pub(super) async fn open(
        sessions: Arc<Sessions<Opener>>,
        lease: Lease<Opener>,
        path: String,
        append: bool,
    ) -> Result<Self, (Lease<Opener>, Error)> {
        let how = if append {
            OpenFlags::APPEND
        } else {
            OpenFlags::EXCLUDE
        };
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | how;
        let file = match Open::new(&lease.session, &path, flags).await {
            Ok(file) => file,
            Err(error) => return Err((lease, error)),
        };
        Ok(Self {
            sessions,
            path,
            append,
            replay: Replay::default(),
            confirmed: 0,
            resumes: Resumes::default(),
            lease: Some(lease),
            file,
            answers: FuturesOrdered::new(),
        })
    }

    /// Sends the body and makes sure that all of it is on the server.
    pub(super) async fn send(mut self, mut body: Body) -> Result<(), Fault> {
        while let Some(frame) = body.frame().await {
            let Ok(mut data) = frame?.into_data() else {
                continue;
            };
            while !data.is_empty() {
                let chunk = data.split_to(data.len().min(CHUNK_BYTES));
                let at = self.replay.end();
                self.replay.push(chunk.clone(), KEEP_BYTES);
                self.ask(at, &chunk);
                if let Err(failure) = self.confirm(REQUESTS - 1).await {
                    self.resume(failure).await?;
                }
            }
        }
        let mut finished = self.finish().await;
        while let Err(failure) = finished {
            self.resume(failure).await?;
            finished = self.finish().await;
        }
        let closed = self.file.close().await;
        closed.map_err(|failure| failure.fault)?;
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        Ok(())
    }

    fn ask(&mut self, offset: u64, chunk: &Bytes) {
        let (session, handle) = (Arc::clone(&self.file.session), self.file.handle());
        let (data, end) = (chunk.to_vec(), offset + chunk.len() as u64);
        self.answers.push_back(Box::pin(async move {
            let written = session.raw.write(handle, offset, data).await;
            (end, written.map(drop))
        }));
    }

    /// Waits until no more than so many answers are missing.
    async fn confirm(&mut self, missing: usize) -> Result<(), Failure> {
        while self.answers.len() > missing {
            let Some((end, written)) = self.answers.next().await else {
                break;
            };
            written.map_err(failure)?;
            self.confirmed = end;
            self.resumes.advanced();
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        self.confirm(0).await?;
        self.file.session.sync(&self.file.handle()).await
    }

    async fn resume(&mut self, mut failure: Failure) -> Result<(), Fault> {
        self.answers = FuturesOrdered::new();
        self.lease = None;
        // Nobody knows how much of it was appended, and appending twice is worse than failing.
        while failure.may_pass() && !self.append && self.resumes.wait().await {
            match self.reopen().await {
                Ok(()) => return Ok(()),
                Err(again) => failure = again,
            }
        }
        Err(failure.fault)
    }

    /// Opens what is there and sends again what was not confirmed, or what a server that crashed has lost.
    async fn reopen(&mut self) -> Result<(), Failure> {
        let lease = self.sessions.fresh_transfer().await?;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE;
        let file = Open::new(&lease.session, &self.path, flags).await;
        self.file = file.map_err(failure)?;
        let there = lease.session.raw.fstat(self.file.handle()).await;
        let size = there.map_err(failure)?.attrs.size.unwrap_or(0);
        self.lease = Some(lease);
        let mut at = self.confirmed.min(size);
        let rest = self.replay.since(at);
        let rest =
            rest.ok_or_else(|| Failure::refused("the upload broke, and its beginning is not kept any more"))?;
        for chunk in rest {
            self.ask(at, &chunk);
            at += chunk.len() as u64;
        }
        Ok(())
    }
}
