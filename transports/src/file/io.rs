//! What local folders do with the disk, on threads that may block: resolving paths, renaming, writing.

use super::alive;
use super::below::{Below, resolve};
use crate::files::{NAME_BYTES_MAX, cut, numbered};
use engine::fault::{Fault, FaultCode};
use engine::files::{Change, Claimed, Existing, FileInfo};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

/// Most numbers tried for a name.
const NUMBERS_MAX: u32 = 10_000;

/// The fault for an error of the disk.
pub(super) fn fault(error: io::Error, what: &str) -> Fault {
    let (code, message) = match error.kind() {
        ErrorKind::NotFound => (FaultCode::NotFound, "There is no such file."),
        ErrorKind::AlreadyExists => (FaultCode::Conflict, "The file exists."),
        ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::DirectoryNotEmpty => (
            FaultCode::Conflict,
            "A folder is in the way of the file, or a file in that of a folder.",
        ),
        ErrorKind::InvalidFilename | ErrorKind::InvalidInput => {
            (FaultCode::BadRequest, "The file's name is not possible.")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (FaultCode::Store, "There is no space for the file.")
        }
        _ => (FaultCode::Store, "The file cannot be accessed."),
    };
    Fault::new(code, message)
        .with_detail(what.escape_debug().to_string())
        .with_source(error)
}

/// Where files go that cannot be named, and how many did.
pub(super) struct Aside {
    pub(super) folder: &'static str,
    pub(super) count: AtomicU64,
}

/// The files of a folder. Symbolic links and hidden folders are left out.
pub(super) fn list(
    root: &Path,
    folder: &str,
    recursive: bool,
    limit: usize,
    aside: Option<&Aside>,
) -> Result<Vec<FileInfo>, Fault> {
    let mut files = Vec::new();
    let mut folders = vec![folder.trim_matches('/').to_owned()];
    while let Some(folder) = folders.pop() {
        let below = if folder.is_empty() {
            root.to_owned()
        } else {
            resolve(root, &folder)?
        };
        let entries = match fs::read_dir(&below) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound && !folder.is_empty() => continue,
            Err(error) => return Err(fault(error, &below.display().to_string())),
        };
        for entry in entries {
            if files.len() >= limit {
                return Ok(files);
            }
            let Ok(entry) = entry else { continue };
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                unnamed(root, &entry.path(), aside);
                continue;
            };
            if alive::is_unfinished(name) {
                if aside.is_some() {
                    alive::sweep(&entry.path(), name);
                }
                continue;
            }
            let path = if folder.is_empty() {
                name.to_owned()
            } else {
                format!("{folder}/{name}")
            };
            match entry.file_type() {
                Ok(kind) if kind.is_file() => {
                    files.extend(entry.metadata().ok().map(|metadata| info(path, &metadata)));
                }
                Ok(kind) if kind.is_dir() && recursive && !name.starts_with('.') => folders.push(path),
                _ => {}
            }
        }
    }
    Ok(files)
}

/// A name that is no UTF-8 cannot be told to anybody: the file is moved aside where that is wanted.
fn unnamed(root: &Path, file: &Path, aside: Option<&Aside>) {
    tracing::warn!(file = %file.display(), "a file's name is not UTF-8: it is not delivered");
    let Some(aside) = aside else { return };
    let lossy = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let folder = root.join(aside.folder);
    let to = folder.join(numbered(
        cut(&lossy, NAME_BYTES_MAX),
        &uuid::Uuid::now_v7().simple().to_string(),
    ));
    match fs::create_dir_all(&folder).and_then(|()| fs::rename(file, &to)) {
        Ok(()) => {
            aside.count.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => tracing::warn!(file = %file.display(), %error, "it cannot be moved aside"),
    }
}

pub(super) fn info(path: String, metadata: &fs::Metadata) -> FileInfo {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    FileInfo {
        path,
        size: metadata.len(),
        modified: modified.and_then(|since| i64::try_from(since.as_millis()).ok()),
    }
}

/// Renames; `false` where `from` is gone.
pub(super) fn rename(below: &Below<'_>, from: &str, to: &str, replace: bool) -> Result<bool, Fault> {
    let (source, target) = (below.resolve(from)?, below.resolve(to)?);
    let once = || {
        if replace {
            fs::rename(&source, &target)
        } else {
            rename_new(&source, &target)
        }
    };
    let renamed = match once() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if fs::symlink_metadata(&source).is_err() {
                return Ok(false);
            }
            make_folder(&target).and_then(|()| once())
        }
        other => other,
    };
    match renamed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(fault(error, to)),
    }
}

fn make_folder(target: &Path) -> io::Result<()> {
    target.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Renames without replacing: a second name is made, which fails where it exists, then the first one removed.
fn rename_new(source: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(source, target) {
        Ok(()) => fs::remove_file(source),
        // File systems without links.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            if fs::symlink_metadata(target).is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            fs::rename(source, target)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn delete(below: &Below<'_>, path: &str) -> Result<bool, Fault> {
    match fs::remove_file(below.resolve(path)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(fault(error, path)),
    }
}

pub(super) fn change(below: &Below<'_>, change: &Change) -> Result<bool, Fault> {
    match change {
        Change::Rename { from, to, replace } => rename(below, from, to, *replace),
        Change::Delete { path } => delete(below, path),
    }
}

/// Claims a file and reads it where it is small.
pub(super) fn claim(below: &Below<'_>, from: &str, to: &str, whole: u64) -> Result<Claimed, Fault> {
    if !rename(below, from, to, true)? {
        return Ok(Claimed::Gone);
    }
    // From here on the file is claimed: what cannot be read now is read later.
    let read = || -> io::Result<Option<Vec<u8>>> {
        let file = File::open(below.root().join(to))?;
        let size = file.metadata()?.len();
        if size > whole {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        file.take(whole + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= whole).then_some(bytes))
    };
    Ok(match read() {
        Ok(Some(bytes)) => Claimed::Whole(bytes.into()),
        _ => Claimed::Unread,
    })
}

/// Opens a file to read it. What is no file, such as a folder, is not there; a pipe would wait for ever for its writer.
pub(super) fn open(root: &Path, path: &str) -> Result<File, Fault> {
    let failed = |error| fault(error, path);
    let full = resolve(root, path)?;
    if !fs::symlink_metadata(&full).map_err(failed)?.is_file() {
        return Err(failed(ErrorKind::NotFound.into()));
    }
    File::open(full).map_err(failed)
}

/// Removes empty folders.
pub(super) fn prune(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            prune(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

/// A file under a temporary name, removed unless it gets its own.
pub(super) struct Temporary {
    path: PathBuf,
    pub(super) file: File,
}

impl Temporary {
    pub(super) fn create(target: &Path) -> io::Result<Self> {
        let path = target.with_file_name(alive::unfinished());
        let create = || {
            File::options()
                .write(true)
                .read(true)
                .create_new(true)
                .open(&path)
        };
        let file = match create() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_folder(target)?;
                create()?
            }
            other => other?,
        };
        // Held while the file is written: a writer that is gone holds it no more. Where there are no locks age has to tell.
        let _ = file.try_lock();
        Ok(Self { path, file })
    }

    /// Gives the file its name, once its content is on the disk. Returns the path it got.
    pub(super) fn finish(mut self, root: &Path, path: &str, existing: Existing) -> Result<String, Fault> {
        let target = resolve(root, path)?;
        let failed = |error: io::Error| fault(error, path);
        if existing == Existing::Append {
            self.append(&target).map_err(failed)?;
            sync_folder(&target).map_err(failed)?;
            return Ok(path.to_owned());
        }
        self.file.sync_all().map_err(failed)?;
        let path = match existing {
            Existing::Replace => fs::rename(&self.path, &target)
                .map(|()| path.to_owned())
                .map_err(failed)?,
            Existing::Number => self.number(root, path)?,
            Existing::Refuse | Existing::Append => rename_new(&self.path, &target)
                .map(|()| path.to_owned())
                .map_err(failed)?,
        };
        sync_folder(&target).map_err(failed)?;
        Ok(path)
    }

    fn number(&self, root: &Path, path: &str) -> Result<String, Fault> {
        for number in 0..NUMBERS_MAX {
            let name = if number == 0 {
                path.to_owned()
            } else {
                numbered(path, &number.to_string())
            };
            match rename_new(&self.path, &resolve(root, &name)?) {
                Ok(()) => return Ok(name),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fault(error, path)),
            }
        }
        Err(Fault::new(
            FaultCode::Conflict,
            "Every number for the file's name is used.",
        ))
    }

    /// Copies the content to the end of the target. What could not be written in full is taken away again.
    fn append(&mut self, target: &Path) -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(target)?;
        file.lock()?;
        let before = file.metadata()?.len();
        self.file.seek(SeekFrom::Start(0))?;
        let written = io::copy(&mut self.file, &mut file).and_then(|_| file.sync_all());
        if written.is_err() {
            file.set_len(before)?;
        }
        written
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }
}

/// A new name is on the disk once its folder is.
fn sync_folder(target: &Path) -> io::Result<()> {
    match target.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
