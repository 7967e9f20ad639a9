//! A folder on a server as a [`FileStore`]: the same for every protocol. A file is uploaded under a name of its own beside the one it
//! gets in the end, so that nobody sees half of it.

use super::failure::{Failure, exists, is_away};
use super::names::Names;
use super::path::{NUMBER_MAX, unfinished};
use super::protocol::{At, Entry, Protocol, Rename};
use super::resumes::Resumes;
use super::sessions::{Sessions, on_session};
use super::sweep::Sweeps;
use crate::files::path::{join, numbered};
use engine::fault::{Fault, FaultCode};
use engine::files::{Change, Claimed, Content, Existing, FileInfo, FileStore};
use engine::mediator::BoxFuture;
use engine::payload::Body;
use futures_util::future::join_all;
use std::collections::VecDeque;
use std::sync::Arc;

/// How deep a recursive listing goes.
const DEPTH_MAX: usize = 32;

/// How many files are claimed or settled at once, each on a session of its own.
const AT_ONCE: usize = 3;

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

    /// Most sessions at once.
    pub(crate) fn sessions_max(&self) -> usize {
        self.sessions.count_max
    }

    /// A folder on the server: absolute, or below the folder that the login starts in.
    pub(crate) fn folder(&self, folder: &str) -> Arc<dyn FileStore> {
        Arc::new(RemoteFolder {
            sessions: Arc::clone(&self.sessions),
            folder: folder.to_owned(),
            names: Names::default(),
            sweeps: Sweeps::default(),
        })
    }
}

/// A folder on a server.
pub(super) struct RemoteFolder<P: Protocol> {
    pub(super) sessions: Arc<Sessions<P>>,
    folder: String,
    names: Names,
    pub(super) sweeps: Sweeps,
}

impl<P: Protocol> RemoteFolder<P> {
    pub(super) fn at<'a>(&'a self, path: &'a str) -> At<'a> {
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
            for entry in P::entries(session, self.at(&folder), room, false).await? {
                match entry {
                    Entry::File(file) if self.names.listed::<P>(&file.path) => files.push(FileInfo {
                        path: join(&folder, &file.path),
                        ..file
                    }),
                    // As with local folders: hidden ones hold claims and what is done with.
                    Entry::Folder(name)
                        if recursive
                            && depth < DEPTH_MAX
                            && folders.len() < limit
                            && !name.starts_with('.')
                            && self.names.listed::<P>(&name) =>
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

    /// `tried` says that an earlier try may have had its effect.
    async fn rename_checked(&self, from: &str, to: &str, replace: bool, tried: bool) -> Result<bool, Fault> {
        let limit = self.sessions.opener().limit();
        on_session!(self.sessions, limit, |session, again| P::rename(
            session,
            self.at(from),
            self.at(to),
            Rename {
                replace,
                again: again || tried
            }
        ))
    }

    /// Gives a finished upload a name, also where the server is away for a moment.
    async fn name(&self, temporary: &str, path: &str, replace: bool) -> Result<bool, Fault> {
        let mut resumes = Resumes::default();
        let mut tried = false;
        loop {
            match self.rename_checked(temporary, path, replace, tried).await {
                Err(fault) if is_away(&fault) && resumes.wait().await => tried = true,
                other => return other,
            }
        }
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
        let mut temporary = unfinished(path);
        let placed = match P::upload(&self.sessions, self.at(&temporary), body, false).await {
            Ok(written) => {
                temporary = written;
                self.sweep(&temporary).await;
                self.place(&temporary, path, existing).await
            }
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
            match self.name(temporary, &name, replace).await {
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

/// Does something for each of many, some at once; the results are in order.
async fn several<T, R, F: Future<Output = R>>(all: &[T], one: impl Fn(&T) -> F) -> Vec<R> {
    let mut results = Vec::with_capacity(all.len());
    for some in all.chunks(AT_ONCE) {
        results.extend(join_all(some.iter().map(&one)).await);
    }
    results
}

impl<P: Protocol> FileStore for RemoteFolder<P> {
    fn url(&self) -> String {
        self.sessions.opener().authority() + &P::url_path(&self.folder)
    }

    fn key(&self) -> String {
        // Connections of the same settings are one, so its address stands for user, password and the rest.
        format!("{} {:p}", self.url(), Arc::as_ptr(&self.sessions))
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
            self.rename_checked(from, to, replace, false).await
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

    fn claim(&self, claims: Vec<(String, String)>, _: u64) -> BoxFuture<'_, Vec<Result<Claimed, Fault>>> {
        Box::pin(async move {
            let claim = |(from, to): &(String, String)| {
                let (from, to) = (from.clone(), to.clone());
                async move {
                    let renamed = self.rename(&from, &to, true).await?;
                    Ok(if renamed { Claimed::Unread } else { Claimed::Gone })
                }
            };
            several(&claims, claim).await
        })
    }

    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Vec<Result<bool, Fault>>> {
        Box::pin(async move {
            let apply = |change: &Change| {
                let change = change.clone();
                async move {
                    match &change {
                        Change::Rename { from, to, replace } => self.rename(from, to, *replace).await,
                        Change::Delete { path } => self.delete(path).await,
                    }
                }
            };
            several(&changes, apply).await
        })
    }

    fn prune<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(fault) = self.prune_checked(folder).await {
                tracing::debug!(folder, %fault, "A folder stays on the file server.");
            }
        })
    }
}
