//! What a protocol has to be able to do. Paths have been checked before they come here, and a session that turns out to be broken is
//! replaced by the caller.

use super::failure::Failure;
use super::sessions::{Open, Sessions};
use engine::fault::Fault;
use engine::files::{Content, FileInfo};
use engine::payload::Body;
use std::sync::Arc;
use std::time::Duration;

/// A file or folder on the server: a path below a configured folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    /// The configured folder: absolute, or below the one that the login starts in.
    pub(crate) folder: &'a str,
    /// The path below it; empty for the folder itself.
    pub(crate) path: &'a str,
}

/// One entry of a folder. Its name is as the server tells it, so it is checked before it is used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A file, with its name as path.
    File(FileInfo),
    /// A folder.
    Folder(String),
}

/// How a rename is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rename {
    /// Whether an existing file is replaced.
    pub(crate) replace: bool,
    /// An earlier try may have had its effect.
    pub(crate) again: bool,
}

/// A protocol for files on servers; opening a session is the [`Open`] part of it.
pub(crate) trait Protocol: Open + Sized {
    /// Whether nothing else can be done on a session from the beginning of a download to its end.
    const READING_HOLDS_SESSION: bool;

    /// Scheme, host and port; no credentials.
    fn authority(&self) -> String;

    /// A configured folder as it stands behind the authority of a URL, with the slash before it.
    fn url_path(folder: &str) -> String;

    /// How long an operation of a few commands may take.
    fn limit(&self) -> Duration;

    /// Checks a path below a folder.
    ///
    /// # Errors
    /// `client.bad_request` for paths that lead out of it, or that the protocol cannot say.
    fn check(path: &str) -> Result<(), Fault>;

    /// A file's facts, `None` where there is no such file.
    fn find(
        session: &mut Self::Session,
        at: At<'_>,
    ) -> impl Future<Output = Result<Option<FileInfo>, Failure>> + Send;

    /// The entries of a folder, some more than `limit` at most; nothing where there is no such folder. Servers may leave out names that
    /// begin with a dot, unless asked for them with `hidden`, which not all understand.
    fn entries(
        session: &mut Self::Session,
        at: At<'_>,
        limit: usize,
        hidden: bool,
    ) -> impl Future<Output = Result<Vec<Entry>, Failure>> + Send;

    /// Renames a file; the folders on the way are made. `false` where it is gone.
    fn rename(
        session: &mut Self::Session,
        from: At<'_>,
        to: At<'_>,
        how: Rename,
    ) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Deletes a file. `false` where it is gone.
    fn delete(session: &mut Self::Session, at: At<'_>) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Removes a folder where it is empty.
    fn remove_folder(
        session: &mut Self::Session,
        at: At<'_>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Starts a download from an offset on.
    fn download(
        sessions: &Arc<Sessions<Self>>,
        at: At<'_>,
        offset: u64,
    ) -> impl Future<Output = Result<Content, Fault>> + Send;

    /// Uploads a new file, or appends to one; the folders on the way are made. The path it has then: where a new file had to be begun
    /// again its name may be another one of [`unfinished`](super::path::unfinished).
    fn upload(
        sessions: &Arc<Sessions<Self>>,
        at: At<'_>,
        body: Body,
        append: bool,
    ) -> impl Future<Output = Result<String, Fault>> + Send;
}
