//! A folder on a server as a [`FileStore`]: the same for every protocol. A file is uploaded under a name of its own beside the one it
//! gets in the end, so that nobody sees half of it.

use super::failure::{Failure, exists};
use super::path::{NUMBER_MAX, is_unfinished, unfinished};
use super::protocol::{At, Entry, Protocol, Rename};
use super::sessions::{Sessions, on_session};
use crate::files::path::{join, numbered};
use engine::fault::{Fault, FaultCode};
use engine::files::{Content, Existing, FileInfo, FileStore};
use engine::mediator::BoxFuture;
use engine::payload::Body;
use std::collections::VecDeque;
use std::sync::Arc;

/// How deep a recursive listing goes.
const DEPTH_MAX: usize = 32;

/// What `connections: { NAME: ... }` stands for. Nothing is open before its first use.
pub(crate) struct Connection<P: Protocol> {
    sessions: Arc<Sessions<P>>,
}

impl<P: Protocol> Connection<P> {
    pub(crate) fn new(protocol: P, connections_max: usize, timeout: std::time::Duration) -> Self {
        Self {
            sessions: Arc::new(Sessions::new(protocol, connections_max, timeout)),
        }
    }

    /// A folder on the server: absolute, or below the folder that the login starts in.
    pub(crate) fn folder(&self, folder: &str) -> Arc<dyn FileStore> {
        Arc::new(RemoteFolder {
            sessions: Arc::clone(&self.sessions),
            folder: folder.to_owned(),
        })
    }
}

struct RemoteFolder<P: Protocol> {
    sessions: Arc<Sessions<P>>,
    folder: String,
}

impl<P: Protocol> RemoteFolder<P> {
    fn at<'a>(&'a self, path: &'a str) -> At<'a> {
        At {
            folder: &self.folder,
            path,
        }
    }

    async fn list_on(
        &self,
        session: &mut P::Session,
        folder: &str,
        recursive: bool,
        limit: usize,
    ) -> Result<Vec<FileInfo>, Failure> {
        let mut files = Vec::new();
        let mut folders = VecDeque::from([(folder.to_owned(), 0)]);
        while let Some((folder, depth)) = folders.pop_front() {
            // Folders count as entries but not as files, hence some room for them.
            let room = limit
                .saturating_sub(files.len())
                .saturating_mul(2)
                .saturating_add(64);
            for entry in P::entries(session, self.at(&folder), room).await? {
                match entry {
                    Entry::File(file) if listed::<P>(&file.path) => files.push(FileInfo {
                        path: join(&folder, &file.path),
                        ..file
                    }),
                    // As with local folders: hidden ones hold claims and what is done with.
                    Entry::Folder(name)
                        if recursive
                            && depth < DEPTH_MAX
                            && folders.len() < limit
                            && !name.starts_with('.')
                            && listed::<P>(&name) =>
                    {
                        folders.push_back((join(&folder, &name), depth + 1));
                    }
                    _ => {}
                }
            }
            if files.len() >= limit {
                files.truncate(limit);
                break;
            }
        }
        Ok(files)
    }

    async fn rename_checked(&self, from: &str, to: &str, replace: bool) -> Result<bool, Fault> {
        let limit = self.sessions.opener().limit();
        on_session!(self.sessions, limit, |session, again| P::rename(
            session,
            self.at(from),
            self.at(to),
            Rename { replace, again }
        ))
    }

    async fn write_checked(&self, path: &str, body: Body, existing: Existing) -> Result<String, Fault> {
        P::check(path)?;
        match existing {
            Existing::Append => {
                P::upload(&self.sessions, self.at(path), body, true).await?;
                return Ok(path.to_owned());
            }
            Existing::Refuse if self.info(path).await?.is_some() => return Err(exists()),
            _ => {}
        }
        let temporary = unfinished(path);
        let placed = match P::upload(&self.sessions, self.at(&temporary), body, false).await {
            Ok(()) => self.place(&temporary, path, existing).await,
            Err(fault) => Err(fault),
        };
        if placed.is_err() {
            self.discard(&temporary).await;
        }
        placed
    }

    /// Gives a finished upload its name.
    async fn place(&self, temporary: &str, path: &str, existing: Existing) -> Result<String, Fault> {
        let numbers = match existing {
            Existing::Number => NUMBER_MAX,
            _ => 1,
        };
        for number in 0..numbers {
            let name = match number {
                0 => path.to_owned(),
                number => numbered(path, &number.to_string()),
            };
            let replace = existing == Existing::Replace;
            match self.rename_checked(temporary, &name, replace).await {
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

/// Whether a name in a listing is one that can be told and used.
fn listed<P: Protocol>(name: &str) -> bool {
    let usable = !name.contains(['/', char::REPLACEMENT_CHARACTER]) && P::check(name).is_ok();
    if !usable && !matches!(name, "" | "." | "..") {
        tracing::warn!(
            name = name.escape_debug().to_string(),
            "A file is left out: its name is no text that can be used."
        );
    }
    usable && !is_unfinished(name)
}

impl<P: Protocol> FileStore for RemoteFolder<P> {
    fn url(&self) -> String {
        self.sessions.opener().authority() + &P::url_path(&self.folder)
    }

    fn list<'a>(
        &'a self,
        folder: &'a str,
        recursive: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FileInfo>, Fault>> {
        Box::pin(async move {
            if !folder.is_empty() {
                P::check(folder)?;
            }
            on_session!(
                self.sessions,
                self.sessions.opener().limit(),
                |session, _again| self.list_on(session, folder, recursive, limit)
            )
        })
    }

    fn info<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<FileInfo>, Fault>> {
        Box::pin(async move {
            P::check(path)?;
            on_session!(
                self.sessions,
                self.sessions.opener().limit(),
                |session, _again| P::find(session, self.at(path))
            )
        })
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64) -> BoxFuture<'a, Result<Content, Fault>> {
        Box::pin(async move {
            P::check(path)?;
            P::download(&self.sessions, self.at(path), offset).await
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
            P::check(from)?;
            P::check(to)?;
            self.rename_checked(from, to, replace).await
        })
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move {
            P::check(path)?;
            on_session!(
                self.sessions,
                self.sessions.opener().limit(),
                |session, _again| P::delete(session, self.at(path))
            )
        })
    }
}
