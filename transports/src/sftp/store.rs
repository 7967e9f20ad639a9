//! A folder on an SFTP server as a [`FileStore`]. Every path is followed by the server before it is used, so that links cannot
//! lead out of the folder.

use super::connection::SftpConnection;
use super::session::{Opener, Session, failure, found, is_missing};
use super::transfer::{Upload, download};
use crate::remote::failure::{Failure, exists, not_found};
use crate::remote::path::{self, NUMBER_MAX, check, check_folder, join, listed, numbered, unfinished};
use crate::remote::sessions::{Lease, Sessions, on_session};
use engine::fault::{Fault, FaultCode};
use engine::files::{Content, Existing, FileInfo, FileStore};
use engine::mediator::BoxFuture;
use engine::payload::Body;
use russh_sftp::client::error::Error;
use russh_sftp::protocol::{File, FileAttributes, StatusCode};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How deep a recursive listing goes.
const DEPTH_MAX: usize = 32;

/// A folder on an SFTP server.
pub(super) struct SftpFolder {
    connection: Arc<SftpConnection>,
    folder: String,
}

impl SftpFolder {
    pub(super) fn new(connection: Arc<SftpConnection>, folder: &str) -> Self {
        let folder = folder.to_owned();
        Self { connection, folder }
    }

    fn sessions(&self) -> &Arc<Sessions<Opener>> {
        &self.connection.sessions
    }

    /// For a whole operation of a few requests; each request has the configured limit.
    fn limit(&self) -> Duration {
        self.sessions().opener().0.timeout * 4
    }

    async fn find(&self, session: &Session, path: &str) -> Result<Option<FileInfo>, Failure> {
        let Some(real) = session.resolve(&self.folder, path).await? else {
            return Ok(None);
        };
        let attributes = session.attributes(&real).await?;
        Ok(attributes
            .filter(|attributes| attributes.file_type().is_file())
            .map(|attributes| file_info(path, &attributes)))
    }

    /// The real path for a name that may be new; the folders on the way are made.
    async fn locate_or_make(&self, session: &Session, path: &str) -> Result<String, Failure> {
        if let Some(located) = session.locate(&self.folder, path).await?
            && session.attributes(path::parent(&located)).await?.is_some()
        {
            return Ok(located);
        }
        session
            .make_folders(&join(&session.folder(&self.folder), path::parent(path)))
            .await?;
        let located = session.locate(&self.folder, path).await?;
        located.ok_or_else(|| Failure::refused("a folder on the way cannot be made"))
    }

    async fn list_on(
        &self,
        session: &Session,
        folder: &str,
        recursive: bool,
        limit: usize,
    ) -> Result<Vec<FileInfo>, Failure> {
        let mut files = Vec::new();
        let mut folders = VecDeque::from([(folder.to_owned(), 0)]);
        while let Some((folder, depth)) = folders.pop_front() {
            let Some(real) = session.resolve(&self.folder, &folder).await? else {
                continue;
            };
            let room = limit
                .saturating_sub(files.len())
                .saturating_mul(2)
                .saturating_add(64);
            for entry in entries(session, &real, room).await? {
                if !listed(&entry.filename) {
                    continue;
                }
                let path = join(&folder, &entry.filename);
                if entry.attrs.file_type().is_dir() {
                    if recursive && depth < DEPTH_MAX && folders.len() < limit {
                        folders.push_back((path, depth + 1));
                    }
                } else if entry.attrs.file_type().is_file() {
                    files.push(file_info(&path, &entry.attrs));
                } else if entry.attrs.file_type().is_symlink() {
                    files.extend(self.linked(session, &path).await?);
                }
            }
            if files.len() >= limit {
                files.truncate(limit);
                break;
            }
        }
        Ok(files)
    }

    /// A link counts as the file it leads to, where that lies in the folder.
    async fn linked(&self, session: &Session, path: &str) -> Result<Option<FileInfo>, Failure> {
        match self.find(session, path).await {
            Err(failure) if !failure.broken => Ok(None),
            other => other,
        }
    }

    async fn rename_on(
        &self,
        session: &Session,
        from: &str,
        to: &str,
        replace: bool,
        again: bool,
    ) -> Result<bool, Failure> {
        let Some(source) = session.locate(&self.folder, from).await? else {
            return Ok(false);
        };
        if session.attributes(&source).await?.is_none() {
            // An earlier try may have done it before its connection broke.
            return Ok(again && self.find(session, to).await?.is_some());
        }
        let target = self.locate_or_make(session, to).await?;
        let renamed = if replace {
            session.replace(&source, &target).await
        } else {
            // OpenSSH links and unlinks here, so of several that rename one file only one succeeds, and none overwrites.
            session.raw.rename(&source, &target).await.map(drop)
        };
        match renamed {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(Error::Status(status)) if status.status_code == StatusCode::Failure => {
                if session.attributes(&source).await?.is_none() {
                    Ok(false)
                } else if !replace && session.attributes(&target).await?.is_some() {
                    Err(exists().into())
                } else {
                    Err(failure(Error::Status(status)))
                }
            }
            Err(error) => Err(failure(error)),
        }
    }

    async fn rename_checked(&self, from: &str, to: &str, replace: bool) -> Result<bool, Fault> {
        on_session!(self.sessions(), self.limit(), |session, again| self
            .rename_on(session, from, to, replace, again))
    }

    /// A session that answers, and the real path of a name on it.
    async fn located(&self, path: &str) -> Result<(Lease<Opener>, String), Fault> {
        let real = on_session!(self.sessions(), self.limit(), |session, _again| self
            .locate_or_make(session, path))?;
        Ok((self.sessions().lease().await?, real))
    }

    async fn upload(&self, path: &str, body: Body, append: bool) -> Result<(), Fault> {
        let (lease, mut real) = self.located(path).await?;
        if append {
            let followed = lease.session.resolve(&self.folder, path).await;
            real = followed.map_err(|failure| failure.fault)?.unwrap_or(real);
        }
        match Upload::open(Arc::clone(self.sessions()), lease, real, append).await {
            Ok(upload) => upload.send(body).await,
            Err((lease, error)) => {
                let failure = failure(error);
                if !failure.broken {
                    lease.give_back();
                }
                Err(failure.fault)
            }
        }
    }

    async fn write_checked(&self, path: &str, body: Body, existing: Existing) -> Result<String, Fault> {
        check(path)?;
        match existing {
            Existing::Append => {
                self.upload(path, body, true).await?;
                return Ok(path.to_owned());
            }
            Existing::Refuse if self.info(path).await?.is_some() => return Err(exists()),
            _ => {}
        }
        let temporary = unfinished(path);
        let placed = match self.upload(&temporary, body, false).await {
            Ok(()) => self.place(&temporary, path, existing).await,
            Err(fault) => Err(fault),
        };
        if placed.is_err()
            && let Err(fault) = self.delete(&temporary).await
        {
            tracing::debug!(file = temporary, %fault, "An unfinished upload stays on the file server.");
        }
        placed
    }

    /// Gives a finished upload its name.
    async fn place(&self, temporary: &str, path: &str, existing: Existing) -> Result<String, Fault> {
        let numbers = if existing == Existing::Number {
            NUMBER_MAX
        } else {
            1
        };
        for number in 0..numbers {
            let name = numbered(path, number);
            match self
                .rename_checked(temporary, &name, existing == Existing::Replace)
                .await
            {
                Ok(true) => return Ok(name),
                Ok(false) => return Err(Failure::lost("the uploaded file is gone").fault),
                Err(fault) if fault.code() == FaultCode::Conflict && number + 1 < numbers => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(exists())
    }
}

/// The names in a folder, at most some more than `limit`; nothing where there is no such folder.
async fn entries(session: &Session, folder: &str, limit: usize) -> Result<Vec<File>, Failure> {
    let Some(handle) = found(session.raw.opendir(folder).await)? else {
        return Ok(Vec::new());
    };
    let mut entries = Vec::new();
    while entries.len() < limit {
        match session.raw.readdir(handle.handle.as_str()).await {
            Ok(name) if name.files.is_empty() => break,
            Ok(name) => entries.extend(name.files),
            Err(Error::Status(status)) if status.status_code == StatusCode::Eof => break,
            Err(error) => return Err(failure(error)),
        }
    }
    session.raw.close(handle.handle).await.map_err(failure)?;
    Ok(entries)
}

fn file_info(path: &str, attributes: &FileAttributes) -> FileInfo {
    FileInfo {
        path: path.to_owned(),
        size: attributes.size.unwrap_or(0),
        modified: attributes.mtime.map(|seconds| i64::from(seconds) * 1000),
    }
}

impl FileStore for SftpFolder {
    fn url(&self) -> String {
        // As in scp's URLs, a path below the home has no second slash.
        format!("{}/{}", self.connection.authority(), self.folder)
    }

    fn list<'a>(
        &'a self,
        folder: &'a str,
        recursive: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FileInfo>, Fault>> {
        Box::pin(async move {
            check_folder(folder)?;
            on_session!(self.sessions(), self.limit(), |session, _again| self
                .list_on(session, folder, recursive, limit))
        })
    }

    fn info<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<FileInfo>, Fault>> {
        Box::pin(async move {
            check(path)?;
            on_session!(self.sessions(), self.limit(), |session, _again| self
                .find(session, path))
        })
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64) -> BoxFuture<'a, Result<Content, Fault>> {
        Box::pin(async move {
            check(path)?;
            on_session!(self.sessions(), self.limit(), |session, _again| async {
                let Some(real) = session.resolve(&self.folder, path).await? else {
                    return Err(Failure::from(not_found()));
                };
                download(self.sessions(), session, real, offset).await
            })
        })
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        body: Body,
        existing: Existing,
    ) -> BoxFuture<'a, Result<String, Fault>> {
        Box::pin(self.write_checked(path, body, existing))
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str, replace: bool) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move {
            check(from)?;
            check(to)?;
            self.rename_checked(from, to, replace).await
        })
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move {
            check(path)?;
            on_session!(self.sessions(), self.limit(), |session, _again| async {
                let Some(located) = session.locate(&self.folder, path).await? else {
                    return Ok::<_, Failure>(false);
                };
                Ok(found(session.raw.remove(located).await)?.is_some())
            })
        })
    }
}
