//! Which files make up a project: the file itself, or every YAML file below a folder. Hidden files and folders
//! are skipped, links are followed but never twice into the same folder, and everything is limited.
//!
//! Folders called `data` are skipped too: that is where a gateway keeps what it receives, and nobody who can hand in a
//! file may configure it.

use std::collections::HashSet;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The name of folders in which nothing is a definition.
pub(crate) const DATA: &str = "data";
/// Files of one project.
pub const FILES_MAX: usize = 2000;
/// Folders below folders.
const FOLDERS_DEEP_MAX: usize = 16;

/// What a folder holds, in the order of the names.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub definitions: Vec<PathBuf>,
    pub tests: Vec<PathBuf>,
    /// The real paths of the folders that were looked through.
    pub folders: HashSet<PathBuf>,
    /// What could not be listed, and why.
    pub problems: Vec<(PathBuf, String)>,
}

/// The files of the project at a path.
pub(super) fn find(path: &Path) -> Found {
    let mut found = Found::default();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Walk { found: &mut found }.folder(path, 0),
        Ok(_) => found.definitions.push(path.to_owned()),
        Err(error) => found.problems.push((path.to_owned(), error.to_string())),
    }
    found
}

struct Walk<'a> {
    found: &'a mut Found,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) {
        let known = folder
            .canonicalize()
            .is_ok_and(|real| !self.found.folders.insert(real));
        if known || depth > FOLDERS_DEEP_MAX {
            return;
        }
        match sorted(folder) {
            Ok(paths) => paths.iter().for_each(|path| self.path(path, depth)),
            Err(error) => self.found.problems.push((folder.to_owned(), error.to_string())),
        }
    }

    fn path(&mut self, path: &Path, depth: usize) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            return;
        }
        if path.is_dir() {
            if !is_skipped(&name) {
                self.folder(path, depth + 1);
            }
            return;
        }
        let Some(stem) = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")) else {
            return;
        };
        let list = if stem.ends_with(".test") {
            &mut self.found.tests
        } else {
            &mut self.found.definitions
        };
        if list.len() < FILES_MAX {
            list.push(path.to_owned());
        } else if list.len() == FILES_MAX {
            self.found.problems.push((
                path.to_owned(),
                format!("the project has more than {FILES_MAX} files"),
            ));
        }
    }
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|it| it.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Whether a folder of this name is not looked through.
fn is_skipped(name: &str) -> bool {
    name.starts_with('.') || name == DATA
}

/// Whether a path below the folder of a project lies in one of those in which nothing is a definition.
#[must_use]
pub fn is_in_data(below: &Path) -> bool {
    below.components().any(|part| part.as_os_str() == DATA)
}

/// Whether a file that is written to a folder, or to one below it, may be read as a definition by a project whose files lie in `folders`.
pub(super) fn is_read(folders: &HashSet<PathBuf>, folder: &Path) -> bool {
    let real = one_spelling(folder);
    if folders.iter().any(|read| read.starts_with(&real)) {
        return true;
    }
    let Some(above) = real.ancestors().find(|above| folders.contains(*above)) else {
        return false;
    };
    let below = real.strip_prefix(above).unwrap_or(&real);
    let skipped = |part: Component<'_>| is_skipped(&part.as_os_str().to_string_lossy());
    !below.components().any(skipped)
}

/// One path for one file or folder, however it was written, and whether its folder is there yet or not.
pub(crate) fn one_spelling(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path
        .ancestors()
        .find_map(|folder| Some((folder.canonicalize().ok()?, path.strip_prefix(folder).ok()?)));
    let Some((mut spelled, rest)) = there else {
        return path;
    };
    // What is not there yet has no links in it.
    for part in rest.components() {
        match part {
            Component::ParentDir => drop(spelled.pop()),
            part => spelled.push(part),
        }
    }
    spelled
}
