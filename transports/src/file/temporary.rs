//! A local file while it is written: under a name of its own, so that nobody sees half of it.

use super::io::{fault, make_folder, rename_new, resolve};
use crate::files::sweep::{Sweeps, outdated};
use crate::files::{NAME_BYTES_MAX, cut, numbered};
use engine::fault::{Fault, FaultCode};
use engine::files::Existing;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Most numbers tried for a name.
const NUMBERS_MAX: u32 = 10_000;

/// A file under a temporary name, removed unless it gets its own.
pub(super) struct Temporary {
    path: PathBuf,
    pub(super) file: File,
}

impl Temporary {
    pub(super) fn create(target: &Path) -> io::Result<Self> {
        let name = target
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let room = NAME_BYTES_MAX - id.len() - "..".len() - ".part".len();
        let path = target.with_file_name(format!(".{}.{id}.part", cut(&name, room)));
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

    /// Deletes unfinished files beside this one that are much older, once in a while. What fails is tried again then.
    pub(super) fn sweep(&self, sweeps: &Sweeps) {
        let Some(folder) = self.path.parent() else { return };
        if sweeps.due(&folder.to_string_lossy())
            && let Err(error) = self.sweep_now(folder)
        {
            tracing::debug!(folder = %folder.display(), %error, "unfinished files cannot be looked for");
        }
    }

    fn sweep_now(&self, folder: &Path) -> io::Result<()> {
        let Some(now) = milliseconds(&self.file.metadata()?) else {
            return Ok(());
        };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let unfinished = entry.file_name().to_str().is_some_and(is_unfinished);
            if !unfinished || !entry.file_type()?.is_file() {
                continue;
            }
            if milliseconds(&entry.metadata()?).is_some_and(|modified| outdated(modified, now)) {
                fs::remove_file(entry.path())?;
                tracing::info!(file = %entry.path().display(), "a file that a dead process had left unfinished was deleted");
            }
        }
        Ok(())
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

fn milliseconds(metadata: &fs::Metadata) -> Option<i64> {
    super::io::info(String::new(), metadata).modified
}

/// Whether a name is one that [`Temporary::create`] makes: `.orders.csv.` and 32 hexadecimal digits and `.part`.
fn is_unfinished(name: &str) -> bool {
    let inner = name.strip_prefix('.').and_then(|name| name.strip_suffix(".part"));
    let id = inner.and_then(|inner| inner.rsplit_once('.')).map(|(_, id)| id);
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn unfinished_files_of_the_dead_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        let (old, busy) = (format!(".old.csv.{id}.part"), format!(".busy.csv.{id}.part"));
        for (name, hours) in [(&*old, 25), (&*busy, 23), ("old.csv", 25), (".old.csv.part", 25)] {
            let file = File::create(folder.path().join(name)).unwrap();
            let modified = SystemTime::now() - Duration::from_secs(hours * 3600);
            file.set_modified(modified).unwrap();
        }
        let mut fresh = Temporary::create(&folder.path().join("new.csv")).unwrap();
        fresh.write(b"1").unwrap();
        fresh.sweep(&Sweeps::default());
        fresh.finish(folder.path(), "new.csv", Existing::Replace).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [&*busy, ".old.csv.part", "new.csv", "old.csv"]);
    }
}
