//! Folders of files, local and remote: what the file transports share, and what the steps on files work with.

use crate::fault::Fault;
use crate::mediator::BoxFuture;
use crate::payload::Body;
use bytes::Bytes;
use std::pin::Pin;
use tokio::io::AsyncRead;

/// A file in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// Its path below the folder, with `/` between names. Names that are not UTF-8 are left out by [`FileStore::list`], with a warning.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed, in milliseconds since 1970, where the server tells.
    pub modified: Option<i64>,
}

impl FileInfo {
    /// When it was last changed, as RFC 3339 in UTC: how messages tell it.
    #[must_use]
    pub fn modified_text(&self) -> Option<String> {
        let at = jiff::Timestamp::from_millisecond(self.modified?).ok()?;
        Some(at.to_string())
    }
}

/// The content of a file, from an offset on.
pub type Content = Pin<Box<dyn AsyncRead + Send + Sync>>;

/// Held as long as a [mark](FileStore::mark) is to say that we live.
pub type Mark = Box<dyn Send + Sync>;

/// What [`FileStore::write`] does where the file exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// The file is replaced.
    #[default]
    Replace,
    /// A fault, `client.conflict`; the file stays as it is.
    Refuse,
    /// The new file gets a number: `orders-1.csv`.
    Number,
    /// The content goes to the end of the file.
    Append,
}

/// One change of [`FileStore::apply`].
#[derive(Clone, Debug)]
pub enum Change {
    /// [`FileStore::rename`].
    Rename {
        /// The path it has.
        from: String,
        /// The path it gets.
        to: String,
        /// Whether an existing `to` is replaced.
        replace: bool,
    },
    /// [`FileStore::delete`].
    Delete {
        /// The path.
        path: String,
    },
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The file was gone: somebody else has it.
    Gone,
    /// It is claimed and this is its whole content.
    Whole(Bytes),
    /// It is claimed; its content has to be read.
    Unread,
}

/// A folder, local or on a server. Paths are relative to it and never lead out of it: `..`, absolute paths and symbolic links that do
/// are `client.bad_request`.
pub trait FileStore: Send + Sync {
    /// Where it is, without credentials: `sftp://host:22/in`.
    fn url(&self) -> String;

    /// The files of a folder below it, at most `limit`, in no particular order; folders are not told. A folder that is not there is empty.
    fn list<'a>(
        &'a self,
        folder: &'a str,
        recursive: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FileInfo>, Fault>>;

    /// A file, `None` where there is none.
    fn info<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<FileInfo>, Fault>>;

    /// The content of a file from `offset` on. `client.not_found` where there is none.
    fn read<'a>(&'a self, path: &'a str, offset: u64) -> BoxFuture<'a, Result<Content, Fault>>;

    /// Writes a file so that nobody sees half of it: under a temporary name, flushed to the disk, renamed. Folders on the way are made.
    /// Returns the path it has in the end.
    fn write<'a>(
        &'a self,
        path: &'a str,
        body: Body,
        existing: Existing,
    ) -> BoxFuture<'a, Result<String, Fault>>;

    /// Renames a file in one step; folders on the way are made. `false` where `from` is gone. An existing `to` is replaced only where
    /// `replace` says so, otherwise that is `client.conflict`.
    fn rename<'a>(&'a self, from: &'a str, to: &'a str, replace: bool) -> BoxFuture<'a, Result<bool, Fault>>;

    /// Deletes a file. `false` where it was gone.
    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<bool, Fault>>;

    /// Renames files out of the way of others, `from` and `to` of each; an existing `to` is replaced. A store that can do so cheaply
    /// reads files of at most `whole` bytes on the way. One result for each, in order.
    fn claim(&self, claims: Vec<(String, String)>, whole: u64) -> BoxFuture<'_, Vec<Result<Claimed, Fault>>> {
        let _ = whole;
        Box::pin(async move {
            let mut results = Vec::with_capacity(claims.len());
            for (from, to) in &claims {
                let renamed = self.rename(from, to, true).await;
                results.push(renamed.map(|there| if there { Claimed::Unread } else { Claimed::Gone }));
            }
            results
        })
    }

    /// Makes several changes, each for itself: one that fails stops no other. One result for each, in order.
    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Vec<Result<bool, Fault>>> {
        Box::pin(async move {
            let mut results = Vec::with_capacity(changes.len());
            for change in &changes {
                results.push(match change {
                    Change::Rename { from, to, replace } => self.rename(from, to, *replace).await,
                    Change::Delete { path } => self.delete(path).await,
                });
            }
            results
        })
    }

    /// Shows others that this process lives: makes a file at `path` that counts as [abandoned](Self::is_abandoned) once the process is gone,
    /// however it ended, or the mark is dropped. `None` where the store cannot; that is so on servers.
    fn mark<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Mark>, Fault>> {
        let _ = path;
        Box::pin(async { Ok(None) })
    }

    /// Whether the process that made a mark is known to be gone. `false` where nobody can tell.
    fn is_abandoned<'a>(&'a self, path: &'a str) -> BoxFuture<'a, bool> {
        let _ = path;
        Box::pin(async { false })
    }

    /// How many files were put aside so far because their names are not UTF-8.
    fn unnamed(&self) -> u64 {
        0
    }

    /// What tells this folder from others: where it is, and the settings it is reached with. May hold secrets.
    fn key(&self) -> String {
        self.url()
    }

    /// Whether many changes at once cost about as much as one, so that it pays to collect them.
    fn batches(&self) -> bool {
        false
    }

    /// Removes a folder and the folders in it as far as they are empty. Stores that cannot leave them.
    fn prune<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, ()> {
        let _ = folder;
        Box::pin(async {})
    }
}
