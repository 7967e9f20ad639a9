//! A Mediary project for one test: an existing folder, or files written to a temporary one.

use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The name of a project's main file.
const MAIN_FILE: &str = "mediary.yaml";

/// A project folder. What a test wrote itself goes away with this value.
#[derive(Debug)]
pub struct Project {
    folder: PathBuf,
    /// Keeps the temporary folder alive; `None` for a folder that was there before.
    temporary: Option<TempDir>,
}

impl Project {
    /// A project of several files, paths relative to its folder.
    #[track_caller]
    pub fn files(files: &[(&str, &str)]) -> Self {
        // A visible name: what searches a project may skip hidden folders.
        let temporary = TempDir::with_prefix("mediary-").expect("a temporary folder");
        let project = Self {
            folder: temporary.path().to_owned(),
            temporary: Some(temporary),
        };
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    /// The project's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes or replaces a file of a temporary project. A folder that was there before the test is not
    /// edited: that would change the repository.
    #[track_caller]
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        assert!(
            self.temporary.is_some(),
            "{} is not this test's to write to",
            self.folder.display()
        );
        let path = self.folder.join(path);
        let parent = path.parent().expect("a file has a folder");
        std::fs::create_dir_all(parent).expect("folders of the project");
        // Replaced in one step, so that a watching gateway never reads half of it.
        let fresh = path.with_extension("fresh");
        std::fs::write(&fresh, text).expect("a file of the project");
        std::fs::rename(&fresh, &path).expect("the file takes its name");
    }
}

/// YAML text becomes the main file of a temporary project.
impl From<&str> for Project {
    fn from(yaml: &str) -> Self {
        Self::files(&[(MAIN_FILE, yaml)])
    }
}

/// YAML text becomes the main file of a temporary project.
impl From<String> for Project {
    fn from(yaml: String) -> Self {
        Self::from(yaml.as_str())
    }
}

/// A folder that exists is used as it is.
impl From<&Path> for Project {
    fn from(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            temporary: None,
        }
    }
}
