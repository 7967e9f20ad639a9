//! Which files make up a project: the file itself, or every YAML file below a folder. Hidden files and folders
//! are skipped, links are followed but never twice into the same folder, and everything is limited.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

/// Files of one project.
pub const FILES_MAX: usize = 2000;
/// Folders below folders.
const FOLDERS_DEEP_MAX: usize = 16;

/// What a folder holds, in the order of the names.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub definitions: Vec<PathBuf>,
    pub tests: Vec<PathBuf>,
    /// What could not be listed, and why.
    pub problems: Vec<(PathBuf, String)>,
}

/// The files of the project at a path.
pub(super) fn find(path: &Path) -> Found {
    let mut found = Found::default();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Walk {
            found: &mut found,
            seen: HashSet::new(),
        }
        .folder(path, 0),
        Ok(_) => found.definitions.push(path.to_owned()),
        Err(error) => found.problems.push((path.to_owned(), error.to_string())),
    }
    found
}

struct Walk<'a> {
    found: &'a mut Found,
    seen: HashSet<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) {
        let known = folder.canonicalize().is_ok_and(|real| !self.seen.insert(real));
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
            return self.folder(path, depth + 1);
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
