//! A local folder as a store of files. Every operation is one job on a thread that may block, however many files it is about.

use super::alive;
use super::below::{Below, resolve};
use super::io::{self, Aside, Temporary};
use bytes::Bytes;
use engine::fault::Fault;
use engine::files::{Change, Claimed, Content, Existing, FileInfo, FileStore, Mark};
use engine::mediator::BoxFuture;
use engine::payload::Body;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncSeekExt;

/// Bytes collected before a job writes them.
const WRITE_BYTES: usize = 256 << 10;
/// Most folders that are remembered as swept.
const SWEPT_MAX: usize = 1000;
/// Where a listener puts files whose names it cannot tell.
const ASIDE: &str = ".failed";

/// A folder.
pub(super) struct LocalFolder {
    root: Arc<Path>,
    /// Set where a listener owns it: it is made where it is missing, and unnameable files are moved aside.
    aside: Option<Arc<Aside>>,
    /// Folders in which unfinished files were looked for.
    swept: Arc<Mutex<HashSet<PathBuf>>>,
}

impl LocalFolder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root: root.into(),
            aside: None,
            swept: Arc::default(),
        }
    }

    pub(super) fn listened_to(root: PathBuf) -> Self {
        Self {
            root: root.into(),
            aside: Some(Arc::new(Aside {
                folder: ASIDE,
                count: AtomicU64::new(0),
            })),
            swept: Arc::default(),
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
        let (folder, aside) = (folder.to_owned(), self.aside.clone());
        Box::pin(async move {
            self.run(move |root| {
                if aside.is_some() && !root.exists() {
                    std::fs::create_dir_all(root)
                        .map_err(|error| io::fault(error, &root.display().to_string()))?;
                }
                io::list(root, &folder, recursive, limit, aside.as_deref())
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
                let (name, swept) = (Arc::clone(&path), Arc::clone(&self.swept));
                let taken = temporary.take();
                let written = self
                    .run(move |root| {
                        if taken.is_none() {
                            sweep_once(root, &name, &swept);
                        }
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

    fn mark<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Mark>, Fault>> {
        let path = path.to_owned();
        Box::pin(async move {
            let marked = self.run(move |root| {
                alive::mark(&resolve(root, &path)?).map_err(|error| io::fault(error, &path))
            });
            Ok(marked.await??.map(|file| Box::new(file) as Mark))
        })
    }

    fn is_abandoned<'a>(&'a self, path: &'a str) -> BoxFuture<'a, bool> {
        let path = path.to_owned();
        Box::pin(async move {
            let abandoned =
                move |root: &Path| resolve(root, &path).is_ok_and(|path| alive::is_abandoned(&path));
            self.run(abandoned).await.unwrap_or(false)
        })
    }

    fn unnamed(&self) -> u64 {
        self.aside
            .as_ref()
            .map_or(0, |aside| aside.count.load(Ordering::Relaxed))
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

/// Looks for unfinished files where one is to be written, the first time.
fn sweep_once(root: &Path, path: &str, swept: &Mutex<HashSet<PathBuf>>) {
    let Ok(Some(folder)) = resolve(root, path).map(|path| path.parent().map(Path::to_owned)) else {
        return;
    };
    let new = {
        let mut swept = swept.lock();
        if swept.len() >= SWEPT_MAX {
            swept.clear();
        }
        swept.insert(folder.clone())
    };
    if new {
        alive::sweep_folder(&folder);
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
