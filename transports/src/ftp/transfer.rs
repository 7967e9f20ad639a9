//! Uploads and downloads that go on where they were when their connection breaks (REST, RFC 3659 section 5).

use super::session::{Opener, Session, is_unavailable};
use crate::remote::content::{CHUNK_BYTES, Feed, channel};
use crate::remote::failure::{Failure, not_found};
use crate::remote::path::unfinished;
use crate::remote::protocol::At;
use crate::remote::replay::Replay;
use crate::remote::resumes::Resumes;
use crate::remote::sessions::{Lease, Sessions, within};
use bytes::{Bytes, BytesMut};
use engine::fault::Fault;
use engine::files::Content;
use engine::payload::Body;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use suppaftp::tokio::{AsyncRustlsStream, TransferStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How much of an upload is kept to be sent again: more than the buffers of both systems hold on the way.
const KEEP_BYTES: u64 = 8 << 20;

type Transfer = TransferStream<AsyncRustlsStream>;
type FtpLease = Lease<Opener>;

/// Starts a download.
pub(super) async fn download(
    sessions: &Arc<Sessions<Opener>>,
    at: At<'_>,
    offset: u64,
    limit: Duration,
) -> Result<Content, Fault> {
    let mut lease = sessions.transfer().await?;
    let transfer = loop {
        let path = lease.session.absolute(at);
        match within(limit, retrieve(&mut lease.session, &path, offset)).await {
            Ok(transfer) => break transfer,
            Err(failure) if failure.broken && lease.reused => lease = lease.replace().await?,
            Err(failure) => {
                if !failure.broken {
                    lease.give_back();
                }
                return Err(failure.fault);
            }
        }
    };
    let download = Download {
        sessions: Arc::clone(sessions),
        path: lease.session.absolute(at),
        offset,
        limit,
        resumes: Resumes::default(),
    };
    let (feed, content) = channel();
    tokio::spawn(download.run(lease, transfer, feed));
    Ok(content)
}

async fn retrieve(session: &mut Session, path: &str, offset: u64) -> Result<Transfer, Failure> {
    session.ftp.resume_transfer(position(offset)).await?;
    session.ftp.retr_as_stream(path).await.map_err(|error| {
        if is_unavailable(&error) {
            not_found().with_detail(error.to_string()).into()
        } else {
            error.into()
        }
    })
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// A download under way, in its own task.
struct Download {
    sessions: Arc<Sessions<Opener>>,
    path: String,
    offset: u64,
    limit: Duration,
    resumes: Resumes,
}

/// How a data connection ended.
enum End {
    Whole,
    Unwanted,
    Broken(Failure),
}

impl Download {
    async fn run(mut self, mut lease: FtpLease, mut transfer: Transfer, feed: Feed) {
        loop {
            match self.copy(transfer, &feed).await {
                End::Whole => return lease.give_back(),
                End::Unwanted => return,
                End::Broken(failure) => {
                    drop(lease);
                    match self.resume(failure).await {
                        Ok(opened) => (lease, transfer) = opened,
                        Err(fault) => return feed.fail(fault).await,
                    }
                }
            }
        }
    }

    async fn copy(&mut self, mut transfer: Transfer, feed: &Feed) -> End {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
            let reading = async {
                let read = transfer.read_buf(&mut chunk).await;
                read.map_err(|error| Failure::lost(error.to_string()))
            };
            match within(self.limit, reading).await {
                Ok(0) => break,
                Ok(count) => {
                    self.offset += count as u64;
                    self.resumes.advanced();
                    if !feed.push(chunk.freeze()).await {
                        return End::Unwanted;
                    }
                }
                Err(failure) => return End::Broken(failure),
            }
        }
        let finishing = async { transfer.finish().await.map_err(Failure::from) };
        match within(self.limit, finishing).await {
            Ok(()) => End::Whole,
            Err(failure) => End::Broken(failure),
        }
    }

    async fn resume(&mut self, mut failure: Failure) -> Result<(FtpLease, Transfer), Fault> {
        while self.resumes.wait().await {
            match self.reopen().await {
                Ok(opened) => return Ok(opened),
                Err(again) if again.may_pass() => failure = again,
                Err(refused) => return Err(refused.fault),
            }
        }
        Err(failure.fault)
    }

    async fn reopen(&self) -> Result<(FtpLease, Transfer), Failure> {
        let mut lease = self.sessions.fresh_transfer().await?;
        let transfer = within(self.limit, retrieve(&mut lease.session, &self.path, self.offset)).await?;
        Ok((lease, transfer))
    }
}

/// An upload. It goes on under its name once the server has some of it, and begins under a new name otherwise: a session whose
/// connection broke may live on at the server and carry out its STOR late, which empties the file.
pub(super) struct Upload {
    sessions: Arc<Sessions<Opener>>,
    path: String,
    /// Names under which it was begun before.
    abandoned: Vec<String>,
    limit: Duration,
    append: bool,
    replay: Replay,
    resumes: Resumes,
    open: Option<(FtpLease, Transfer)>,
}

impl Upload {
    pub(super) fn new(sessions: Arc<Sessions<Opener>>, path: String, limit: Duration, append: bool) -> Self {
        Self {
            sessions,
            path,
            abandoned: Vec::new(),
            limit,
            append,
            replay: Replay::default(),
            resumes: Resumes::default(),
            open: None,
        }
    }

    /// Opens the data connection, so that a refusal is known before the body is touched.
    pub(super) async fn open(mut self) -> Result<Self, (Self, Failure)> {
        let mut lease = match self.sessions.transfer().await {
            Ok(lease) => lease,
            Err(fault) => return Err((self, unusable(fault))),
        };
        loop {
            match within(self.limit, store(&mut lease.session, &self.path, 0, self.append)).await {
                Ok(transfer) => {
                    self.open = Some((lease, transfer));
                    return Ok(self);
                }
                Err(failure) if failure.broken && lease.reused => {
                    lease = match lease.replace().await {
                        Ok(lease) => lease,
                        Err(fault) => return Err((self, unusable(fault))),
                    };
                    self.rename();
                }
                Err(failure) => {
                    if !failure.broken {
                        lease.give_back();
                    }
                    return Err((self, failure));
                }
            }
        }
    }

    /// Takes a new name, unless it appends.
    fn rename(&mut self) {
        if !self.append {
            let path = unfinished(&self.path);
            self.abandoned.push(std::mem::replace(&mut self.path, path));
        }
    }

    /// Sends the body and makes sure that all of it arrived. The path it has then, which differs from the first one in the name only.
    pub(super) async fn send(mut self, mut body: Body) -> Result<String, Fault> {
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data()
                && !data.is_empty()
            {
                self.replay.push(data.clone(), KEEP_BYTES);
                let written = self.write(vec![data]).await;
                self.settle(written).await?;
            }
        }
        let mut finished = self.finish().await;
        while let Err(failure) = finished {
            self.resume(failure).await?;
            finished = self.finish().await;
        }
        Ok(self.path)
    }

    async fn settle(&mut self, written: Result<(), Failure>) -> Result<(), Fault> {
        match written {
            Ok(()) => Ok(()),
            Err(failure) => self.resume(failure).await,
        }
    }

    async fn write(&mut self, chunks: Vec<Bytes>) -> Result<(), Failure> {
        let (_, transfer) = self.open.as_mut().ok_or_else(|| Failure::lost("no transfer"))?;
        for chunk in chunks {
            let writing = async {
                let written = transfer.write_all(&chunk).await;
                written.map_err(|error| Failure::lost(error.to_string()))
            };
            within(self.limit, writing).await?;
        }
        Ok(())
    }

    /// Ends the data connection, hears that the server is content, and looks whether it has all of it.
    async fn finish(&mut self) -> Result<(), Failure> {
        let (mut lease, transfer) = self.open.take().ok_or_else(|| Failure::lost("no transfer"))?;
        let finishing = async { transfer.finish().await.map_err(Failure::from) };
        within(self.limit, finishing).await?;
        if !self.append {
            let size = within(self.limit, size(&mut lease.session, &self.path)).await?;
            if size.is_some_and(|size| size != self.replay.end()) {
                return Err(Failure::lost(
                    "the file on the server is not as long as what was sent",
                ));
            }
        }
        for path in self.abandoned.drain(..) {
            // What stays is swept later.
            match within(self.limit, delete(&mut lease.session, &path)).await {
                Err(failure) if failure.broken => return Ok(()),
                _ => {}
            }
        }
        lease.give_back();
        Ok(())
    }

    async fn resume(&mut self, mut failure: Failure) -> Result<(), Fault> {
        self.open = None;
        // Nobody knows how much of it was appended, and appending twice is worse than failing.
        while !self.append && self.resumes.wait().await {
            match self.reopen().await {
                Ok(()) => return Ok(()),
                Err(again) if again.may_pass() => failure = again,
                Err(refused) => return Err(refused.fault),
            }
        }
        Err(failure.fault)
    }

    async fn reopen(&mut self) -> Result<(), Failure> {
        let mut lease = self.sessions.fresh_transfer().await?;
        let there = within(self.limit, size(&mut lease.session, &self.path)).await?;
        // What the server has is trusted as far as the rest is kept; it wrote in order.
        let begun = there.filter(|there| *there > 0);
        let (offset, rest) = match begun.and_then(|there| Some((there, self.replay.since(there)?))) {
            Some(found) => found,
            None if self.replay.is_whole() => {
                self.rename();
                (0, self.replay.since(0).unwrap_or_default())
            }
            None => {
                return Err(Failure::refused(
                    "the upload broke, and its beginning is not kept any more",
                ));
            }
        };
        let transfer = within(self.limit, store(&mut lease.session, &self.path, offset, false)).await?;
        self.open = Some((lease, transfer));
        self.write(rest).await
    }
}

fn unusable(fault: Fault) -> Failure {
    Failure { fault, broken: true }
}

async fn store(session: &mut Session, path: &str, offset: u64, append: bool) -> Result<Transfer, Failure> {
    if append {
        return Ok(session.ftp.append_with_stream(path).await?);
    }
    session.ftp.resume_transfer(position(offset)).await?;
    Ok(session.ftp.put_with_stream(path).await?)
}

/// The size of a file, `None` where there is none.
async fn size(session: &mut Session, path: &str) -> Result<Option<u64>, Failure> {
    match session.ftp.size(path).await {
        Ok(size) => Ok(Some(size as u64)),
        Err(error) if is_unavailable(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn delete(session: &mut Session, path: &str) -> Result<(), Failure> {
    session.ftp.rm(path).await.map_err(Failure::from)
}
