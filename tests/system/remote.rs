//! Files on FTP and SFTP servers: picked up from real servers with foreign clients at the other end, and written so that they appear whole.

mod crowds;
mod logins;
mod names;
mod outages;
mod steps;
mod transfers;

use mediary_tests::{
    Backend, Certificates, FileClient, Gateway, PyFtpd, PySftpd, Reply, Sshd, Vsftpd, eventually_within, get,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// For anything to happen. Generous, because tests run side by side.
const WAIT: Duration = Duration::from_secs(30);

/// A server as a gateway, a foreign client and the test see it.
struct Site {
    /// `ftp` or `sftp`.
    kind: &'static str,
    /// The settings of the connection.
    connection: String,
    client: FileClient,
    root: PathBuf,
}

impl Site {
    fn vsftpd(server: &Vsftpd, more: &str) -> Self {
        Self {
            kind: "ftp",
            connection: login(server.port(), server.user(), server.password()) + more,
            client: server.client(),
            root: server.root(),
        }
    }

    fn py_ftpd(server: &PyFtpd, more: &str) -> Self {
        Self {
            kind: "ftp",
            connection: login(server.port(), server.user(), server.password()) + more,
            client: server.client(),
            root: server.root(),
        }
    }

    fn sshd(server: &Sshd) -> Self {
        Self::sshd_with(server, &format!("host_key: \"{}\"", server.host_key()))
    }

    /// With other settings to tell the host by.
    fn sshd_with(server: &Sshd, host: &str) -> Self {
        let (port, user, key) = (server.port(), server.user(), server.client_key());
        Self {
            kind: "sftp",
            connection: format!("port: {port}, user: {user}, key: \"{}\", {host}", key.display()),
            client: server.client(),
            root: server.root(),
        }
    }

    fn py_sftpd(server: &PySftpd) -> Self {
        let login = login(server.port(), server.user(), server.password());
        Self {
            kind: "sftp",
            connection: format!("{login}, host_key: \"{}\"", server.host_key()),
            client: server.client(),
            root: server.root(),
        }
    }

    /// A proxy from `in` to a backend and one from HTTP to `out`.
    fn project(&self, backend: &Backend) -> String {
        self.project_with(
            &backend.url(),
            "pattern: \"*.csv\", every: 100ms",
            "existing: replace",
        )
    }

    /// The same with settings of the listener and the endpoint.
    fn project_with(&self, backend: &str, listener: &str, endpoint: &str) -> String {
        let Self { kind, connection, .. } = self;
        format!(
            "settings: {{ listeners: {{ http: {{ port: 0 }} }}, management: {{ port: 0 }}, limits: {{ body: 64MiB }} }}\n\
             connections:\n  partner: {{ {kind}: {{ host: 127.0.0.1, {connection}, timeout: 5s }} }}\n\
             endpoints:\n  backend: {{ http: \"{backend}\" }}\n  out: {{ {kind}: {{ connection: partner, folder: out, name: \"a/${{query.name}}\", {endpoint} }} }}\n\
             proxies:\n  pickup:\n    from: {{ {kind}: {{ connection: partner, folder: in, {listener} }} }}\n\
             \x20   steps: [ {{ set: {{ headers.x-file: \"${{source.name | urlencode}}\" }} }}, {{ call: backend }} ]\n\
             \x20 put: {{ from: {{ http: /put }}, steps: [ {{ call: out }}, respond ] }}\n"
        )
    }

    /// A file of the listener's folder, which appears whole.
    fn drop_file(&self, name: &str, content: impl AsRef<[u8]>) {
        let folder = self.root.join("in");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(".fresh"), content).unwrap();
        std::fs::rename(folder.join(".fresh"), folder.join(name)).unwrap();
    }

    /// A file below the root.
    fn file(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The names in a folder below the root, sorted; none where there is no such folder.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join(folder)).into_iter().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

fn login(port: u16, user: &str, password: &str) -> String {
    format!("port: {port}, user: {user}, password: {password}")
}

/// The setting that makes the authority of these certificates a trusted one, and the folder that it lies in.
fn trusting(certificates: &Certificates) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    certificates.write_to(folder.path());
    let setting = format!(", ca: \"{}\"", folder.path().join("authority.pem").display());
    (folder, setting)
}

fn backend() -> Backend {
    Backend::replying(Reply::json(&json!({"ok": true})))
}

#[track_caller]
fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_within(WAIT, what, done);
}

/// What `/health` says of the listener, once it is in this state, with `mediary_listener_up` of the same opinion.
async fn health(gateway: &Gateway, state: &str) -> Value {
    let management = gateway.url("management").to_owned();
    let started = Instant::now();
    loop {
        let report = get(&format!("{management}/health"))
            .await
            .expect_status(200)
            .json();
        let listener = report["listeners"]["proxies.pickup"].clone();
        if listener["state"] == state {
            assert_eq!(report["status"], if state == "up" { "up" } else { "degraded" });
            let metrics = get(&format!("{management}/metrics")).await.text();
            let up = u8::from(state == "up");
            let line = format!("mediary_listener_up{{artifact=\"proxies.pickup\"}} {up}\n");
            assert!(metrics.contains(&line), "{line} is missing:\n{metrics}");
            return listener;
        }
        assert!(
            started.elapsed() < WAIT,
            "not {state}: {report}\n{}",
            gateway.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A file is picked up once it has its name, and archived; what is sent is there whole.
async fn works_both_ways(site: &Site) {
    let backend = backend();
    let Site { client, root, .. } = site;
    std::fs::create_dir_all(root.join("in")).unwrap();
    let gateway = Gateway::start(site.project(&backend), &[]);
    let content = "id,amount\n1,2.5\n".repeat(5_000);
    client.put("in/orders.part", &content);
    client.rename("in/orders.part", "in/orders.csv");
    let request = &backend.wait_for_requests(1)[0];
    assert!(request.text() == content, "{} bytes", request.text().len());
    assert_eq!(request.header("x-file"), "orders.csv");
    health(&gateway, "up").await;

    let url = format!("{}/put?name=b.txt", gateway.url("http"));
    let answer = mediary_tests::post(&url, "text/csv", content.clone()).await;
    assert_eq!(answer.expect_status(200).json()["path"], "a/b.txt");
    assert!(client.get("out/a/b.txt") == content.as_bytes());
    assert_eq!(client.list("out/a"), ["b.txt"], "no temporary file is left");
    archived(root, "orders.csv", &content);
    drop(gateway);
    assert_eq!(backend.requests().len(), 1);
}

#[track_caller]
fn archived(root: &Path, name: &str, content: &str) {
    let path = root.join("in/.done").join(name);
    eventually("the move into the archive", || path.exists());
    assert!(std::fs::read_to_string(path).unwrap() == content);
}
