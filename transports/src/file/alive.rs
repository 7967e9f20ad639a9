//! Whether a process on this machine still lives: it holds a lock on a file of its own, which the system releases however it ends. Locks
//! are believed only where the file says that it was made on this machine, since this start of it: on a shared file system they may
//! not be seen by others.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// Most bytes of a mark.
const MARK_BYTES_MAX: u64 = 100;
/// How old an unfinished file of another machine has to be until it is removed.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// What the names of unfinished files begin and end with, here and on servers.
const UNFINISHED: (&str, &str) = (".mediary-", ".part");

/// This machine and its start, where the system tells (Linux, random(4)).
static MACHINE: LazyLock<Option<String>> = LazyLock::new(|| {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
});

/// Makes a mark at `path`: others see that we live as long as the file is held. `None` where they could not.
pub(super) fn mark(path: &Path) -> io::Result<Option<File>> {
    let Some(machine) = &*MACHINE else {
        return Ok(None);
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // It is locked before anybody sees it.
    let hidden = path.with_extension("new");
    let mut file = File::create(&hidden)?;
    file.write_all(machine.as_bytes())?;
    if file.try_lock().is_err() {
        fs::remove_file(&hidden)?;
        return Ok(None);
    }
    fs::rename(&hidden, path)?;
    Ok(Some(file))
}

/// Whether a mark was made on this machine by a process that is gone.
pub(super) fn is_abandoned(path: &Path) -> bool {
    let Some(machine) = &*MACHINE else { return false };
    let Ok(file) = File::open(path) else { return false };
    let mut text = String::new();
    let read = (&file).take(MARK_BYTES_MAX).read_to_string(&mut text);
    read.is_ok() && text == *machine && file.try_lock_shared().is_ok()
}

/// A name for an unfinished file, which tells the machine.
pub(super) fn unfinished() -> String {
    let id = uuid::Uuid::new_v4().simple();
    let (start, end) = UNFINISHED;
    format!("{start}{}{id}{end}", machine_mark())
}

/// Whether a name is one of an unfinished file, of this transport or of those for servers.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1)
}

fn machine_mark() -> String {
    let machine = MACHINE.as_deref().and_then(|id| id.get(..8));
    machine.map_or_else(String::new, |id| format!("{id}-"))
}

/// Removes an unfinished file whose writer is gone.
pub(super) fn sweep(path: &Path, name: &str) {
    let mark = machine_mark();
    let ours = !mark.is_empty() && name[UNFINISHED.0.len()..].starts_with(&mark);
    if (ours || is_stale(path)) && File::open(path).is_ok_and(|file| file.try_lock_shared().is_ok()) {
        let removed = fs::remove_file(path);
        tracing::info!(file = %path.display(), done = removed.is_ok(), "removed an unfinished file of a writer that is gone");
    }
}

fn is_stale(path: &Path) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age >= STALE))
}

/// Removes the unfinished files of a folder whose writers are gone.
pub(super) fn sweep_folder(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Some(name) = entry.file_name().to_str().filter(|name| is_unfinished(name)) {
            sweep(&entry.path(), name);
        }
    }
}
