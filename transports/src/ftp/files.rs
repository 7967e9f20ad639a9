//! What operations on files are in FTP.
//!
//! What FTP cannot do: a rename that refuses to overwrite in one step (there is a look before it, so of two writers that meet in
//! that moment one may replace the other's file; claims are safe, since of two renames of one file only one finds it), and telling
//! where a symbolic link leads (links are not listed; the server's own confinement of its users is what holds).

use super::listing::{self, machine_file};
use super::session::{Opener, Session, is_unavailable};
use super::transfer;
use crate::files::path::{join, name, parent};
use crate::remote::failure::{Failure, exists};
use crate::remote::path::check_line;
use crate::remote::protocol::{At, Entry, Protocol, Rename};
use crate::remote::sessions::{Sessions, on_session};
use engine::fault::Fault;
use engine::files::{Content, FileInfo};
use engine::payload::Body;
use std::sync::Arc;
use std::time::Duration;
use suppaftp::FtpError;

impl Protocol for Opener {
    const READING_HOLDS_SESSION: bool = true;

    fn authority(&self) -> String {
        self.0.authority()
    }

    fn url_path(folder: &str) -> String {
        // RFC 1738 section 3.2.2: a path below the login's folder has no second slash.
        match folder.strip_prefix('/') {
            Some(folder) => format!("/%2F{folder}"),
            None => format!("/{folder}"),
        }
    }

    fn limit(&self) -> Duration {
        self.0.timeout
    }

    fn check(path: &str) -> Result<(), Fault> {
        check_line(path)
    }

    async fn find(session: &mut Session, at: At<'_>) -> Result<Option<FileInfo>, Failure> {
        let absolute = session.absolute(at);
        let found = match session.mlst {
            true => by_facts(session, &absolute).await?,
            false => by_commands(session, &absolute).await?,
        };
        Ok(found.map(|file| FileInfo {
            path: at.path.to_owned(),
            ..file
        }))
    }

    async fn entries(
        session: &mut Session,
        at: At<'_>,
        limit: usize,
        hidden: bool,
    ) -> Result<Vec<Entry>, Failure> {
        let absolute = session.absolute(at);
        listing::entries(session, &absolute, limit, hidden).await
    }

    async fn rename(session: &mut Session, from: At<'_>, to: At<'_>, how: Rename) -> Result<bool, Failure> {
        let (source, target) = (session.absolute(from), session.absolute(to));
        if how.again && Self::find(session, from).await?.is_none() {
            // The first try may have done it before its connection broke.
            return Ok(Self::find(session, to).await?.is_some());
        }
        if !how.replace && Self::find(session, to).await?.is_some() {
            return Err(exists().into());
        }
        match session.ftp.rename(&source, &target).await {
            Ok(()) => return Ok(true),
            Err(error) if !is_unavailable(&error) => return Err(error.into()),
            Err(_) => {}
        }
        // Gone, or the folder is missing, or refused: FTP has one code for all of it.
        if Self::find(session, from).await?.is_none() {
            return Ok(false);
        }
        make_folders(session, &target).await?;
        match session.ftp.rename(&source, &target).await {
            Ok(()) => Ok(true),
            Err(error) if is_unavailable(&error) && Self::find(session, from).await?.is_none() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(session: &mut Session, at: At<'_>) -> Result<bool, Failure> {
        let absolute = session.absolute(at);
        match session.ftp.rm(&absolute).await {
            Ok(()) => Ok(true),
            Err(error) if is_unavailable(&error) && Self::find(session, at).await?.is_none() => Ok(false),
            Err(error) => Err(Failure::from(error)),
        }
    }

    async fn remove_folder(session: &mut Session, at: At<'_>) -> Result<(), Failure> {
        let absolute = session.absolute(at);
        session.ftp.rmdir(&absolute).await.map_err(Failure::from)
    }

    async fn download(sessions: &Arc<Sessions<Self>>, at: At<'_>, offset: u64) -> Result<Content, Fault> {
        transfer::download(sessions, at, offset, sessions.opener().limit()).await
    }

    async fn upload(
        sessions: &Arc<Sessions<Self>>,
        at: At<'_>,
        body: Body,
        append: bool,
    ) -> Result<String, Fault> {
        let limit = sessions.opener().limit();
        let absolute = on_session!(sessions, limit, |session, _again| async {
            Ok::<_, Failure>(session.absolute(at))
        })?;
        let upload = transfer::Upload::new(Arc::clone(sessions), absolute.clone(), limit, append);
        let upload = match upload.open().await {
            Ok(upload) => upload,
            Err((upload, failure)) if !failure.broken => {
                on_session!(sessions, limit, |session, _again| make_folders(
                    session, &absolute
                ))?;
                upload.open().await.map_err(|(_, failure)| failure.fault)?
            }
            Err((_, failure)) => return Err(failure.fault),
        };
        let written = upload.send(body).await?;
        Ok(join(parent(at.path), name(&written)))
    }
}

/// MLST (RFC 3659 section 7).
async fn by_facts(session: &mut Session, path: &str) -> Result<Option<FileInfo>, Failure> {
    match session.ftp.mlst(Some(path)).await {
        Ok(line) => Ok(machine_file(&line)),
        Err(error) if is_unavailable(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// SIZE, and MDTM where the server has it.
async fn by_commands(session: &mut Session, path: &str) -> Result<Option<FileInfo>, Failure> {
    let mut found = FileInfo::default();
    match session.ftp.size(path).await {
        Ok(size) => found.size = size as u64,
        Err(error) if is_unavailable(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    match session.ftp.mdtm(path).await {
        Ok(time) => found.modified = Some(time.and_utc().timestamp_millis()),
        Err(FtpError::UnexpectedResponse(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Some(found))
}

/// Makes the folders on the way to a file, the configured one included. That one exists is told when the file is written.
async fn make_folders(session: &mut Session, path: &str) -> Result<(), Failure> {
    let folder = parent(path);
    let ends = folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]);
    for end in ends.filter(|end| *end > 0) {
        match session.ftp.mkdir(&folder[..end]).await {
            Ok(()) | Err(FtpError::UnexpectedResponse(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
