//! A local folder as a store of files. Every operation is one job on a thread that may block, however many files it is about.

use super::below::{Below, resolve};
use super::io::{self, Temporary};
use bytes::Bytes;
use engine::fault::Fault;
use engine::files::{Change, Claimed, Content, Existing, FileInfo, FileStore};
use engine::mediator::BoxFuture;
use engine::payload::Body;
use http_body_util::BodyExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncSeekExt;

/// Bytes collected before a job writes them.
const WRITE_BYTES: usize = 256 << 10;
/// Where a listener puts files whose names it cannot tell.
const ASIDE: &str = ".failed";

/// A folder.
pub(super) struct LocalFolder {
    root: Arc<Path>,
    /// Whether a listener owns it: it is made where it is missing, and unnameable files are moved aside.
    listened_to: bool,
}

impl LocalFolder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root: root.into(),
            listened_to: false,
        }
    }

    pub(super) fn listened_to(root: PathBuf) -> Self {
        Self {
            root: root.into(),
            listened_to: true,
        }
    }

    /// Runs a job on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let root = Arc::clone(&self.root);
        let running = tokio::task::spawn_blocking(move || job(&root));
        running.await.map_err(|error| Fault::internal(error.to_string()))
    }
}

impl FileStore for LocalFolder {
    fn url(&self) -> String {
        format!("file://{}", self.root.display())
    }

    fn list<'a>(
        &'a self,
        folder: &'a str,
        recursive: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FileInfo>, Fault>> {
        let (folder, listened_to) = (folder.to_owned(), self.listened_to);
        Box::pin(async move {
            self.run(move |root| {
                if listened_to && !root.exists() {
                    std::fs::create_dir_all(root)
                        .map_err(|error| io::fault(error, &root.display().to_string()))?;
                }
                let aside = listened_to.then_some(ASIDE);
                io::list(root, &folder, recursive, limit, aside)
            })
            .await?
        })
    }

    fn info<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<FileInfo>, Fault>> {
        let path = path.to_owned();
        Box::pin(async move {
            self.run(move |root| {
                let full = resolve(root, &path)?;
                match std::fs::symlink_metadata(full) {
                    Ok(metadata) if metadata.is_file() => Ok(Some(io::info(path, &metadata))),
                    Ok(_) => Ok(None),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(io::fault(error, &path)),
                }
            })
            .await?
        })
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64) -> BoxFuture<'a, Result<Content, Fault>> {
        let path = path.to_owned();
        Box::pin(async move {
            let open = move |root: &Path| io::open(root, &path);
            let mut file = tokio::fs::File::from_std(self.run(open).await??);
            if offset > 0 {
                let sought = file.seek(std::io::SeekFrom::Start(offset)).await;
                sought.map_err(|error| io::fault(error, "seek"))?;
            }
            let content: Content = Box::pin(file);
            Ok(content)
        })
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        mut body: Body,
        existing: Existing,
    ) -> BoxFuture<'a, Result<String, Fault>> {
        let path: Arc<str> = path.into();
        Box::pin(async move {
            let mut temporary: Option<Temporary> = None;
            loop {
                let (bytes, end) = collect(&mut body).await?;
                let name = Arc::clone(&path);
                let taken = temporary.take();
                let written = self
                    .run(move |root| {
                        let temporary = write_more(root, &name, taken, &bytes)?;
                        match end {
                            true => temporary.finish(root, &name, existing).map(Written::Done),
                            false => Ok(Written::More(temporary)),
                        }
                    })
                    .await?;
                match written? {
                    Written::Done(path) => return Ok(path),
                    Written::More(more) => temporary = Some(more),
                }
            }
        })
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str, replace: bool) -> BoxFuture<'a, Result<bool, Fault>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::pin(async move {
            self.run(move |root| io::rename(&Below::new(root), &from, &to, replace))
                .await?
        })
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<bool, Fault>> {
        let path = path.to_owned();
        Box::pin(async move { self.run(move |root| io::delete(&Below::new(root), &path)).await? })
    }

    fn claim(&self, claims: Vec<(String, String)>, whole: u64) -> BoxFuture<'_, Vec<Result<Claimed, Fault>>> {
        Box::pin(async move {
            let count = claims.len();
            let claim = move |root: &Path| -> Vec<_> {
                let below = Below::new(root);
                let one = |(from, to): &(String, String)| io::claim(&below, from, to, whole);
                claims.iter().map(one).collect()
            };
            let done = self.run(claim).await;
            done.unwrap_or_else(|fault| (0..count).map(|_| Err(fault.again())).collect())
        })
    }

    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Vec<Result<bool, Fault>>> {
        Box::pin(async move {
            let count = changes.len();
            let apply = move |root: &Path| -> Vec<_> {
                let below = Below::new(root);
                changes.iter().map(|change| io::change(&below, change)).collect()
            };
            let done = self.run(apply).await;
            done.unwrap_or_else(|fault| (0..count).map(|_| Err(fault.again())).collect())
        })
    }

    fn batches(&self) -> bool {
        true
    }

    fn prune<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, ()> {
        let folder = folder.to_owned();
        Box::pin(async move {
            let prune = move |root: &Path| resolve(root, &folder).map(|folder| io::prune(&folder));
            // What cannot be removed stays.
            let _ = self.run(prune).await;
        })
    }
}

enum Written {
    Done(String),
    More(Temporary),
}

fn write_more(
    root: &Path,
    path: &str,
    temporary: Option<Temporary>,
    bytes: &[Bytes],
) -> Result<Temporary, Fault> {
    let failed = |error| io::fault(error, path);
    let mut temporary = match temporary {
        Some(temporary) => temporary,
        None => Temporary::create(&resolve(root, path)?).map_err(failed)?,
    };
    for part in bytes {
        temporary.write(part).map_err(failed)?;
    }
    Ok(temporary)
}

/// The next part of a body, and whether it is the last one.
async fn collect(body: &mut Body) -> Result<(Vec<Bytes>, bool), Fault> {
    let (mut parts, mut length) = (Vec::new(), 0);
    while length < WRITE_BYTES {
        let Some(frame) = body.frame().await else {
            return Ok((parts, true));
        };
        if let Ok(bytes) = frame?.into_data() {
            length += bytes.len();
            parts.push(bytes);
        }
    }
    Ok((parts, false))
}
