//! A folder on an FTP server as a [`FileStore`].
//!
//! What FTP cannot do: a rename that refuses to overwrite in one step (there is a look before it, so of two writers that meet in
//! that moment one may replace the other's file; claims are safe, since of two renames of one file only one finds it), and telling
//! where a symbolic link leads (links are not listed; the server's own confinement of its users is what holds).

use super::connection::FtpConnection;
use super::listing::{self, Entry};
use super::session::{Opener, Session, is_unavailable};
use super::transfer;
use crate::remote::failure::{Failure, exists};
use crate::remote::path::{self, NUMBER_MAX, check, check_folder, join, numbered, unfinished};
use crate::remote::sessions::{Sessions, on_session};
use engine::fault::{Fault, FaultCode};
use engine::files::{Content, Existing, FileInfo, FileStore};
use engine::mediator::BoxFuture;
use engine::payload::Body;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use suppaftp::FtpError;

/// How deep a recursive listing goes.
const DEPTH_MAX: usize = 32;

/// A folder on an FTP server.
pub(super) struct FtpFolder {
    connection: Arc<FtpConnection>,
    folder: String,
}

impl FtpFolder {
    pub(super) fn new(connection: Arc<FtpConnection>, folder: &str) -> Self {
        let folder = folder.to_owned();
        Self { connection, folder }
    }

    fn sessions(&self) -> &Arc<Sessions<Opener>> {
        &self.connection.sessions
    }

    fn limit(&self) -> Duration {
        self.sessions().opener().0.timeout
    }

    async fn rename_checked(&self, from: &str, to: &str, replace: bool) -> Result<bool, Fault> {
        on_session!(self.sessions(), self.limit(), |session, again| self
            .rename_on(session, from, to, replace, again))
    }

    async fn rename_on(
        &self,
        session: &mut Session,
        from: &str,
        to: &str,
        replace: bool,
        again: bool,
    ) -> Result<bool, Failure> {
        let (source, target) = (
            session.absolute(&self.folder, from),
            session.absolute(&self.folder, to),
        );
        if again && self.find(session, from).await?.is_none() {
            // The first try may have done it before its connection broke.
            return Ok(self.find(session, to).await?.is_some());
        }
        if !replace && self.find(session, to).await?.is_some() {
            return Err(exists().into());
        }
        match session.ftp.rename(&source, &target).await {
            Ok(()) => return Ok(true),
            Err(error) if !is_unavailable(&error) => return Err(error.into()),
            Err(_) => {}
        }
        // Gone, or the folder is missing, or refused: FTP has one code for all of it.
        if self.find(session, from).await?.is_none() {
            return Ok(false);
        }
        self.make_folders(session, to).await?;
        match session.ftp.rename(&source, &target).await {
            Ok(()) => Ok(true),
            Err(error) if is_unavailable(&error) && self.find(session, from).await?.is_none() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A file's facts: by MLST, else by SIZE and MDTM.
    async fn find(&self, session: &mut Session, path: &str) -> Result<Option<FileInfo>, Failure> {
        let absolute = session.absolute(&self.folder, path);
        let mut found = FileInfo {
            path: path.to_owned(),
            ..FileInfo::default()
        };
        if session.mlst {
            let line = match session.ftp.mlst(Some(&absolute)).await {
                Ok(line) => line,
                Err(error) if is_unavailable(&error) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            return Ok(match listing::machine_line(&line) {
                Some(Entry::File(file)) => {
                    (found.size, found.modified) = (file.size, file.modified);
                    Some(found)
                }
                _ => None,
            });
        }
        match session.ftp.size(&absolute).await {
            Ok(size) => found.size = size as u64,
            Err(error) if is_unavailable(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        match session.ftp.mdtm(&absolute).await {
            Ok(time) => found.modified = Some(time.and_utc().timestamp_millis()),
            Err(FtpError::UnexpectedResponse(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Some(found))
    }

    /// Makes the folders on the way to a file, the store's own included. That one exists is told when the file is written.
    async fn make_folders(&self, session: &mut Session, path: &str) -> Result<(), Failure> {
        let whole = session.absolute(&self.folder, path::parent(path));
        let ends = whole.match_indices('/').map(|(at, _)| at).chain([whole.len()]);
        for end in ends.filter(|end| *end > 0) {
            match session.ftp.mkdir(&whole[..end]).await {
                Ok(()) | Err(FtpError::UnexpectedResponse(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn list_on(
        &self,
        session: &mut Session,
        folder: &str,
        recursive: bool,
        limit: usize,
    ) -> Result<Vec<FileInfo>, Failure> {
        let mut files = Vec::new();
        let mut folders = VecDeque::from([(folder.to_owned(), 0)]);
        while let Some((folder, depth)) = folders.pop_front() {
            let absolute = session.absolute(&self.folder, &folder);
            // Folders count as lines but not as files, hence some room for them.
            let lines = limit
                .saturating_sub(files.len())
                .saturating_mul(2)
                .saturating_add(64);
            for entry in listing::entries(session, &absolute, lines).await? {
                match entry {
                    Entry::File(mut file) => {
                        file.path = join(&folder, &file.path);
                        files.push(file);
                    }
                    Entry::Folder(name) if recursive && depth < DEPTH_MAX && folders.len() < limit => {
                        folders.push_back((join(&folder, &name), depth + 1));
                    }
                    Entry::Folder(_) => {}
                }
            }
            if files.len() >= limit {
                files.truncate(limit);
                break;
            }
        }
        Ok(files)
    }

    /// Opens an upload; the folders on the way are made where they are missing.
    async fn upload(&self, path: &str, body: Body, append: bool) -> Result<(), Fault> {
        let absolute = on_session!(self.sessions(), self.limit(), |session, _again| async {
            Ok::<_, Failure>(session.absolute(&self.folder, path))
        })?;
        let upload = transfer::Upload::new(Arc::clone(self.sessions()), absolute, self.limit(), append);
        let mut upload = match upload.open().await {
            Ok(upload) => upload,
            Err((upload, failure)) if !failure.broken => {
                on_session!(self.sessions(), self.limit(), |session, _again| self
                    .make_folders(session, path))?;
                upload.open().await.map_err(|(_, failure)| failure.fault)?
            }
            Err((_, failure)) => return Err(failure.fault),
        };
        upload.send(body).await
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
        if let Err(fault) = self.upload(&temporary, body, false).await {
            self.discard(&temporary).await;
            return Err(fault);
        }
        let placed = self.place(&temporary, path, existing).await;
        if placed.is_err() {
            self.discard(&temporary).await;
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

    /// Tidies up after a failure, which is what will be told.
    async fn discard(&self, temporary: &str) {
        if let Err(fault) = self.delete(temporary).await {
            tracing::debug!(file = temporary, %fault, "An unfinished upload stays on the file server.");
        }
    }
}

impl FileStore for FtpFolder {
    fn url(&self) -> String {
        let folder = self.folder.trim_start_matches('/');
        let root = if self.folder.starts_with('/') { "%2F" } else { "" };
        format!("{}/{root}{folder}", self.connection.authority())
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
            transfer::download(self.sessions(), &self.folder, path, offset, self.limit()).await
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
                let absolute = session.absolute(&self.folder, path);
                match session.ftp.rm(&absolute).await {
                    Ok(()) => Ok(true),
                    Err(error) if is_unavailable(&error) && self.find(session, path).await?.is_none() => {
                        Ok(false)
                    }
                    Err(error) => Err(Failure::from(error)),
                }
            })
        })
    }
}
