//! Where paths below a folder are, and that they do not lead out of it.

use super::io::fault;
use crate::files;
use engine::fault::{Fault, FaultCode};
use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder, for one job. A folder below it that was found to be inside is not looked at again by that job.
pub(super) struct Below<'r> {
    root: &'r Path,
    inside: RefCell<HashSet<PathBuf>>,
}

/// Where one path below `root` is, as [`Below::resolve`].
pub(super) fn resolve(root: &Path, path: &str) -> Result<PathBuf, Fault> {
    Below::new(root).resolve(path)
}

impl<'r> Below<'r> {
    pub(super) fn new(root: &'r Path) -> Self {
        let inside = RefCell::default();
        Self { root, inside }
    }

    pub(super) fn root(&self) -> &'r Path {
        self.root
    }

    /// Where a path is. Symbolic links on the way must not lead out, and the file itself must be none.
    pub(super) fn resolve(&self, path: &str) -> Result<PathBuf, Fault> {
        files::check(path)?;
        let full = self.root.join(path);
        if path.contains('/') {
            self.check_folder(&full, path)?;
        }
        match fs::symlink_metadata(&full) {
            Ok(metadata) if metadata.is_symlink() => Err(outside(path)),
            _ => Ok(full),
        }
    }

    fn check_folder(&self, full: &Path, path: &str) -> Result<(), Fault> {
        let known = full.parent();
        if known.is_some_and(|folder| self.inside.borrow().contains(folder)) {
            return Ok(());
        }
        let there = full
            .ancestors()
            .skip(1)
            .find(|folder| fs::symlink_metadata(folder).is_ok());
        let Some(there) = there.filter(|there| there.starts_with(self.root)) else {
            return Ok(());
        };
        let real = |folder: &Path| folder.canonicalize().map_err(|error| fault(error, path));
        if !real(there)?.starts_with(real(self.root)?) {
            return Err(outside(path));
        }
        self.inside.borrow_mut().insert(there.to_owned());
        Ok(())
    }
}

fn outside(path: &str) -> Fault {
    Fault::new(FaultCode::BadRequest, "The file's name leads out of the folder.")
        .with_detail(format!("{path:?} is or passes a symbolic link"))
}
