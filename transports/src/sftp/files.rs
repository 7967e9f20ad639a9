//! What operations on files are in SFTP. Every path is followed by the server before it is used, so that links cannot lead out of the
//! folder.

use super::session::{Opener, Session, failure, found, is_missing};
use super::transfer::{self, Upload};
use crate::files::path::{join, parent};
use crate::remote::failure::{Failure, exists, not_found};
use crate::remote::path::check;
use crate::remote::protocol::{At, Entry, Protocol, Rename};
use crate::remote::sessions::{Lease, Sessions, on_session};
use engine::fault::Fault;
use engine::files::{Content, FileInfo};
use engine::payload::Body;
use russh_sftp::client::error::Error;
use russh_sftp::protocol::{File, FileAttributes, StatusCode};
use std::sync::Arc;
use std::time::Duration;

impl Protocol for Opener {
    const READING_HOLDS_SESSION: bool = false;

    fn authority(&self) -> String {
        self.0.authority()
    }

    fn url_path(folder: &str) -> String {
        // As in scp's URLs, a path below the home has no second slash.
        format!("/{folder}")
    }

    /// Each request has the configured limit.
    fn limit(&self) -> Duration {
        self.0.timeout * 4
    }

    fn check(path: &str) -> Result<(), Fault> {
        check(path)
    }

    async fn find(session: &mut Arc<Session>, at: At<'_>) -> Result<Option<FileInfo>, Failure> {
        find(session, at).await
    }

    async fn entries(
        session: &mut Arc<Session>,
        at: At<'_>,
        limit: usize,
        _hidden: bool,
    ) -> Result<Vec<Entry>, Failure> {
        let Some(real) = session.resolve(at).await? else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::new();
        for file in read_folder(session, &real, limit).await? {
            entries.extend(entry(session, at, file).await?);
        }
        Ok(entries)
    }

    async fn rename(
        session: &mut Arc<Session>,
        from: At<'_>,
        to: At<'_>,
        how: Rename,
    ) -> Result<bool, Failure> {
        // Most files have a source and a folder to go to: two round trips. What is missing is looked for only where something is.
        let (source, target) = tokio::join!(session.locate(from), session.locate(to));
        let Some(source) = source? else {
            return Ok(false);
        };
        if let Some(target) = target?
            && renamed(session, &source, &target, how.replace).await?
        {
            return Ok(true);
        }
        if session.attributes(&source).await?.is_none() {
            // An earlier try may have done it before its connection broke.
            return Ok(how.again && find(session, to).await?.is_some());
        }
        let target = locate_or_make(session, to).await?;
        renamed(session, &source, &target, how.replace).await
    }

    async fn delete(session: &mut Arc<Session>, at: At<'_>) -> Result<bool, Failure> {
        let Some(located) = session.locate(at).await? else {
            return Ok(false);
        };
        Ok(found(session.raw.remove(located).await)?.is_some())
    }

    async fn remove_folder(session: &mut Arc<Session>, at: At<'_>) -> Result<(), Failure> {
        if let Some(located) = session.locate(at).await? {
            session.raw.rmdir(located).await.map_err(failure)?;
        }
        Ok(())
    }

    async fn download(sessions: &Arc<Sessions<Self>>, at: At<'_>, offset: u64) -> Result<Content, Fault> {
        on_session!(sessions, sessions.opener().limit(), |session, _again| async {
            let Some(real) = session.resolve(at).await? else {
                return Err(Failure::from(not_found()));
            };
            transfer::download(sessions, session, real, offset).await
        })
    }

    async fn upload(
        sessions: &Arc<Sessions<Self>>,
        at: At<'_>,
        body: Body,
        append: bool,
    ) -> Result<String, Fault> {
        let (lease, mut real) = located(sessions, at).await?;
        if append {
            let followed = lease.session.resolve(at).await;
            real = followed.map_err(|failure| failure.fault)?.unwrap_or(real);
        }
        match Upload::open(Arc::clone(sessions), lease, real, append).await {
            Ok(upload) => upload.send(body).await.map(|()| at.path.to_owned()),
            Err((lease, error)) => {
                let failure = failure(error);
                if !failure.broken {
                    lease.give_back();
                }
                Err(failure.fault)
            }
        }
    }
}

/// Renames by real paths. `false` where the source is missing, or the folder to go to.
async fn renamed(session: &Session, source: &str, target: &str, replace: bool) -> Result<bool, Failure> {
    let outcome = if replace {
        session.replace(source, target).await
    } else {
        // OpenSSH links and unlinks here, so of several that rename one file only one succeeds, and none overwrites.
        session.raw.rename(source, target).await.map(drop)
    };
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(Error::Status(status)) if status.status_code == StatusCode::Failure => {
            if !replace && session.attributes(target).await?.is_some() {
                Err(exists().into())
            } else if session.attributes(source).await?.is_none()
                || session.attributes(parent(target)).await?.is_none()
            {
                Ok(false)
            } else {
                Err(failure(Error::Status(status)))
            }
        }
        Err(error) => Err(failure(error)),
    }
}

async fn find(session: &Session, at: At<'_>) -> Result<Option<FileInfo>, Failure> {
    let Some(real) = session.resolve(at).await? else {
        return Ok(None);
    };
    let attributes = session.attributes(&real).await?;
    Ok(attributes
        .filter(|attributes| attributes.file_type().is_file())
        .map(|attributes| file_info(at.path, &attributes)))
}

/// The real path for a name that may be new; the folders on the way are made.
async fn locate_or_make(session: &Session, at: At<'_>) -> Result<String, Failure> {
    if let Some(located) = session.locate(at).await?
        && session.attributes(parent(&located)).await?.is_some()
    {
        return Ok(located);
    }
    let above = join(&session.folder(at.folder), parent(at.path));
    session.make_folders(&above).await?;
    let located = session.locate(at).await?;
    located.ok_or_else(|| Failure::refused("a folder on the way cannot be made"))
}

/// A session that answers, and the real path of a name on it.
async fn located(sessions: &Arc<Sessions<Opener>>, at: At<'_>) -> Result<(Lease<Opener>, String), Fault> {
    let limit = sessions.opener().limit();
    let real = on_session!(sessions, limit, |session, _again| locate_or_make(session, at))?;
    Ok((sessions.transfer().await?, real))
}

/// The names in a folder, at most some more than `limit`; nothing where there is no such folder.
async fn read_folder(session: &Session, folder: &str, limit: usize) -> Result<Vec<File>, Failure> {
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

/// A link counts as the file it leads to, where that lies in the folder.
async fn entry(session: &Session, folder: At<'_>, file: File) -> Result<Option<Entry>, Failure> {
    let kind = file.attrs.file_type();
    if kind.is_dir() {
        return Ok(Some(Entry::Folder(file.filename)));
    }
    if kind.is_file() {
        return Ok(Some(Entry::File(file_info(&file.filename, &file.attrs))));
    }
    let path = join(folder.path, &file.filename);
    if !kind.is_symlink() || check(&path).is_err() {
        return Ok(None);
    }
    let linked = At {
        path: &path,
        ..folder
    };
    match find(session, linked).await {
        Err(failure) if failure.broken => Err(failure),
        Ok(Some(info)) => Ok(Some(Entry::File(FileInfo {
            path: file.filename,
            ..info
        }))),
        _ => Ok(None),
    }
}

fn file_info(path: &str, attributes: &FileAttributes) -> FileInfo {
    FileInfo {
        path: path.to_owned(),
        size: attributes.size.unwrap_or(0),
        modified: attributes.mtime.map(|seconds| i64::from(seconds) * 1000),
    }
}
