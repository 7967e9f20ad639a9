//! FTP servers: vsftpd, as the world runs it, and pyftpdlib, which fails on demand.

use crate::certificates::Certificates;
use crate::file_client::FileClient;
use crate::service::{Ready, Service, service_port};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The account of every FTP server here.
const USER: &str = "mediary";
const PASSWORD: &str = "file-secret";
/// What every FTP server says first (RFC 959 section 4.2).
const GREETING: &[u8] = b"220";

/// For the log of commands to arrive.
const COMMANDS_LIMIT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How an FTP server protects its connections.
#[derive(Debug, Clone, Copy)]
pub enum FtpTls<'a> {
    /// Not at all.
    None,
    /// By `AUTH TLS` (RFC 4217); who does not ask for it stays in the clear.
    Explicit(&'a Certificates),
    /// From the first byte.
    Implicit(&'a Certificates),
}

impl FtpTls<'_> {
    /// Writes the certificates to the folder.
    fn write_to(self, folder: &Path) {
        if let Self::Explicit(certificates) | Self::Implicit(certificates) = self {
            certificates.write_to(folder);
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::None => "ftp",
            Self::Explicit(_) => "ftpes",
            Self::Implicit(_) => "ftps",
        }
    }

    fn ready(self, port: u16) -> Ready {
        match self {
            Self::Implicit(_) => Ready::Listens(port),
            _ => Ready::Greets(port, GREETING),
        }
    }
}

/// What both servers have in common: a place, files, an account.
#[derive(Debug)]
struct Site {
    service: Service,
    scheme: &'static str,
    port: u16,
    folder: TempDir,
}

impl Site {
    /// The files lie in `files`, everything else of the server beside it.
    fn folder() -> TempDir {
        let folder = TempDir::with_prefix("mediary-ftp-").expect("a temporary folder");
        for name in ["files", "orders", "empty"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder of the test");
        }
        folder
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    fn client(&self, scheme: &str, password: &str) -> FileClient {
        let url = format!("{scheme}://{USER}:{password}@127.0.0.1:{}", self.port);
        let authority = self.folder.path().join("authority.pem");
        FileClient::ftp(&url, authority.exists().then_some(authority.as_path()))
    }
}

/// The methods of a server that is a [`Site`].
macro_rules! site {
    () => {
        /// The folder that clients see as `/`.
        pub fn root(&self) -> PathBuf {
            self.site.root()
        }

        /// The control port on 127.0.0.1.
        pub fn port(&self) -> u16 {
            self.site.port
        }

        /// The account's name.
        pub fn user(&self) -> &'static str {
            USER
        }

        /// The account's password, as it is at the start.
        pub fn password(&self) -> &'static str {
            PASSWORD
        }

        /// A foreign client that uses TLS the way the server wants it.
        pub fn client(&self) -> FileClient {
            self.site.client(self.site.scheme, PASSWORD)
        }

        /// A foreign client in the clear, with any password.
        pub fn plain_client(&self, password: &str) -> FileClient {
            self.site.client("ftp", password)
        }

        /// SIGKILL to the server and its sessions.
        #[track_caller]
        pub fn kill(&self) {
            self.site.service.kill();
        }

        /// Starts it again on the same port and files.
        #[track_caller]
        pub fn start(&self) {
            self.site.service.start();
        }

        /// What it wrote to its outputs since it was last started.
        pub fn log(&self) -> String {
            self.site.service.log()
        }
    };
}

/// vsftpd with one local account. Needs root, as every vsftpd that changes users does, and the PAM service that
/// `tests/setup` installs. Ready in 0.1 s, about 8 MB (12 MB more for its supervisor).
#[derive(Debug)]
pub struct Vsftpd {
    site: Site,
}

impl Vsftpd {
    /// Without TLS.
    #[track_caller]
    pub fn plain() -> Self {
        Self::with(FtpTls::None, "")
    }

    /// With TLS for those who ask for it. As by default, data connections have to take up the TLS session of the
    /// control connection; `require_ssl_reuse=NO` in [`Vsftpd::with`] turns that off.
    #[track_caller]
    pub fn explicit_tls(certificates: &Certificates) -> Self {
        Self::with(FtpTls::Explicit(certificates), "")
    }

    /// With TLS from the first byte.
    #[track_caller]
    pub fn implicit_tls(certificates: &Certificates) -> Self {
        Self::with(FtpTls::Implicit(certificates), "")
    }

    /// With further lines for its configuration file (vsftpd.conf(5)), which win.
    #[track_caller]
    pub fn with(tls: FtpTls<'_>, lines: &str) -> Self {
        let (folder, port) = (Site::folder(), service_port());
        tls.write_to(folder.path());
        let configuration = configuration(folder.path(), port, tls) + lines + "\n";
        std::fs::write(folder.path().join("vsftpd.conf"), configuration).expect("a file of the test");
        // vsftpd closes every descriptor that its limit allows, one by one, for each session.
        let command = ["prlimit", "--nofile=1024", "vsftpd", "./vsftpd.conf"];
        let site = Site {
            service: Service::new(folder.path(), &command, tls.ready(port)),
            scheme: tls.scheme(),
            port,
            folder,
        };
        let server = Self { site };
        server.set_password(PASSWORD);
        server.start();
        server
    }

    /// Gives the account another password. Sessions that are logged in stay.
    #[track_caller]
    pub fn set_password(&self, password: &str) {
        let mut openssl = Command::new("openssl");
        let output = openssl
            .args(["passwd", "-6", password])
            .output()
            .expect("openssl runs");
        assert!(output.status.success(), "{output:?}");
        let hash = String::from_utf8(output.stdout).expect("a hash is ASCII");
        let path = self.site.folder.path().join("vsftpd.passwd");
        std::fs::write(path, format!("{USER}:{hash}")).expect("a file of the test");
    }

    site!();
}

/// Every name that PAM knows is a guest with root's rights in the folder of the test: the test's own files can
/// be moved and deleted, whoever wrote them.
fn configuration(folder: &Path, port: u16, tls: FtpTls<'_>) -> String {
    let folder = folder.display();
    let mut text = format!(
        "listen=YES\nlisten_ipv6=NO\nbackground=NO\nlisten_address=127.0.0.1\nlisten_port={port}\n\
         anonymous_enable=NO\nlocal_enable=YES\nguest_enable=YES\nguest_username=root\n\
         virtual_use_local_privs=YES\npam_service_name=mediary-tests\n\
         local_root={folder}/files\nchroot_local_user=YES\nallow_writeable_chroot=YES\n\
         secure_chroot_dir={folder}/empty\nnopriv_user=nobody\nseccomp_sandbox=NO\n\
         write_enable=YES\nlocal_umask=022\nfile_open_mode=0644\n\
         delay_failed_login=0\ndelay_successful_login=0\n"
    );
    if !matches!(tls, FtpTls::None) {
        text += &format!(
            "ssl_enable=YES\nrsa_cert_file={folder}/server.pem\nrsa_private_key_file={folder}/server.key\n\
             force_local_logins_ssl=NO\nforce_local_data_ssl=NO\nssl_ciphers=HIGH\n"
        );
    }
    if matches!(tls, FtpTls::Implicit(_)) {
        text += "implicit_ssl=YES\n";
    }
    text
}

/// pyftpdlib: a server with MLSD that fails on demand and tells what it was asked. Ready in 0.2 s, about 30 MB.
#[derive(Debug)]
pub struct PyFtpd {
    site: Site,
}

impl PyFtpd {
    /// Without TLS.
    #[track_caller]
    pub fn plain() -> Self {
        Self::with(FtpTls::None)
    }

    /// With or without TLS.
    #[track_caller]
    pub fn with(tls: FtpTls<'_>) -> Self {
        let (folder, port) = (Site::folder(), service_port());
        tls.write_to(folder.path());
        let arguments = script_arguments(folder.path(), port, tls);
        let site = Site {
            service: Service::python(
                folder.path(),
                "servers/ftp_server.py",
                &arguments,
                tls.ready(port),
            ),
            scheme: tls.scheme(),
            port,
            folder,
        };
        let server = Self { site };
        server.start();
        server
    }

    /// Refuses every login from now on, or no more. A test that wants it from the start says so before its
    /// gateway runs.
    #[track_caller]
    pub fn refuse_logins(&self, refuse: bool) {
        set_order(&self.site.folder.path().join("orders/refuse-login"), refuse);
    }

    /// Adds these lines to every listing for machines (MLSD), whether they are true or not.
    #[track_caller]
    pub fn add_to_listings(&self, lines: &str) {
        std::fs::write(self.site.folder.path().join("orders/listing"), lines).expect("a file of the test");
    }

    /// Resets the first data connection that carries this many bytes, once it has; one time only.
    #[track_caller]
    pub fn break_next_transfer_after(&self, bytes: u64) {
        let orders = self.site.folder.path().join("orders");
        // Renamed into place, so that the server never reads half of it.
        std::fs::write(orders.join("fresh"), bytes.to_string()).expect("a file of the test");
        std::fs::rename(orders.join("fresh"), orders.join("break-after")).expect("a file of the test");
    }

    /// Breaks the connection of the next upload before it is answered, and keeps the command.
    #[track_caller]
    pub fn hold_next_store(&self) {
        set_order(&self.site.folder.path().join("orders/hold-store"), true);
    }

    /// Carries it out after all, as a session does that outlives its connection: it empties the file. Told as the command `late STOR`.
    #[track_caller]
    pub fn carry_out_held_store(&self) {
        set_order(&self.site.folder.path().join("orders/held-store"), false);
    }

    /// What clients asked for since the last start, in order: the number of the control connection, from 1, and
    /// `connected` or a command with its argument (never a password). Waits up to 10 s until the list satisfies
    /// the condition, because what the server writes takes a moment to arrive, and returns it either way.
    pub fn commands_until(&self, enough: impl Fn(&[(u64, String)]) -> bool) -> Vec<(u64, String)> {
        let deadline = Instant::now() + COMMANDS_LIMIT;
        loop {
            let commands = numbered_commands(&self.site.service.stdout());
            if enough(&commands) || Instant::now() > deadline {
                return commands;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.site.service.is_running()
    }

    site!();
}

/// The lines that `servers/ftp_server.py` prints.
fn numbered_commands(text: &str) -> Vec<(u64, String)> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let numbered = lines.filter_map(|(number, command)| Some((number.parse().ok()?, command.to_owned())));
    // The first connection asked whether the server is ready.
    let asked = numbered.filter(|(number, _)| *number > 1);
    asked
        .map(|(number, command): (u64, _)| (number - 1, command))
        .collect()
}

fn script_arguments(folder: &Path, port: u16, tls: FtpTls<'_>) -> Vec<String> {
    let inside = |name: &str| folder.join(name).display().to_string();
    let (port, root, orders) = (port.to_string(), inside("files"), inside("orders"));
    let mut arguments = vec!["--port", &port, "--root", &root, "--orders", &orders];
    arguments.extend(["--user", USER, "--password", PASSWORD]);
    let (certificate, key) = (inside("server.pem"), inside("server.key"));
    let kind = match tls {
        FtpTls::None => None,
        FtpTls::Explicit(_) => Some("explicit"),
        FtpTls::Implicit(_) => Some("implicit"),
    };
    if let Some(kind) = kind {
        arguments.extend(["--tls", kind, "--certificate", &certificate, "--key", &key]);
    }
    arguments.into_iter().map(str::to_owned).collect()
}

/// Makes or removes a file that stands for an order.
#[track_caller]
pub(crate) fn set_order(path: &Path, wanted: bool) {
    if wanted {
        std::fs::write(path, "").expect("a file of the test");
    } else if path.exists() {
        std::fs::remove_file(path).expect("a file of the test");
    }
}
