//! SFTP servers: OpenSSH's sshd with key login, as the world runs it, and paramiko's for passwords, which sshd
//! takes from accounts of the machine only.

use crate::file_client::FileClient;
use crate::ftp::set_order;
use crate::service::{Ready, Service, service_port};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What every SSH server says first (RFC 4253 section 4.2).
const GREETING: &[u8] = b"SSH-2.0";
/// sshd insists on this empty folder, which goes with a restart of the machine.
const SEPARATION_FOLDER: &str = "/run/sshd";
/// The account of the server that takes passwords.
const USER: &str = "mediary";
const PASSWORD: &str = "file-secret";

/// OpenSSH's sshd that serves SFTP only, by key login to the account that runs the tests. Clients start in
/// [`Sshd::root`]: relative paths are below it, absolute ones are those of the machine. Ready in 0.1 s, about
/// 8 MB (12 MB more for its supervisor).
#[derive(Debug)]
pub struct Sshd {
    service: Service,
    port: u16,
    user: String,
    folder: TempDir,
}

impl Sshd {
    /// With fresh ed25519 keys for the host and the client.
    #[track_caller]
    pub fn start_new() -> Self {
        Self::with("")
    }

    /// With further lines for its configuration file (sshd_config(5)); the first mention of an option wins,
    /// and these come first.
    #[track_caller]
    pub fn with(lines: &str) -> Self {
        let (folder, port) = (new_folder(), service_port());
        make_key(&folder.path().join("client_key"));
        let configuration = format!("{lines}\n{}", configuration(folder.path(), port));
        std::fs::write(folder.path().join("sshd_config"), configuration).expect("a file of the test");
        // sshd wants to be called by its full path.
        let command = ["sh", "-c", "exec \"$(command -v sshd)\" -D -e -f sshd_config"];
        let server = Self {
            service: Service::new(folder.path(), &command, Ready::Greets(port, GREETING)),
            port,
            user: account(),
            folder,
        };
        server.accept_client_key(true);
        server.start();
        server
    }

    /// Lets the client's key in from now on, or no more. Sessions that are logged in stay.
    #[track_caller]
    pub fn accept_client_key(&self, accept: bool) {
        let key = std::fs::read_to_string(self.folder.path().join("client_key.pub")).expect("made above");
        let path = self.folder.path().join("authorized_keys");
        std::fs::write(path, if accept { &key } else { "" }).expect("a file of the test");
    }

    /// The folder in which clients start.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The account to log in to.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The host's public key: `ssh-ed25519 BASE64`.
    pub fn host_key(&self) -> String {
        public_key(self.folder.path())
    }

    /// The host's key as a line of a `known_hosts` file.
    pub fn known_hosts_line(&self) -> String {
        format!("[127.0.0.1]:{} {}", self.port, self.host_key())
    }

    /// The file of the client's private key, in OpenSSH's format and without a passphrase.
    pub fn client_key(&self) -> PathBuf {
        self.folder.path().join("client_key")
    }

    /// A foreign client.
    pub fn client(&self) -> FileClient {
        let url = format!("sftp://{}@127.0.0.1:{}", self.user, self.port);
        FileClient::sftp(&url, &self.host_key(), Some(&self.client_key()))
    }

    /// SIGKILL to the server and its sessions.
    #[track_caller]
    pub fn kill(&self) {
        self.service.kill();
    }

    /// Starts it again on the same port, keys and files.
    #[track_caller]
    pub fn start(&self) {
        self.service.start();
    }

    /// What it logged since it was last started.
    pub fn log(&self) -> String {
        self.service.log()
    }
}

/// paramiko's SFTP server with password login. Ready in 0.3 s, about 35 MB.
#[derive(Debug)]
pub struct PySftpd {
    service: Service,
    port: u16,
    folder: TempDir,
}

impl PySftpd {
    /// With the method `password` (RFC 4252 section 8).
    #[track_caller]
    pub fn with_password() -> Self {
        Self::with(&[])
    }

    /// With the method `keyboard-interactive` (RFC 4256), which asks for the password in a dialogue.
    #[track_caller]
    pub fn with_dialogue() -> Self {
        Self::with(&["--keyboard-interactive"])
    }

    #[track_caller]
    fn with(options: &[&str]) -> Self {
        let (folder, port) = (new_folder(), service_port());
        let inside = |name: &str| folder.path().join(name).display().to_string();
        let (number, root, orders, key) = (
            port.to_string(),
            inside("files"),
            inside("orders"),
            inside("host_key"),
        );
        let mut arguments = vec!["--port", &number, "--root", &root, "--orders", &orders];
        arguments.extend(["--host-key", &key, "--user", USER, "--password", PASSWORD]);
        arguments.extend(options);
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        let ready = Ready::Greets(port, GREETING);
        let service = Service::python(folder.path(), "servers/sftp_server.py", &arguments, ready);
        service.start();
        Self {
            service,
            port,
            folder,
        }
    }

    /// Refuses every login from now on, or no more.
    #[track_caller]
    pub fn refuse_logins(&self, refuse: bool) {
        set_order(&self.folder.path().join("orders/refuse-login"), refuse);
    }

    /// The folder that clients see as `/`.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The account's name.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The account's password.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The host's public key: `ssh-ed25519 BASE64`.
    pub fn host_key(&self) -> String {
        public_key(self.folder.path())
    }

    /// A foreign client, which answers a dialogue too.
    pub fn client(&self) -> FileClient {
        let url = format!("sftp://{USER}:{PASSWORD}@127.0.0.1:{}", self.port);
        FileClient::sftp(&url, &self.host_key(), None)
    }

    /// SIGKILL to the server and its sessions.
    #[track_caller]
    pub fn kill(&self) {
        self.service.kill();
    }

    /// Starts it again on the same port, key and files.
    #[track_caller]
    pub fn start(&self) {
        self.service.start();
    }
}

/// A folder with a host key, `files` for the clients, `orders` for the test.
#[track_caller]
fn new_folder() -> TempDir {
    let folder = TempDir::with_prefix("mediary-ssh-").expect("a temporary folder");
    for name in ["files", "orders"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder of the test");
    }
    make_key(&folder.path().join("host_key"));
    folder
}

#[track_caller]
fn make_key(path: &Path) {
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path);
    let output = keygen.output().expect("ssh-keygen runs (was tests/setup run?)");
    assert!(output.status.success(), "{output:?}");
}

/// Type and key, without the comment.
fn public_key(folder: &Path) -> String {
    let line = std::fs::read_to_string(folder.join("host_key.pub")).expect("made with the folder");
    let words: Vec<_> = line.split_whitespace().take(2).collect();
    words.join(" ")
}

#[track_caller]
fn account() -> String {
    let output = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Not chrooted: sshd wants a chroot whose every parent belongs to root alone, which a temporary folder is not.
fn configuration(folder: &Path, port: u16) -> String {
    // Present after an installation, gone after a restart of the machine; sshd names it if this fails.
    let _ = std::fs::create_dir_all(SEPARATION_FOLDER);
    let folder = folder.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\n\
         AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n\
         PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         MaxStartups 1000\nMaxSessions 100\nMaxAuthTries 20\nLoginGraceTime 30\nUseDNS no\nPrintMotd no\n\
         Subsystem sftp internal-sftp\nForceCommand internal-sftp -d {folder}/files\n\
         AllowTcpForwarding no\nX11Forwarding no\nLogLevel INFO\n"
    )
}
