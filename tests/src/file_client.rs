//! The foreign FTP and SFTP clients, ftplib and paramiko, as values: both scripts take the same commands.

use crate::process::Finished;
use crate::server::python;
use std::path::Path;
use tempfile::NamedTempFile;

/// A client of a file server; each call is a connection of its own. A call that fails panics with what the
/// client said, except [`FileClient::attempt`].
#[derive(Debug, Clone)]
pub struct FileClient {
    script: &'static str,
    options: Vec<String>,
}

impl FileClient {
    /// ftplib. The scheme of the URL says how: `ftp`, `ftpes` (TLS by AUTH) or `ftps` (TLS from the first
    /// byte); TLS trusts this authority alone, in a PEM file.
    pub fn ftp(url: &str, authority: Option<&Path>) -> Self {
        let authority = authority.map(|path| ["--ca".to_owned(), path.display().to_string()]);
        let mut options = vec!["--url".to_owned(), url.to_owned()];
        options.extend(authority.into_iter().flatten());
        Self {
            script: "clients/ftp.py",
            options,
        }
    }

    /// paramiko, for `sftp://USER[:PASSWORD]@HOST:PORT`, which accepts this host key (`TYPE BASE64`) alone and
    /// logs in with a key file or the password.
    pub fn sftp(url: &str, host_key: &str, key: Option<&Path>) -> Self {
        let key = key.map(|path| ["--key".to_owned(), path.display().to_string()]);
        let mut options: Vec<_> = ["--url", url, "--host-key", host_key].map(str::to_owned).into();
        options.extend(key.into_iter().flatten());
        Self {
            script: "clients/sftp.py",
            options,
        }
    }

    /// Uploads a file.
    #[track_caller]
    pub fn put(&self, remote: &str, bytes: impl AsRef<[u8]>) {
        let local = NamedTempFile::new().expect("a temporary file");
        std::fs::write(local.path(), bytes).expect("a file of the test");
        self.put_path(local.path(), remote);
    }

    /// Uploads a local file, or all files of a local folder into a remote one, over one connection.
    #[track_caller]
    pub fn put_path(&self, local: &Path, remote: &str) {
        self.run(&["put", &local.display().to_string(), remote]);
    }

    /// Downloads a file.
    #[track_caller]
    pub fn get(&self, remote: &str) -> Vec<u8> {
        let local = NamedTempFile::new().expect("a temporary file");
        self.run(&["get", remote, &local.path().display().to_string()]);
        std::fs::read(local.path()).expect("the client wrote it")
    }

    /// The names in a folder, sorted.
    #[track_caller]
    pub fn list(&self, folder: &str) -> Vec<String> {
        serde_json::from_str(&self.run(&["list", folder])).expect("the script prints a JSON list")
    }

    /// Deletes a file.
    #[track_caller]
    pub fn delete(&self, remote: &str) {
        self.run(&["delete", remote]);
    }

    /// Renames or moves a file.
    #[track_caller]
    pub fn rename(&self, from: &str, to: &str) {
        self.run(&["rename", from, to]);
    }

    /// Makes a folder.
    #[track_caller]
    pub fn make_folder(&self, folder: &str) {
        self.run(&["mkdir", folder]);
    }

    /// Runs a command of the script (`put LOCAL REMOTE`, `get REMOTE LOCAL`, `list FOLDER`, ...) that may fail.
    #[track_caller]
    pub fn attempt(&self, command: &[&str]) -> Finished {
        let options = self.options.iter().map(String::as_str);
        let arguments: Vec<_> = options.chain(command.iter().copied()).collect();
        python(self.script, &arguments)
    }

    #[track_caller]
    fn run(&self, command: &[&str]) -> String {
        self.attempt(command).expect_success().stdout
    }
}
