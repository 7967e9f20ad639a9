//! Where messages wait until Mediary takes them: folders, here and on servers, and queues.

use super::ledger::body;
use mediary_tests::{AmqpClient, Sshd, Vhost, Vsftpd};
use serde_json::json;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A source of messages.
pub(super) trait Source {
    /// Puts messages there.
    fn fill(&self, messages: usize, bytes: usize);
    /// The connections that the entry names, as YAML.
    fn connections(&self) -> String;
    /// The entry of a proxy, as YAML. Another variant is another configuration of the listener.
    fn entry(&self, variant: usize) -> String;
    /// How many messages are there, claimed ones included.
    fn left(&self) -> usize;
    /// How many were given up.
    fn dead(&self) -> usize;
}

/// A folder with files.
pub(super) struct Folder<'a> {
    kind: Kind<'a>,
    path: PathBuf,
    lease: &'static str,
    /// Keeps a local folder.
    _temporary: Option<TempDir>,
}

enum Kind<'a> {
    Local,
    Sftp(&'a Sshd),
    Ftp(&'a Vsftpd),
}

impl<'a> Folder<'a> {
    /// A folder of this machine.
    pub(super) fn local() -> Self {
        let temporary = TempDir::with_prefix("mediary-drill-").unwrap();
        let folder = Self::new(Kind::Local, temporary.path());
        Self {
            _temporary: Some(temporary),
            ..folder
        }
    }

    /// A folder of sshd.
    pub(super) fn sftp(server: &'a Sshd) -> Self {
        Self::new(Kind::Sftp(server), &server.root())
    }

    /// A folder of vsftpd.
    pub(super) fn ftp(server: &'a Vsftpd) -> Self {
        Self::new(Kind::Ftp(server), &server.root())
    }

    fn new(kind: Kind<'a>, root: &Path) -> Self {
        let path = root.join("in");
        std::fs::create_dir_all(&path).unwrap();
        Self {
            kind,
            path,
            lease: "30s",
            _temporary: None,
        }
    }

    /// With another lease than the usual 30 s.
    pub(super) fn lease(mut self, lease: &'static str) -> Self {
        self.lease = lease;
        self
    }

    /// The transport with its place.
    fn place(&self) -> String {
        match self.kind {
            Kind::Local => format!("file: {{ folder: \"{}\"", self.path.display()),
            Kind::Sftp(_) => "sftp: { connection: partner, folder: in".to_owned(),
            Kind::Ftp(_) => "ftp: { connection: partner, folder: in".to_owned(),
        }
    }
}

impl Source for Folder<'_> {
    fn fill(&self, messages: usize, bytes: usize) {
        // A listener may be there already: a file gets its name when it is whole.
        let fresh = self.path.join(".fresh");
        for number in 0..messages {
            std::fs::write(&fresh, body(number, bytes)).unwrap();
            std::fs::rename(&fresh, self.path.join(format!("{number:05}.txt"))).unwrap();
        }
    }

    fn connections(&self) -> String {
        match self.kind {
            Kind::Local => String::new(),
            Kind::Sftp(server) => sftp_connection(server),
            Kind::Ftp(server) => ftp_connection(server),
        }
    }

    fn entry(&self, variant: usize) -> String {
        let (place, lease, concurrency) = (self.place(), self.lease, 16 + variant);
        format!("{{ {place}, every: 100ms, lease: {lease}, concurrency: {concurrency} }} }}")
    }

    fn left(&self) -> usize {
        let owners = entries(&self.path.join(".mediary"));
        let claimed = owners.iter().map(|owner| files(&owner.join("claims")).len());
        files(&self.path).len() + claimed.sum::<usize>()
    }

    fn dead(&self) -> usize {
        files(&self.path.join(".failed")).len()
    }
}

/// The connection `partner` to sshd, as YAML.
pub(super) fn sftp_connection(server: &Sshd) -> String {
    format!(
        "connections:\n  partner: {{ sftp: {{ host: 127.0.0.1, port: {}, user: {}, key: \"{}\", host_key: \"{}\", timeout: 10s }} }}\n",
        server.port(),
        server.user(),
        server.client_key().display(),
        server.host_key()
    )
}

/// The connection `partner` to vsftpd, as YAML.
pub(super) fn ftp_connection(server: &Vsftpd) -> String {
    format!(
        "connections:\n  partner: {{ ftp: {{ host: 127.0.0.1, port: {}, user: {}, password: {}, timeout: 10s }} }}\n",
        server.port(),
        server.user(),
        server.password()
    )
}

/// The paths in a folder; none where it does not exist.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    // An entry may go while it is looked at.
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The files in a folder whose names do not begin with a dot.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = entries(folder);
    files.retain(|path| path.is_file() && !is_hidden(path));
    files
}

/// Whether a name begins with a dot.
pub(super) fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// The queue `in` of a virtual host.
pub(super) struct Queue<'a> {
    vhost: &'a Vhost,
    client: AmqpClient,
}

impl<'a> Queue<'a> {
    pub(super) fn new(vhost: &'a Vhost) -> Self {
        Self {
            vhost,
            client: vhost.client(),
        }
    }
}

/// Declares a queue as Mediary does by default.
pub(super) fn declare(client: &AmqpClient, queue: &str) {
    client.declare_with(
        queue,
        &json!({ "x-queue-type": "quorum", "x-delivery-limit": i32::MAX }),
    );
}

/// The connection `rabbit`, as YAML.
pub(super) fn amqp_connection(vhost: &Vhost) -> String {
    format!("connections:\n  rabbit: {{ amqp: \"{}\" }}\n", vhost.amqp_url())
}

impl Source for Queue<'_> {
    fn fill(&self, messages: usize, bytes: usize) {
        declare(&self.client, "in");
        let published = self.client.publish_many("in", "n", messages, bytes);
        assert_eq!(published.confirmed, messages as u64, "{published:?}");
    }

    fn connections(&self) -> String {
        amqp_connection(self.vhost)
    }

    fn entry(&self, variant: usize) -> String {
        let prefetch = 64 + variant;
        format!("{{ amqp: {{ connection: rabbit, queue: in, prefetch: {prefetch} }} }}")
    }

    fn left(&self) -> usize {
        usize::try_from(self.client.depth("in")).unwrap()
    }

    fn dead(&self) -> usize {
        match self.client.can_connect("in.dead") {
            true => usize::try_from(self.client.depth("in.dead")).unwrap(),
            false => 0,
        }
    }
}
